"""``decide(situation) -> actions``: what is due next. No clock, no disk, no database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.incident.state import (
    Host,
    Incident,
    Outcome,
    Proposal,
    ProposalState,
    Request,
    Wave,
)
from bot.ports import Run
from bot.rollout.gate import judge, proven
from bot.rollout.plan import upcoming

MAX_ATTEMPTS = 3
CANARIES = 5
KEPT = 12
"""So many tries of a host govern its back-off: doubled as often, any pause is at its longest."""
LIVE = frozenset({"queued", "running"})
EPOCH = datetime.fromtimestamp(0, UTC)
SETTLED = frozenset({Outcome.VERIFIED, Outcome.APPLIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """The times that govern a look, in seconds."""

    retry_first: float = 5.0
    retry_max: float = 300.0
    look: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that is due. ``verb`` names the row of the worker's table that carries it out."""

    verb: str
    proposal: str = ""
    request: int = 0
    wave: int = 0
    attempt: int = 1
    hosts: tuple[str, ...] = ()
    owed: tuple[str, ...] = ()
    purpose: str = ""
    run: str = ""
    why: str = ""


def decide(incident: Incident, runs: Sequence[Run], now: datetime, tempo: Tempo) -> list[Action]:
    """Return everything that is due now, in the order in which it is to be done."""
    actions = [_lost(run) for run in runs if run.state == "lost" and _unnoticed(incident, run)]
    if actions:
        return actions
    if incident.state != "open":
        return _keep(incident, runs, now, tempo)
    if incident.match is None and incident.signature is not None:
        return [Action(verb="match")]
    for request in incident.requests:
        if not request.settled:
            actions += _prepare(request, runs, now)
    for proposal in incident.proposals.values():
        actions += _advance(incident, proposal, runs, now)
    return actions + _keep(incident, runs, now, tempo)


def due(incident: Incident, runs: Sequence[Run], now: datetime, tempo: Tempo) -> datetime | None:
    """Return when to look again even if nobody asks for it. None: only when woken.

    ``now`` is when the incident was looked at. What was due by then was done, or waits for an
    event, which wakes: only times that come after it count.
    """
    waits = [now + timedelta(seconds=tempo.look)]
    current = incident.current
    if current is not None and current.state in {ProposalState.OPEN, ProposalState.APPROVED}:
        waits += [current.expires_at, now + timedelta(seconds=5)]
    rollout = incident.rollout
    if rollout is not None and not rollout.authority_ended:
        waits += [_retry_at(h, runs, tempo) for h in _owed(incident, rollout)]
        if incident.hold.state == "active":
            waits.append(_check_at(incident, rollout, runs))
    live = any(r.state in LIVE for r in runs)
    if live or any(not r.settled for r in incident.requests):
        waits.append(now + timedelta(seconds=5))
    if not live and incident.state != "open" and (rollout is None or rollout.authority_ended):
        return None
    return max(min(w for w in waits if w > now), now + timedelta(seconds=0.2))


def following(runs: Iterable[Run]) -> int:
    """Return the number of the next run of a sort: older ones may have been forgotten."""
    return 1 + max((int(r.ident.rpartition(".")[2]) for r in runs), default=0)


def spent(runs: Sequence[Run]) -> list[str]:
    """Return the ended runs that decide nothing any more, so that hours of them stay bounded.

    A retry or readback counts while it is among the last ``KEPT`` of one of its hosts, a probe
    among the last of its request, a check among the last of all. Waves, dry runs and lost runs
    stay.
    """
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for run in reversed(runs):
        marks = _marks(run)
        if marks and run.state in {"finished", "cancelled"}:
            if all(seen[mark] >= KEPT for mark in marks):
                found.append(run.ident)
            seen.update(marks)
    return found


def _marks(run: Run) -> list[tuple[str, str]]:
    """Return in which rows of runs one stands: of each host, of its request, or of its kind."""
    if run.kind in {"retry", "readback"}:
        return [("host", host) for host in run.hosts]
    if run.kind == "probe":
        return [("request", str(run.spec.get("request")))]
    return [("kind", run.kind)] if run.kind == "check" else []


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
        wait = timedelta(seconds=min(60.0, 5.0 * len(probes)))
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
        verb = "start" if proposal.state is ProposalState.APPROVED else "review"
        return [Action(verb=verb, proposal=proposal.id)]
    if proposal.state is ProposalState.RUNNING:
        return _roll(incident, proposal, runs)
    if proposal.state is ProposalState.DONE and _wants_hold(incident, proposal):
        return [Action(verb="hold", proposal=proposal.id)]
    return []


def _wants_hold(incident: Incident, proposal: Proposal) -> bool:
    return (
        proposal.purpose == "mitigate"
        and not proposal.authority_ended
        and bool(proposal.content["hold"])
        and incident.hold.proposal != proposal.id
    )


def _roll(incident: Incident, proposal: Proposal, runs: Sequence[Run]) -> list[Action]:
    """Take the rollout one step on: wait, read back, judge the gate, next wave, or done."""
    if any(r.kind == "wave" and r.state in LIVE for r in runs):
        return []
    last = proposal.waves[-1] if proposal.waves else None
    if last is not None and not last.passed:
        return _after(incident, proposal, last, runs)
    retried = {h for r in runs if r.state in LIVE and r.kind == "retry" for h in r.hosts}
    wave = upcoming(incident, proposal, retried)
    if wave is None:
        return [Action(verb="finish", proposal=proposal.id)]
    if not wave.hosts and not wave.last:
        return []
    return [
        Action(
            verb="wave",
            proposal=proposal.id,
            wave=wave.number,
            hosts=wave.hosts,
            owed=wave.owed,
            attempt=1 + sum(1 for w in proposal.waves if w.number == wave.number),
        )
    ]


def _after(incident: Incident, proposal: Proposal, last: Wave, runs: Sequence[Run]) -> list[Action]:
    if last.finished_at is None:
        return []
    unknown = tuple(h for h in last.hosts if incident.host(h).outcome is Outcome.UNKNOWN)
    tries = [
        r
        for r in runs
        if r.kind == "readback" and set(r.hosts) & set(unknown) and _since(r, last.finished_at)
    ]
    if unknown and len(tries) < MAX_ATTEMPTS:
        if any(r.state in LIVE for r in tries):
            return []
        return [Action(verb="readback", proposal=proposal.id, hosts=unknown)]
    if last.lost:
        left = tuple(h for h in last.hosts if incident.host(h).outcome is Outcome.OWED)
        up = tuple(h for h in left if not incident.host(h).down)
        attempts = sum(1 for w in proposal.waves if w.number == last.number)
        if up and attempts < MAX_ATTEMPTS:
            return [
                Action(
                    verb="wave",
                    proposal=proposal.id,
                    wave=last.number,
                    hosts=up,
                    attempt=attempts + 1,
                )
            ]
    if again := _nobody(incident, proposal, last):
        return [again]
    verdict = judge(incident, proposal, last)
    verb = "pass" if verdict.ok else "halt"
    return [Action(verb=verb, proposal=proposal.id, wave=last.number, why=verdict.sentence)]


def _since(run: Run, at: datetime | None) -> bool:
    """Say whether a run ended after ``at`` or has not ended."""
    return run.finished_at is None or at is None or run.finished_at >= at


def _nobody(incident: Incident, proposal: Proposal, last: Wave) -> Action | None:
    """Choose another canary when the canary vanished: nothing is proved yet.

    Once it is, hosts that vanish are counted by the gate and owed like any other.
    """
    if (
        proven(incident, proposal)
        or not last.hosts
        or any(incident.host(h).outcome is not Outcome.OWED for h in last.hosts)
    ):
        return None
    attempts = sum(1 for w in proposal.waves if w.number == last.number)
    wave = upcoming(incident, proposal)
    if wave is None or wave.last or attempts >= CANARIES:
        return None
    fresh = tuple(h for h in wave.hosts if h not in last.hosts)
    if not fresh:
        return None
    return Action(
        verb="wave", proposal=proposal.id, wave=last.number, hosts=fresh, attempt=attempts + 1
    )


def _keep(incident: Incident, runs: Sequence[Run], now: datetime, tempo: Tempo) -> list[Action]:
    """See to owed hosts, hosts of unknown fate and the hold, whatever the waves are doing."""
    rollout = incident.rollout
    if rollout is None or (rollout.authority_ended and rollout.state is not ProposalState.ABORTED):
        return []
    busy = {h for r in runs if r.state in LIVE and r.kind != "check" for h in r.hosts}
    actions = _strays(incident, rollout, runs, busy)
    if rollout.authority_ended:
        return actions
    owed = _owed(incident, rollout) if rollout.state in _RETRIES else []
    ready = [h for h in owed if h.name not in busy and _retry_at(h, runs, tempo) <= now]
    writes = any(w.passed for w in rollout.waves)
    if _unjudged(rollout):
        ready = []
    if ready and not writes and not any(not h.down for h in _pending(incident, rollout)):
        names = tuple(h.name for h in ready)
        actions.append(Action(verb="readback", proposal=rollout.id, hosts=names))
    elif writes:
        actions += _retries(rollout, ready)
    return actions + _checks(incident, rollout, runs, now)


_RETRIES = frozenset({ProposalState.RUNNING, ProposalState.DONE})


def _strays(
    incident: Incident, rollout: Proposal, runs: Sequence[Run], busy: set[str]
) -> list[Action]:
    """Read back hosts of unknown fate that no wave is waiting for (after an abort, a retry)."""
    open_wave = set(rollout.waves[-1].hosts) if _wave_open(rollout) else set()
    stray = tuple(
        h
        for h in rollout.hosts
        if incident.host(h).outcome is Outcome.UNKNOWN
        and h not in busy
        and h not in open_wave
        and _read_backs(incident.host(h), runs) < MAX_ATTEMPTS
    )
    return [Action(verb="readback", proposal=rollout.id, hosts=stray)] if stray else []


def _read_backs(host: Host, runs: Sequence[Run]) -> int:
    """Count how often a host was read since its fate became unknown."""
    return sum(
        1 for r in runs if r.kind == "readback" and host.name in r.hosts and _since(r, host.at)
    )


def _wave_open(rollout: Proposal) -> bool:
    running = rollout.state is ProposalState.RUNNING
    return running and bool(rollout.waves) and not rollout.waves[-1].passed


def _unjudged(rollout: Proposal) -> bool:
    """Say whether a wave has ended that may have broken its limits: meanwhile nobody writes."""
    return _wave_open(rollout) and rollout.waves[-1].finished_at is not None


def _pending(incident: Incident, rollout: Proposal) -> Iterable[Host]:
    return (incident.host(h) for h in rollout.content["waves"]["order"])


def _owed(incident: Incident, rollout: Proposal) -> list[Host]:
    """Return hosts that still need the value and that no coming wave will take."""
    if any(w.passed for w in rollout.waves) and upcoming(incident, rollout) is not None:
        pending = [h for h in _pending(incident, rollout) if h.down or _was_touched(rollout, h)]
    else:
        pending = list(_pending(incident, rollout))
    return [h for h in pending if h.outcome is Outcome.OWED]


def _was_touched(rollout: Proposal, host: Host) -> bool:
    return any(w.passed and host.name in w.hosts for w in rollout.waves)


def _retries(rollout: Proposal, ready: Sequence[Host]) -> list[Action]:
    groups: dict[str, list[str]] = {}
    for host in ready:
        groups.setdefault(_purpose(rollout, host), []).append(host.name)
    return [
        Action(verb="retry", proposal=rollout.id, hosts=tuple(names), purpose=purpose)
        for purpose, names in sorted(groups.items())
    ]


def _purpose(rollout: Proposal, host: Host) -> str:
    """Say why a write to an owed host is due."""
    if rollout.purpose == "rollback":
        return "rollback"
    if host.applied_at is None:
        return "retry"
    return "restore" if host.drifted else "reboot"


def _retry_at(host: Host, runs: Sequence[Run], tempo: Tempo) -> datetime:
    """Return when an owed host is tried next: backing off, at once when it was seen again.

    A word about it (an alert that ends, a crash of a later boot) begins the back-off anew.
    """
    since = max((t for t in (host.at, host.hint_at) if t is not None), default=None)
    tries = [
        r.finished_at
        for r in runs
        if r.kind in {"retry", "readback"} and r.finished_at is not None and host.name in r.hosts
    ]
    recent = [t for t in tries if since is None or t >= since]
    if not tries:
        return since or EPOCH
    last = max(tries)
    hints = [t for t in (host.seen_at, host.hint_at) if t is not None and t > last]
    if hints:
        return max(hints)
    wait = min(tempo.retry_max, tempo.retry_first * 2 ** min(KEPT, max(0, len(recent) - 1)))
    return last + timedelta(seconds=wait)


def _check_at(incident: Incident, rollout: Proposal, runs: Sequence[Run]) -> datetime:
    interval = float(rollout.content["hold"].get("interval_seconds", 30))
    began = [r.queued_at for r in runs if r.kind == "check" and r.queued_at is not None]
    since = max(began, default=incident.hold.since or rollout.made_at)
    return since + timedelta(seconds=interval)


def _checks(
    incident: Incident, rollout: Proposal, runs: Sequence[Run], now: datetime
) -> list[Action]:
    if incident.hold.state != "active" or incident.hold.proposal != rollout.id:
        return []
    if any(r.kind == "check" and r.state in LIVE for r in runs):
        return []
    if _check_at(incident, rollout, runs) > now:
        return []
    watched = tuple(
        h
        for h in rollout.hosts
        if incident.host(h).outcome in SETTLED | {Outcome.OWED, Outcome.FAILED}
    )
    return [Action(verb="check", proposal=rollout.id, hosts=watched)] if watched else []
