"""The published JSON of an incident, made from its fold alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.approval.policy import Person, tally
from bot.chat.cards import why
from bot.clock import stamp
from bot.incident.cascade import measure, outcomes
from bot.incident.state import Host, Incident, Proposal
from bot.service.progress import Progress


def host_row(incident: Incident, host: Host) -> dict[str, Any]:
    """Return a host as the published JSON: ``{host,outcome,reason,value,boot_id,at,lane,…}``."""
    return {
        "host": host.name,
        "outcome": host.outcome.value if host.outcome else None,
        "exposure": host.exposure.value if host.exposure else None,
        "reason": why(incident, host),
        "value": host.value,
        "boot_id": host.boot_id,
        "kernel": host.kernel,
        "down": host.down,
        "crashes": host.crashes,
        "at": stamp(host.at) if host.at else None,
        "decided": host.decided,
        "lane": host.lane,
    }


def status_json(
    incident: Incident,
    people: Mapping[str, Person],
    now: datetime,
    lives: Sequence[Progress] = (),
) -> dict[str, Any]:
    """Return the published status object; ``lives`` is what goes on now."""
    signature = incident.signature
    cascade = measure(incident, now)
    return {
        "id": incident.id,
        "state": incident.state,
        "severity": incident.severity,
        "commander": incident.commander,
        "title": incident.title,
        "signature": {
            "kind": signature.kind if signature else None,
            "function": signature.function if signature else None,
            "module": signature.module if signature else None,
        },
        "cascade": {
            "crashed_10m": cascade.recent,
            "crashed": cascade.crashed,
            "crashes": cascade.crashes,
            "down": list(cascade.down),
            "repeat": list(cascade.repeat),
            "unknown_hosts": list(cascade.strangers),
            "pools": {p.name: {"up": p.up, "size": p.size} for p in cascade.pools},
        },
        "runbook": dict(incident.match) if incident.match else None,
        "proposals": [_proposal_json(p, people) for p in incident.proposals.values()],
        "hosts": outcomes(incident),
        "progress": [one.as_dict() for one in lives],
        "waves": [
            {
                "proposal": p.id,
                "wave": w.number,
                "hosts": list(w.hosts),
                "owed": list(w.owed),
                "run": w.run,
                "lost": w.lost,
                "passed": w.passed,
                "started_at": stamp(w.started_at),
                "finished_at": stamp(w.finished_at) if w.finished_at else None,
            }
            for p in incident.proposals.values()
            for w in p.waves
        ],
        "hold": {
            "state": incident.hold.state,
            "drift": sorted(h.name for h in incident.hosts.values() if h.drifted),
            "drifts": incident.hold.drifts,
            "restores": incident.hold.restores,
        },
    }


def _proposal_json(proposal: Proposal, people: Mapping[str, Person]) -> dict[str, Any]:
    count = tally(proposal, proposal.approvals, people)
    return {
        "id": proposal.id,
        "state": proposal.state.value,
        "why": proposal.why,
        "digest": proposal.digest,
        "runbook": proposal.content["runbook"]["id"],
        "purpose": proposal.purpose,
        "requester": proposal.requester,
        "required": count.required,
        "counted": list(count.counted),
        "not_counted": [{"who": u.who, "why": u.why} for u in count.not_counted],
        "expires_at": stamp(proposal.expires_at),
    }
