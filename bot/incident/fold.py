"""``fold(entries) -> Incident``: the one reading of the event log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from bot.clock import parse
from bot.incident.state import (
    QUIET,
    Answer,
    Approval,
    Crash,
    Exposure,
    Host,
    Incident,
    Outcome,
    Proposal,
    ProposalState,
    Request,
    Signature,
    Wave,
    may_move,
)
from bot.timeline.entry import Entry

Step = Callable[[Incident, Entry], None]
SETTLED = frozenset({Outcome.VERIFIED, Outcome.APPLIED})
UNFINISHED = frozenset({ProposalState.RUNNING, ProposalState.PAUSED, ProposalState.HALTED})


def fold(entries: Iterable[Entry]) -> Incident:
    """Compute the incident from its entries. Unknown kinds change nothing; redacted ones too."""
    return extend(Incident(id=""), entries)


def extend(incident: Incident, entries: Iterable[Entry]) -> Incident:
    """Take later entries into an incident that was folded from the earlier ones."""
    for entry in entries:
        incident.id = entry.incident
        incident.seq = entry.seq
        step = STEPS.get(entry.kind)
        if step is not None and not entry.redacted:
            step(incident, entry)
    return incident


def _opened(incident: Incident, entry: Entry) -> None:
    incident.title = entry.data["title"]
    signature = entry.data["signature"]
    incident.signature = Signature(**signature) if signature else None
    incident.severity = entry.data.get("severity") or incident.severity
    incident.opened_at = entry.at


def _assigned(incident: Incident, entry: Entry) -> None:
    incident.roles[entry.data["role"]] = entry.data["person"]
    incident.commander = incident.roles.get("commander")


def _severity(incident: Incident, entry: Entry) -> None:
    incident.severity = entry.data["severity"]


def _resolved(incident: Incident, entry: Entry) -> None:
    incident.state, incident.resolved_at = "resolved", entry.at


def _reopened(incident: Incident, _entry: Entry) -> None:
    incident.state, incident.resolved_at = "open", None


def _alert(incident: Incident, entry: Entry) -> None:
    incident.alerts += 1
    incident.cut = max(incident.cut, int(entry.data.get("cut") or 0))
    name, crash = entry.data.get("host"), entry.data.get("crash")
    if not name:
        return
    host = incident.host(name)
    if crash is None:
        host.unreachable = host.unreachable or bool(entry.data.get("down"))
        return
    known = bool(entry.data.get("known", True))
    this = Crash(host=name, at=entry.at, title=crash["title"], known=known)
    incident.crashes.append(this)
    host.crashes += 1
    host.crashed_at = host.hint_at = entry.at
    if host.outcome in SETTLED:
        _crashed_after(incident, host, this)


def _crashed_after(incident: Incident, host: Host, crash: Crash) -> None:
    """Note that a host which had the value went down: its next boot has to be verified."""
    if (rollout := incident.owner(host.name)) is not None:
        crash = replace(crash, applied_at=host.applied_at)
        told = {(c.host, c.at) for c in rollout.crashed_after}
        if (crash.host, crash.at) not in told:
            rollout.crashed_after.append(crash)
    host.outcome, host.at = Outcome.OWED, crash.at
    host.reason = "crashed after the value was set: to be verified again on its next boot"


def _alert_over(incident: Incident, entry: Entry) -> None:
    """Note that an alert is over: a hint to try the host at once.

    Proof of life it is only if the alert said that the host was down; a crash alert also ends
    while its host is still rebooting.
    """
    if name := entry.data.get("host"):
        host = incident.host(name)
        host.hint_at = entry.at
        if entry.data.get("up"):
            host.seen_at, host.unreachable = entry.at, False


def _matched(incident: Incident, entry: Entry) -> None:
    incident.match = entry.data


def _diagnosed(incident: Incident, entry: Entry) -> None:
    look = int(entry.data["look"])
    hosts = {*entry.data["hosts"], *(("*",) if entry.data.get("over") else ())}
    incident.diagnosed[look] = incident.diagnosed.get(look, frozenset()) | hosts


def _requested(incident: Incident, entry: Entry) -> None:
    for request in incident.requests:
        request.settled = True
    data = entry.data
    incident.requests.append(
        Request(
            number=len(incident.requests) + 1,
            runbook=data["runbook"],
            mitigation=data["mitigation"],
            purpose=data.get("purpose", "mitigate"),
            requester=data["requester"],
            rollback_of=data.get("rollback_of"),
            hosts=tuple(data.get("hosts") or ()),
        )
    )


def _probed(incident: Incident, entry: Entry) -> None:
    incident.pools = {pool: tuple(hosts) for pool, hosts in entry.data.get("pools", {}).items()}
    for name, seen in entry.data["hosts"].items():
        host = incident.host(name)
        _rebooted(host, seen.get("boot_id"), entry)
        host.exposure = Exposure(seen["exposure"])
        if host.exposure is Exposure.NOT_APPLICABLE or host.outcome is None:
            host.reason = str(seen.get("reason") or "")
        _see(host, seen, entry)
    request = _request(incident, entry)
    if request is None or entry.data.get("part"):
        return  # the last run of the probe decides whether it is enough
    request.waiting = "" if entry.data.get("usable", True) else entry.text
    if not request.waiting:
        request.probed = entry.data.get("run", "")


def _previewed(incident: Incident, entry: Entry) -> None:
    if (request := _request(incident, entry)) is not None:
        request.previewed, request.dry_run = entry.data["sha256"], entry.data


def _request(incident: Incident, entry: Entry) -> Request | None:
    number = entry.data.get("request")
    return next((r for r in incident.requests if r.number == number), None)


def _made(incident: Incident, entry: Entry) -> None:
    data = entry.data
    for older in incident.proposals.values():
        _move(older, ProposalState.SUPERSEDED, f"replaced by {data['proposal']}", entry)
    incident.proposals[data["proposal"]] = Proposal(
        id=data["proposal"],
        digest=data["digest"],
        content=data["content"],
        requester=data["content"]["requester"],
        made_at=entry.at,
        expires_at=parse(data["content"]["expires_at"]),
    )
    if (request := _request(incident, entry)) is not None:
        request.settled = True


def _proposal_failed(incident: Incident, entry: Entry) -> None:
    if (request := _request(incident, entry)) is not None:
        request.settled, request.why = True, str(entry.data.get("why", ""))


def _move(proposal: Proposal, new: ProposalState, why: str, entry: Entry) -> bool:
    if not may_move(proposal.state, new):
        return False
    proposal.state, proposal.why = new, why
    if new in {ProposalState.ABORTED, ProposalState.DONE}:
        proposal.ended_at = entry.at
    return True


def _moves_to(new: ProposalState) -> Step:
    def step(incident: Incident, entry: Entry) -> None:
        proposal = incident.proposals.get(entry.data["proposal"])
        if proposal is not None:
            _move(proposal, new, entry.data.get("why", ""), entry)

    return step


def _approval(incident: Incident, entry: Entry) -> None:
    proposal = incident.proposals.get(entry.data["proposal"])
    if proposal is None:
        return
    proposal.approvals.append(_word(entry))
    if entry.data.get("complete"):
        _move(proposal, ProposalState.APPROVED, "", entry)


def _word(entry: Entry) -> Approval:
    """Return what a person said of a digest."""
    return Approval(
        person=entry.actor.id,
        name=entry.actor.name,
        via=entry.actor.via,
        digest=entry.data["digest"],
        at=entry.at,
        reason=str(entry.data.get("why", "")),
    )


def _approval_refused(incident: Incident, entry: Entry) -> None:
    """Note a try of somebody who does not count; a slip of the digest or the time is none."""
    proposal = incident.proposals.get(entry.data["proposal"])
    if proposal is not None and entry.data.get("uncounted"):
        proposal.refused.append(_word(entry))


def _glass_broken(incident: Incident, entry: Entry) -> None:
    proposal = incident.proposals.get(entry.data["proposal"])
    if proposal is not None and proposal.state is ProposalState.OPEN:
        proposal.glass.append(_word(entry))


def _glass_opened(incident: Incident, entry: Entry) -> None:
    proposal = incident.proposals.get(entry.data["proposal"])
    if proposal is not None and _move(proposal, ProposalState.APPROVED, "", entry):
        proposal.glass_opened = str(entry.data["why"])


def _started(incident: Incident, entry: Entry) -> None:
    proposal = incident.proposals.get(entry.data["proposal"])
    if proposal is None or not _move(proposal, ProposalState.RUNNING, "", entry):
        return
    proposal.started_at = entry.at
    proposal.approved_by = tuple(entry.data["approved_by"])
    if proposal.purpose == "rollback":
        undone = str(proposal.content["rollback_of"])
        _end_authority(incident, undone, "rolled back")
        if undone in incident.proposals and incident.proposals[undone].state in UNFINISHED:
            _move(incident.proposals[undone], ProposalState.ABORTED, "rolled back", entry)
        _spare_untouched(incident, proposal, undone)
    for name, planned in proposal.content["hosts"].items():
        host = incident.host(name)
        na = planned["exposure"] == Exposure.NOT_APPLICABLE
        host.outcome = Outcome.NOT_APPLICABLE if na else Outcome.OWED
        host.reason = planned.get("reason", "") if na else "not reached yet"
        host.at, host.decided, host.drifted = entry.at, "plan", False


def _spare_untouched(incident: Incident, rollback: Proposal, undone: str) -> None:
    """Owe nothing any more to hosts that the undone rollout never came to."""
    old = incident.proposals.get(undone)
    for name in old.hosts if old is not None else ():
        host = incident.host(name)
        untouched = host.outcome is Outcome.OWED and host.decided == "plan"
        if untouched and name not in rollback.content["hosts"]:
            host.outcome, host.reason = None, "never touched"


def _wave_started(incident: Incident, entry: Entry) -> None:
    data = entry.data
    proposal = incident.proposals.get(data["proposal"])
    if proposal is None:
        return
    proposal.waves.append(
        Wave(
            number=data["wave"],
            run=data["run"],
            hosts=tuple(data["hosts"]),
            owed=tuple(data.get("owed", ())),
            attempt=data.get("attempt") or 1 + _attempts(proposal, data["wave"]),
            planned=tuple(data.get("planned") or data["hosts"]),
            started_at=entry.at,
        )
    )
    for name in data.get("owed", ()):
        host = incident.host(name)
        host.reason, host.at = "down before its wave: may be serving unmitigated", entry.at


def _attempts(proposal: Proposal, number: int) -> int:
    """Count attempts of a wave; before waves had several runs, each run was one."""
    return max((w.attempt for w in proposal.waves if w.number == number), default=0)


def _wave(incident: Incident, entry: Entry) -> Wave | None:
    """Return the run that an entry is about; if it names none, the newest of its wave."""
    proposal = incident.proposals.get(entry.data.get("proposal", ""))
    same = [w for w in proposal.waves if w.number == entry.data.get("wave")] if proposal else []
    named = [w for w in same if w.run == entry.data.get("run")]
    return next(reversed(named or same), None)


def _wave_finished(incident: Incident, entry: Entry) -> None:
    _outcomes(incident, entry)
    if (wave := _wave(incident, entry)) is not None:
        wave.finished_at = entry.at
        wave.results = {h: str(o["outcome"]) for h, o in entry.data["outcomes"].items()}


def _wave_lost(incident: Incident, entry: Entry) -> None:
    if (wave := _wave(incident, entry)) is not None:
        wave.lost, wave.finished_at = True, entry.at
    if "outcomes" in entry.data:
        _outcomes(incident, entry)
    for name in entry.data.get("hosts", ()):
        host = incident.host(name)
        host.outcome, host.at, host.doubt = Outcome.UNKNOWN, entry.at, entry.at
        host.reason = "the run that touched it was lost: to be read back"


def _gate(incident: Incident, entry: Entry) -> None:
    for wave in _attempt(incident, entry):
        wave.passed = True


def _attempt(incident: Incident, entry: Entry) -> list[Wave]:
    """Return the runs of the newest attempt of the wave that an entry is about."""
    proposal, newest = incident.proposals.get(entry.data["proposal"]), _wave(incident, entry)
    if proposal is None or newest is None:
        return []
    key = (newest.number, newest.attempt)
    return [w for w in proposal.waves if (w.number, w.attempt) == key]


def _soaking(incident: Incident, entry: Entry) -> None:
    for wave in _attempt(incident, entry):
        wave.soaks_until = parse(entry.data["until"])


def _checked(incident: Incident, entry: Entry) -> None:
    answer = Answer(ok=entry.data["ok"], sentence=entry.data["why"])
    for wave in _attempt(incident, entry):
        wave.checks = {**wave.checks, entry.data["check"]: answer}


def _outcomes(incident: Incident, entry: Entry) -> None:
    """Take over outcomes; what a run of an older proposal saw is no outcome of this one."""
    for name, seen in entry.data["outcomes"].items():
        host, owner = incident.host(name), incident.owner(name)
        if owner is None or owner.id != entry.data.get("proposal"):
            _rebooted(host, seen.get("boot_id"), entry)
            _see(host, seen, entry)
            continue
        host.outcome = Outcome(seen["outcome"])
        host.reason, host.at = seen.get("reason", ""), entry.at
        host.decided, host.lane = str(entry.data.get("lane", "")), str(seen.get("lane", ""))
        host.partly = bool(seen.get("partly"))
        when = _see(host, seen, entry)
        host.doubt = _doubt(host, seen, when, entry)
        if host.outcome not in SETTLED or when is None:
            continue
        host.applied_at, host.drifted = when, False
        if host.crashed_at is not None and host.crashed_at > when:
            crash = next(c for c in reversed(incident.crashes) if c.host == name)
            _crashed_after(incident, host, crash)


def _doubt(
    host: Host, seen: Mapping[str, Any], when: datetime | None, entry: Entry
) -> datetime | None:
    """Return since when the host is in doubt, after what was just seen of it.

    A reading that does not find the value proves nothing before ``QUIET`` has passed: the write
    may still be at work there.
    """
    if seen.get("doubt") or host.outcome is Outcome.UNKNOWN:
        return entry.at
    if host.doubt is None or when is None:
        return host.doubt
    early = host.outcome is Outcome.OWED and when < host.doubt + QUIET
    return host.doubt if early else None


def _sighted(incident: Incident, entry: Entry) -> None:
    """Take over what another incident has learnt of hosts that this one tends."""
    for name, seen in entry.data["hosts"].items():
        host = incident.host(name)
        host.hint_at = entry.at
        match seen["word"]:
            case "answered":
                _rebooted(host, seen.get("boot_id"), entry)
                host.seen_at, host.unreachable = entry.at, False
            case "crashed":
                host.crashed_at = entry.at
                if host.outcome in SETTLED:
                    host.outcome, host.at = Outcome.OWED, entry.at
                    host.reason = "crashed since it was verified: to be read on its next boot"
                    host.doubt = entry.at - QUIET
            case "down":
                host.unreachable = True
            case _:
                pass


def _rebooted(host: Host, boot_id: str | None, entry: Entry) -> None:
    """Owe a host that had the value and was seen on another boot by a read of something else.

    It is read before anything is written: the value is persisted, so it is there, as a rule.
    """
    if host.outcome not in SETTLED or not boot_id or host.boot_id in {None, boot_id}:
        return
    host.outcome, host.at, host.doubt = Outcome.OWED, entry.at, entry.at - QUIET
    host.reason = "rebooted since it was verified: to be read again"


def _see(host: Host, seen: Mapping[str, Any], entry: Entry) -> datetime | None:
    """Note a proof of life (a boot id) or that the host could not be reached.

    Returns when the host answered: a run may end long after that, and a crash in between counts.
    """
    if not seen.get("boot_id"):
        host.unreachable = host.unreachable or bool(seen.get("unreachable"))
        return None
    told = seen.get("seen_at")
    when = min(parse(told), entry.at) if told else entry.at
    host.value, host.boot_id = seen.get("value"), seen["boot_id"]
    host.kernel = seen.get("kernel") or host.kernel
    host.seen_at, host.unreachable = when, False
    return when


def _run_failed(incident: Incident, entry: Entry) -> None:
    incident.failed_runs[entry.data["run"]] = entry.data.get("why", "")
    if (request := _request(incident, entry)) is not None:
        request.failures += 1


def _resumed(incident: Incident, entry: Entry) -> None:
    proposal = incident.proposals.get(entry.data["proposal"])
    if proposal is None:
        return
    if proposal.state is ProposalState.HALTED:
        proposal.resumed_at = entry.at
        for wave in proposal.waves:
            wave.passed = wave.passed or wave.finished_at is not None
    _move(proposal, ProposalState.RUNNING, "", entry)


def _aborted(incident: Incident, entry: Entry) -> None:
    _moves_to(ProposalState.ABORTED)(incident, entry)
    _end_authority(incident, entry.data["proposal"], "aborted")


def _hold_started(incident: Incident, entry: Entry) -> None:
    incident.hold.state, incident.hold.since = "active", entry.at
    incident.hold.proposal = entry.data["proposal"]
    incident.hold.proposals.append(entry.data["proposal"])


def _drifted(incident: Incident, entry: Entry) -> None:
    incident.hold.drifts += 1
    host = incident.host(entry.data["host"])
    host.drifted = bool(entry.data.get("same_boot", True))
    host.value, host.at = entry.data.get("value"), entry.at
    host.outcome, host.reason = Outcome.OWED, entry.text
    host.boot_id = entry.data.get("boot_id") or host.boot_id
    host.seen_at, host.unreachable = entry.at, False


def _restored(incident: Incident, entry: Entry) -> None:
    incident.hold.restores += 1
    incident.host(entry.data["host"]).drifted = False


def _released(incident: Incident, entry: Entry) -> None:
    _end_authority(incident, entry.data["proposal"], "released")


def _end_authority(incident: Incident, proposal: str, why: str) -> None:
    if proposal in incident.proposals:
        incident.proposals[proposal].authority_ended = why
    if proposal in incident.hold.proposals:
        incident.hold.proposals.remove(proposal)
        if not incident.hold.proposals:
            incident.hold.state = "released"


STEPS: Mapping[str, Step] = MappingProxyType(
    {
        "incident.opened": _opened,
        "incident.assigned": _assigned,
        "incident.severity": _severity,
        "incident.resolved": _resolved,
        "incident.reopened": _reopened,
        "alert.received": _alert,
        "alert.resolved": _alert_over,
        "runbook.matched": _matched,
        "host.diagnosed": _diagnosed,
        "proposal.requested": _requested,
        "exposure.probed": _probed,
        "dryrun.recorded": _previewed,
        "proposal.made": _made,
        "proposal.failed": _proposal_failed,
        "proposal.superseded": _moves_to(ProposalState.SUPERSEDED),
        "proposal.expired": _moves_to(ProposalState.EXPIRED),
        "proposal.rejected": _moves_to(ProposalState.REJECTED),
        "approval.given": _approval,
        "approval.refused": _approval_refused,
        "glass.broken": _glass_broken,
        "glass.opened": _glass_opened,
        "rollout.started": _started,
        "wave.started": _wave_started,
        "wave.finished": _wave_finished,
        "wave.lost": _wave_lost,
        "gate.soaking": _soaking,
        "gate.checked": _checked,
        "gate.passed": _gate,
        "rollout.halted": _moves_to(ProposalState.HALTED),
        "rollout.paused": _moves_to(ProposalState.PAUSED),
        "rollout.resumed": _resumed,
        "rollout.aborted": _aborted,
        "rollout.done": _moves_to(ProposalState.DONE),
        "hosts.updated": _outcomes,
        "hosts.sighted": _sighted,
        "run.failed": _run_failed,
        "hold.started": _hold_started,
        "hold.drifted": _drifted,
        "hold.restored": _restored,
        "hold.released": _released,
    }
)
