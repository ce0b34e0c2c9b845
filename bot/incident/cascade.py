"""How the cascade stands: the counts of the headline."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.incident.state import Incident, Outcome

WINDOW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool of hosts and how many of them are up."""

    name: str
    up: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """``recent``: hosts that crashed in the last ten minutes; ``repeat``: more than once."""

    recent: int
    crashed: int
    crashes: int
    down: tuple[str, ...]
    repeat: tuple[str, ...]
    strangers: tuple[str, ...]
    pools: tuple[Pool, ...]

    @property
    def sentence(self) -> str:
        """One line for the headline."""
        parts = [
            f"{self.recent} crashed in the last 10 min",
            f"{len(self.down)} down",
        ]
        if self.repeat:
            parts.append(f"{len(self.repeat)} crashed repeatedly")
        parts += [f"{pool.name} {pool.up}/{pool.size} up" for pool in self.pools]
        if self.strangers:
            parts.append(f"{len(self.strangers)} unknown to the inventory")
        return " · ".join(parts)


def measure(incident: Incident, now: datetime) -> Cascade:
    """Count the cascade at ``now``."""
    count = Counter(crash.host for crash in incident.crashes)
    recent = {crash.host for crash in incident.crashes if crash.at > now - WINDOW}
    down = tuple(sorted(h.name for h in incident.hosts.values() if h.down))
    pools = tuple(
        Pool(name=name, up=sum(1 for h in hosts if h not in down), size=len(hosts))
        for name, hosts in sorted(incident.pools.items())
    )
    return Cascade(
        recent=len(recent),
        crashed=len(count),
        crashes=sum(count.values()),
        down=down,
        repeat=tuple(sorted(host for host, times in count.items() if times > 1)),
        strangers=tuple(sorted({c.host for c in incident.crashes if not c.known})),
        pools=pools,
    )


def outcomes(incident: Incident) -> dict[str, int]:
    """Count hosts by outcome; every outcome is present."""
    counts = Counter(host.outcome for host in incident.hosts.values())
    return {outcome.value: counts.get(outcome, 0) for outcome in Outcome}


def tallied(incident: Incident) -> str:
    """Return ``9 verified · 1 owed``, or ``no host touched``."""
    counts = outcomes(incident).items()
    return " · ".join(f"{n} {o.replace('_', ' ')}" for o, n in counts if n) or "no host touched"
