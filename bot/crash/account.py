"""All that one text tells, in order: crashes of the kernel, its events, programs that died.

The whole text is scanned once for the words of every headline that is wanted. What is no crash of
the kernel but stands before one is evidence of it, not a report of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import overload

from bot.crash import events, userland
from bot.crash.console import Console
from bot.crash.entry import Entry
from bot.crash.formats import INTRUDERS, LOOSE, scan_patterns, scan_words
from bot.crash.reader import BOOTED, MAX_REPORTS, headlines, promising, read_headlines
from bot.crash.report import EVENTS, NOTICES, USERLAND, CrashReport, Kind, Line
from bot.crash.scan import Hit, Scanner
from bot.crash.transport import FOREIGN
from bot.crash.window import ALL_CPUS, INJECTION, Headline

_LONG = 256 * 1024
MAX_CONTEXT = 400
"""Lines before a crash among which evidence is looked for."""

_GROUPS = (
    (EVENTS, events.EVENT_HINTS),
    (NOTICES, events.HINTS),
    (USERLAND, userland.HINTS),
)
"""Kinds besides the crashes of the kernel, and the words of their lines."""


@lru_cache(maxsize=32)
def _scanner(kinds: frozenset[Kind]) -> Scanner:
    patterns = [*scan_patterns(), *map(re.escape, (*INTRUDERS, ALL_CPUS, INJECTION, BOOTED))]
    for group, hints in _GROUPS:
        if kinds & group:
            patterns.extend(hints)
    return Scanner(patterns)


_SIGNS = Scanner(events.CONTEXT_HINTS)


class Entries(Sequence[Entry]):
    """The lines of a console as the readers of events and programs want them, made when asked."""

    def __init__(self, console: Console) -> None:
        """Take the console; its text has been unfolded."""
        self._console = console
        self._end = console.end
        self._made: dict[int, Entry] = {}

    def __len__(self) -> int:
        return self._end

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> list[Entry]: ...
    def __getitem__(self, at: int | slice) -> Entry | list[Entry]:
        if isinstance(at, slice):
            return [self[n] for n in range(*at.indices(self._end))]
        made = self._made.get(at)
        if made is None:
            if not -self._end <= at < self._end:
                raise IndexError(at)
            place = at % self._end
            text, context = self._console.bare(place)
            program = "kernel" if context and context[:1] != FOREIGN else context[1:]
            made = self._made[at] = Entry(self._console.number(place), text, program)
        return made

    def __iter__(self) -> Iterator[Entry]:
        return (self[at] for at in range(len(self)))


class Account:
    """What was read so far of one text, which may come in parts."""

    def __init__(self, kinds: Collection[Kind]) -> None:
        """Take the kinds that are wanted."""
        self._kinds = kinds if isinstance(kinds, frozenset) else frozenset(kinds)
        self._crashes: list[CrashReport] = []
        self._others: list[CrashReport] = []

    @property
    def full(self) -> bool:
        """Whether enough crashes were read; the rest follows from them."""
        return len(self._crashes) >= MAX_REPORTS

    def add(self, console: Console, after: int = 0, until: int | None = None) -> bool:
        """Read a part; tell if it is quiet.

        Reports that begin up to line ``after`` are known. Those that begin behind line ``until``
        are left to the next part, in which all their lines stand.
        """
        kinds = self._kinds
        worth = partial(_promising, kinds=kinds) if len(console.text) > _LONG else None
        hits: Sequence[Hit] = _scanner(kinds).hits(console.text, worth)
        if not hits:
            return True
        hits = console.unfold(hits, _scanner(kinds).hits)
        heads = headlines(console, hits)
        crashes = read_headlines(console, heads, later=bool(self._crashes)) if heads else []
        crashes = self._new(crashes, self._crashes, after, until)
        if crashes and not self._crashes:
            crashes[0] = _explained(console, crashes[0])
        self._crashes += crashes
        if kinds & (NOTICES | USERLAND) or (not self._crashes and kinds & EVENTS):
            found = self._new(_others(console, hits, kinds), self._others, after, until)
            if found and not self._others:
                first = _first(found)
                found[first] = _explained(console, found[first])
            self._others += found
        return False

    def _new(
        self, read: Sequence[CrashReport], known: list[CrashReport], after: int, until: int | None
    ) -> list[CrashReport]:
        """Return those of ``read`` that are wanted, settled and not known yet."""
        last = known[-1].start if known else 0
        return [
            report
            for report in read
            if report.kind in self._kinds
            and max(after, last) < report.start
            and (until is None or report.start <= until)
        ]

    def reports(self) -> list[CrashReport]:
        """Return all in order; the first is the cause, later ones are marked as consequences."""
        reports = self._crashes
        if self._others:
            reports = _together(self._crashes, self._others)
        for n, report in enumerate(reports):
            if report.consequence is not (n > 0):
                reports[n] = replace(report, consequence=n > 0)
        return reports[:MAX_REPORTS]


def _promising(hits: Sequence[Hit], kinds: frozenset[Kind]) -> bool:
    """Tell whether the lines that were found are worth a look at those around them.

    Ordinary logs are full of words of crashes; a long one is not taken apart for them.
    """
    if any(promising(hit) for hit in hits):
        return True
    kept = [hit for hit in hits if _other(hit.words)]
    alone = Console("\n".join(hit.line for hit in kept))
    if not kept:
        return False
    lines = alone.unfold([Hit(n, hit.words, hit.line) for n, hit in enumerate(kept)])
    return any(other.kind in kinds for other in _told(Entries(alone), lines, kinds))


@lru_cache(maxsize=1)
def _of_crashes() -> frozenset[str]:
    """Return the plain words that are looked for because of crashes of the kernel alone."""
    return frozenset({*scan_words(), *INTRUDERS, ALL_CPUS, INJECTION, BOOTED})


_LOOSE = tuple(LOOSE)


@lru_cache(maxsize=4096)
def _other(words: tuple[str, ...]) -> bool:
    """Tell whether words that were found are more than those of a crash of the kernel."""
    crashes = _of_crashes()
    return any(word not in crashes and not word.endswith(_LOOSE) for word in words)


def _others(console: Console, hits: Sequence[Hit], kinds: frozenset[Kind]) -> list[CrashReport]:
    found = [
        replace(report, evidence=_quoted(console, report))
        for report in _told(Entries(console), hits, kinds)
    ]
    return sorted(found, key=lambda report: (report.start, report.kind in USERLAND))


def _told(lines: Entries, hits: Sequence[Hit], kinds: frozenset[Kind]) -> Iterator[CrashReport]:
    """Yield the crashes of programs, each as soon as it is read, then the events."""
    places = [hit.at for hit in hits if hit.at < len(lines) and _other(hit.words)]
    if places and kinds & USERLAND:
        yield from userland.crashes(lines, places)
    if places and kinds & (EVENTS | NOTICES):
        yield from events.find(lines, places)


def _quoted(console: Console, report: CrashReport) -> tuple[Line, ...]:
    """Return the evidence as it stood in the text, whatever carried it."""
    return tuple(
        replace(line, text=console.shown(console.place(line.number))) for line in report.evidence
    )


def _first(others: Sequence[CrashReport]) -> int:
    """Return which of them is the first that is more than a notice, or else the first."""
    return next((n for n, other in enumerate(others) if other.kind not in NOTICES), 0)


def _together(crashes: list[CrashReport], others: list[CrashReport]) -> list[CrashReport]:
    """Put all in order; what stands before or within a crash is no report of its own.

    Without a crash of the kernel, a notice before something worse is not one either.
    """
    if not crashes:
        return others[_first(others) :]
    spans = [(crash.start, crash.end) for crash in crashes]
    later = [
        other
        for other in others
        if other.start > crashes[0].start
        and not any(start <= other.start <= end for start, end in spans)
    ]
    return sorted([*crashes, *later], key=lambda report: report.start)


def _explained(console: Console, cause: CrashReport) -> CrashReport:
    """Give a report the evidence that stands before it."""
    at = console.place(cause.start)
    first = max(0, at - MAX_CONTEXT)
    if at <= first:
        return cause
    hits = _SIGNS.hits("\n".join(console.lines[first:at]))
    if not hits:
        return cause
    lines = Entries(console)
    return replace(cause, context=events.context([lines[first + hit.at] for hit in hits]))


def crash_headlines(console: Console) -> list[Headline]:
    """Return the headlines of crashes of the kernel, in order."""
    hits = _scanner(frozenset()).hits(console.text)
    if not hits:
        return []
    return [
        head
        for head in headlines(console, console.unfold(hits, _scanner(frozenset()).hits))
        if head.literal
    ]
