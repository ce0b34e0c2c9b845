"""Hold one clause against one crash: what fits, what does not, and how much that says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bot.crash.report import TAINTS, CrashReport, Kind, Line
from bot.runbook.clause import Clause
from bot.runbook.kernel import any_inside, inside
from bot.runbook.pattern import fits, is_glob, over_bytes

# From specific to broad; each outweighs all that follow it together. What only narrows is last.
WEIGHTS = {"function": 1000, "glob": 500, "module": 200, "kind": 100, "title": 40, "message": 20}
NARROWING = {"kernel": 3, "arch": 3, "taint": 3, "labels": 3, "alert_text": 3}
SCORES = WEIGHTS | NARROWING
SEEN, BEFORE = 16 << 10, 4 << 10
"""Characters of a long text in which messages are searched, and how many of them precede the crash.

They bound the work that a hostile text can make: of ten thousand patterns it can hold the words of
some hundred.
"""
IN = re.compile(r" in ([A-Za-z_]\w*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A crash, prepared once for all runbooks; texts are UTF-8.

    ``text`` is what messages are searched in, from line ``first`` (counted from 1) of the text that
    was read; ``cut`` says that it is not all of it. ``said`` is the beginning of that text: what the
    alert said.
    """

    report: CrashReport
    text: bytes
    said: bytes
    functions: tuple[str, ...]
    titles: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    first: int = 1
    cut: bool = False

    @staticmethod
    def of(report: CrashReport, text: str, labels: Mapping[str, str] | None = None) -> Sight:
        """Prepare a report, the text that it was read from, and the labels of its alert."""
        part, first = _around(text, report.start)
        named = (IN.search(title) for title in report.alt_titles)
        functions = [report.function, *(found[1] for found in named if found)]
        return Sight(
            report=report,
            text=part.encode("utf-8", "replace"),  # there may be lone surrogates
            said=text[:SEEN].encode("utf-8", "replace"),
            functions=tuple(dict.fromkeys(name for name in functions if name)),
            titles=(report.title, *report.alt_titles),
            labels=labels or {},
            first=first,
            cut=len(part) < len(text),
        )

    def lines(self, words: frozenset[str]) -> tuple[Line, ...]:
        """Return the report's evidence: the headline, and the lines with one of ``words``."""
        evidence = self.report.evidence
        named = [line for line in evidence if any(word in line.text for word in words)]
        return (*evidence[:1], *named)


def _around(text: str, line: int) -> tuple[str, int]:
    """Return the part of a long text that is about the crash on ``line``, and its first line."""
    if len(text) <= SEEN:
        return text, 1
    rest = text.split("\n", line - 1)[-1]
    start = max(0, min(len(text) - len(rest) - BEFORE, len(text) - SEEN))
    return text[start : start + SEEN], text.count("\n", 0, start) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a clause holds. ``signs`` are the sorts of evidence that matched.

    ``unknown`` says that it does not hold merely because the report leaves something out.
    """

    ok: bool
    unknown: bool = False
    signs: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    evidence: tuple[Line, ...] = ()
    words: frozenset[str] = frozenset()

    @property
    def score(self) -> int:
        """How specific the match is: what a sort of evidence is worth, counted once a sort."""
        return sum(SCORES[sign] for sign in self.signs)


def weigh(clause: Clause, sight: Sight) -> Verdict:
    """Hold every part of ``clause`` against the crash; all of them are looked at."""
    parts = list(_parts(clause, sight))
    failed = [part for part in parts if not part.ok]
    return Verdict(
        ok=not failed,
        unknown=bool(failed) and all(part.unknown for part in failed),
        signs=frozenset().union(*(part.signs for part in parts)),
        reasons=tuple(dict.fromkeys(reason for part in parts for reason in part.reasons)),
        failed=tuple(failure for part in parts for failure in part.failed),
        evidence=tuple(line for part in parts for line in part.evidence),
        words=frozenset().union(*(part.words for part in parts)),
    )


def quick(name: str, value: Any, sight: Sight) -> bool | None:
    """Say what ``hold`` would of a field that a report answers at once; None: it does not say.

    These are kind, kernel, arch and taint: asked often, and mostly without need of a sentence.
    """
    report = sight.report
    if name == "kind":
        return report.kind in value
    if name == "kernel":
        return any_inside(value, report.release)
    if name == "arch":
        return None if report.arch is None else report.arch in value
    if any(letter in (report.taint or "") for letter in value):
        return True
    # Release and taint stand on one line: with neither, that line is missing.
    return None if report.taint is None and report.release is None else False


QUICK = frozenset({"kind", "kernel", "arch", "taint"})


def hold(name: str, value: Any, sight: Sight) -> Verdict:
    """Hold one field of a clause, with its value, against the crash."""
    return FIELDS[name](value, sight)


def _parts(clause: Clause, sight: Sight) -> Iterator[Verdict]:
    for name in FIELDS:
        value = getattr(clause, name)
        if value is not None:
            yield hold(name, value, sight)
    for inner in clause.all_of or ():
        yield weigh(inner, sight)
    if clause.any_of is not None:
        yield _any(clause.any_of, sight)
    if clause.none_of is not None:
        yield _not(clause.none_of, sight)


def _fail(clause: str, why: str, *, unknown: bool = False) -> Verdict:
    return Verdict(ok=False, unknown=unknown, failed=((clause, why),))


def _narrow(clause: str, reason: str) -> Verdict:
    return Verdict(ok=True, signs=frozenset({clause}), reasons=(reason,))


def _kind(wanted: tuple[Kind, ...], sight: Sight) -> Verdict:
    kind = sight.report.kind
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
        if over_bytes(pattern).search(title.encode("utf-8", "replace")) is not None:
            said = f"title {title!r} matches /{pattern}/"
            return Verdict(ok=True, signs=frozenset({"title"}), reasons=(said,))
    return _fail("title", f"title {sight.report.title!r} does not match /{pattern}/")


def _message(pattern: str, sight: Sight) -> Verdict:
    found = over_bytes(pattern).search(sight.text)
    if found is None:
        where = " near the crash (the text is long)" if sight.cut else ""
        return _fail("message", f"no line{where} matches /{pattern}/")
    start = found.start()
    number = sight.text.count(b"\n", 0, start) + sight.first
    begin = sight.text.rfind(b"\n", 0, start) + 1
    end = sight.text.find(b"\n", start)
    line = sight.text[begin : end if end >= 0 else len(sight.text)].decode("utf-8", "replace")
    line = line.rstrip("\r")
    return Verdict(
        ok=True,
        signs=frozenset({"message"}),
        reasons=(f"line {number} matches /{pattern}/",),
        evidence=(Line(number=number, text=line),),
    )


def _kernel(ranges: tuple[str, ...], sight: Sight) -> Verdict:
    release, wanted = sight.report.release, " or ".join(ranges)
    answer = quick("kernel", ranges, sight)
    if answer:
        within = next(one for one in ranges if inside(one, release or ""))
        return _narrow("kernel", f"kernel {release} is inside {within}")
    if answer is None:
        said = f"{release!r} is no version" if release else "is unknown"
        return _fail("kernel", f"kernel {said}, wanted is {wanted}", unknown=True)
    return _fail("kernel", f"kernel {release} is outside {wanted}")


def _arch(wanted: tuple[str, ...], sight: Sight) -> Verdict:
    arch = sight.report.arch
    if arch in wanted:
        return _narrow("arch", f"architecture is {arch}")
    why = f"architecture is {arch or 'unknown'}, not {' or '.join(wanted)}"
    return _fail("arch", why, unknown=quick("arch", wanted, sight) is None)


def _taint(wanted: tuple[str, ...], sight: Sight) -> Verdict:
    report = sight.report
    for letter in wanted:
        if letter in (report.taint or ""):
            return _narrow("taint", f"taint {letter} ({TAINTS[letter]})")
    unknown = quick("taint", wanted, sight) is None
    said = report.taint or ("unknown" if unknown else "none")
    return _fail("taint", f"taint is {said}, not {' or '.join(wanted)}", unknown=unknown)


def _labels(wanted: Mapping[str, tuple[str, ...]], sight: Sight) -> Verdict:
    said = []
    for name, globs in wanted.items():
        value = sight.labels.get(name)
        if value is None:
            return _fail("labels", f"the alert has no label {name}")
        if not any(fits(glob, value) for glob in globs):
            return _fail("labels", f"label {name} is {value!r}, not {' or '.join(globs)}")
        said.append(f"label {name} is {value!r}")
    return Verdict(ok=True, signs=frozenset({"labels"}), reasons=tuple(said))


def _alert_text(pattern: str, sight: Sight) -> Verdict:
    if over_bytes(pattern).search(sight.said) is None:
        return _fail("alert_text", f"the alert does not say /{pattern}/")
    return _narrow("alert_text", f"the alert says /{pattern}/")


FIELDS: Mapping[str, Callable[[Any, Sight], Verdict]] = MappingProxyType(
    {
        "kind": _kind,
        "function": _function,
        "module": _module,
        "title": _title,
        "message": _message,
        "kernel": _kernel,
        "arch": _arch,
        "taint": _taint,
        "labels": _labels,
        "alert_text": _alert_text,
    }
)
"""How each field of a clause is held against a crash."""


def _any(clauses: tuple[Clause, ...], sight: Sight) -> Verdict:
    verdicts = [weigh(clause, sight) for clause in clauses]
    good = [verdict for verdict in verdicts if verdict.ok]
    if good:
        return max(good, key=lambda verdict: verdict.score)
    why = "; ".join(reason for verdict in verdicts for _, reason in verdict.failed)
    unknown = any(verdict.unknown for verdict in verdicts)
    return _fail("any", f"none of {len(clauses)} holds: {why}", unknown=unknown)


def _not(clause: Clause, sight: Sight) -> Verdict:
    verdict = weigh(clause, sight)
    if verdict.ok:
        return _fail("not", f"excluded, because {' and '.join(verdict.reasons) or 'it holds'}")
    if verdict.unknown:
        why = " and ".join(reason for _, reason in verdict.failed)
        return _fail("not", f"cannot be excluded: {why}", unknown=True)
    return Verdict(ok=True)
