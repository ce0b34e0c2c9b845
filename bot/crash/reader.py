"""The interpreter: reads the tables of formats and skip rules over clean lines.

It finds headlines, cuts the window of lines that belong to each, looks for the row that fits and
writes the report. It knows no crash by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bot.crash.formats import CONTINUES, ECHO, UNNAMED, Format, by_literal, quiet
from bot.crash.frames import place
from bot.crash.guilty import Suspect, Verdict, judge
from bot.crash.machine import machine
from bot.crash.report import CrashReport, Frame, Line
from bot.crash.titles import anonymous, stamped
from bot.crash.trace import broken_trace, trace_of
from bot.crash.transport import FOREIGN, STAMPED, Record
from bot.crash.window import Headline, Window, cut

MAX_REPORTS = 32
"""Reports of one text; whatever follows is a consequence of a consequence."""

MAX_BEFORE = 400
"""Lines before a headline that may tell the kernel release."""

_MID_LINE = re.compile(r"\[ {0,7}\d{1,10}\.\d{6}\](?:\[ {0,12}([CT]\d{1,10})\])? ")
_SOURCE = re.compile(r"\b(?:at|in) ([\w./-]{1,200}\.(?:c|h|rs|S):\d{1,7})")
_CLOSING = ("---[ end ", "Rebooting in", "Kernel Offset:")

Fit = tuple[Format | None, int, dict[str, str]]


def headlines(records: Sequence[Record]) -> list[Headline]:
    """Find every line that announces a crash, in order."""
    literals = tuple(by_literal())
    hushed = quiet()
    found: list[Headline] = []
    for index, record in enumerate(records):
        text = record.text
        if record.context == FOREIGN or not any(literal in text for literal in literals):
            continue
        for literal in literals:
            if literal in text and not (literal in hushed and hushed[literal].search(text)):
                found.append(Headline(index, _from_stamp(record, literal), literal))
                break
    return found


def _from_stamp(record: Record, literal: str) -> Record:
    """Drop words of people or of a template in front of the kernel's timestamp."""
    if record.context:
        return record
    stop = record.text.index(literal)
    matches = [match for match in _MID_LINE.finditer(record.text) if match.end() <= stop]
    if not matches:
        return record
    last = matches[-1]
    return record._replace(text=record.text[last.end() :], context=last[1] or STAMPED)


def read_records(records: Sequence[Record]) -> list[CrashReport]:
    """Read every crash, in order; those after the first are marked as consequences."""
    heads = headlines(records)
    reports: list[CrashReport] = []
    covered = -1
    for place_, head in enumerate(heads):
        if len(reports) >= MAX_REPORTS:
            break
        if head.index <= covered or (reports and _said_again(head)):
            continue
        window = cut(records, heads[place_ : place_ + 64])
        fit = _fit(window, head)
        if fit is None or (reports and fit[0] is None):
            continue
        covered = window.indices[fit[1]]
        before = records[max(0, head.index - MAX_BEFORE) : head.index]
        reports.append(_report(window, fit, before))
    return [replace(report, consequence=n > 0) for n, report in enumerate(reports)]


def _said_again(head: Headline) -> bool:
    text = head.record.text
    return CONTINUES.search(text) is not None and ECHO.search(text) is not None


def _fit(window: Window, head: Headline) -> Fit | None:
    """Find the first row that fits the headline, or a later line of the same report and sort."""
    rows = by_literal()[head.literal]
    for at, record in enumerate(window.lines):
        if head.literal not in record.text:
            continue
        known = False
        for entry in rows:
            match = entry.pattern.search(record.text)
            if match is None:
                continue
            known = True
            groups = _details(entry, window.lines[at + 1 :])
            if groups is not None:
                return entry, at, {**match.groupdict(default=""), **groups}
        if known:
            break
    return _unnamed(head)


def _details(entry: Format, lines: Iterable[Record]) -> dict[str, str] | None:
    """Find the patterns that must follow, each on a line after the one before."""
    groups: dict[str, str] = {}
    rest = iter(lines)
    for detail in entry.details:
        for record in rest:
            match = detail.search(record.text)
            if match is not None:
                groups |= match.groupdict(default="")
                break
        else:
            return None
    return groups


def _unnamed(head: Headline) -> Fit | None:
    """Take an unknown headline of the kernel as its own title."""
    if head.literal not in UNNAMED:
        return None
    return None, 0, {"line": head.record.text[head.record.text.index(head.literal) :]}


def _report(window: Window, fit: Fit, before: Sequence[Record]) -> CrashReport:
    entry, at, groups = fit
    headline = window.lines[at]
    if entry is None:
        return _plain(window, headline, groups["line"], before)
    verdict = judge(_from_headline(window.lines[at:], entry), entry)
    names = _names(groups, verdict)
    raw_title = entry.title.format_map(names)
    title = anonymous(raw_title)
    function = _function(entry, names)
    suspect = verdict.suspects[0] if verdict.suspects else None
    module, location = _place(suspect, function, headline)
    trace = trace_of(window.lines[at:], window.guesses)
    return CrashReport(
        title=title,
        kind=entry.kind,
        alt_titles=tuple(anonymous(alt.format_map(names)) for alt in entry.alts),
        function=function,
        module=module,
        location=location,
        trace=trace,
        skipped=verdict.skipped,
        evidence=_evidence(headline, verdict, suspect),
        panicked=window.panicked,
        corrupted_reason=(reason := _broken(entry, verdict, raw_title, window)),
        corrupted=reason is not None,
        start=window.lines[0].number,
        end=_end(window, trace),
        **machine(before, window.lines),
    )


def _plain(window: Window, headline: Record, line: str, before: Sequence[Record]) -> CrashReport:
    literal = next(literal for literal in UNNAMED if line.startswith(literal))
    return CrashReport(
        title=anonymous(line),
        kind=UNNAMED[literal],
        evidence=(_line(headline),),
        panicked=window.panicked,
        corrupted=stamped(line),
        corrupted_reason="two lines are printed into each other" if stamped(line) else None,
        start=headline.number,
        end=headline.number,
        **machine(before, window.lines),
    )


def _from_headline(lines: list[Record], entry: Format) -> list[Record]:
    """Let the first line begin at the headline itself, not at what stands in front of it."""
    match = entry.pattern.search(lines[0].text)
    start = match.start() if match else 0
    return [lines[0]._replace(text=lines[0].text[start:]), *lines[1:]]


def _names(groups: dict[str, str], verdict: Verdict) -> dict[str, str]:
    found = [suspect.function if suspect else "corrupted" for suspect in verdict.suspects]
    names = dict(groups)
    names["frame"] = found[0] if found else "corrupted"
    names["origin"] = found[1] if len(found) > 1 else "corrupted"
    return names


def _function(entry: Format, names: dict[str, str]) -> str | None:
    for key in ("frame", "func", "name"):
        if f"{{{key}}}" in entry.title:
            return names[key] if names[key] not in ("", "corrupted") else None
    return None


def _place(
    suspect: Suspect | None, function: str | None, headline: Record
) -> tuple[str | None, str | None]:
    module = location = None
    if suspect is not None and function is not None:
        module, location = place(suspect.record.text, function)
    if location is None:
        match = _SOURCE.search(headline.text)
        location = match[1] if match else None
    return module, location


def _broken(entry: Format, verdict: Verdict, title: str, window: Window) -> str | None:
    if verdict.broken is not None:
        return verdict.broken
    if entry.look.ways != ((),) and not all(verdict.suspects):
        return "no frame names a guilty function"
    if entry.broken is not None:
        return entry.broken
    if stamped(title):
        return "two lines are printed into each other"
    return broken_trace(window.every) if entry.traced else None


def _evidence(headline: Record, verdict: Verdict, suspect: Suspect | None) -> tuple[Line, ...]:
    records = [headline]
    if verdict.pointer is not None:
        records.append(verdict.pointer)
    if suspect is not None:
        records.append(suspect.record)
    unique = {(record.number, record.raw): record for record in records}
    return tuple(_line(record) for record in unique.values())


def _line(record: Record) -> Line:
    return Line(number=record.number, text=record.raw)


def _end(window: Window, trace: Sequence[Frame]) -> int:
    last = max([window.lines[0].number, *(frame.line for frame in trace)])
    for record in window.lines:
        if any(word in record.text for word in _CLOSING):
            last = max(last, record.number)
    return last
