"""Results of the runbooks' own tests as JUnit XML, as build servers take it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree as ET

from bot.runbook.trial import TestResult

ODD = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def junit(results: Sequence[TestResult]) -> str:
    """Return one suite a runbook, one case a test, with the reason and the diff of a failure."""
    root = ET.Element("testsuites", _counts(results), name="holdfast runbook test")
    for runbook, group in groupby(results, key=lambda result: result.runbook):
        mine = list(group)
        suite = ET.SubElement(root, "testsuite", _counts(mine), name=runbook)
        for result in mine:
            case = ET.SubElement(
                suite,
                "testcase",
                name=_plain(f"{result.number} {result.title}"),
                classname=runbook,
                file=_plain(result.file),
                line=str(result.line),
            )
            if not result.ok:
                failure = ET.SubElement(case, "failure", message=_plain(result.why))
                said = [f"{result.file}:{result.line}: {result.why}", *result.diff]
                failure.text = _plain("\n".join(said))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _counts(results: Sequence[TestResult]) -> dict[str, str]:
    failures = sum(not result.ok for result in results)
    return {"tests": str(len(results)), "failures": str(failures), "errors": "0"}


def _plain(text: str) -> str:
    return ODD.sub("\N{REPLACEMENT CHARACTER}", text)
