"""The named moments: when what happened, and how long it took to get there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.incident.state import Host, Outcome, Proposal
from bot.postmortem.case import UNSETTLED, Case, replay, span, utc
from bot.postmortem.markdown import inline, table

MAX_DRIFTS = 10

INTERRUPTIONS = {
    "rollout.halted": "halted",
    "rollout.paused": "paused",
    "rollout.resumed": "resumed",
    "rollout.aborted": "aborted",
}
DRIFTS = {"hold.drifted": "drift on", "hold.restored": "restored"}
OUTCOMES = {
    "alert.received",
    "rollout.started",
    "wave.finished",
    "wave.lost",
    "hosts.updated",
    "hold.drifted",
}
"""The kinds that change whether a host is owed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that people ask the time of; ``at`` is None while it has not happened."""

    name: str
    at: datetime | None


def moments(case: Case) -> list[Moment]:
    """Return the moments in the order of their times; what has not happened comes last."""
    found = [*_named(case), *_interruptions(case), *_drifts(case), *_ends(case)]
    return sorted(found, key=lambda moment: (moment.at is None, moment.at or case.now))


def _named(case: Case) -> list[Moment]:
    incident, plan = case.incident, _plan(case)
    mark = f" ({plan.id})" if plan is not None else ""
    return [
        Moment(name="first crash reported", at=min((c.at for c in incident.crashes), default=None)),
        Moment(name="detected: incident opened", at=incident.opened_at),
        Moment(name="matched with runbooks", at=_first(case, "runbook.matched")),
        Moment(name=f"proposed{mark}", at=plan.made_at if plan else None),
        Moment(name=f"approved{mark}", at=_approved(case, plan)),
        Moment(name=f"rollout started{mark}", at=plan.started_at if plan else None),
        Moment(name="canary verified", at=_canary(plan)),
        Moment(name="all waves carried out", at=_of_plan(case, plan, "rollout.done")),
        Moment(name="last owed host verified", at=_nobody_owed(case, plan)),
        Moment(name="hold started", at=_of_plan(case, plan, "hold.started")),
    ]


def moments_table(case: Case) -> str:
    """Write the moments with their UTC time and the time since the first crash."""
    found = moments(case)
    start = min((crash.at for crash in case.incident.crashes), default=found[0].at)
    rows = []
    last: datetime | None = None
    for moment in found:
        if moment.at is None or start is None:
            rows.append([moment.name, "-", "-", "-"])
            continue
        step = f"{_signed(moment.at, last)}" if last is not None else "-"
        rows.append([moment.name, utc(moment.at), _signed(moment.at, start), step])
        last = moment.at
    return table(["Moment", "UTC", "After the first crash", "After the row before"], rows)


def _signed(at: datetime, since: datetime) -> str:
    return f"+{span(at - since)}" if at >= since else f"-{span(since - at)}"


def _plan(case: Case) -> Proposal | None:
    """Return the mitigation that the moments are about: the newest started one, else the newest."""
    mine = [p for p in case.incident.proposals.values() if p.purpose == "mitigate"]
    started = [p for p in mine if p.started_at is not None]
    return next(reversed(started or mine), None)


def _first(case: Case, kind: str) -> datetime | None:
    return next((entry.at for entry in case.of(kind)), None)


def _of_plan(case: Case, plan: Proposal | None, kind: str) -> datetime | None:
    if plan is None:
        return None
    return next((e.at for e in case.of(kind) if e.data.get("proposal") == plan.id), None)


def _approved(case: Case, plan: Proposal | None) -> datetime | None:
    given = [e for e in case.of("approval.given") if plan and e.data.get("proposal") == plan.id]
    return next((e.at for e in given if e.data.get("complete")), None)


def _canary(plan: Proposal | None) -> datetime | None:
    """Return when a first wave ended with every host of it verified, read back from the host."""
    for wave in plan.waves if plan else ():
        verified = [wave.results.get(host) == Outcome.VERIFIED for host in wave.hosts]
        if wave.number == 1 and verified and all(verified):
            return wave.finished_at
    return None


def _nobody_owed(case: Case, plan: Proposal | None) -> datetime | None:
    """Return when the last owed host was verified; None while one is owed, or not settled.

    A host that became unknown or failed is not owed any more, yet nobody verified it. A host
    that drifts under the hold is the hold's matter and does not count here.
    """
    if plan is None or plan.started_at is None:
        return None
    waits, since = True, None
    for entry, incident in replay(case.entries):
        current = incident.proposals.get(plan.id)
        if current is None or current.started_at is None or entry.kind not in OUTCOMES:
            continue
        still = any(_waits(incident.host(name)) for name in plan.hosts)
        if waits and not still:
            since = entry.at
        waits = still
    return None if waits else since


def _waits(host: Host) -> bool:
    return host.outcome in UNSETTLED and not host.drifted


def _interruptions(case: Case) -> list[Moment]:
    """Return the halts, pauses, resumptions and aborts, as they came."""
    return [
        Moment(name=f"{inline(entry.data['proposal'])} {INTERRUPTIONS[entry.kind]}", at=entry.at)
        for entry in case.of(*INTERRUPTIONS)
    ]


def _drifts(case: Case) -> list[Moment]:
    found = case.of(*DRIFTS)
    if not found:
        return [Moment(name="drifts", at=None)]
    rows = [
        Moment(name=f"{DRIFTS[entry.kind]} {inline(entry.data['host'])}", at=entry.at)
        for entry in found[:MAX_DRIFTS]
    ]
    more = len(found) - len(rows)
    if more:
        rows.append(Moment(name=f"{more} more drifts and restores, the last", at=found[-1].at))
    return rows


def _ends(case: Case) -> list[Moment]:
    found = [
        Moment(name=f"hold released ({inline(e.data['proposal'])})", at=e.at)
        for e in case.of("hold.released")
    ]
    for proposal in case.started:
        if proposal.purpose == "rollback":
            what = f"rollback ({proposal.id})"
            found.append(Moment(name=f"{what} started", at=proposal.started_at))
            found.append(Moment(name=f"{what} ended", at=proposal.ended_at))
    return [*found, Moment(name="resolved", at=case.incident.resolved_at)]
