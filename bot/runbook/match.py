"""Which runbooks are about a crash, how surely, by which lines, and which ones just miss."""

from __future__ import annotations

from dataclasses import dataclass

from bot.crash.report import CrashReport, Line
from bot.runbook.model import Library, Runbook
from bot.runbook.weigh import Sight, Verdict, weigh

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
    def choice(self) -> bool:
        """Whether a person has to choose: several candidates are equally specific."""
        return len(self.best) > 1 and self.best[0].score == self.best[1].score


def match(library: Library, report: CrashReport, text: str = "") -> Matches:
    """Match one report, and the ``text`` that it was read from, against every runbook.

    The answer does not depend on the order of files. A runbook that says ``no_knob`` ranks by its
    own specificity, so it stands before every broader one that offers something.
    """
    sight = Sight.of(report, text)
    best: list[Candidate] = []
    near: list[tuple[int, NearMiss]] = []
    warning = ""
    if report.corrupted:
        why = report.corrupted_reason or "the text is damaged"
        warning = f"the crash report is in doubt: {why}"
    for runbook in library.runbooks:
        verdict = weigh(runbook.match, sight)
        if verdict.ok:
            best.append(_candidate(runbook, verdict, sight, warning))
        elif verdict.score and len(verdict.failed) == 1:
            clause, why = verdict.failed[0]
            near.append((verdict.score, NearMiss(runbook=runbook.id, clause=clause, why=why)))
    best.sort(key=lambda c: (-c.score, c.runbook))
    near.sort(key=lambda pair: (-pair[0], pair[1].runbook))
    return Matches(best=tuple(best), near=tuple(miss for _, miss in near[:NEAR]))


def _candidate(runbook: Runbook, verdict: Verdict, sight: Sight, warning: str) -> Candidate:
    lines = {line.number: line for line in (*sight.lines(verdict.words), *verdict.evidence)}
    return Candidate(
        runbook=runbook.id,
        score=verdict.score,
        reasons=verdict.reasons,
        evidence=tuple(lines[number] for number in sorted(lines)),
        warning=warning,
    )
