"""Run the runbooks' own tests: crash texts, facts of a fleet, variables of a proposal."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bot.crash.report import CrashReport
from bot.runbook.complain import close
from bot.runbook.expect import CrashTest, Expect, HostFacts, TargetsTest, VariablesTest
from bot.runbook.judge import USUAL, judge
from bot.runbook.marks import line_of
from bot.runbook.match import Matches, explain, match
from bot.runbook.model import Library, Mitigation, Problem, Runbook
from bot.runbook.targets import chosen
from bot.runbook.variable import resolved

Read = Callable[[str], Sequence[CrashReport]]

FOLDER = "tests"
NAMED = re.compile(r"(match|none)[-_.].*")
"""What a crash text in ``tests/<id>/`` is called: its name says what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """One test of a runbook and why it failed ('' if it did not).

    ``number`` counts from 1; ``file`` and ``line`` say where it is written; ``sort`` is ``crash``,
    ``targets`` or ``variables``; ``diff`` are lines that begin with ``-`` (expected) or ``+`` (found).
    """

    __test__: ClassVar[bool] = False  # not a class of tests

    runbook: str
    number: int
    title: str
    file: str
    line: int
    sort: str
    expect: str
    ok: bool
    why: str = ""
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One crash text of a runbook: from ``tests:``, or a file of its folder."""

    title: str
    file: str
    line: int
    text: str
    expect: Expect
    labels: tuple[tuple[str, str], ...] = ()


def cases(library: Library, runbook: Runbook) -> Iterator[Case]:
    """Yield the crash texts of a runbook: first those of ``tests:``, then its folder's by name."""
    file, lines = library.sources[runbook.id][0], library.lines[runbook.id]
    for number, trial in enumerate(runbook.tests):
        if not isinstance(trial, CrashTest):
            continue
        path = fixture_path(file, trial.file or "")
        text = trial.text if trial.text is not None else library.fixtures.get(path)
        if text is not None:
            yield Case(
                title=trial.title or trial.file or f"tests[{number + 1}]",
                file=file,
                line=line_of(lines, ("tests", number)),
                text=text,
                expect=trial.expect,
                labels=tuple(trial.labels.items()),
            )
    for path in _own_files(library, runbook):
        if found := NAMED.fullmatch(posixpath.basename(path)):
            expect: Expect = "match" if found[1] == "match" else "none"
            name = posixpath.basename(path)
            text = library.fixtures[path]
            yield Case(title=name, file=path, line=1, text=text, expect=expect)


def fixture_path(file: str, name: str) -> str:
    """Return the path of a test's file, which is named relative to its runbook."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), name))


def _folder(file: str, name: str) -> str:
    return posixpath.join(posixpath.dirname(file), FOLDER, name)


def _named(library: Library, runbook: Runbook) -> dict[str, int]:
    """Return the files that ``tests:`` names, with the number of the test."""
    file = library.sources[runbook.id][0]
    return {
        fixture_path(file, trial.file): number
        for number, trial in enumerate(runbook.tests)
        if isinstance(trial, CrashTest) and trial.file is not None
    }


def _own_files(library: Library, runbook: Runbook) -> list[str]:
    folder = _folder(library.sources[runbook.id][0], runbook.id)
    named = _named(library, runbook)
    inside = (p for p in library.fixtures if posixpath.dirname(p) == folder)
    return sorted(path for path in inside if path not in named)


def misplaced(library: Library) -> Iterator[Problem]:
    """Yield the crash texts that are missing, and those that no test would ever read."""
    used: set[str] = set()
    for runbook in library.runbooks:
        file, lines = library.sources[runbook.id][0], library.lines[runbook.id]
        named, own = _named(library, runbook), _own_files(library, runbook)
        used |= {*named, *own}
        for path, number in named.items():
            if path not in library.fixtures:
                yield Problem(
                    file=file,
                    line=line_of(lines, ("tests", number, "file")),
                    what=f"there is no test file {path!r}",
                    hint=close(path, list(library.fixtures)),
                )
        for path in own:
            if NAMED.fullmatch(posixpath.basename(path)) is None:
                yield Problem(
                    file=path,
                    line=1,
                    what="its name does not say what is expected",
                    hint="call it match-….log or none-….log",
                )
    names = [runbook.id for runbook in library.runbooks]
    for path in sorted(library.fixtures.keys() - used):
        folder = posixpath.dirname(path)
        name = posixpath.basename(folder)
        lost = posixpath.basename(posixpath.dirname(folder)) == FOLDER
        if lost and name not in library.left_out:
            yield Problem(
                file=path,
                line=1,
                what=f"no runbook {name!r} in the folder above tests",
                hint=close(name, names),
            )


def run_tests(library: Library, read: Read) -> list[TestResult]:
    """Run every runbook's tests against the whole library.

    ``expect: match`` wants this runbook before all others, ``none`` wants it not to match at all.
    Of a text with several crashes the first counts, as it does in an incident.
    """
    results = []
    for runbook in library.runbooks:
        done = [*_crashes(library, runbook, read), *_facts(library, runbook)]
        results += [
            TestResult(
                runbook=runbook.id,
                number=number,
                title=case.title,
                file=case.file,
                line=case.line,
                sort=sort,
                expect=case.expect if isinstance(case, Case) else "",
                ok=not why,
                why=why,
                diff=diff,
            )
            for number, (sort, case, why, diff) in enumerate(done, 1)
        ]
    return results


@dataclass(frozen=True, slots=True)
class _Place:
    title: str
    file: str
    line: int


Done = tuple[str, Case | _Place, str, tuple[str, ...]]


def _crashes(library: Library, runbook: Runbook, read: Read) -> Iterator[Done]:
    for case in cases(library, runbook):
        yield "crash", case, *_judge(library, runbook, case, read)


def _judge(library: Library, book: Runbook, case: Case, read: Read) -> tuple[str, tuple[str, ...]]:
    reports, name = read(case.text), book.id
    labels = dict(case.labels)
    found = match(library, reports[0], case.text, labels) if reports else Matches()
    names = [candidate.runbook for candidate in found.best]
    if case.expect == "none":
        if name not in names:
            return "", ()
        reasons = found.best[names.index(name)].reasons
        return f"it matches, because {' and '.join(reasons)}", ("-no match", f"+{name}")
    first = " = ".join(found.equals) or "no match"
    diff = (f"-{name}", f"+{first}")
    if not reports:
        return "no crash was read from the text", diff
    signature = reports[0].signature
    if name not in names:
        failed = explain(book, reports[0], case.text, labels).failed
        why = "; ".join(why for _, why in failed)
        return f"it does not match: {why}", (*diff, f" (read as {signature})")
    if names[0] != name or found.choice:
        others = [other for other in names if other != name]
        return f"{others[0]} matches as well or better", diff
    return "", ()


def _facts(library: Library, runbook: Runbook) -> Iterator[Done]:
    file, lines = library.sources[runbook.id][0], library.lines[runbook.id]
    for number, trial in enumerate(runbook.tests):
        if isinstance(trial, CrashTest):
            continue
        line = line_of(lines, ("tests", number))
        place = _Place(trial.title or f"tests[{number + 1}]", file, line)
        sort = "targets" if isinstance(trial, TargetsTest) else "variables"
        wanted = trial.mitigation
        mitigation = next((m for m in runbook.mitigations if wanted in (None, m.id)), None)
        if mitigation is None:
            yield sort, place, f"it has no mitigation {wanted or ''!r}", ()
        elif isinstance(trial, TargetsTest):
            yield sort, place, *_targets(runbook, mitigation, trial)
        else:
            yield sort, place, *_variables(mitigation, trial)


def _targets(
    runbook: Runbook, mitigation: Mitigation, trial: TargetsTest
) -> tuple[str, tuple[str, ...]]:
    pools: dict[str, list[str]] = {}
    for name, facts in trial.hosts.items():
        if facts.pool is not None:
            pools.setdefault(facts.pool, []).append(name)
    crashed = {name for name, facts in trial.hosts.items() if facts.crashed}
    asked = chosen(mitigation.targets, list(trial.hosts), crashed, pools)
    found = dict.fromkeys(trial.hosts, "not asked")
    found |= {name: _exposure(runbook, trial.hosts[name]) for name in asked}
    targets = {name for name, word in found.items() if word.split(":")[0] == "exposed"}
    wrong = sorted(targets ^ set(trial.targets))
    if not wrong:
        return "", ()
    diff = []
    for name in wrong:
        expected, other = ("a target", "no target")[:: 1 if name in trial.targets else -1]
        diff += [f"-{name}: {expected}", f"+{name}: {other}, {found.get(name, 'not in hosts')}"]
    return f"other targets than expected: {', '.join(wrong)}", tuple(diff)


def _exposure(runbook: Runbook, facts: HostFacts) -> str:
    if facts.unreachable:
        return "unreachable"
    fact = {"applicable": facts.applicable, "value": facts.value, "kernel": facts.kernel}
    rule = USUAL if runbook.applies_if is None else runbook.applies_if.rule
    verdict, why = judge(rule, fact)
    return f"{verdict}: {why}" if why else verdict


def _variables(mitigation: Mitigation, trial: VariablesTest) -> tuple[str, tuple[str, ...]]:
    found = resolved(mitigation.variables)
    expected = {n: list(v) if isinstance(v, tuple) else v for n, v in trial.variables.items()}
    wrong = [n for n in {**expected, **found} if expected.get(n) != found.get(n)]
    diff = []
    for name in wrong:
        diff += [f"-{name}: {expected[name]!r}"] if name in expected else []
        diff += [f"+{name}: {found[name]!r}"] if name in found else []
    return f"other variables than expected: {', '.join(wrong)}" if wrong else "", tuple(diff)
