"""``decide(situation) -> actions``: what is due next. No clock, no disk, no database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.approval.rules import glass_of
from bot.decide.action import LIVE, MAX_ATTEMPTS, Action, Tempo
from bot.decide.runs import following, quiet_at, retry_at
from bot.decide.tend import in_doubt, keep, owed_hosts, read_at, rounds
from bot.decide.waves import roll
from bot.incident.state import (
    Incident,
    Proposal,
    ProposalState,
    Request,
)
from bot.ports import Run


def decide(incident: Incident, runs: Sequence[Run], now: datetime, tempo: Tempo) -> list[Action]:
    """Return everything that is due now, in the order in which it is to be done."""
    actions = [_lost(run) for run in runs if run.state == "lost" and _unnoticed(incident, run)]
    if actions:
        return actions
    if incident.state != "open":
        return keep(incident, runs, now, tempo)
    if incident.match is None and incident.signature is not None:
        return [Action(verb="match")]
    for request in incident.requests:
        if not request.settled:
            actions += _prepare(request, runs, now)
    for proposal in incident.proposals.values():
        actions += _advance(incident, proposal, runs, now)
    going = {h for a in actions if a.verb == "wave" for h in a.hosts}
    return actions + keep(incident, runs, now, tempo, going)


def ask_for_newcomers(incident: Incident) -> list[Action]:
    """Return the look for new targets that a mitigation under way makes worthwhile, if any.

    It is asked beside ``decide``, for whether there are any only the inventory knows. One proposal
    at a time: while another one is prepared or waits for people, they wait too.
    """
    waiting = {ProposalState.OPEN, ProposalState.APPROVED}
    if (
        incident.state != "open"
        or any(not r.settled for r in incident.requests)
        or any(p.state in waiting for p in incident.proposals.values())
    ):
        return []
    started = [p for p in incident.rollouts if not p.authority_ended]
    if any(p.purpose != "mitigate" for p in started):
        return []
    moving = {ProposalState.RUNNING, ProposalState.PAUSED, ProposalState.HALTED}
    growing = [p for p in started if p.state in moving or p.id in incident.hold.proposals]
    return [Action(verb="newcomers", proposal=p.id) for p in growing[:1]]


def due(incident: Incident, runs: Sequence[Run], now: datetime, tempo: Tempo) -> datetime | None:
    """Return when to look again even if nobody asks for it. None: only when woken.

    ``now`` is when the incident was looked at. What was due by then was done, or waits for an
    event, which wakes: only times that come after it count.
    """
    waits = [now + timedelta(seconds=tempo.look)]
    current = incident.current
    if current is not None and current.state in {ProposalState.OPEN, ProposalState.APPROVED}:
        waits += [current.expires_at, now + timedelta(seconds=5)]
        if rule := glass_of(current.content):
            waits += [one.at + timedelta(seconds=rule.delay) for one in current.glass]
    authorised = [p for p in incident.rollouts if not p.authority_ended]
    for rollout in incident.rollouts:
        doubtful = in_doubt(incident, rollout)
        waits += [at for h in doubtful for at in (quiet_at(h), read_at(h, runs, tempo))]
    for rollout in authorised:
        waits += [retry_at(h, runs, tempo) for h in owed_hosts(incident, rollout)]
        waits += [w.soaks_until for w in rollout.open_wave if w.soaks_until is not None]
        waits += [at for _, at in rounds(incident, rollout, runs)]
    live = any(r.state in LIVE for r in runs)
    if live or any(not r.settled for r in incident.requests):
        waits.append(now + timedelta(seconds=5))
    if not live and incident.state != "open" and not authorised:
        return None
    return max(min(w for w in waits if w > now), now + timedelta(seconds=0.2))


def _lost(run: Run) -> Action:
    return Action(verb="lost", run=run.ident)


def _unnoticed(incident: Incident, run: Run) -> bool:
    return run.ident not in incident.failed_runs


def _prepare(request: Request, runs: Sequence[Run], now: datetime) -> list[Action]:
    """Bring a request one step nearer to its proposal: probe, preview, propose."""
    if request.failures >= MAX_ATTEMPTS:
        return [
            Action(
                verb="give_up",
                request=request.number,
                why=f"{request.failures} read-only runs failed in a row",
            )
        ]
    mine = [r for r in runs if r.spec.get("request") == request.number]
    if any(r.state in LIVE for r in mine):
        return []
    if request.probed is None:
        probes = [r.finished_at for r in mine if r.kind == "probe" and r.finished_at is not None]
        rounds = {r.spec.get("round", r.ident) for r in mine if r.kind == "probe"}
        wait = timedelta(seconds=min(60.0, 5.0 * len(rounds)))
        if probes and now < max(probes) + wait:
            return []
        attempt = following([r for r in mine if r.kind == "probe"])
        return [Action(verb="probe", request=request.number, attempt=attempt)]
    if request.previewed is None:
        attempt = following([r for r in mine if r.kind == "preview"])
        return [Action(verb="preview", request=request.number, attempt=attempt)]
    return [Action(verb="propose", request=request.number)]


def _advance(
    incident: Incident, proposal: Proposal, runs: Sequence[Run], now: datetime
) -> list[Action]:
    if proposal.state in {ProposalState.OPEN, ProposalState.APPROVED}:
        if now >= proposal.expires_at:
            return [Action(verb="expire", proposal=proposal.id)]
        if proposal.state is ProposalState.APPROVED:
            return [Action(verb="start", proposal=proposal.id)]
        verbs = ["glass", "review"] if _glass_due(proposal, now) else ["review"]
        return [Action(verb=verb, proposal=proposal.id) for verb in verbs]
    if proposal.state is ProposalState.RUNNING:
        return roll(incident, proposal, runs, now)
    if proposal.state is ProposalState.DONE and _wants_hold(incident, proposal):
        return [Action(verb="hold", proposal=proposal.id)]
    return []


def _glass_due(proposal: Proposal, now: datetime) -> bool:
    """Say whether the delay of somebody's break-glass is over; who counts is seen to later."""
    rule = glass_of(proposal.content)
    return rule is not None and any(
        now >= one.at + timedelta(seconds=rule.delay) for one in proposal.glass
    )


def _wants_hold(incident: Incident, proposal: Proposal) -> bool:
    return (
        proposal.purpose == "mitigate"
        and not proposal.authority_ended
        and bool(proposal.content["hold"])
        and proposal.id not in incident.hold.proposals
    )
