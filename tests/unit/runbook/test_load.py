from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.runbook.load import load
from bot.runbook.model import resolved
from tests.unit.runbook.texts import GOOD, negative

BAD = sorted((Path(__file__).parent / "bad").glob("*.yml"))


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_bad_runbook_is_left_out_with_its_line_and_a_hint(file):
    text = file.read_text()
    path = f"tests/unit/runbook/bad/{file.name}"
    found = load({path: text})
    assert found.runbooks == ()
    said = "\n".join(str(problem) for problem in found.problems)
    for expected in re.findall(r"^# expect: (.*)$", text, re.MULTILINE):
        # A number before the words is the line; it is compared where the test says it.
        wanted = f"{path}:{expected}" if re.match(r"\d+: ", expected) else expected
        assert wanted in said
    assert all(problem.line >= 1 for problem in found.problems)


def test_a_good_runbook_has_its_defaults():
    found = load({"a.yml": GOOD})
    assert found.problems == ()
    mitigation = found.runbooks[0].mitigations[0]
    assert mitigation.waves == (1, "100%")
    assert (mitigation.gate.max_failed, mitigation.gate.max_lost) == (0, "10%")
    assert mitigation.gate.crash_after_apply.settle == 0.0
    assert (mitigation.targets, mitigation.approvals) == ("exposed", 1)
    assert resolved(mitigation) == {"key": "net.ipv4.example", "value": "0"}


def test_a_number_as_a_sysctl_value_is_given_as_text():
    found = load({"a.yml": GOOD.replace('value: "0"', "value: 0")})
    assert resolved(found.runbooks[0].mitigations[0])["value"] == "0"


@pytest.mark.parametrize(("given_", "value"), [("7", 7), ("true", True), ("word", "word")])
def test_a_plain_scalar_stands_for_a_variable_of_its_own_type(given_, value):
    text = GOOD.replace("      key:", f"      extra: {given_}\n      key:")
    found = load({"a.yml": text})
    assert found.problems == ()
    assert resolved(found.runbooks[0].mitigations[0])["extra"] == value


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30.0), ("5m", 300.0), ("2h", 7200.0), ("1d", 86400.0)]
)
def test_durations_are_read_as_seconds(text, seconds):
    hold = f"hold: {{interval: {text}, action: alert, exit: words}}\nmitigations:"
    found = load({"a.yml": GOOD.replace("mitigations:", hold)})
    assert found.runbooks[0].hold is not None
    assert found.runbooks[0].hold.interval == seconds


def test_a_bad_file_does_not_take_the_others_down():
    found = load({"bad.yml": "id: [", "good.yml": GOOD})
    assert [runbook.id for runbook in found.runbooks] == ["example"]
    assert [problem.file for problem in found.problems] == ["bad.yml"]


def test_all_problems_of_all_files_are_reported_at_once():
    worse = GOOD.replace("risk: low", "risk: lwo").replace("title: An", "titl: An")
    found = load({"b.yml": worse, "a.yml": "id: ["})
    assert [(problem.file, problem.line) for problem in found.problems] == [
        ("a.yml", 1),
        ("b.yml", 1),
        ("b.yml", 2),
        ("b.yml", 14),
    ]


def test_of_two_runbooks_with_one_id_neither_is_used():
    found = load({"a.yml": GOOD, "b.yml": GOOD, "c.yml": negative("other", "{kind: oom}")})
    assert [runbook.id for runbook in found.runbooks] == ["other"]
    assert found.left_out == {"example"}
    assert [str(problem) for problem in found.problems] == [
        "a.yml:1: the id 'example' is also used by b.yml, neither is used: rename one",
        "b.yml:1: the id 'example' is also used by a.yml, neither is used: rename one",
    ]


def test_the_library_is_the_same_whatever_the_order_of_the_files():
    files = {"b.yml": negative("b", "{kind: oom}"), "a.yml": GOOD}
    assert load(files).runbooks == load(dict(reversed(files.items()))).runbooks


def test_other_files_are_fixtures_of_the_tests():
    text = GOOD + "tests: [{expect: match, file: logs/one.log}]\n"
    assert load({"rb/a.yml": text, "rb/logs/one.log": "words"}).problems == ()


@given(st.text(max_size=200))
def test_whatever_a_file_holds_it_is_read_or_refused_with_a_line(text):
    found = load({"any.yml": text})
    assert bool(found.problems) != bool(found.runbooks)


def test_deep_nesting_is_refused_and_not_a_crash():
    found = load({"deep.yml": "a: " + "[" * 5000})
    assert len(found.problems) == 1
