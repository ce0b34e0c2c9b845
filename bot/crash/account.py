"""All that one text tells, in order: crashes of the kernel, its events, programs that died.

The whole text is scanned once for the words of every headline that is wanted. What is no crash of
the kernel but stands before one is evidence of it, not a report of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import overload

from bot.crash import events, userland
from bot.crash.console import Console
from bot.crash.entry import Entry
from bot.crash.formats import INTRUDERS, scan_patterns
from bot.crash.reader import BOOTED, MAX_REPORTS, headlines, read_headlines
from bot.crash.report import EVENTS, NOTICES, USERLAND, CrashReport, Evidence, Kind
from bot.crash.scan import Hit, Scanner
from bot.crash.transport import FOREIGN
from bot.crash.window import ALL_CPUS, INJECTION, Headline

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

    def __len__(self) -> int:
        return self._console.end

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> list[Entry]: ...
    def __getitem__(self, at: int | slice) -> Entry | list[Entry]:
        if isinstance(at, slice):
            return [self[n] for n in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        at %= len(self)
        text, context = self._console.bare(at)
        program = "kernel" if context and context[:1] != FOREIGN else context[1:]
        return Entry(self._console.number(at), text, program)

    def __iter__(self) -> Iterator[Entry]:
        return (self[at] for at in range(len(self)))


def account(console: Console, kinds: Collection[Kind]) -> list[CrashReport]:
    """Return every report of ``kinds`` that ``console`` holds, the cause first."""
    wanted = kinds if isinstance(kinds, frozenset) else frozenset(kinds)
    hits = _scanner(wanted).hits(console.text)
    if not hits:
        return []
    hits = console.unfold(hits)
    crashes = read_headlines(console, headlines(console, hits))
    reports = [report for report in crashes if report.kind in wanted]
    if wanted & (NOTICES | USERLAND) or (not crashes and wanted & EVENTS):
        others = [report for report in _others(console, hits, wanted) if report.kind in wanted]
        reports = _together(reports, others)
    if not reports:
        return []
    return _marked(console, reports[:MAX_REPORTS])


def _others(console: Console, hits: Sequence[Hit], kinds: frozenset[Kind]) -> list[CrashReport]:
    lines = Entries(console)
    places = [at for at, _ in hits if at < len(lines)]
    found: list[CrashReport] = []
    if kinds & (EVENTS | NOTICES):
        found += events.find(lines, places)
    if kinds & USERLAND:
        found += userland.find(lines, places)
    return sorted(found, key=lambda report: report.start)


def _together(crashes: list[CrashReport], others: list[CrashReport]) -> list[CrashReport]:
    """Put all in order; what stands before or within a crash is no report of its own.

    Without a crash of the kernel, a notice before something worse is not one either.
    """
    if not crashes:
        first = next((n for n, one in enumerate(others) if one.kind not in NOTICES), 0)
        return others[first:]
    spans = [(crash.start, crash.end) for crash in crashes]
    later = [
        other
        for other in others
        if other.start > crashes[0].start
        and not any(start <= other.start <= end for start, end in spans)
    ]
    return sorted([*crashes, *later], key=lambda report: report.start)


def _marked(console: Console, reports: list[CrashReport]) -> list[CrashReport]:
    """Mark the consequences, and give the cause the evidence that stands before it."""
    cause = reports[0]
    signs = _signs(console, cause)
    if cause.consequence or signs:
        reports[0] = replace(cause, consequence=False, context=signs)
    for n in range(1, len(reports)):
        if not reports[n].consequence:
            reports[n] = replace(reports[n], consequence=True)
    return reports


def _signs(console: Console, cause: CrashReport) -> tuple[Evidence, ...]:
    at = console.place(cause.start)
    first = max(0, at - MAX_CONTEXT)
    if at <= first:
        return ()
    before = "\n".join(console.lines[first:at])
    hits = _SIGNS.hits(before)
    if not hits:
        return ()
    lines = Entries(console)
    return events.context([lines[first + n] for n, _ in hits])


def crash_headlines(console: Console) -> list[Headline]:
    """Return the headlines of crashes of the kernel, in order."""
    hits = _scanner(frozenset()).hits(console.text)
    if not hits:
        return []
    return [head for head in headlines(console, console.unfold(hits)) if head.literal]
