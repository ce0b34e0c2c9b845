"""A rollout taken one step on: its waves, their lost hosts, their gates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.decide.action import LIVE, MAX_ATTEMPTS, SETTLED, Action
from bot.decide.runs import (
    ended_since,
    quiet_at,
    read_back,
    reads_back,
    retried_now,
    shard,
    traffic_of,
)
from bot.incident.state import (
    Incident,
    Outcome,
    Proposal,
)
from bot.ports import Run
from bot.rollout.gate import judge, proven
from bot.rollout.plan import blocked, remaining, room, shards, upcoming

CANARIES = 5

STALL = timedelta(minutes=10)
"""How long a rollout waits for hosts of a pool to come back before it says that it cannot go on."""


def roll(
    incident: Incident, proposal: Proposal, runs: Sequence[Run], now: datetime
) -> list[Action]:
    """Take the rollout one step on: wait, read back, judge the gate, next wave, or done."""
    ours = {w.run for w in proposal.open_wave}
    if any(r.kind == "wave" and r.state in LIVE and r.ident not in ours for r in runs):
        return []
    if ours:
        return _under_way(incident, proposal, runs, now)
    coming = upcoming(incident, proposal, retried_now(runs))
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
    traffic = traffic_of(proposal, runs)
    free = room(incident, proposal, hosts, traffic)
    if not free:
        return [] if traffic.flying else _stalled(incident, proposal, runs, first, hosts, now)
    pieces = shards(free, shard(proposal))
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
    block = blocked(incident, proposal, hosts, traffic_of(proposal, runs))
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
    left = remaining(incident, wave, retried_now(runs))
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
    reads = [r for r in runs if reads_back(r) and ended_since(r, since)]
    asked = Counter(h for r in reads for h in r.hosts)
    waiting = [h for h in unknown if asked[h] < MAX_ATTEMPTS]
    going = {h for r in reads if r.state in LIVE for h in r.hosts}
    if waiting or going & set(unknown):
        if any(quiet_at(incident.host(h)) > now for h in unknown):
            return []
        return read_back(proposal, [h for h in waiting if h not in going])
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
    coming = upcoming(incident, proposal, retried_now(runs))
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
