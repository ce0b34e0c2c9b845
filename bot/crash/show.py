"""A crash report for people, as styled lines, and for programs, as plain data and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from bot.crash.report import CrashReport, Evidence, Frame, Kind, Line, Skipped

MAX_SHOWN = 12
"""Frames and skipped functions that are shown each; the rest is counted."""

Styled = tuple[str, str]
"""A style (``headline``, ``warning``, ``guilty``, ``why``, ``fact``, ``frame``, ``dim``), a text."""

_FACTS = ("release", "arch", "taint", "comm", "pid", "cpu", "hardware")
_PARTS: dict[str, type[Frame | Skipped | Line | Evidence]] = {
    "trace": Frame,
    "skipped": Skipped,
    "evidence": Line,
    "context": Evidence,
}


def lines(report: CrashReport) -> list[Styled]:
    """Return ``report`` as (style, text) pairs, most important first. Colours are the caller's."""
    shown: list[Styled] = [("headline", report.title)]
    if report.consequence:
        shown.append(("dim", "follows from the crash before it"))
    if report.corrupted:
        shown.append(("warning", f"do not trust this report: {report.corrupted_reason}"))
    shown.append(("guilty", _guilty(report)))
    shown += [("why", f"line {line.number}: {line.text.strip()}") for line in report.evidence]
    facts = [f"{name} {value}" for name in _FACTS if (value := getattr(report, name)) is not None]
    if report.panicked:
        facts.append("the kernel panicked")
    if facts:
        shown.append(("fact", ", ".join(facts)))
    shown += _frames(report)
    shown += [("dim", f"skipped {s.function}: {s.rule}") for s in report.skipped[:MAX_SHOWN]]
    if len(report.skipped) > MAX_SHOWN:
        shown.append(("dim", f"and {len(report.skipped) - MAX_SHOWN} more skipped"))
    shown.append(("dim", f"lines {report.start}-{report.end}, signature {report.signature}"))
    return shown


def _guilty(report: CrashReport) -> str:
    if report.function is None:
        return "no guilty function known"
    text = report.function
    if report.module is not None:
        text += f" [{report.module}]"
    if report.location is not None:
        text += f" at {report.location}"
    return text


def _frames(report: CrashReport) -> list[Styled]:
    shown: list[Styled] = []
    for frame in [frame for frame in report.trace if frame.reliable][:MAX_SHOWN]:
        module = f" [{frame.module}]" if frame.module else ""
        style = "guilty" if frame.function == report.function else "frame"
        shown.append((style, f"  {frame.raw}{module}"))
    return shown


def as_dict(report: CrashReport) -> dict[str, Any]:
    """Return ``report`` ready for JSON: its attributes by name, enums as values, the signature."""
    plain: dict[str, Any] = {
        field.name: _plain(getattr(report, field.name)) for field in fields(report)
    }
    plain["signature"] = report.signature
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
            names = {field.name for field in fields(part)}
            values[key] = tuple(
                part(**{name: value for name, value in item.items() if name in names})
                for item in values[key]
            )
    return CrashReport(**values)
