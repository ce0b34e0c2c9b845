"""Which hosts a wave takes: live hosts first, known-down hosts are owed and never waited for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from bot.incident.state import Exposure, Incident, Outcome, Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class NextWave:
    """The next wave: ``hosts`` to touch now; ``owed`` are down and left for later."""

    number: int
    last: bool
    hosts: tuple[str, ...]
    owed: tuple[str, ...]


def order(hosts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Order planned hosts for treatment: exposed, then unknown, then unreachable; by name."""
    rank = {Exposure.EXPOSED: 0, Exposure.UNKNOWN: 1, Exposure.UNREACHABLE: 2}
    todo = [h for h in hosts if hosts[h]["exposure"] != Exposure.NOT_APPLICABLE]
    return sorted(todo, key=lambda h: (rank[Exposure(hosts[h]["exposure"])], h))


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


def upcoming(incident: Incident, proposal: Proposal, busy: Collection[str] = ()) -> NextWave | None:
    """Return the wave that comes next, or None when every wave was carried out.

    A wave takes the first live hosts in the approved order that no wave has touched; the last one
    takes all that are left and lists the dead among them as owed. ``hosts`` is empty when the
    wave has to wait: a canary that is down proves nothing, and a host in doubt is read first. Hosts of a retry that is under way
    (``busy``) are left to it.
    """
    plan = proposal.content["waves"]
    passed = [w for w in proposal.waves if w.passed]
    number = len({w.number for w in passed}) + 1
    if number > len(plan["sizes"]):
        return None
    done = {h for w in passed for h in w.hosts}
    left = [h for h in plan["order"] if h not in done and _open(incident, h)]
    wary = [h for h in left if incident.host(h).doubt and not incident.host(h).down]
    up = [h for h in left if not incident.host(h).down and h not in busy and h not in wary]
    if number == len(plan["sizes"]) and wary:
        return NextWave(number=number, last=False, hosts=(), owed=())
    if number < len(plan["sizes"]):
        size = plan["sizes"][number - 1]
        return NextWave(number=number, last=False, hosts=tuple(up[:size]), owed=())
    down = tuple(h for h in left if h not in up)
    return NextWave(number=number, last=True, hosts=tuple(up), owed=down)


def _open(incident: Incident, name: str) -> bool:
    return incident.host(name).outcome in {Outcome.OWED, Outcome.UNKNOWN, None}
