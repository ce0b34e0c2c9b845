"""What goes on beside the waves: owed hosts, hosts in doubt, reads from time to time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from bot.decide.action import LIVE, MAX_ATTEMPTS, SETTLED, Action, Tempo
from bot.decide.runs import ended_since, quiet_at, read_back, retry_at, shard, traffic_of
from bot.incident.state import (
    Host,
    Incident,
    Outcome,
    Proposal,
    ProposalState,
)
from bot.ports import Run
from bot.rollout.gate import judge
from bot.rollout.plan import remaining, room, shards, upcoming

WATCH = 300.0
"""Seconds between two reads of the hosts of a mitigation that nothing holds: they may reboot."""


def keep(
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
    reading = [h for h in doubtful if h.name not in busy and read_at(h, runs, tempo) <= now]
    actions = read_back(rollout, [h.name for h in reading])
    if rollout.authority_ended:
        return actions
    owed = owed_hosts(incident, rollout) if rollout.state in RETRYING else []
    ready = [
        h
        for h in owed
        if h.name not in busy and h.doubt is None and retry_at(h, runs, tempo) <= now
    ]
    writes = any(w.passed for w in rollout.waves)
    if _unjudged(incident, rollout):
        ready = []
    if ready and not writes and not any(not h.down for h in _pending(incident, rollout)):
        actions += read_back(rollout, [h.name for h in ready])
    elif writes:
        names = room(incident, rollout, [h.name for h in ready], traffic_of(rollout, runs, going))
        actions += _retries(rollout, [incident.host(name) for name in names])
    return actions + _checks(incident, rollout, runs, now)


RETRYING = frozenset({ProposalState.RUNNING, ProposalState.DONE})


def in_doubt(incident: Incident, rollout: Proposal) -> list[Host]:
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
        for h in in_doubt(incident, rollout)
        if h.outcome is Outcome.OWED
        or (h.name not in waited and _read_backs(h, runs) < MAX_ATTEMPTS)
    ]


def read_at(host: Host, runs: Sequence[Run], tempo: Tempo) -> datetime:
    """Return when a host in doubt is read: backing off, at once when it was seen again."""
    return max(quiet_at(host), retry_at(host, runs, tempo))


def _read_backs(host: Host, runs: Sequence[Run]) -> int:
    """Count how often a host was read since its fate became unknown."""
    return sum(
        1 for r in runs if r.kind == "readback" and host.name in r.hosts and ended_since(r, host.at)
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


def owed_hosts(incident: Incident, rollout: Proposal) -> list[Host]:
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
    return [
        Action(verb="retry", proposal=rollout.id, hosts=piece, purpose=purpose)
        for purpose, names in sorted(groups.items())
        for piece in shards(names, shard(rollout))
    ]


def _purpose(rollout: Proposal, host: Host) -> str:
    """Say why a write to an owed host is due."""
    if rollout.purpose == "rollback":
        return "rollback"
    if host.applied_at is None:
        return "retry"
    return "restore" if host.drifted else "reboot"


def _watched(incident: Incident, rollout: Proposal) -> bool:
    """Say whether the hosts of a rollout are read from time to time.

    Those of a hold are. Without a rule to hold them they are while the incident is open.
    """
    unheld = not rollout.content["hold"] and rollout.purpose == "mitigate"
    done = incident.state == "open" and rollout.state is ProposalState.DONE
    return rollout.id in incident.hold.proposals or (unheld and done)


def rounds(
    incident: Incident, rollout: Proposal, runs: Sequence[Run]
) -> list[tuple[tuple[str, ...], datetime]]:
    """Return the hosts that are read from time to time, run by run, each with when it is due."""
    if not _watched(incident, rollout):
        return []
    checks = [
        r for r in runs if r.kind == "check" and r.spec.get("proposal", rollout.id) == rollout.id
    ]
    planned = frozenset(rollout.content["waves"]["order"])
    told = bool(rollout.content.get("concerned"))
    watched = [
        h
        for h in rollout.hosts
        if incident.owner(h) is rollout
        and _worth_reading(incident.host(h), planned=h in planned, told=told)
    ]
    found = []
    for piece in shards(watched, shard(rollout)):
        mine = [r for r in checks if not set(piece).isdisjoint(r.hosts)]
        if not any(r.state in LIVE for r in mine):
            found.append((piece, _check_at(incident, rollout, mine)))
    return found


def _worth_reading(host: Host, *, planned: bool, told: bool) -> bool:
    """Say whether a read may tell something new: a host without the knob can boot a kernel with it.

    ``planned``: the waves list it; ``told``: the proposal says by which rule a host is concerned.
    """
    if host.outcome is Outcome.NOT_APPLICABLE:
        return planned or (host.value is None and told)
    return host.outcome in SETTLED | {Outcome.OWED, Outcome.FAILED, Outcome.UNKNOWN}


def _check_at(incident: Incident, rollout: Proposal, checks: Sequence[Run]) -> datetime:
    interval = float(rollout.content["hold"].get("interval_seconds", WATCH))
    began = [r.queued_at for r in checks if r.queued_at is not None]
    since = max(began, default=incident.hold.since or rollout.ended_at or rollout.made_at)
    return since + timedelta(seconds=interval)


def _checks(
    incident: Incident, rollout: Proposal, runs: Sequence[Run], now: datetime
) -> list[Action]:
    return [
        Action(verb="check", proposal=rollout.id, hosts=piece)
        for piece, at in rounds(incident, rollout, runs)
        if at <= now
    ]
