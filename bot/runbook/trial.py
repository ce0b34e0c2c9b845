"""Run the runbooks' own tests: a crash text, and whether this runbook should be the one for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bot.crash.report import CrashReport
from bot.runbook.load import fixture_path
from bot.runbook.marks import line_of
from bot.runbook.match import Matches, explain, match
from bot.runbook.model import Library, Runbook, Trial

Read = Callable[[str], Sequence[CrashReport]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """One test of a runbook, ``number`` counted from 1, and why it failed ('' if it did not)."""

    __test__: ClassVar[bool] = False  # not a class of tests

    runbook: str
    number: int
    file: str
    line: int
    expect: str
    ok: bool
    why: str = ""


def run_tests(library: Library, read: Read) -> list[TestResult]:
    """Run every runbook's tests against the whole library.

    ``expect: match`` wants this runbook before all others, ``none`` wants it not to match at all.
    Of a text with several crashes the first counts, as it does in an incident.
    """
    results = []
    for runbook in library.runbooks:
        file, lines = library.sources[runbook.id][0], library.lines[runbook.id]
        for number, trial in enumerate(runbook.tests):
            why = _judge(runbook, trial, library, _text(library, file, trial), read)
            results.append(
                TestResult(
                    runbook=runbook.id,
                    number=number + 1,
                    file=file,
                    line=line_of(lines, ("tests", number)),
                    expect=trial.expect,
                    ok=not why,
                    why=why,
                )
            )
    return results


def _text(library: Library, file: str, trial: Trial) -> str:
    if trial.text is not None:
        return trial.text
    return library.fixtures[fixture_path(file, trial.file or "")]


def _judge(book: Runbook, trial: Trial, library: Library, text: str, read: Read) -> str:
    reports, runbook = read(text), book.id
    found = match(library, reports[0], text) if reports else Matches()
    names = [candidate.runbook for candidate in found.best]
    if trial.expect == "none":
        if runbook not in names:
            return ""
        reasons = found.best[names.index(runbook)].reasons
        return f"it matches, because {' and '.join(reasons)}"
    if not reports:
        return "no crash was read from the text"
    if runbook not in names:
        failed = explain(book, reports[0], text).failed
        return f"it does not match: {'; '.join(why for _, why in failed)}"
    if names[0] != runbook or found.choice:
        others = [name for name in names if name != runbook]
        return f"{others[0]} matches as well or better"
    return ""
