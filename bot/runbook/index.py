"""Finds the runbooks of a crash without trying each: made once for all clauses of a library."""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bot.runbook.clause import Clause
from bot.runbook.literal import Words, needed
from bot.runbook.pattern import fits, is_glob
from bot.runbook.weigh import FIELDS, QUICK, SCORES, WEIGHTS, Sight, Verdict, hold, quick

# An answer is a number: NO, UNKNOWN, or YES with the bits of its signs.
BITS = {sign: 1 << number for number, sign in enumerate(SCORES)}
YES, NO, UNKNOWN = 1 << len(BITS), 0, -1
IDENTIFYING = sum(BITS[sign] for sign in WEIGHTS)
TOTALS = [sum(SCORES[sign] for sign in SCORES if bits & BITS[sign]) for bits in range(YES)]
"""What signs, as bits, score together."""


@dataclass(frozen=True, slots=True)
class Found:
    """The places of clauses that hold, and of the nearest of those of which one part does not.

    ``near`` has the field that fails and its value beside each place, or None for a part that is a
    choice or an exclusion.
    """

    holding: tuple[int, ...]
    near: tuple[tuple[int, tuple[str, Any] | None], ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A clause in numbers: tests that must all hold, choices, and what must not hold."""

    tests: tuple[int, ...]
    choices: tuple[tuple[Node, ...], ...]
    excluded: tuple[Node, ...]

    def asserted(self) -> Iterator[int]:
        """Yield the tests that can be a reason for a match."""
        yield from self.tests
        for branches in self.choices:
            for branch in branches:
                yield from branch.asserted()

    def least(self, answers: Sequence[int | None], most: int) -> tuple[int, int]:
        """Return how many parts fail at least, and the signs that the others have at most.

        Tests without an answer may hold. Does not count on beyond ``most``.
        """
        failed = signs = 0
        for test in self.tests:
            answer = answers[test]
            if answer is None:
                signs |= YES - 1
            elif answer > 0:
                signs |= answer
            else:
                failed += 1
                if failed > most:
                    return failed, signs
        for branches in self.choices:
            good = [signs for n, signs in (b.least(answers, 0) for b in branches) if n == 0]
            failed += not good
            signs |= max(good, key=lambda one: TOTALS[one & (YES - 1)], default=0)
        return failed, signs & (YES - 1)


@dataclass(frozen=True, slots=True)
class _OfKind:
    """What the kind of a crash tells if no name and no text fits.

    The ``answers`` known then, the places of clauses of which nothing need fail, and of those of
    which one part does.
    """

    answers: list[int | None]
    whole: tuple[int, ...]
    all_but_one: tuple[int, ...]


class Index:
    """Holds each different test of a library against a crash once, and most of them not at all.

    A test is one field of a clause with its value. Maps and needed words tell which tests of what
    the crash is may hold; ``weigh`` alone decides whether they do. Only clauses with such a test
    are then looked at, in numbers, and texts are searched last: only for a clause that nothing
    else has decided, and for a near miss that could be one of the nearest.
    """

    def __init__(self, clauses: Sequence[Clause]) -> None:
        """Take the clauses. Answers are their places; of equals the earlier comes first."""
        self._tests: list[tuple[str, Any]] = []
        self._numbers: dict[tuple[str, Any], int] = {}
        self._nodes = [self._node(clause) for clause in clauses]
        self._places: list[list[int]] = [[] for _ in self._tests]
        for place, node in enumerate(self._nodes):
            for test in set(node.asserted()):
                self._places[test].append(place)
        self._kinds = self._by_kind()
        by_field: dict[str, dict[int, Any]] = {name: {} for name in FIELDS}
        for number, (name, value) in enumerate(self._tests):
            by_field[name][number] = value
        self._functions = _Names(by_field["function"])
        self._modules = _Names(
            {n: [_plain(glob) for glob in globs] for n, globs in by_field["module"].items()}
        )
        self._titles, self._messages = _Texts(by_field["title"]), _Texts(by_field["message"])

    def look(self, sight: Sight, near: int) -> Found:
        """Return the clauses that hold for a crash, and at most ``near`` near misses.

        A near miss has one part that fails, and one that says what the crash is and holds. Those
        come first whose parts of that sort score most.
        """
        of_kind = self._kinds.get(sight.report.kind) or self._kinds[None]
        look = _Look(self._tests, of_kind.answers.copy(), sight)
        places = set(of_kind.whole)
        for test in self._named(sight):
            if look.ask(test) > 0:
                places.update(self._places[test])
        for test in self._written(sight):
            look.leave(test)
            places.update(self._places[test])
        holding: list[int] = []
        misses: list[tuple[int, int]] = []
        maybe: list[tuple[int, int]] = []
        for place in places:
            failed, signs = self._nodes[place].least(look.answers, 1)
            if failed == 0:
                look.sort(self._nodes[place], place, holding, misses)
            elif failed == 1 and signs & IDENTIFYING:
                maybe.append((-TOTALS[signs & IDENTIFYING], place))
        # Near misses that one glance may yet rule out, the most promising first.
        maybe.sort()
        for bound in maybe:
            if len(misses) >= near and bound > misses[near - 1]:
                break
            look.sort(self._nodes[bound[1]], bound[1], holding, misses)
        misses += islice(self._by_kind_alone(of_kind, look, places), near)
        nearest = [place for _, place in sorted(misses)[:near]]
        return Found(tuple(sorted(holding)), tuple((p, self._failing(p, look)) for p in nearest))

    def _failing(self, place: int, look: _Look) -> tuple[str, Any] | None:
        """Return the one test of a near miss that fails, if it is one."""
        tests = self._nodes[place].tests
        failed = next((test for test in tests if (look.answers[test] or 0) <= 0), None)
        return None if failed is None else self._tests[failed]

    def _by_kind_alone(
        self, of_kind: _OfKind, look: _Look, seen: set[int]
    ) -> Iterator[tuple[int, int]]:
        """Yield the near misses of which only the kind fits, in the order of their places."""
        for place in of_kind.all_but_one:
            if place not in seen:
                misses: list[tuple[int, int]] = []
                look.sort(self._nodes[place], place, [], misses)
                yield from misses

    def _named(self, sight: Sight) -> Iterator[int]:
        """Yield the tests of names that may hold; no other of them does."""
        yield from self._functions.possible(sight.functions)
        yield from self._modules.possible([_plain(sight.report.module or "")])

    def _written(self, sight: Sight) -> Iterator[int]:
        """Yield the tests of texts that may hold; no other of them does."""
        titles = "\n".join(sight.titles).encode("utf-8", "replace")
        yield from self._titles.possible(titles)
        yield from self._messages.possible(sight.text)

    def _node(self, clause: Clause) -> Node:
        inner = [self._node(part) for part in clause.all_of or ()]
        own = tuple(
            self._number(name, value)
            for name in FIELDS
            if (value := getattr(clause, name)) is not None
        )
        choices = [tuple(self._node(part) for part in clause.any_of)] if clause.any_of else []
        excluded = [self._node(clause.none_of)] if clause.none_of else []
        return Node(
            own + tuple(test for node in inner for test in node.tests),
            (*choices, *(choice for node in inner for choice in node.choices)),
            (*excluded, *(one for node in inner for one in node.excluded)),
        )

    def _by_kind(self) -> dict[str | None, _OfKind]:
        """Return what each kind that is named decides alone, and under None any other kind."""
        kinds: dict[str | None, list[int]] = {None: []}
        for number, (name, value) in enumerate(self._tests):
            for kind in value if name == "kind" else ():
                kinds.setdefault(kind, []).append(number)
        return {kind: self._of_kind(tests) for kind, tests in kinds.items()}

    def _of_kind(self, tests: Sequence[int]) -> _OfKind:
        answers = [NO if name in WEIGHTS else None for name, _ in self._tests]
        for test in tests:
            answers[test] = YES | BITS["kind"]
        places = sorted({place for test in tests for place in self._places[test]})
        failed = {place: self._nodes[place].least(answers, 1)[0] for place in places}
        return _OfKind(
            answers,
            tuple(place for place in places if failed[place] == 0),
            tuple(place for place in places if failed[place] == 1),
        )

    def _number(self, name: str, value: Any) -> int:
        key = (name, tuple(value.items()) if isinstance(value, Mapping) else value)
        if key not in self._numbers:
            self._numbers[key] = len(self._tests)
            self._tests.append((name, value))
        return self._numbers[key]


class _Look:
    """One crash and what was found out about it so far; None stands for a test not yet asked."""

    def __init__(
        self, tests: Sequence[tuple[str, Any]], answers: list[int | None], sight: Sight
    ) -> None:
        self._tests, self.answers, self._sight = tests, answers, sight

    def ask(self, test: int) -> int:
        """Hold one test against the crash."""
        name, value = self._tests[test]
        if name in QUICK:
            said = quick(name, value, self._sight)
            answer = (YES | BITS[name]) if said else NO if said is False else UNKNOWN
        else:
            answer = _answer(hold(name, value, self._sight))
        self.answers[test] = answer
        return answer

    def leave(self, test: int) -> None:
        """Leave a test for later: it may hold."""
        self.answers[test] = None

    def sort(
        self, node: Node, place: int, holding: list[int], misses: list[tuple[int, int]]
    ) -> None:
        """Add a clause to those that hold, or to the near misses in their order, if it is one."""
        failed, _, signs = self.count(node, most=1)
        if failed == 0:
            holding.append(place)
        elif failed == 1 and signs & IDENTIFYING:
            insort(misses, (-TOTALS[signs & IDENTIFYING], place))

    def count(self, node: Node, most: int) -> tuple[int, int, int]:
        """Return how many parts fail, how many of these are unknown, and the signs of the others.

        Does not count on beyond ``most`` failures.
        """
        failed = unknown = signs = 0
        answers = self.answers
        for test in node.tests:
            answer = answers[test]
            if answer is None:
                answer = self.ask(test)
            if answer > 0:
                signs |= answer
            else:
                failed += 1
                unknown -= answer
                if failed > most:
                    return failed, unknown, signs
        for answer in self._rest(node):
            if answer > 0:
                signs |= answer
            else:
                failed += 1
                unknown -= answer
        return failed, unknown, signs & (YES - 1)

    def _rest(self, node: Node) -> Iterator[int]:
        """Answer the choices and exclusions of a node."""
        for branches in node.choices:
            found = [self._whole(branch) for branch in branches]
            good = [answer for answer in found if answer > 0]
            best = max(good, key=lambda answer: TOTALS[answer & (YES - 1)], default=min(found))
            yield best
        for inner in node.excluded:
            answer = self._whole(inner)
            yield NO if answer > 0 else YES if answer == NO else UNKNOWN

    def _whole(self, node: Node) -> int:
        failed, unknown, signs = self.count(node, most=len(self._tests))
        if not failed:
            return YES | signs
        return UNKNOWN if failed == unknown else NO


class _Names:
    """Tests of names and globs: a map of the names, and of what globs begin or end with."""

    def __init__(self, tests: Mapping[int, Sequence[str]]) -> None:
        self._exact: dict[str, list[int]] = {}
        self._begins: dict[str, list[tuple[str, int]]] = {}
        self._ends: dict[str, list[tuple[str, int]]] = {}
        for number, globs in tests.items():
            for glob in globs:
                if is_glob(glob):
                    begin, *_, end = re.split(r"[*?]", glob)
                    longer = self._begins if len(begin) >= len(end) else self._ends
                    longer.setdefault(max(begin, end, key=len), []).append((glob, number))
                else:
                    self._exact.setdefault(glob, []).append(number)
        self._beginnings = sorted({len(begin) for begin in self._begins})
        self._endings = sorted({len(end) for end in self._ends})

    def possible(self, names: Sequence[str]) -> set[int]:
        """Return the tests that one of ``names`` may pass."""
        found: set[int] = set()
        for name in names:
            found.update(self._exact.get(name, ()))
            begun = (self._begins.get(name[:size], ()) for size in self._beginnings)
            ended = (self._ends.get(name[max(0, len(name) - size) :], ()) for size in self._endings)
            rivals = [rival for some in (*begun, *ended) for rival in some]
            found.update(number for glob, number in rivals if fits(glob, name))
        return found


class _Texts:
    """Tests of patterns, by the words that they need."""

    def __init__(self, tests: Mapping[int, str]) -> None:
        self._numbers = list(tests)
        self._words = Words([needed(pattern) for pattern in tests.values()])

    def possible(self, text: bytes) -> Iterator[int]:
        """Yield the tests that a UTF-8 text may pass."""
        for item in self._words.possible(text):
            yield self._numbers[item]


def _answer(verdict: Verdict) -> int:
    if verdict.ok:
        return YES | sum(BITS[sign] for sign in verdict.signs)
    return UNKNOWN if verdict.unknown else NO


def _plain(module: str) -> str:
    """Write a module as the kernel does, which takes dash and underscore for the same."""
    return module.replace("-", "_")
