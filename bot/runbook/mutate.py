"""Mutants of a match: if one that asks for less passes all tests, the tests do not prove that part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.runbook.clause import Clause
from bot.runbook.kernel import BOUND
from bot.runbook.literal import needed
from bot.runbook.marks import Path, line_of
from bot.runbook.match import match
from bot.runbook.model import Library, Runbook
from bot.runbook.pattern import is_glob
from bot.runbook.trial import Case, Read, cases
from bot.runbook.weigh import FIELDS, Sight, weigh

NESTED = {"any_of": "any", "all_of": "all"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A clause that asks for less than the runbook does, where, and what was done to it."""

    path: Path
    what: str
    clause: Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A mutant that passes all tests of its runbook."""

    runbook: str
    file: str
    line: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How many mutants of a runbook its tests tell from it; ``failing`` counts tests left out."""

    runbook: str
    mutants: int
    killed: int
    survivors: tuple[Survivor, ...]
    failing: int = 0

    @property
    def percent(self) -> float:
        """Share of mutants that were told, 100 if there were none."""
        return percent(self.killed, self.mutants)


def percent(killed: int, mutants: int) -> float:
    """Return a share in percent."""
    return 100.0 * killed / mutants if mutants else 100.0


@dataclass(frozen=True, slots=True)
class _Trial:
    """A test that passes: what is seen, whether it should match, the best score of all others."""

    sight: Sight | None
    expected: bool
    rival: int

    def passes(self, clause: Clause) -> bool:
        if self.sight is None:
            return not self.expected
        verdict = weigh(clause, self.sight)
        if not self.expected:
            return not verdict.ok
        return verdict.ok and verdict.score > self.rival


def scores(library: Library, read: Read) -> list[Score]:
    """Return the score of every runbook. Tests that fail as it is prove nothing and are left out."""
    return [_score(library, runbook, read) for runbook in library.runbooks]


def _score(library: Library, runbook: Runbook, read: Read) -> Score:
    trials = [_trial(library, runbook, case, read) for case in cases(library, runbook)]
    good = [trial for trial in trials if trial.passes(runbook.match)]
    file, lines = library.sources[runbook.id][0], library.lines[runbook.id]
    found = list(mutants(runbook.match))
    survivors = [
        Survivor(
            runbook=runbook.id,
            file=file,
            line=line_of(lines, ("match", *mutant.path)),
            what=mutant.what,
        )
        for mutant in found
        if all(trial.passes(mutant.clause) for trial in good)
    ]
    return Score(
        runbook=runbook.id,
        mutants=len(found),
        killed=len(found) - len(survivors),
        survivors=tuple(survivors),
        failing=len(trials) - len(good),
    )


def _trial(library: Library, runbook: Runbook, case: Case, read: Read) -> _Trial:
    reports, expected = read(case.text), case.expect == "match"
    if not reports:
        return _Trial(None, expected, 0)
    labels = dict(case.labels)
    best = match(library, reports[0], case.text, labels).best
    rival = max((one.score for one in best if one.runbook != runbook.id), default=-1)
    return _Trial(Sight.of(reports[0], case.text, labels), expected, rival)


def mutants(clause: Clause, path: Path = ()) -> Iterator[Mutant]:
    """Yield every clause that asks for one thing less, or for one thing less exactly."""
    for name in FIELDS:
        value = getattr(clause, name)
        if value is None:
            continue
        at = (*path, name)
        yield Mutant(path=at, what=f"{_dotted(at)} dropped", clause=_with(clause, name, None))
        for changed, what in _changed(name, value):
            yield Mutant(
                path=at, what=f"{_dotted(at)}: {what}", clause=_with(clause, name, changed)
            )
    for name, alias in NESTED.items():
        for number, inner in enumerate(parts := getattr(clause, name) or ()):
            at = (*path, alias, number)
            rest = (*parts[:number], *parts[number + 1 :])
            less = _with(clause, name, rest or None)
            yield Mutant(path=at, what=f"{_dotted(at)} dropped", clause=less)
            for mutant in mutants(inner, at):
                whole = (*parts[:number], mutant.clause, *parts[number + 1 :])
                yield Mutant(path=mutant.path, what=mutant.what, clause=_with(clause, name, whole))
    if clause.none_of is not None:
        at = (*path, "not")
        yield Mutant(path=at, what=f"{_dotted(at)} dropped", clause=_with(clause, "none_of", None))


def _with(clause: Clause, name: str, value: Any) -> Clause:
    return clause.model_copy(update={name: value})


def _dotted(path: Path) -> str:
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in path)


def _changed(name: str, value: Any) -> Iterator[tuple[Any, str]]:
    """Yield other values of one field, and what was done."""
    if isinstance(value, Mapping):
        for label in value if len(value) > 1 else ():
            rest = {key: one for key, one in value.items() if key != label}
            yield rest, f"{label} dropped"
        return
    if isinstance(value, str):
        wider = _wider_pattern(value)
        if wider:
            yield wider, f"/{value}/ widened to /{wider}/"
        return
    yield from _changed_list(name, value)


def _changed_list(name: str, value: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    for number, one in enumerate(value):
        before, after = value[:number], value[number + 1 :]
        if len(value) > 1:
            yield (*before, *after), f"{one} dropped"
        for wider in _wider(name, one):
            yield (*before, wider, *after), f"{one} widened to {wider}"


def _wider(name: str, one: Any) -> Iterator[str]:
    if name in {"function", "module"} and (wider := _wider_name(str(one))):
        yield wider
    if name == "kernel":
        bounds = [found[0].strip(" ,") for found in BOUND.finditer(one)]
        for number in range(len(bounds) if len(bounds) > 1 else 0):
            yield " ".join(bounds[:number] + bounds[number + 1 :])


def _wider_name(name: str) -> str:
    """Return the glob of everything that begins like a name: ``tcp_*`` for ``tcp_ack``."""
    if is_glob(name):
        head = name.split("*", maxsplit=1)[0].split("?", maxsplit=1)[0].rstrip("_")
        start = re.match(r"_*[A-Za-z0-9]+_", head)
        return f"{start[0]}*" if start and f"{start[0]}*" != name else ""
    start = re.match(r"_*[A-Za-z0-9]+_", name)
    return f"{start[0]}*" if start else ""


def _wider_pattern(pattern: str) -> str:
    """Return the first half of the words that a pattern needs, or its longest alternative's."""
    words = [word for word in needed(pattern) if len(word) >= 4]
    return "|".join(re.escape(word[: len(word) // 2]) for word in words)
