"""The published table of entry kinds. Kinds are added, never renamed: old logs must still fold."""

from __future__ import annotations

from types import MappingProxyType

KINDS = MappingProxyType(
    {
        "incident.opened": "an incident was opened for a crash signature, or declared by a person",
        "incident.assigned": "a person took or was given a role",
        "incident.severity": "the severity was set",
        "incident.resolved": "the incident was declared resolved",
        "incident.reopened": "a resolved incident was opened again",
        "alert.received": "an alert arrived; with a crash report if its text holds one",
        "alert.resolved": "the alerting system says that an alert about a host is over",
        "runbook.matched": "runbooks were matched: candidates, reasons, near misses",
        "host.diagnosed": "a look that the runbook asks for, and that changes nothing, found something",
        "proposal.requested": "a proposal was asked for, by the bot or a person",
        "hosts.joined": "hosts became targets after the proposal was made: they get one of their own",
        "exposure.probed": "the fleet was read: who has the knob, who is unreachable",
        "dryrun.recorded": "the mitigation was previewed on a sample",
        "proposal.made": "a proposal was made: its whole content and digest",
        "proposal.failed": "no proposal could be made, and why",
        "proposal.superseded": "a source of the proposal changed, so its approvals start nothing",
        "proposal.expired": "the proposal was not started in time",
        "proposal.rejected": "a person said no",
        "approval.given": "a person said yes to one digest",
        "approval.refused": "a person tried to approve and may not, or named another digest",
        "glass.broken": "a person broke the glass of a proposal, with a reason: an emergency",
        "glass.opened": "break-glass took the place of approvals: who, and why it was enough",
        "rollout.started": "the approval was used to start the rollout",
        "wave.started": "a wave was started on named hosts",
        "wave.finished": "a wave ended: the outcome of each of its hosts",
        "wave.lost": "a run broke off (supervisor gone, heartbeat lapsed, Ansible killed); "
        "its hosts are read back before anything else",
        "wave.late": "a run that was given up as lost reported after all",
        "gate.soaking": "the canary kept its limits and is watched for a while before its gate",
        "gate.checked": "a check of the gate was asked, and what it answered",
        "gate.passed": "the gate after a wave let the rollout go on",
        "rollout.halted": "a gate stopped the rollout, and why",
        "rollout.paused": "a person paused the rollout between waves",
        "rollout.resumed": "a person let the rollout go on under the same digest",
        "rollout.aborted": "a person ended the rollout",
        "rollout.done": "every wave was carried out; hosts may still be owed",
        "hosts.updated": "the outcome of hosts changed outside a wave, and by which purpose",
        "hosts.sighted": "another incident, or an alert, has told of hosts that this one tends",
        "run.failed": "a run could not be carried out at all, and why",
        "hold.started": "the value is watched from now on",
        "hold.drifted": "a host no longer has the value",
        "hold.restored": "the value was written again under the approval",
        "hold.released": "a person ended the hold",
        "note.added": "a person's note",
        "note.pinned": "a message of the chat that a person put into the timeline",
        "note.struck": "a pin was taken back; it stays in the record, struck",
    }
)

REDACTABLE = frozenset({"note.added", "note.pinned", "approval.refused", "wave.late"})
"""Kinds whose content may be forgotten: the state of the incident does not depend on them."""
