"""Rank settings and modules by how near they are to the code that crashed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from bot.candidates.table import SORTS, Sysctl, Table
from bot.crash.report import CrashReport

LABEL = "candidates to look at, not a recommendation"
DEPTH = 8
"""Frames of the call trace that are looked at, besides the guilty function."""
LIMIT = 15
NEAR, STEP, FALL = 10.0, 6.0, 0.7
"""What a name that begins like it is worth, a further word of it, and how that falls by frame."""
WORD, MODULE, FILE = 2.0, 8.0, 6.0
WEIGHT = {"switch": 1.0, "module": 0.9, "privilege": 0.85, "limit": 0.6}
"""A switch helps more surely than who may reach the code, and that more than a limit."""
ALIKE = 0.95
"""What a setting of some distributions is worth beside the one that every kernel has."""
COMMON = frozenset(
    [
        "net",
        "ipv4",
        "ipv6",
        "kernel",
        "vm",
        "fs",
        "dev",
        "user",
        "core",
        "all",
        "conf",
        "default",
        "the",
        "of",
        "a",
        "and",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What a host really has: names of sysctls and of loaded modules, no values."""

    host: str
    keys: frozenset[str]
    modules: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A setting or a module with the reasons why it is near; ``sort`` is a key of ``WEIGHT``.

    ``present`` says whether the host has it; None where no host was asked.
    """

    name: str
    sort: str
    about: str
    score: float
    reasons: tuple[str, ...]
    present: bool | None = None


def as_row(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate as JSON shows it."""
    return {
        "candidate": candidate.name,
        "sort": candidate.sort,
        "about": candidate.about,
        "score": candidate.score,
        "reasons": list(candidate.reasons),
        "present": candidate.present,
        "label": LABEL,
    }


def rank(table: Table, report: CrashReport, present: Present | None = None) -> list[Candidate]:
    """Return at most ``LIMIT`` candidates, the nearest first; equal ones by name.

    With ``present`` only what the host has; of modules also those that are not loaded there are
    left out, for what is not loaded has not crashed.
    """
    frames = list(_frames(report))
    modules = _modules(report)
    found = [*_sysctls(table, report, frames, modules), *_blocks(table, frames, modules)]
    if present is not None:
        found = [_on(candidate, present) for candidate in found]
        found = [candidate for candidate in found if candidate.present]
    return sorted(found, key=lambda c: (-c.score, c.name))[:LIMIT]


def _on(candidate: Candidate, present: Present) -> Candidate:
    has = (
        candidate.name.removeprefix("module ") in present.modules
        if candidate.sort == "module"
        else candidate.name in present.keys
    )
    return Candidate(
        name=candidate.name,
        sort=candidate.sort,
        about=candidate.about,
        score=candidate.score,
        reasons=(*candidate.reasons, f"{present.host} has it") if has else candidate.reasons,
        present=has,
    )


def _frames(report: CrashReport) -> Iterator[tuple[str, float]]:
    """Yield the names of functions, the guilty one first, with their weight."""
    if report.function:
        yield report.function, 1.0
    seen = {report.function}
    weight = FALL
    for frame in report.trace:
        if frame.reliable and frame.function not in seen and len(seen) <= DEPTH:
            seen.add(frame.function)
            yield frame.function, weight * 0.6
            weight *= FALL


def _modules(report: CrashReport) -> dict[str, float]:
    """Return the modules of the guilty function and of the trace, with their weight."""
    found = {report.module.replace("-", "_"): 1.0} if report.module else {}
    for frame in report.trace[:DEPTH]:
        if frame.module and frame.reliable:
            found.setdefault(frame.module.replace("-", "_"), 0.5)
    return found


def _begins(name: str, begins: Collection[str]) -> str:
    """Return the longest of ``begins`` that ``name`` begins with."""
    bare = name.lstrip("_")
    return max((b for b in begins if bare.startswith(b)), key=len, default="")


def _worth(begin: str) -> float:
    """Return what a beginning is worth: the more words, the more it says."""
    return NEAR + STEP * (len([word for word in begin.split("_") if word]) - 1)


def _nearest(
    frames: Collection[tuple[str, float]], begins: Collection[str]
) -> tuple[float, str, str]:
    """Return the best worth of any frame, its function and the beginning that fits."""
    best = (0.0, "", "")
    for name, weight in frames:
        begin = _begins(name, begins)
        if begin:
            best = max(best, (_worth(begin) * weight, name, begin))
    return best


def _sysctls(
    table: Table,
    report: CrashReport,
    frames: Collection[tuple[str, float]],
    modules: dict[str, float],
) -> Iterator[Candidate]:
    for one in table.sysctls:
        worth, name, begin = _nearest(frames, one.functions)
        reasons = [f"{name} begins like {begin}, which it governs"] if begin else []
        for module in one.modules:
            if module in modules:
                worth += MODULE * modules[module]
                reasons.append(f"the crash is in the module {module}")
        place = report.location or ""
        for file in one.files:
            if file in place:
                worth += FILE
                reasons.append(f"the crash is in {file}")
        if reasons and (words := _shared(one, report.function or "")):
            worth += WORD * len(words)
            reasons.append(f"name and function share {', '.join(words)}")
        if reasons:
            yield Candidate(
                name=one.key,
                sort=one.sort,
                about=f"{one.about}: {SORTS[one.sort]}, safest is {one.safest}",
                score=round(worth * WEIGHT[one.sort] * (ALIKE if one.like else 1.0), 2),
                reasons=tuple(reasons),
            )


def _shared(one: Sysctl, function: str) -> list[str]:
    """Return the words that the key and the guilty function have in common."""
    mine = set(re.split(r"[._-]", one.key.lower())) - COMMON
    return sorted(mine & set(function.lower().split("_")) - {""})


def _blocks(
    table: Table,
    frames: Collection[tuple[str, float]],
    modules: dict[str, float],
) -> Iterator[Candidate]:
    """Yield modules that could be blocked: those of the trace, and those whose code it looks like."""
    worths: dict[str, tuple[float, str]] = {}
    for module, weight in modules.items():
        worths[module] = ((NEAR + STEP + MODULE) * weight, f"the crash is in the module {module}")
    for module, begins in table.parts.items():
        worth, name, begin = _nearest(frames, begins)
        if begin and worth > worths.get(module, (0.0, ""))[0]:
            worths[module] = (worth, f"{name} begins like {begin}, which is its code")
    for module, (worth, reason) in worths.items():
        if not any(fnmatchcase(module, kept) for kept in table.kept):
            yield Candidate(
                name=f"module {module}",
                sort="module",
                about="block it and, where nobody uses it, unload it",
                score=round(worth * WEIGHT["module"], 2),
                reasons=(reason,),
            )
