"""A crash report for people, as styled lines, and for programs, as plain data and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from enum import Enum
from typing import Any

from bot.crash.report import (
    EVENTS,
    NOTICES,
    TAINTS,
    USERLAND,
    CrashReport,
    Evidence,
    Frame,
    Kind,
    Line,
    Skipped,
)

MAX_SHOWN = 14
"""Frames of a trace that are shown: the first, and those around the guilty one."""

MAX_FOLLOWING = 5
"""The same for a report that follows from another, or that no function is to blame for."""

MAX_LINE = 150
"""Characters of a line of the text that are shown, those around what matters."""

INDENT = 13
"""The column where texts begin; before it stand their labels."""

Styled = tuple[str, str]
"""A style and a text.

Styles are ``headline``, ``warning``, ``guilty``, ``why``, ``fact``, ``frame``, ``maybe``, ``dim``.
Only a headline begins in the first column; all others have a label of ``INDENT`` columns.
"""

_Shown = tuple[str, str, str]
"""A style, a label, a text."""

_Part = Frame | Skipped | Line | Evidence
_PARTS: Mapping[str, type[_Part]] = {
    "trace": Frame,
    "skipped": Skipped,
    "evidence": Line,
    "context": Evidence,
}


def lines(report: CrashReport) -> list[Styled]:
    """Return ``report`` as (style, text) pairs, most important first. Colours are the caller's."""
    # Of an OOM kill or a dying disk the trace says little, the victim and the device everything.
    told = [(*_why(report), *_trace(report), *_context(report)), tuple(_facts(report))]
    first, second = reversed(told) if report.kind in EVENTS else told
    return [
        ("headline", report.title),
        *_warnings(report),
        *_guilty(report),
        *first,
        *second,
        ("dim", _row("signature", report.signature)),
        ("dim", _row("found in", f"{_lines(report.start, report.end)} of the text")),
    ]


def _row(label: str, text: object) -> str:
    return f"  {label:<{INDENT - 3}} {text}"


def _lines(start: int, end: int) -> str:
    return f"line {start}" if start == end else f"lines {start}-{end}"


def _warnings(report: CrashReport) -> Iterator[Styled]:
    if report.consequence:
        yield "dim", _row("follows", "came after the one above: look at that first")
    if report.kind in NOTICES:
        yield "dim", _row("notice", "the kernel took note of something; nothing crashed")
    if report.corrupted:
        yield "warning", _row("careful", f"the text is damaged: {report.corrupted_reason}.")
        doubt = "" if report.function is None else "It may name the wrong function. "
        yield "warning", _row("", f"{doubt}Get the whole log before you act.")
    if report.panicked:
        yield "warning", _row("panic", "the kernel gave up: the host went down")


def _guilty(report: CrashReport) -> Iterator[Styled]:
    if report.function is not None:
        own = _is_its_own_place(report)
        place = _at(report.location) if own else ""
        yield "guilty", _row("guilty", f"{report.function}{_module(report.module)}{place}")
        if report.location and not own:
            yield "fact", _row("raised at", report.location)
    elif report.kind not in EVENTS | NOTICES | USERLAND:  # in those often nobody is to blame
        yield "guilty", _row("guilty", "unknown: the text names no function")


def _is_its_own_place(report: CrashReport) -> bool:
    """Tell whether ``location`` is in the guilty function, not where the complaint was raised."""
    place, function = report.location or "", report.function or ""
    return report.kind in USERLAND or any(
        place in line.text and function in line.text for line in report.evidence
    )


def _module(name: str | None) -> str:
    return f" [{name}]" if name else ""


def _at(location: str | None) -> str:
    return f" at {location}" if location else ""


def _why(report: CrashReport) -> Iterator[Styled]:
    for line in report.evidence:
        word = report.function if line.role in ("pointer", "frame") else report.title[:8]
        text = f"line {line.number}: {_around(line.text, word or '')}"
        yield "why", _row(line.role or "evidence", text)


def _around(text: str, word: str) -> str:
    """Cut a long line to what stands around ``word``."""
    text = text.strip()
    if len(text) <= MAX_LINE:
        return text
    first = max(0, text.find(word) - MAX_LINE // 3)
    cut = text[first : first + MAX_LINE].strip()
    return f"{'... ' if first else ''}{cut}{' ...' if first + MAX_LINE < len(text) else ''}"


def _trace(report: CrashReport) -> Iterator[Styled]:
    """Show the trace from the instruction pointer down: who was passed over and why, who not."""
    frames = [frame for frame in report.trace if frame.reliable or _is_guilty(frame, report)]
    guilty = next((n for n, frame in enumerate(frames) if _is_guilty(frame, report)), None)
    rules = {skipped.function: skipped.rule for skipped in report.skipped}
    rows = _above(report, {frame.function for frame in frames})
    for n, frame in enumerate(frames):
        text = f"{frame.raw}{_module(frame.module)}{_at(frame.location)}"
        if n == guilty:
            rows.append(("guilty", "> guilty", text))
        elif (guilty is None or n < guilty) and frame.function in rules:
            rows.append(("dim", "skipped", f"{text} ({rules[frame.function]})"))
        else:
            rows.append(("frame", "", text))
    few = report.consequence or report.kind in EVENTS
    yield from _labelled(_shortened(rows, MAX_FOLLOWING if few else MAX_SHOWN))
    doubted = len(report.trace) - len(frames)
    if doubted:
        yield "dim", _row("left out", f"{_count(doubted)} that the kernel only guesses")


def _is_guilty(frame: Frame, report: CrashReport) -> bool:
    """Tell whether a frame is the one that decided, also where the report renames its function."""
    if frame.function == report.function:
        return True
    return report.function is not None and any(
        line.role == "frame" and f"{frame.raw}+0x" in line.text for line in report.evidence
    )


def _above(report: CrashReport, named: set[str]) -> list[_Shown]:
    """Return those whom only the lines before the trace name: the instruction pointer's."""
    rows: list[_Shown] = []
    for skipped in report.skipped:
        if skipped.function not in named:
            named = named | {skipped.function}
            rows.append(("dim", "skipped", f"{skipped.function} ({skipped.rule})"))
    pointers = [line.text for line in report.evidence if line.role == "pointer"]
    guilty = report.function
    if guilty and guilty not in named and any(guilty in text for text in pointers):
        rows.append(("guilty", "> guilty", guilty))
    return rows


def _labelled(rows: Iterable[_Shown]) -> Iterator[Styled]:
    """Give a label to the first of the plain frames, and to the first below the guilty one."""
    label = "trace"
    for style, own, text in rows:
        if style == "guilty":
            label = "called by"
        yield style, _row(own or label, text)
        if style == "frame":
            label = ""


def _shortened(rows: Sequence[_Shown], most: int) -> Iterator[_Shown]:
    """Yield the first rows and those around the guilty one; the others are counted."""
    guilty = next((n for n, row in enumerate(rows) if row[0] == "guilty"), 0)
    first = max(0, min(guilty - most // 2, len(rows) - most))
    head = min(2, first)
    yield from rows[:head]
    if first > head:
        yield "dim", "...", _count(first - head)
    yield from rows[first : first + most]
    if first + most < len(rows):
        yield "dim", "...", _count(len(rows) - first - most)


def _count(number: int) -> str:
    return "1 frame" if number == 1 else f"{number} frames"


def _context(report: CrashReport) -> Iterator[Styled]:
    for one in report.context:
        what = f"{one.kind.replace('-', ' ')}, line {one.line}: {_around(one.text, '')}"
        yield "maybe", _row(one.label, what)


def _facts(report: CrashReport) -> Iterator[Styled]:
    for key, value in report.details.items():
        yield "fact", _row(key.replace("_", " "), value)
    task = [report.comm or "", f"pid {report.pid}" if report.pid is not None else ""]
    task.append(f"on cpu {report.cpu}" if report.cpu is not None else "")
    rows = {
        "task": ", ".join(word for word in task if word),
        "kernel": ", ".join(word for word in (report.release, report.arch) if word),
        "tainted": ", ".join(f"{c} {TAINTS[c]}" for c in report.taint or "" if c in TAINTS),
        "machine": report.hardware,
    }
    yield from (("fact", _row(label, text)) for label, text in rows.items() if text)


def as_dict(report: CrashReport) -> dict[str, Any]:
    """Return ``report`` ready for JSON: its attributes by name, enums as values.

    ``signature`` and ``taint_words`` are there too.
    """
    plain: dict[str, Any] = {
        field.name: _plain(getattr(report, field.name)) for field in fields(report)
    }
    plain["signature"] = report.signature
    plain["taint_words"] = list(report.taint_words)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (Frame, Skipped, Line, Evidence)):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return value


def from_dict(data: Mapping[str, Any]) -> CrashReport:
    """Return the report that ``as_dict`` wrote.

    Unknown keys are ignored and missing ones take their defaults, so that events of older and of
    newer versions can be read; an unknown kind becomes ``other``.
    """
    known = {field.name for field in fields(CrashReport)}
    values: dict[str, Any] = {key: value for key, value in data.items() if key in known}
    values.setdefault("title", "")
    kinds = {kind.value for kind in Kind}
    values["kind"] = Kind(values["kind"]) if values.get("kind") in kinds else Kind.OTHER
    if "alt_titles" in values:
        values["alt_titles"] = tuple(values["alt_titles"])
    for key, part in _PARTS.items():
        if key in values:
            values[key] = tuple(_part(part, item) for item in values[key])
    return CrashReport(**values)


def _part(part: type[_Part], item: Mapping[str, Any]) -> _Part:
    values: dict[str, Any] = {}
    for one in fields(part):
        if one.name in item:
            values[one.name] = item[one.name]
        elif one.default is MISSING:
            values[one.name] = 0 if one.type == "int" else ""
    return part(**values)
