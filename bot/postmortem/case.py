"""What every section is written from: the entries, and the state that they fold to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.incident.cascade import Cascade, measure, outcomes
from bot.incident.fold import STEPS, fold
from bot.incident.state import Host, Incident, Outcome, Proposal
from bot.timeline.entry import Entry

UNSETTLED = (Outcome.OWED, Outcome.FAILED, Outcome.UNKNOWN, Outcome.APPLIED)
"""Outcomes that leave a host unprotected, or not known to be protected after its next boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An incident as it stands at ``now``."""

    entries: Sequence[Entry]
    incident: Incident
    cascade: Cascade
    now: datetime

    @property
    def counts(self) -> dict[str, int]:
        """Hosts by outcome, every outcome present."""
        return outcomes(self.incident)

    @property
    def redacted(self) -> int:
        """How many entries have lost their content."""
        return sum(1 for entry in self.entries if entry.redacted)

    @property
    def started(self) -> list[Proposal]:
        """The proposals that were carried out, or begun."""
        return [p for p in self.incident.proposals.values() if p.started_at is not None]

    def of(self, *kinds: str) -> list[Entry]:
        """Return the readable entries of these kinds, in order."""
        return [e for e in self.entries if e.kind in kinds and not e.redacted]

    def hosts(self, *wanted: Outcome) -> list[Host]:
        """Return the hosts with one of these outcomes, by name."""
        found = [h for h in self.incident.hosts.values() if h.outcome in wanted]
        return sorted(found, key=lambda host: host.name)


def gather(entries: Sequence[Entry], now: datetime) -> Case:
    """Fold the entries once for all sections."""
    incident = fold(entries)
    return Case(entries=entries, incident=incident, cascade=measure(incident, now), now=now)


def replay(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Incident]]:
    """Yield every readable entry with the incident as it stood after it."""
    incident = Incident(id="")
    for entry in entries:
        step = STEPS.get(entry.kind)
        if not entry.redacted:
            if step is not None:
                step(incident, entry)
            yield entry, incident


def utc(at: datetime | None) -> str:
    """Write a time to the second, ``-`` for none. Tables say once that it is UTC."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def span(length: timedelta) -> str:
    """Write a length of time for people: ``4.2 s``, ``3 min 05 s``, ``2 h 03 min``."""
    seconds = length.total_seconds()
    if abs(seconds) < 60:
        return f"{round(seconds, 1) + 0.0:.1f} s"  # + 0.0: never "-0.0"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def many(number: int, noun: str, plural: str = "") -> str:
    """Write a counted noun: ``1 host``, ``3 hosts``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
