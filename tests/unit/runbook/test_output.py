from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest

from bot.runbook.junit import junit
from bot.runbook.load import load
from bot.runbook.model import Problem
from bot.runbook.rules import RULES
from bot.runbook.sarif import sarif
from bot.runbook.scaffold import scaffold
from bot.runbook.trial import TestResult, misplaced, run_tests
from tests.unit.runbook.texts import GOOD, negative, report

FACTS = """\
tests:
  - title: only the old one
    hosts:
      a: {{applicable: true, kernel: 5.1.0, crashed: true}}
      b: {{applicable: true, kernel: 5.3.0}}
      c: {{unreachable: true}}
    targets: [{targets}]
  - variables: {{key: net.ipv4.example, value: "{value}"}}
"""
RULE = "applies_if: {probe: sysctl-read.yml, not_applicable: {kernel: '>= 5.2'}}\n"


def problem(**given) -> Problem:
    return Problem(**{"file": "run books/ä.yml", "line": 3, "what": "bad", **given})


def test_sarif_has_a_rule_a_place_and_a_level_for_every_problem():
    log = sarif([problem(hint="mend it"), problem(rule="strategy", warning=True)], "1.2.3")
    assert json.loads(json.dumps(log)) == log
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == list(RULES)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        where = result["locations"][0]["physicalLocation"]
        assert where["artifactLocation"]["uri"] == "run%20books/%C3%A4.yml"
        assert where["region"] == {"startLine": 3}
    assert [r["level"] for r in run["results"]] == ["error", "warning"]
    assert run["results"][0]["message"]["text"] == "bad, mend it"


def result(**given) -> TestResult:
    return TestResult(
        **{
            "runbook": "one",
            "number": 1,
            "title": "x\x1b[31m",
            "file": "a.yml",
            "line": 2,
            "sort": "crash",
            "expect": "match",
            "ok": True,
            **given,
        }
    )


def test_junit_has_a_suite_a_runbook_and_the_diff_of_a_failure():
    found = [result(), result(number=2, ok=False, why="no", diff=("-a", "+b")), result(runbook="z")]
    root = ET.fromstring(junit(found))
    assert (root.get("tests"), root.get("failures")) == ("3", "1")
    assert [suite.get("name") for suite in root] == ["one", "z"]
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "no"
    assert failure.text == "a.yml:2: no\n-a\n+b"


def facts(targets: str = "a", value: str = "0") -> list[TestResult]:
    text = GOOD.replace("mitigations:", RULE + "mitigations:")
    found = load({"a.yml": text + FACTS.format(targets=targets, value=value)})
    assert found.problems == ()
    return run_tests(found, lambda _text: [])


def test_facts_of_a_fleet_are_held_against_the_rule_of_the_runbook():
    assert [r.why for r in facts()] == ["", ""]
    wrong = facts(targets="a, b", value="1")
    assert [r.why for r in wrong] == [
        "other targets than expected: b",
        "other variables than expected: value",
    ]
    assert wrong[0].diff == (
        "-b: a target",
        "+b: no target, not_applicable: kernel 5.3.0 is inside >= 5.2",
    )
    assert wrong[1].diff == ("-value: '1'", "+value: '0'")


def test_crash_texts_in_the_folder_of_a_runbook_are_its_tests():
    files = {
        "rb/a.yml": negative("one", "{function: example_rcv}"),
        "rb/tests/one/match-first.log": "x",
        "rb/tests/one/none_other.txt": "y",
        "rb/tests/one/notes.txt": "z",
        "rb/tests/onee/match-lost.log": "x",
    }
    found = load(files)
    results = run_tests(found, lambda text: [report()] if text == "x" else [])
    assert [(r.file, r.expect, r.ok) for r in results] == [
        ("rb/tests/one/match-first.log", "match", True),
        ("rb/tests/one/none_other.txt", "none", True),
    ]
    assert [str(p) for p in misplaced(found)] == [
        "rb/tests/one/notes.txt:1: its name does not say what is expected, "
        "call it match-….log or none-….log",
        "rb/tests/onee/match-lost.log:1: no runbook 'onee' in the folder above tests, "
        "did you mean 'one'?",
    ]


def test_a_test_file_that_is_missing_is_named():
    text = negative("one", "{kind: oom}") + "tests: [{file: lost.log, expect: match}]\n"
    assert [str(p) for p in misplaced(load({"rb/a.yml": text}))] == [
        "rb/a.yml:6: there is no test file 'rb/lost.log'"
    ]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"function": None, "module": "example"},
        {"function": None, "title": 'odd: "title" # with [signs] \u202e{{ x }}\x1b'},
        {"function": "example_rcv", "module": "nf-tables"},
    ],
)
def test_a_scaffold_loads_and_matches_the_crash_that_it_was_made_from(given):
    crash = report(**given)
    made = scaffold(crash, "RIP: example_rcv+0x1", "no", "../s.json")
    name = f"rb/{made.id}.yml"
    texts = {f"rb/tests/{made.id}/{file}": text for file, text in made.tests}
    found = load({name: made.text, **texts})
    assert found.problems == ()
    results = run_tests(found, lambda text: [crash] if "example_rcv" in text or given else [])
    assert results[0].ok


def test_the_mitigation_of_a_scaffold_is_right_once_its_marks_are_taken_out():
    made = scaffold(report(), "x", "one", "../s.json")
    lines = made.text.splitlines()
    begin = lines.index("# mitigations:")
    end = next(n for n, line in enumerate(lines) if line.startswith("# knob:"))
    whole = [line[2:] if begin <= n <= end else line for n, line in enumerate(lines)]
    text = re.sub(r"^no_knob:.*\n  reason:.*\n", "", "\n".join(whole), flags=re.MULTILINE)
    found = load({"a.yml": text})
    assert found.problems == ()
    assert found.runbooks[0].mitigations[0].playbook == "sysctl-set.yml"
