"""Read crashes of programs: segmentation faults, failed services, exceptions, panics, aborts.

``HINTS`` find the lines worth looking at, ``find`` reads the crashes there. What is known about a
runtime stands in ``bot.crash.runtimes``; the reading is the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bot.crash.blocks import Block, Call, Section, details_of, fill, read_block
from bot.crash.entry import Entry, Owners, Piece, Stream
from bot.crash.names import NATIVE
from bot.crash.report import CrashReport, Frame, Line, Skipped
from bot.crash.runtimes import RUNTIMES, Clue, Role, Rule, Runtime
from bot.crash.titles import MAX_TITLE, anonymous

HINTS: tuple[str, ...] = tuple(dict.fromkeys(hint for row in RUNTIMES for hint in row.hints))
"""Expressions for both ``re`` and RE2; each crash of a program has a line in which one is found."""

UNNAMED = "?"
"""The function of a frame that has no symbol."""

MAX_SKIPPED = 64

MAX_REPORTS = 256
"""Crashes of programs in one text; what comes after so many tells nothing new."""

_MAX_DETAIL = 300
_MAX_WHERE = 80
_ABOVE = "above the point where the program gave up"
_NAMELESS = frozenset({"<module>", "<anonymous>"})
_SYSTEM = frozenset({"", "kernel", "systemd", "systemd-coredump"})
_STABLE = frozenset({"type", "tool", "comm", "module"})
_IN_WHERE = " in {where}"
_PARTS = re.compile(r"\{(\w{1,20})\}")
_TAG = re.compile(r"(.{1,64}?)\[(\d{1,10})\]$")


def _any(hints: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{hint})" for hint in hints))


_ANY = _any(HINTS)
_ROWS = tuple((row, _any(row.hints)) for row in RUNTIMES)


class _Own(NamedTuple):
    """The call that is the program's own; ``sure`` is false where it is the best of a library."""

    call: Call | None
    skipped: tuple[Skipped, ...] = ()
    sure: bool = False


def find(lines: Sequence[Entry], hits: Sequence[int] | None = None) -> list[CrashReport]:
    """Return the crashes of programs in ``lines``, by their first line.

    ``hits`` are the positions in ``lines`` on which one of ``HINTS`` is found, in order; without
    them all lines are searched. Never raises, whatever the lines hold.
    """
    return sorted(crashes(lines, hits), key=lambda report: report.start)


def crashes(lines: Sequence[Entry], hits: Sequence[int] | None = None) -> Iterator[CrashReport]:
    """Yield what ``find`` returns, each as soon as it is read.

    Takes time linear in the number of lines: what a row has read for one line it reads for no
    other, of what says nothing it passes over a bounded number, and whose a line is, is looked up
    once.
    """
    if hits is None:
        hits = [place for place, entry in enumerate(lines) if _ANY.search(entry.text)]
    owners = Owners(lines)
    taken: set[int] = set()
    vain: set[tuple[int, int]] = set()
    found = 0
    for place in hits:
        if found >= MAX_REPORTS:
            break
        if place not in taken:
            report = _at(owners, place, taken, vain)
            if report is not None:
                found += 1
                yield report


def _at(
    owners: Owners, place: int, taken: set[int], vain: set[tuple[int, int]]
) -> CrashReport | None:
    """Return the crash that the line at ``place`` belongs to, and take its lines.

    ``vain`` are the lines that a row has read without finding a crash: they are not read again.
    """
    lines = owners.lines
    text, stream = lines[place].text, None
    for number, (row, hint) in enumerate(_ROWS):
        if (place, number) in vain or hint.search(text) is None:
            continue
        stream = stream or Stream(lines, place, owners.of(place))
        block = read_block(stream, row, hint, taken)
        if block is None:
            continue
        report = _report(row, block, lines[place].program)
        if report is not None:
            taken |= block.used
            return report
        vain |= {(used, number) for used in block.used}
    return None


def _report(row: Runtime, block: Block, program: str) -> CrashReport | None:
    """Make a report of a block; None when the block is not one of a crash."""
    sections = [section for section in block.sections if section.role is not Role.ASIDE]
    if not sections or not _crashed(row, block, sections):
        return None
    cause = _cause(row, sections)
    own = _own(row, cause, sections)
    if row.explain is not None:
        cause.told.update(row.explain(cause.told))
    told = details_of(cause)
    types = [s.told["type"] for s in sections if s is not cause and "type" in s.told]
    if types:
        told["chain"] = " | ".join(types)
    comm, pid = _who(told, program)
    frame = None if own.call is None else _frame(row, own.call)
    function, module, location = _place(row, cause, frame, comm)
    where = _where(row, function, module, comm)
    title = _title(row, cause.clue, {**cause.told, "module": module or ""}, where)
    others = _others(row, cause, sections, where, module)
    reason = _reason(row, block, cause, own)
    return CrashReport(
        title=title,
        kind=row.kind,
        alt_titles=tuple(dict.fromkeys(t for t in others if t != title)),
        function=function,
        module=module,
        location=location,
        comm=comm,
        pid=pid,
        trace=tuple(_frame(row, call) for call in cause.calls),
        skipped=own.skipped[:MAX_SKIPPED],
        evidence=_evidence(cause, sections, own),
        details={key: value.strip()[:_MAX_DETAIL] for key, value in told.items() if value.strip()},
        corrupted=reason is not None,
        corrupted_reason=reason,
        start=block.start,
        end=block.end,
    )


def _crashed(row: Runtime, block: Block, sections: Sequence[Section]) -> bool:
    """Tell whether what was read is enough to call it a crash."""
    calls = [call for section in sections for call in section.calls]
    if row.framed and not calls:
        return False
    if any(section.head is not None for section in sections):
        return True
    if row.headed:
        return block.begins and bool(calls)
    return any(row.raised is None or row.raised.match(_frame(row, call).raw) for call in calls)


def _cause(row: Runtime, sections: Sequence[Section]) -> Section:
    """Return the section of the error that came first in time."""
    if row.latest:
        return [s for s in sections if s.role in {Role.HEAD, Role.CAUSE}][-1]
    at = 0
    while at + 1 < len(sections) and sections[at + 1].role is Role.MEMBER:
        if "Group" not in sections[at].told.get("type", ""):
            break
        at += 1
    return sections[at]


def _own(row: Runtime, cause: Section, sections: Sequence[Section]) -> _Own:
    """Return the program's own call, of the cause if it has one, else of an error around it."""
    first = _walk(row, cause)
    if first.sure:
        return first
    others = [section for section in sections if section is not cause]
    for section in reversed(others) if row.latest else others:
        other = _walk(row, section)
        if other.sure:
            return _Own(other.call, first.skipped + other.skipped, sure=True)
    return first


def _walk(row: Runtime, section: Section) -> _Own:
    """Walk from the innermost call outwards; where none is the program's own, take a library's."""
    calls = section.calls[::-1] if row.upward else section.calls
    frames = [_frame(row, call) for call in calls]
    given_up = 0
    if row.raised is not None:
        given_up = max(
            (n for n, f in enumerate(frames, 1) if row.raised.match(f.function)), default=0
        )
    skipped = [Skipped(function=frame.function, rule=_ABOVE) for frame in frames[:given_up]]
    library: Call | None = None
    for call, frame in zip(calls[given_up:], frames[given_up:], strict=True):
        rule = _rule_of(row, call, frame)
        if rule is None:
            return _Own(call, tuple(skipped), sure=True)
        if rule.library and library is None:
            library = call
        skipped.append(Skipped(function=frame.function, rule=rule.name))
    return _Own(library or next(iter(calls), None), tuple(skipped))


def _rule_of(row: Runtime, call: Call, frame: Frame) -> Rule | None:
    """Return the rule that passes over a frame; None for one of the program's own."""
    parts = {
        "function": frame.function,
        "file": call.told.get("file", ""),
        "module": frame.module or "",
    }
    return next((rule for rule in row.rules if rule.pattern.match(parts[rule.part])), None)


def _frame(row: Runtime, call: Call) -> Frame:
    raw, file = call.told.get("function", ""), call.told.get("file", "")
    function = row.naming.function(raw) if raw else UNNAMED
    known = "" if function == UNNAMED else function
    return Frame(
        function=function,
        raw=raw or UNNAMED,
        module=row.naming.module(known, file, call.told.get("object", "")),
        location=_location(call.told),
        line=call.piece.number,
    )


def _location(told: Mapping[str, str]) -> str | None:
    file, line = told.get("file"), told.get("line")
    return None if file is None else f"{file}:{line}" if line else file


def _who(told: Mapping[str, str], program: str) -> tuple[str | None, int | None]:
    """Return name and pid of the process: as told, else those that the transport wrote."""
    tag = _TAG.match(program)
    name, number = (tag[1], tag[2]) if tag else (program, None)
    if name in _SYSTEM:
        name, number = "", None
    comm = told.get("comm") or told.get("program", "").rpartition("/")[2] or name
    pid = told.get("pid", number)
    return comm or None, int(pid) if pid else None


def _place(
    row: Runtime, cause: Section, frame: Frame | None, comm: str | None
) -> tuple[str | None, str | None, str | None]:
    """Return (function, module, location): of the frame, or as the headline tells them."""
    if frame is not None:
        function = None if frame.function == UNNAMED else frame.function
        module, location = frame.module, frame.location or _location(cause.told)
    else:
        told = cause.told
        function = row.naming.function(told["function"]) if told.get("function") else None
        mapped = told.get("object") or told.get("unit", "")
        module = row.naming.module(function or "", told.get("file", ""), mapped)
        location = _location(told)
    if module is None and function is None and row.naming is NATIVE:
        module = comm
    return function, module, location


def _where(row: Runtime, function: str | None, module: str | None, comm: str | None) -> str:
    """Return what a title names as the place: never more than the title can hold."""
    if not row.where:
        return ""
    known = {"function": function, "module": module}
    if function in _NAMELESS and module is not None:
        known["function"] = None
    named = [value for name in _PARTS.findall(row.where) if (value := known[name])]
    where = ".".join(named) or known["function"] or module or comm or ""
    return "".join(char for char in where if " " <= char <= "~")[-_MAX_WHERE:]


def _title(row: Runtime, clue: Clue | None, told: Mapping[str, str], where: str) -> str:
    """Fill the title of a headline: what varies is taken out, the place is never cut off."""
    template = f"{row.kind.value} in {{where}}" if clue is None else clue.title or row.title
    steady = {key: value if key in _STABLE else anonymous(value) for key, value in told.items()}
    what = _plain(fill(template, steady).replace(_IN_WHERE, ""))
    if not where or not template.endswith(_IN_WHERE) or what.split(" ")[0] == where:
        return what[:MAX_TITLE].rstrip() or row.kind.value
    return f"{what[: MAX_TITLE - len(where) - 4].rstrip()} in {where}"


def _plain(text: str) -> str:
    return " ".join("".join(char for char in text if " " <= char <= "~").split())


def _others(
    row: Runtime,
    cause: Section,
    sections: Sequence[Section],
    where: str,
    module: str | None,
) -> Iterator[str]:
    """Yield the other titles: other words for the same, the errors around, those of the row."""
    for clue, told in cause.also:
        yield _title(row, clue, {**told, "module": module or ""}, where)
    for section in sections:
        if section is not cause and section.head is not None:
            call = _walk(row, section).call
            frame = None if call is None else _frame(row, call)
            function, crate, _ = _place(row, section, frame, None)
            yield _title(row, section.clue, section.told, _where(row, function, crate, None))
    for template in row.alts:
        if all(cause.told.get(name) for name in _PARTS.findall(template)):
            told = {k: v if k in _STABLE else anonymous(v) for k, v in cause.told.items()}
            yield _plain(fill(template, told))[:MAX_TITLE]


def _evidence(cause: Section, sections: Sequence[Section], own: _Own) -> tuple[Line, ...]:
    heads = [s.head for s in (cause, *sections) if s.head is not None]
    calls = [call.piece for section in sections for call in section.calls]
    lines = [_line((heads or calls)[0], "headline")]
    if own.call is not None:
        lines.append(_line(own.call.piece, "frame"))
    return tuple(lines)


def _line(piece: Piece, role: str) -> Line:
    return Line(number=piece.number, text=piece.text, role=role)


def _reason(row: Runtime, block: Block, cause: Section, own: _Own) -> str | None:
    """Say why the report cannot be trusted; None when it is whole."""
    if cause.head is None:
        return "the error itself is cut off"
    whole = row.upward or own.sure or not block.ran_out
    if cause.calls and not whole:
        return "the trace ends before a frame of the program's own"
    if row.traced and own.call is None and _location(cause.told) is None:
        return "no stack trace"
    return None
