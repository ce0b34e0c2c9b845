"""Which runbooks are about a crash, how surely, by which lines, and which ones just miss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.crash.report import CrashReport, Line
from bot.runbook.model import Library, Runbook
from bot.runbook.weigh import Sight, Verdict, hold, weigh

NEAR = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A runbook that matches: how specifically, why, and the lines that say so.

    ``warning`` is empty unless the report itself is in doubt.
    """

    runbook: str
    score: int
    reasons: tuple[str, ...]
    evidence: tuple[Line, ...]
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """A runbook of which one clause failed and the others matched."""

    runbook: str
    clause: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """All candidates, the most specific first; equals in the order of their ids."""

    best: tuple[Candidate, ...] = ()
    near: tuple[NearMiss, ...] = ()

    @property
    def equals(self) -> tuple[str, ...]:
        """The runbooks of the best score; more than one is a choice that a person has to make."""
        return tuple(c.runbook for c in self.best if c.score == self.best[0].score)

    @property
    def choice(self) -> bool:
        """Whether a person has to choose: several candidates are equally specific."""
        return len(self.equals) > 1


def match(
    library: Library, report: CrashReport, text: str = "", labels: Mapping[str, str] | None = None
) -> Matches:
    """Match one report, the ``text`` that it was read from, and the labels of its alert.

    The answer does not depend on the order of files. A runbook that says ``no_knob`` ranks by its
    own specificity, so it stands before every broader one that offers something.
    """
    sight = Sight.of(report, text, labels)
    found = library.index.look(sight, NEAR)
    best = [_candidate(library.runbooks[place], sight) for place in found.holding]
    best.sort(key=lambda c: (-c.score, c.runbook))
    near = tuple(_miss(library.runbooks[place], failed, sight) for place, failed in found.near)
    return Matches(best=tuple(best), near=near)


def explain(
    runbook: Runbook, report: CrashReport, text: str = "", labels: Mapping[str, str] | None = None
) -> Verdict:
    """Hold one runbook against a report, whether or not others are nearer."""
    return weigh(runbook.match, Sight.of(report, text, labels))


def _candidate(runbook: Runbook, sight: Sight) -> Candidate:
    verdict = weigh(runbook.match, sight)
    lines = {line.number: line for line in (*sight.lines(verdict.words), *verdict.evidence)}
    report, warning = sight.report, ""
    if report.corrupted:
        why = report.corrupted_reason or "the text is damaged"
        warning = f"the crash report is in doubt: {why}"
    return Candidate(
        runbook=runbook.id,
        score=verdict.score,
        reasons=verdict.reasons,
        evidence=tuple(lines[number] for number in sorted(lines)),
        warning=warning,
    )


def _miss(runbook: Runbook, failed: tuple[str, Any] | None, sight: Sight) -> NearMiss:
    verdict = weigh(runbook.match, sight) if failed is None else hold(*failed, sight)
    ((clause, why),) = verdict.failed
    return NearMiss(runbook=runbook.id, clause=clause, why=why)
