"""Which hosts a wave takes and which of them may be touched now: pure choices, made live.

Live hosts come first; known-down hosts are owed and never waited for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from math import ceil
from typing import Any

from bot.incident.state import Exposure, Host, Incident, Outcome, Proposal, Wave

SHARD = 500
"""Hosts of one run: Ansible's own cost grows faster than the hosts above some hundreds, and a run
that is lost leaves at most so many hosts to be read back."""
STUCK = frozenset({Outcome.FAILED, Outcome.APPLIED})
WELL = frozenset({Outcome.VERIFIED, Outcome.NOT_APPLICABLE, Outcome.ROLLED_BACK, None})


@dataclass(frozen=True, slots=True, kw_only=True)
class NextWave:
    """The next wave: ``hosts`` to touch now; ``owed`` are down and left for later."""

    number: int
    last: bool
    hosts: tuple[str, ...]
    owed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The writes of a rollout: hosts that runs are at or about to be at, and all there ever were.

    A run that did not reach its host counts as well: it may have lost it in the middle.
    """

    flying: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Why no host may be touched now; ``forever``: not even if every host came back."""

    sentence: str
    forever: bool


def order(hosts: Mapping[str, Mapping[str, Any]], rule: str | None = None) -> list[str]:
    """Order planned hosts for treatment: exposed, then unknown, then unreachable; by name.

    With the rule ``loaded-last`` (or ``loaded-first``) the hosts of each exposure that carry load
    come last (or first).
    """
    rank = {Exposure.EXPOSED: 0, Exposure.UNKNOWN: 1, Exposure.UNREACHABLE: 2}
    todo = [h for h in hosts if hosts[h]["exposure"] != Exposure.NOT_APPLICABLE]

    def place(name: str) -> tuple[int, bool, str]:
        loaded = bool(hosts[name].get("loaded"))
        late = rule is not None and loaded is (rule == "loaded-last")
        return rank[Exposure(hosts[name]["exposure"])], late, name

    return sorted(todo, key=place)


def sizes(waves: Sequence[int | str], total: int) -> list[int]:
    """Turn ``[1, "25%", "100%"]`` into host counts; the last wave takes what is left.

    A percentage is of all planned hosts, rounded up. Waves that would be empty are dropped.
    """
    left, counts = total, []
    for number, size in enumerate(waves, 1):
        last = number == len(waves)
        share = ceil(total * float(size.rstrip("%")) / 100) if isinstance(size, str) else size
        count = left if last else min(left, max(1, share))
        if count > 0:
            counts.append(count)
        left -= count
    return counts


def shards(names: Sequence[str], size: int = SHARD) -> list[tuple[str, ...]]:
    """Cut hosts into the lists of several runs, in order."""
    return [tuple(names[at : at + size]) for at in range(0, len(names), size)]


def spread(names: Sequence[str], hosts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Take hosts in turn over their failure domains (``domain``), without mixing their ranks.

    ``names`` are in the approved order; hosts of one exposure and load change places only among
    themselves. Hosts without a domain are a domain of their own.
    """
    taken: list[str] = []
    for _, tier in groupby(names, lambda h: (hosts[h]["exposure"], hosts[h].get("loaded"))):
        domains: dict[Any, list[str]] = {}
        for name in tier:
            domains.setdefault(hosts[name].get("domain"), []).append(name)
        taken += [h for turn in zip_longest(*domains.values()) for h in turn if h is not None]
    return taken


def upcoming(incident: Incident, proposal: Proposal, busy: Collection[str] = ()) -> NextWave | None:
    """Return the wave that comes next, or None when every wave was carried out.

    A wave takes the first live hosts in the approved order that no wave has touched; the last one
    takes all that are left and lists the dead among them as owed. ``hosts`` is empty when the
    wave has to wait: a canary that is down proves nothing, and a host in doubt is read first.
    Hosts of a retry that is under way (``busy``) are left to it. If the last wave was halted in its
    middle and let go on, what it had planned and not touched is a wave again.
    """
    plan = proposal.content["waves"]
    total = len(plan["sizes"])
    passed = [w for w in proposal.waves if w.passed]
    number = len({w.number for w in passed}) + 1
    done = {h for w in passed for h in w.hosts}
    left = [h for h in plan["order"] if h not in done and _open(incident, h)]
    if number > total:
        planned = {h for w in passed if w.number == total for h in w.planned}
        left = [h for h in left if h in planned]
    wary = [h for h in left if incident.host(h).doubt and not incident.host(h).down]
    up = [h for h in left if not incident.host(h).down and h not in busy and h not in wary]
    if number >= total and wary:
        return NextWave(number=min(number, total), last=False, hosts=(), owed=())
    if plan.get("spread"):
        up = spread(up, proposal.content["hosts"])
    if number > total:
        return NextWave(number=total, last=True, hosts=tuple(up), owed=()) if up else None
    if number < total:
        size = plan["sizes"][number - 1]
        return NextWave(number=number, last=False, hosts=tuple(up[:size]), owed=())
    live = set(up)
    down = tuple(h for h in left if h not in live)
    return NextWave(number=number, last=True, hosts=tuple(up), owed=down)


def _open(incident: Incident, name: str) -> bool:
    """Say whether a host still needs its write; one of unknown fate is read back instead."""
    return incident.host(name).outcome in {Outcome.OWED, None}


def remaining(incident: Incident, runs: Sequence[Wave], busy: Collection[str] = ()) -> list[str]:
    """Return the planned hosts that no run of this wave's attempt has taken and that are up."""
    taken = {h for w in runs for h in w.hosts}
    return [
        h
        for h in runs[0].planned
        if h not in taken
        and h not in busy
        and _open(incident, h)
        and not (incident.host(h).down or incident.host(h).doubt)
    ]


def room(
    incident: Incident, proposal: Proposal, names: Sequence[str], traffic: Traffic
) -> list[str]:
    """Return those of ``names``, in order, that may be touched now besides those in flight.

    ``max_parallel`` caps how many hosts are touched at the same time, and ``min_survivors`` how
    far a pool may sink.
    """
    plan = proposal.content["waves"]
    cap = plan.get("max_parallel")
    free = len(names) if cap is None else max(0, cap - len(traffic.flying))
    pools = [_Pool(incident, proposal, name, traffic) for name in plan.get("pools", {})]
    taken: list[str] = []
    for name in names:
        concerned = [pool for pool in pools if name in pool.survivors]
        if len(taken) < free and all(pool.spare > 0 for pool in concerned):
            taken.append(name)
            for pool in concerned:
                pool.survivors.discard(name)
    return taken


def blocked(
    incident: Incident, proposal: Proposal, names: Sequence[str], traffic: Traffic
) -> Block | None:
    """Say which pool keeps every one of ``names`` from being touched while no run is under way."""
    pools = proposal.content["waves"].get("pools", {})
    found = [_Pool(incident, proposal, name, traffic) for name in pools]
    held = [pool for pool in found if pool.spare <= 0 and pool.survivors & set(names)]
    if not held:
        return None
    pool = min(held, key=lambda p: p.best)
    return Block(
        sentence=f"pool {pool.name}: {len(pool.survivors)} of its {pool.size} hosts are live and "
        f"untouched or verified, and min_survivors asks for {pool.needed}: "
        f"no further host of it may be touched",
        forever=pool.best <= 0,
    )


class _Pool:
    """One pool: its ``survivors`` are live hosts that no write has touched, or that came out well.

    ``spare`` of them may be touched now; ``best``: could be, if every host that is away came back.
    """

    def __init__(self, incident: Incident, proposal: Proposal, name: str, traffic: Traffic) -> None:
        plan = proposal.content["waves"]
        members = plan["pools"][name]
        rows = {h: incident.hosts.get(h) or Host(name=h) for h in members}
        self.name, self.size = name, len(members)
        self.needed = survivors_needed(plan["min_survivors"], len(members))
        self.survivors = {
            h
            for h, host in rows.items()
            if h not in traffic.flying and not host.down and _unharmed(host, traffic)
        }
        self.best = sum(host.outcome not in STUCK for host in rows.values()) - self.needed

    @property
    def spare(self) -> int:
        return len(self.survivors) - self.needed


def survivors_needed(limit: int | str, size: int) -> int:
    """Return how many of a pool's ``size`` hosts have to survive.

    A percentage is rounded up, and always lets one host go: else small pools could never be
    treated.
    """
    if isinstance(limit, str):
        return max(0, min(size - 1, ceil(size * float(limit.rstrip("%")) / 100)))
    return limit


def _unharmed(host: Host, traffic: Traffic) -> bool:
    """Say whether a host came out well, or was not touched by this rollout."""
    if host.outcome in WELL:
        return True
    return host.outcome is Outcome.OWED and host.name not in traffic.written
