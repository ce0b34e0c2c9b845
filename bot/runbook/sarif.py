"""Problems in SARIF 2.1.0, as code hosts and editors take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from bot.runbook.model import Problem
from bot.runbook.rules import RULES

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def sarif(problems: Sequence[Problem], version: str) -> dict[str, Any]:
    """Return one SARIF log with one run; ``version`` is the program's."""
    names = list(RULES)
    rules = [
        {"id": name, "shortDescription": {"text": what}, "defaultConfiguration": {"level": "error"}}
        for name, what in RULES.items()
    ]
    driver = {"name": "holdfast runbook lint", "version": version, "rules": rules}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(problem, names.index(problem.rule)) for problem in problems],
            }
        ],
    }


def _result(problem: Problem, place: int) -> dict[str, Any]:
    said = f"{problem.what}, {problem.hint}" if problem.hint else problem.what
    where = {
        "artifactLocation": {"uri": quote(problem.file, safe="/-._~")},
        "region": {"startLine": problem.line},
    }
    return {
        "ruleId": problem.rule,
        "ruleIndex": place,
        "level": "warning" if problem.warning else "error",
        "message": {"text": said},
        "locations": [{"physicalLocation": where}],
    }
