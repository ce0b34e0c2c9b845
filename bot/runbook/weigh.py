"""Hold one clause against one crash: what fits, what does not, and how much that says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bot.crash.report import CrashReport, Line
from bot.runbook.clause import Clause
from bot.runbook.pattern import compiled, fits, is_glob

# From specific to broad; each outweighs all that follow it together.
WEIGHTS = {"function": 1000, "glob": 500, "module": 200, "kind": 100, "title": 40, "message": 20}
IN = re.compile(r" in ([A-Za-z_]\w*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A crash, prepared once for all runbooks."""

    report: CrashReport
    text: str
    functions: tuple[str, ...]
    titles: tuple[str, ...]

    @staticmethod
    def of(report: CrashReport, text: str) -> Sight:
        """Prepare a report and the text that it was read from."""
        named = (IN.search(title) for title in report.alt_titles)
        functions = [report.function, *(found[1] for found in named if found)]
        return Sight(
            report=report,
            text=text.encode("utf-8", "replace").decode(),  # re2 takes no lone surrogates
            functions=tuple(dict.fromkeys(name for name in functions if name)),
            titles=(report.title, *report.alt_titles),
        )

    def lines(self, words: frozenset[str]) -> tuple[Line, ...]:
        """Return the report's evidence: the headline, and the lines with one of ``words``."""
        evidence = self.report.evidence
        named = [line for line in evidence if any(word in line.text for word in words)]
        return (*evidence[:1], *named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a clause holds. ``signs`` are the sorts of evidence that matched."""

    ok: bool
    signs: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    evidence: tuple[Line, ...] = ()
    words: frozenset[str] = frozenset()

    @property
    def score(self) -> int:
        """How specific the match is: what a sort of evidence is worth, counted once a sort."""
        return sum(WEIGHTS[sign] for sign in self.signs)


def weigh(clause: Clause, sight: Sight) -> Verdict:
    """Hold every part of ``clause`` against the crash; all of them are looked at."""
    parts = list(_parts(clause, sight))
    return Verdict(
        ok=all(part.ok for part in parts),
        signs=frozenset().union(*(part.signs for part in parts)),
        reasons=tuple(dict.fromkeys(reason for part in parts for reason in part.reasons)),
        failed=tuple(failure for part in parts for failure in part.failed),
        evidence=tuple(line for part in parts for line in part.evidence),
        words=frozenset().union(*(part.words for part in parts)),
    )


def _parts(clause: Clause, sight: Sight) -> Iterator[Verdict]:
    if clause.kind is not None:
        yield _kind(clause, sight)
    if clause.function is not None:
        yield _function(clause.function, sight)
    if clause.module is not None:
        yield _module(clause.module, sight)
    if clause.title is not None:
        yield _title(clause.title, sight)
    if clause.message is not None:
        yield _message(clause.message, sight)
    for inner in clause.all_of or ():
        yield weigh(inner, sight)
    if clause.any_of is not None:
        yield _any(clause.any_of, sight)
    if clause.none_of is not None:
        yield _not(clause.none_of, sight)


def _fail(clause: str, why: str) -> Verdict:
    return Verdict(ok=False, failed=((clause, why),))


def _kind(clause: Clause, sight: Sight) -> Verdict:
    kind, wanted = sight.report.kind, clause.kind or ()
    if kind in wanted:
        return Verdict(ok=True, signs=frozenset({"kind"}), reasons=(f"kind is {kind.value}",))
    return _fail("kind", f"kind is {kind.value}, not {' or '.join(k.value for k in wanted)}")


def _function(globs: tuple[str, ...], sight: Sight) -> Verdict:
    for exact in (True, False):
        for glob in (g for g in globs if is_glob(g) is not exact):
            for name in sight.functions:
                if fits(glob, name):
                    said = f"function is {name}" if exact else f"function {name} fits {glob}"
                    if name != sight.report.function:
                        said += " (by an alternative title)"
                    sign = "function" if exact else "glob"
                    return Verdict(
                        ok=True,
                        signs=frozenset({sign}),
                        reasons=(said,),
                        words=frozenset({name}),
                    )
    name = sight.report.function or "unknown"
    return _fail("function", f"function is {name}, not {' or '.join(globs)}")


def _module(globs: tuple[str, ...], sight: Sight) -> Verdict:
    module = sight.report.module
    name = (module or "").replace("-", "_")  # the kernel takes both for the same
    if module and any(fits(glob.replace("-", "_"), name) for glob in globs):
        return Verdict(
            ok=True,
            signs=frozenset({"module"}),
            reasons=(f"module is {module}",),
            words=frozenset({f"[{module}]"}),
        )
    return _fail("module", f"module is {module or 'none'}, not {' or '.join(globs)}")


def _title(pattern: str, sight: Sight) -> Verdict:
    for title in sight.titles:
        if compiled(pattern).search(title) is not None:
            said = f"title {title!r} matches /{pattern}/"
            return Verdict(ok=True, signs=frozenset({"title"}), reasons=(said,))
    return _fail("title", f"title {sight.report.title!r} does not match /{pattern}/")


def _message(pattern: str, sight: Sight) -> Verdict:
    found = compiled(pattern).search(sight.text)
    if found is None:
        return _fail("message", f"no line matches /{pattern}/")
    start = found.start()
    number = sight.text.count("\n", 0, start) + 1
    begin = sight.text.rfind("\n", 0, start) + 1
    end = sight.text.find("\n", start)
    line = sight.text[begin : end if end >= 0 else len(sight.text)].rstrip("\r")
    return Verdict(
        ok=True,
        signs=frozenset({"message"}),
        reasons=(f"line {number} matches /{pattern}/",),
        evidence=(Line(number=number, text=line),),
    )


def _any(clauses: tuple[Clause, ...], sight: Sight) -> Verdict:
    verdicts = [weigh(clause, sight) for clause in clauses]
    good = [verdict for verdict in verdicts if verdict.ok]
    if good:
        return max(good, key=lambda verdict: verdict.score)
    why = "; ".join(reason for verdict in verdicts for _, reason in verdict.failed)
    return _fail("any", f"none of {len(clauses)} holds: {why}")


def _not(clause: Clause, sight: Sight) -> Verdict:
    verdict = weigh(clause, sight)
    if verdict.ok:
        return _fail("not", f"excluded, because {' and '.join(verdict.reasons) or 'it holds'}")
    return Verdict(ok=True)
