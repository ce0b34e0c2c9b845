from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from bot import crash
from bot.runbook.load import load
from bot.runbook.schema import FILE, schema
from bot.runbook.trial import run_tests

ROOT = Path(__file__).parents[3]
SHIPPED = json.loads((ROOT / "runbooks" / FILE).read_text())
VALIDATOR = jsonschema.Draft202012Validator(SHIPPED)
EXAMPLE = re.search(r"```yaml\n(.*?)```", (ROOT / "docs/runbooks.md").read_text(), re.DOTALL)
BAD = Path(__file__).parent / "bad"


def test_the_shipped_schema_is_what_the_models_say():
    assert schema() == SHIPPED
    jsonschema.Draft202012Validator.check_schema(SHIPPED)


def test_every_shipped_runbook_fits_the_schema_and_names_it():
    for file in sorted((ROOT / "runbooks").rglob("*.yml")):
        text = file.read_text()
        named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
        assert named, file
        assert (file.parent / named[1]).resolve() == ROOT / "runbooks" / FILE
        VALIDATOR.validate(yaml.safe_load(text))


def test_the_example_of_every_key_is_right_to_the_schema_to_the_loader_and_to_its_own_tests():
    assert EXAMPLE
    VALIDATOR.validate(yaml.safe_load(EXAMPLE[1]))
    text = (
        ROOT / "runbooks/network/tests/tcp-sack-panic/none-near-1-journal-precise.log"
    ).read_text()
    found = load({"rb/example-rcv.yml": EXAMPLE[1], "rb/tests/mail.txt": text})
    assert [str(problem) for problem in found.problems] == []
    results = run_tests(found, crash.read)
    assert [result.why for result in results if not result.ok] == []
    assert {result.sort for result in results} == {"crash", "targets", "variables"}
    said = set(yaml.safe_load(EXAMPLE[1])) | {"no_knob"}
    assert said == set(SHIPPED["properties"])


@pytest.mark.parametrize(
    "name",
    [
        "unknown-key-at-the-top",
        "unknown-key-in-match",
        "unknown-kind",
        "unknown-risk",
        "duration-without-a-unit",
        "waves-above-a-hundred-percent",
        "nobody-at-once",
        "playbook-outside-the-tree",
        "kernel-range-is-a-number",
        "source-is-no-url",
        "variable-pretends-to-be-overridden",
    ],
)
def test_an_editor_sees_what_the_schema_can_say(name):
    assert not VALIDATOR.is_valid(yaml.safe_load((BAD / f"{name}.yml").read_text()))
