"""The interpreter: reads the tables of formats and skip rules over clean lines.

It finds headlines, cuts the window of lines that belong to each, looks for the row that fits and
writes the report. It knows no crash by itself.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate

from bot.crash.formats import (
    CONTINUES,
    DRIVER,
    ECHO,
    PROGRAM,
    UNNAMED,
    Format,
    by_literal,
    quiet,
)
from bot.crash.frames import place
from bot.crash.guilty import Suspect, Verdict, judge
from bot.crash.machine import machine
from bot.crash.report import CrashReport, Frame, Kind, Line
from bot.crash.titles import anonymous, stamped
from bot.crash.trace import broken_trace, trace_of
from bot.crash.transport import FOREIGN, STAMPED, Record
from bot.crash.window import Headline, Window, cut

MAX_REPORTS = 32
"""Reports of one text; whatever follows is a consequence of a consequence."""

MAX_AHEAD = 64
"""Headlines that are looked at to find where a report ends."""

MAX_HEADLINE = 320
"""Characters of a headline that are compared with the formats."""

MAX_BEFORE = 400
"""Lines before a headline that may tell the kernel release."""

_MID_LINE = re.compile(r"\[ {0,7}\d{1,10}\.\d{6}\](?:\[ {0,12}([CT]\d{1,10})\])? ")
_SOURCE = re.compile(r"\b(?:at|in) ([\w./-]{1,200}\.(?:c|h|rs|S):\d{1,7})")
_OLD_GUESS = re.compile(r"\s*(?:<\w+> +)?\[<[0-9a-f]+>\] \? ")
_CLOSING = ("---[ end ", "Rebooting in", "Kernel Offset:")


def headlines(records: Sequence[Record]) -> list[Headline]:
    """Find every line that announces a crash, in order."""
    hushed = quiet()
    found: list[Headline] = []
    for order, literals in sorted(_hits([record.text for record in records]).items()):
        record = records[order]
        if record.context == FOREIGN:
            continue
        for literal in literals:
            if literal not in hushed or not hushed[literal].search(record.text[:MAX_HEADLINE]):
                found.append(Headline(_placed(records, record, literal), literal))
                break
    return found


def _hits(texts: Sequence[str]) -> dict[int, list[str]]:
    """Say which lines hold which literals, by one scan of the whole buffer for each."""
    buffer = "\n".join(texts)
    starts = list(accumulate((len(text) + 1 for text in texts), initial=0))
    hits: dict[int, list[str]] = {}
    for literal in by_literal():
        at = buffer.find(literal)
        while at >= 0:
            order = bisect_right(starts, at) - 1
            hits.setdefault(order, []).append(literal)
            at = buffer.find(literal, starts[order + 1])
    return hits


def _placed(records: Sequence[Record], record: Record, literal: str) -> Record:
    """Give a headline that stands behind words of people or of a template its kernel context."""
    stop = record.text.index(literal)
    if record.context or stop == 0:
        return record
    matches = [match for match in _MID_LINE.finditer(record.text) if match.end() <= stop]
    if matches:
        last = matches[-1]
        return record._replace(text=record.text[last.end() :], context=last[1] or STAMPED)
    after = records[record.order + 1 : record.order + 2]
    known = any(
        entry.pattern.search(record.text[: stop + MAX_HEADLINE]) for entry in by_literal()[literal]
    )
    if known and after and after[0].context not in ("", FOREIGN):
        return record._replace(context=after[0].context)
    return record


def read_records(records: Sequence[Record]) -> list[CrashReport]:
    """Read every crash, in order; those after the first are marked as consequences.

    A complaint of the kernel that no format knows is a report only where nothing else is.
    """
    heads = headlines(records)
    reports: list[CrashReport] = []
    unknown: int | None = None
    for n, head in enumerate(heads):
        if len(reports) >= MAX_REPORTS:
            break
        if reports and _said_again(head):
            continue
        if _rows(head):
            window = cut(records, heads[n : n + MAX_AHEAD])
            reports.append(_report(window, head, _before(records, head)))
        elif unknown is None and _kernels(head):
            unknown = n
    if not reports and unknown is not None:
        head = heads[unknown]
        window = cut(records, heads[unknown : unknown + MAX_AHEAD])
        reports.append(_plain(window, head, _before(records, head)))
    return [replace(report, consequence=n > 0) for n, report in enumerate(reports)]


def _said_again(head: Headline) -> bool:
    text = head.record.text[:MAX_HEADLINE]
    return CONTINUES.search(text) is not None and ECHO.search(text) is not None


def _rows(head: Headline) -> list[tuple[Format, re.Match[str]]]:
    """Return the formats that fit a headline, in the order of the table."""
    text = head.record.text[: head.record.text.index(head.literal) + MAX_HEADLINE]
    rows = by_literal()[head.literal]
    return [(entry, match) for entry in rows if (match := entry.pattern.search(text)) is not None]


def _before(records: Sequence[Record], head: Headline) -> Sequence[Record]:
    return records[max(0, head.record.order - MAX_BEFORE) : head.record.order]


def _details(entry: Format, lines: Iterable[Record]) -> dict[str, str] | None:
    """Find the patterns that must follow, each on a line after the one before."""
    groups: dict[str, str] = {}
    rest = iter(lines)
    for detail in entry.details:
        for record in rest:
            match = detail.search(record.text[:MAX_HEADLINE])
            if match is not None:
                groups |= match.groupdict(default="")
                break
        else:
            return None
    return groups


def _kernels(head: Headline) -> bool:
    """Tell whether a headline that no row knows is the kernel's own and no program's."""
    text = head.record.text
    if head.literal not in UNNAMED or PROGRAM.match(text):
        return False
    return bool(head.record.context) or DRIVER.match(text) is not None


def _report(window: Window, head: Headline, before: Sequence[Record]) -> CrashReport:
    for entry, match in _rows(head):
        groups = _details(entry, window.lines[1:])
        if groups is not None:
            names = {**match.groupdict(default=""), **groups}
            return _fitted(window, entry, match, names, before)
    return _plain(window, head, before)


def _fitted(
    window: Window,
    entry: Format,
    match: re.Match[str],
    groups: dict[str, str],
    before: Sequence[Record],
) -> CrashReport:
    first = window.lines[0]
    verdict = _judged(window, first._replace(text=first.text[match.start() :]), entry)
    names = _names(groups, verdict)
    raw_title = entry.title.format_map(names)
    title = anonymous(raw_title)
    function = _function(entry, names)
    suspect = verdict.suspects[0] if verdict.suspects else None
    module, location = _place(suspect, function, first)
    trace = trace_of(window.lines, window.guesses)
    reason = _broken(entry, verdict, raw_title, window)
    return CrashReport(
        title=title,
        kind=entry.kind,
        alt_titles=_alternatives(entry, names, suspect, title),
        function=function,
        module=module,
        location=location,
        trace=trace,
        skipped=verdict.skipped,
        evidence=_evidence(first, verdict, suspect),
        panicked=window.panicked,
        corrupted=reason is not None,
        corrupted_reason=reason,
        start=first.number,
        end=_end(window, trace),
        **machine(before, window.lines),
    )


def _judged(window: Window, first: Record, entry: Format) -> Verdict:
    """Judge the window; where an old kernel only guessed its trace, the guesses must do."""
    verdict = judge([first, *window.lines[1:]], entry)
    if verdict.broken or all(verdict.suspects) or not _guesswork(window):
        return verdict
    guesses = [record._replace(text=record.text.replace("? ", "", 1)) for record in window.guesses]
    lines = sorted([*window.lines[1:], *guesses], key=lambda record: record.order)
    return judge([first, *lines], entry)


def _guesswork(window: Window) -> bool:
    """Tell whether the trace is that of an old kernel, which doubted most of its frames."""
    return sum(_OLD_GUESS.match(record.text) is not None for record in window.guesses) >= 3


def _plain(window: Window, head: Headline, before: Sequence[Record]) -> CrashReport:
    """Take a headline as its own title."""
    line = head.record.text[head.record.text.index(head.literal) :]
    reason = _doubt(head, line)
    known = _rows(head)
    return CrashReport(
        title=anonymous(line),
        kind=known[0][0].kind if known else UNNAMED.get(head.literal, Kind.OTHER),
        evidence=(_line(head.record),),
        panicked=window.panicked,
        corrupted=reason is not None,
        corrupted_reason=reason,
        start=head.record.number,
        end=head.record.number,
        **machine(before, window.lines),
    )


def _doubt(head: Headline, line: str) -> str | None:
    if stamped(line[:MAX_HEADLINE]):
        return "two lines are printed into each other"
    if _rows(head):
        return "the lines that belong to this headline are missing"
    return None


def _names(groups: dict[str, str], verdict: Verdict) -> dict[str, str]:
    found = [suspect.function if suspect else "corrupted" for suspect in verdict.suspects]
    names = dict(groups)
    names["frame"] = found[0] if found else "corrupted"
    names["origin"] = found[1] if len(found) > 1 else "corrupted"
    return names


def _alternatives(
    entry: Format, names: dict[str, str], suspect: Suspect | None, title: str
) -> tuple[str, ...]:
    """Return what else the crash may be called: other formats, the function's longer names."""
    found: dict[str, None] = {}
    for frame in (names["frame"], *(suspect.also if suspect else ())):
        for template in (entry.title, *entry.alts):
            found[anonymous(template.format_map({**names, "frame": frame}))] = None
    return tuple(name for name in found if name != title)


def _function(entry: Format, names: dict[str, str]) -> str | None:
    for key in ("frame", "func", "name"):
        if f"{{{key}}}" in entry.title:
            return names[key] if names[key] not in ("", "corrupted") else None
    return None


def _place(
    suspect: Suspect | None, function: str | None, headline: Record
) -> tuple[str | None, str | None]:
    module = location = None
    if function is not None:
        module, location = place(suspect.record.text if suspect else headline.text, function)
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
    if not entry.traced or (_guesswork(window) and not trace_of(window.lines, ())):
        return None
    return broken_trace(window.every)


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
