"""The matcher that tries every runbook: what the index has to agree with, and be faster than."""

from __future__ import annotations

from collections.abc import Mapping

from bot.crash.report import CrashReport
from bot.runbook.match import NEAR
from bot.runbook.model import Library
from bot.runbook.weigh import SCORES, WEIGHTS, Sight, weigh

Answer = tuple[list[tuple[str, int]], list[tuple[str, str]]]


def match(
    library: Library, report: CrashReport, text: str = "", labels: Mapping[str, str] | None = None
) -> Answer:
    """Return the candidates with their scores, and the near misses with their clauses."""
    sight = Sight.of(report, text, labels)
    best, near = [], []
    for runbook in library.runbooks:
        verdict = weigh(runbook.match, sight)
        if verdict.ok:
            best.append((-verdict.score, runbook.id))
        elif len(verdict.failed) == 1 and (said := verdict.signs & WEIGHTS.keys()):
            near.append((-sum(SCORES[sign] for sign in said), runbook.id, verdict.failed[0][0]))
    candidates = [(name, -score) for score, name in sorted(best)]
    return candidates, [(name, clause) for _, name, clause in sorted(near)[:NEAR]]
