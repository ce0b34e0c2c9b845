"""``decide(situation) -> actions``: what is due next. No clock, no disk, no database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.approval.rules import glass_of
from bot.incident.state import (
    QUIET,
    Host,
    Incident,
    Outcome,
    Proposal,
    ProposalState,
    Request,
)
from bot.ports import Run
from bot.rollout.gate import judge, proven
from bot.rollout.plan import SHARD, Traffic, blocked, remaining, room, upcoming

MAX_ATTEMPTS = 3
CANARIES = 5
STALL = timedelta(minutes=10)
"""How long a rollout waits for hosts of a pool to come back before it says that it cannot go on."""
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
    """One thing that is due. ``verb`` names the row of the worker's table that carries it out.

    A wave may have several runs: ``part`` counts them, ``planned`` (with the first run of an
    ``attempt``) are all hosts that they will share. ``check`` is a check's place in the gate.
    """

    verb: str
    proposal: str = ""
    request: int = 0
    wave: int = 0
    attempt: int = 1
    part: int = 1
    check: int = 0
    hosts: tuple[str, ...] = ()
    owed: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()
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
    going = {h for a in actions if a.verb == "wave" for h in a.hosts}
    return actions + _keep(incident, runs, now, tempo, going)


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
        doubtful = _in_doubt(incident, rollout)
        waits += [at for h in doubtful for at in (_quiet_at(h), _read_at(h, runs, tempo))]
    for rollout in authorised:
        waits += [_retry_at(h, runs, tempo) for h in _owed(incident, rollout)]
        waits += [w.soaks_until for w in rollout.open_wave if w.soaks_until is not None]
        if rollout.id in incident.hold.proposals:
            waits.append(_check_at(incident, rollout, runs))
    live = any(r.state in LIVE for r in runs)
    if live or any(not r.settled for r in incident.requests):
        waits.append(now + timedelta(seconds=5))
    if not live and incident.state != "open" and not authorised:
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
        if proposal.state is ProposalState.APPROVED:
            return [Action(verb="start", proposal=proposal.id)]
        verbs = ["glass", "review"] if _glass_due(proposal, now) else ["review"]
        return [Action(verb=verb, proposal=proposal.id) for verb in verbs]
    if proposal.state is ProposalState.RUNNING:
        return _roll(incident, proposal, runs, now)
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


def _roll(
    incident: Incident, proposal: Proposal, runs: Sequence[Run], now: datetime
) -> list[Action]:
    """Take the rollout one step on: wait, read back, judge the gate, next wave, or done."""
    ours = {w.run for w in proposal.open_wave}
    if any(r.kind == "wave" and r.state in LIVE and r.ident not in ours for r in runs):
        return []
    if ours:
        return _under_way(incident, proposal, runs, now)
    coming = upcoming(incident, proposal, _retried(runs))
    if coming is None:
        return [Action(verb="finish", proposal=proposal.id)]
    if not coming.hosts and not coming.last:
        return []
    same = [w.attempt for w in proposal.waves if w.number == coming.number]
    first = Action(
        verb="wave",
        proposal=proposal.id,
        wave=coming.number,
        attempt=1 + max(same, default=0),
        planned=coming.hosts,
        owed=coming.owed,
    )
    return _touch(incident, proposal, runs, first, coming.hosts, now)


def _retried(runs: Sequence[Run]) -> set[str]:
    return {h for r in runs if r.state in LIVE and r.kind == "retry" for h in r.hosts}


def _traffic(proposal: Proposal, runs: Sequence[Run], going: Collection[str] = ()) -> Traffic:
    """Return where runs write; ``going`` are hosts of runs that are started at this very look."""
    writes = [r for r in runs if r.spec.get("purpose")]
    ours = [r for r in writes if r.spec.get("proposal") == proposal.id]
    return Traffic(
        flying=frozenset(going) | {h for r in writes if r.state in LIVE for h in r.hosts},
        written=frozenset(going) | {h for r in ours for h in r.hosts},
    )


def _touch(
    incident: Incident,
    proposal: Proposal,
    runs: Sequence[Run],
    first: Action,
    hosts: Sequence[str],
    now: datetime,
) -> list[Action]:
    """Start as many runs on ``hosts`` as there is room for; wait, or halt, if there is none.

    ``first`` is the action without its hosts; further runs of the same attempt follow it.
    """
    before = sum(1 for w in proposal.waves if w.number == first.wave)
    if not hosts:
        return [replace(first, part=before + 1)]
    traffic = _traffic(proposal, runs)
    free = room(incident, proposal, hosts, traffic)
    if not free:
        return [] if traffic.flying else _stalled(incident, proposal, runs, first, hosts, now)
    shard = int(proposal.content["waves"].get("shard", SHARD))
    pieces = [tuple(free[at : at + shard]) for at in range(0, len(free), shard)]
    rest = replace(first, planned=(), owed=())
    return [
        replace(rest if number else first, part=before + 1 + number, hosts=piece)
        for number, piece in enumerate(pieces)
    ]


def _stalled(
    incident: Incident,
    proposal: Proposal,
    runs: Sequence[Run],
    first: Action,
    hosts: Sequence[str],
    now: datetime,
) -> list[Action]:
    """Halt if a pool lets no host be touched and none that is away could change that, or did."""
    block = blocked(incident, proposal, hosts, _traffic(proposal, runs))
    if block is None:
        return []
    ended = [r.finished_at for r in runs if r.spec.get("purpose") and r.finished_at is not None]
    began = [t for t in (proposal.started_at, proposal.resumed_at, *ended) if t is not None]
    if not block.forever and now < max(began, default=now) + STALL:
        return []
    waited = "" if block.forever else f", for {STALL.total_seconds():g} s"
    why = f"{block.sentence}{waited}"
    return [Action(verb="halt", proposal=proposal.id, wave=first.wave, why=why)]


def _under_way(
    incident: Incident, proposal: Proposal, runs: Sequence[Run], now: datetime
) -> list[Action]:
    """See to a wave that has begun: its lost hosts, its further runs, then its gate."""
    wave = proposal.open_wave
    ended = all(w.finished_at is not None for w in wave)
    if ended and (first := _recover(incident, proposal, runs, now)) is not None:
        return first
    left = remaining(incident, wave, _retried(runs))
    verdict = judge(incident, proposal, wave, len(left))
    if left and verdict.ok:
        more = Action(
            verb="wave", proposal=proposal.id, wave=wave[0].number, attempt=wave[0].attempt
        )
        return _touch(incident, proposal, runs, more, left, now)
    if not ended:
        return []
    if again := _nobody(incident, proposal, runs, now):
        return again
    if not verdict.ok:
        number = wave[0].number
        return [Action(verb="halt", proposal=proposal.id, wave=number, why=verdict.sentence)]
    return _gate(incident, proposal, runs, verdict.sentence, now)


def _recover(
    incident: Incident, proposal: Proposal, runs: Sequence[Run], now: datetime
) -> list[Action] | None:
    """Read hosts of unknown fate back, and touch again what a lost run left. None: nothing is."""
    wave = proposal.open_wave
    hosts = tuple(dict.fromkeys(h for w in wave for h in w.hosts))
    since = max(w.finished_at for w in wave if w.finished_at is not None)
    unknown = tuple(h for h in hosts if incident.host(h).outcome is Outcome.UNKNOWN)
    tries = [r for r in runs if _reads(r) and set(r.hosts) & set(unknown) and _since(r, since)]
    if unknown and len(tries) < MAX_ATTEMPTS:
        early = any(_quiet_at(incident.host(h)) > now for h in unknown)
        if early or any(r.state in LIVE for r in tries):
            return []
        return [Action(verb="readback", proposal=proposal.id, hosts=unknown)]
    tried = Counter(h for w in wave for h in w.hosts)
    lost = dict.fromkeys(h for w in wave if w.lost for h in w.hosts)
    again = [
        h
        for h in lost
        if tried[h] < MAX_ATTEMPTS
        and incident.host(h).outcome is Outcome.OWED
        and not incident.host(h).down
        and incident.host(h).doubt is None
        and all(w.lost for w in wave if h in w.hosts)
    ]
    reported = [w for w in wave if not w.lost]
    failed = any(incident.host(h).outcome is Outcome.FAILED for h in lost)
    if not again or failed or not judge(incident, proposal, reported, len(again)).ok:
        return None
    repeat = Action(verb="wave", proposal=proposal.id, wave=wave[0].number, attempt=wave[0].attempt)
    return _touch(incident, proposal, runs, repeat, again, now)


def _gate(
    incident: Incident, proposal: Proposal, runs: Sequence[Run], why: str, now: datetime
) -> list[Action]:
    """Let a wave that kept its limits through its gate: soak, then ask every check."""
    wave, rule = proposal.open_wave[-1], proposal.content["gate"]
    step = Action(verb="pass", proposal=proposal.id, wave=wave.number, attempt=wave.attempt)
    soak = float(rule.get("soak_seconds", 0))
    if soak and wave.number == 1 and len(proposal.content["waves"]["sizes"]) > 1:
        if wave.soaks_until is None:
            return [replace(step, verb="soak", why=why)]
        if now < wave.soaks_until:
            return []
        why = f"{why}; soaked for {soak:g} s"
    for number, check in enumerate(rule.get("checks", ())):
        answer = wave.checks.get(number)
        if answer is None and (hosts := _askable(incident, proposal, check)):
            return _ask(incident, runs, replace(step, check=number, hosts=hosts), check, now)
        said = answer.sentence if answer else "no host of the wave has the value: nobody to ask"
        why = f"{why}; {check['title']}: {said}"
        if answer is not None and not answer.ok:
            return [replace(step, verb="halt", why=f"check '{check['title']}': {said}")]
    return [replace(step, why=why)]


def _askable(incident: Incident, proposal: Proposal, check: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hosts that a check is about: this machine, or the wave's that have the value."""
    if check["playbook"] is None or check["where"] == "localhost":
        return ("localhost",)
    done = SETTLED | {Outcome.ROLLED_BACK}
    hosts = dict.fromkeys(h for w in proposal.open_wave for h in w.hosts)
    return tuple(h for h in hosts if incident.host(h).outcome in done)


def _ask(
    incident: Incident, runs: Sequence[Run], step: Action, check: Mapping[str, Any], now: datetime
) -> list[Action]:
    """Ask a check of those who are up; without an answer after some runs, halt."""
    place = (step.proposal, step.wave, step.attempt, step.check)
    mine = [r for r in runs if r.kind == "ask" and tuple(r.spec["asks"]) == place]
    up = tuple(h for h in step.hosts if h == "localhost" or not incident.host(h).down)
    if any(r.state in LIVE for r in mine) or not up:
        return []
    if len(mine) >= MAX_ATTEMPTS:
        why = f"check '{check['title']}' was not answered by {len(mine)} runs"
        return [replace(step, verb="halt", hosts=(), why=why)]
    last = max((r.finished_at for r in mine if r.finished_at is not None), default=None)
    if last is not None and now < last + timedelta(seconds=5):
        return []
    return [replace(step, verb="ask", part=len(mine) + 1, hosts=up)]


def _quiet_at(host: Host) -> datetime:
    """Return when a reading can tell whether a write that broke off was done."""
    return EPOCH if host.doubt is None else host.doubt + QUIET


def _reads(run: Run) -> bool:
    """Say whether a run read hosts back, or still does. One that was lost has read nothing."""
    return run.kind == "readback" and run.state != "lost"


def _since(run: Run, at: datetime | None) -> bool:
    """Say whether a run ended after ``at`` or has not ended."""
    return run.finished_at is None or at is None or run.finished_at >= at


def _nobody(
    incident: Incident, proposal: Proposal, runs: Sequence[Run], now: datetime
) -> list[Action]:
    """Choose another canary when the canary vanished: nothing is proved yet.

    Once it is, hosts that vanish are counted by the gate and owed like any other.
    """
    wave = proposal.open_wave
    hosts = {h for w in wave for h in w.hosts}
    if (
        proven(incident, proposal)
        or not hosts
        or any(incident.host(h).outcome is not Outcome.OWED for h in hosts)
    ):
        return []
    coming = upcoming(incident, proposal, _retried(runs))
    if coming is None or coming.last or wave[0].attempt >= CANARIES:
        return []
    fresh = tuple(h for h in coming.hosts if h not in hosts)
    if not fresh:
        return []
    other = Action(
        verb="wave",
        proposal=proposal.id,
        wave=wave[0].number,
        attempt=wave[0].attempt + 1,
        planned=fresh,
    )
    return _touch(incident, proposal, runs, other, fresh, now)


def _keep(
    incident: Incident,
    runs: Sequence[Run],
    now: datetime,
    tempo: Tempo,
    going: Collection[str] = (),
) -> list[Action]:
    """See to owed hosts, hosts of unknown fate and the hold, whatever the waves are doing.

    ``going`` are hosts of waves that are started at this very look.
    """
    rollouts = incident.rollouts
    return [a for p in rollouts for a in _keep_one(incident, p, runs, now, tempo, going)]


def _keep_one(
    incident: Incident,
    rollout: Proposal,
    runs: Sequence[Run],
    now: datetime,
    tempo: Tempo,
    going: Collection[str],
) -> list[Action]:
    if rollout.authority_ended and rollout.state is not ProposalState.ABORTED:
        return []
    busy = {h for r in runs if r.state in LIVE and r.kind not in {"check", "ask"} for h in r.hosts}
    busy |= set(going)
    doubtful = _doubtful(incident, rollout, runs)
    reading = [h for h in doubtful if h.name not in busy and _read_at(h, runs, tempo) <= now]
    actions = [_read_back(rollout, reading)] if reading else []
    if rollout.authority_ended:
        return actions
    owed = _owed(incident, rollout) if rollout.state in _RETRIES else []
    ready = [
        h
        for h in owed
        if h.name not in busy and h.doubt is None and _retry_at(h, runs, tempo) <= now
    ]
    writes = any(w.passed for w in rollout.waves)
    if _unjudged(incident, rollout):
        ready = []
    if ready and not writes and not any(not h.down for h in _pending(incident, rollout)):
        actions.append(_read_back(rollout, ready))
    elif writes:
        names = room(incident, rollout, [h.name for h in ready], _traffic(rollout, runs, going))
        actions += _retries(rollout, [incident.host(name) for name in names])
    return actions + _checks(incident, rollout, runs, now)


_RETRIES = frozenset({ProposalState.RUNNING, ProposalState.DONE})


def _in_doubt(incident: Incident, rollout: Proposal) -> list[Host]:
    """Return hosts on which a write may have been done without our having read it."""
    hosts = [incident.host(h) for h in rollout.hosts if incident.owner(h) is rollout]
    doubtful = [h for h in hosts if h.outcome is Outcome.OWED and h.doubt is not None]
    return [h for h in hosts if h.outcome is Outcome.UNKNOWN] + doubtful


def _doubtful(incident: Incident, rollout: Proposal, runs: Sequence[Run]) -> list[Host]:
    """Return the hosts in doubt that no wave is waiting for (after an abort, a retry).

    A host that answers and cannot tell is asked a few times, then a person is.
    """
    waited = {h for w in rollout.open_wave for h in w.hosts} if _wave_open(rollout) else set()
    return [
        h
        for h in _in_doubt(incident, rollout)
        if h.outcome is Outcome.OWED
        or (h.name not in waited and _read_backs(h, runs) < MAX_ATTEMPTS)
    ]


def _read_at(host: Host, runs: Sequence[Run], tempo: Tempo) -> datetime:
    """Return when a host in doubt is read: backing off, at once when it was seen again."""
    return max(_quiet_at(host), _retry_at(host, runs, tempo))


def _read_back(rollout: Proposal, hosts: Sequence[Host]) -> Action:
    names = tuple(h.name for h in hosts)
    return Action(verb="readback", proposal=rollout.id, hosts=names)


def _read_backs(host: Host, runs: Sequence[Run]) -> int:
    """Count how often a host was read since its fate became unknown."""
    return sum(
        1 for r in runs if r.kind == "readback" and host.name in r.hosts and _since(r, host.at)
    )


def _wave_open(rollout: Proposal) -> bool:
    return rollout.state is ProposalState.RUNNING and bool(rollout.open_wave)


def _unjudged(incident: Incident, rollout: Proposal) -> bool:
    """Say whether a wave has broken its limits, or waits for its gate: meanwhile nobody writes."""
    if not _wave_open(rollout):
        return False
    left = remaining(incident, rollout.open_wave)
    whole = all(w.finished_at is not None for w in rollout.open_wave) and not left
    return whole or not judge(incident, rollout, rollout.open_wave, len(left)).ok


def _pending(incident: Incident, rollout: Proposal) -> Iterable[Host]:
    order = rollout.content["waves"]["order"]
    return (incident.host(h) for h in order if incident.owner(h) is rollout)


def _owed(incident: Incident, rollout: Proposal) -> list[Host]:
    """Return hosts that still need the value and that no coming wave will take."""
    rolling = rollout.state is not ProposalState.DONE and any(w.passed for w in rollout.waves)
    if rolling and upcoming(incident, rollout) is not None:
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
    shard = int(rollout.content["waves"].get("shard", SHARD))
    return [
        Action(
            verb="retry", proposal=rollout.id, hosts=tuple(names[at : at + shard]), purpose=purpose
        )
        for purpose, names in sorted(groups.items())
        for at in range(0, len(names), shard)
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
    began = [r.queued_at for r in _own_checks(rollout, runs) if r.queued_at is not None]
    since = max(began, default=incident.hold.since or rollout.made_at)
    return since + timedelta(seconds=interval)


def _own_checks(rollout: Proposal, runs: Sequence[Run]) -> list[Run]:
    return [
        r for r in runs if r.kind == "check" and r.spec.get("proposal", rollout.id) == rollout.id
    ]


def _checks(
    incident: Incident, rollout: Proposal, runs: Sequence[Run], now: datetime
) -> list[Action]:
    if rollout.id not in incident.hold.proposals:
        return []
    if any(r.state in LIVE for r in _own_checks(rollout, runs)):
        return []
    if _check_at(incident, rollout, runs) > now:
        return []
    watched = tuple(
        h
        for h in rollout.hosts
        if incident.host(h).outcome in SETTLED | {Outcome.OWED, Outcome.FAILED, Outcome.UNKNOWN}
        and incident.owner(h) is rollout
    )
    return [Action(verb="check", proposal=rollout.id, hosts=watched)] if watched else []
