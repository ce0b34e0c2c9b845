"""``holdfast runbook …`` in process, as a person types it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from bot.cli import main
from bot.runbook.schema import schema

ROOT = Path(__file__).parents[2]
OOPS = (ROOT / "runbooks/network/tests/tcp-sack-panic/match-1-bug.log").read_text()


@dataclass(frozen=True)
class Said:
    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oops.txt").write_text(OOPS)

    def go(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["holdfast", "runbook", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out = capsys.readouterr()
        return Said(int(ended.value.code or 0), out.out, out.err)

    return go


def test_a_new_runbook_lints_but_for_its_todos_passes_its_tests_and_matches(run):
    made = run("new", "oops.txt", "--id", "mine")
    assert made.exit_code == 0, made.stderr
    assert "note: tcp-sack-panic matches this crash already" in made.stderr
    assert Path("runbooks/new/mine.yml").is_file()
    linted = run("lint", "--no-ansible")
    assert linted.exit_code == 0
    rows = linted.stdout.splitlines()
    assert rows[-1] == "1 runbook, 0 problems, 4 warnings"
    assert all("warning: still to be written" in row for row in rows[:-1])
    assert run("test").stdout == "1 runbook, 2 passed, 0 failed\n"
    assert (
        "mine (1100): kind is bug; function is tcp_shifted_skb" in run("match", "oops.txt").stdout
    )
    again = run("new", "oops.txt", "--id", "mine")
    assert again.exit_code != 0
    assert run("new", "oops.txt", "--id", "Not An Id").exit_code != 0
    Path("calm.txt").write_text("all is well\n")
    assert (run("new", "calm.txt").exit_code, run("match", "calm.txt").exit_code) == (1, 1)


def test_a_failing_test_shows_a_diff_and_is_in_the_report(run):
    run("new", "oops.txt", "--id", "mine")
    wrong = Path("runbooks/new/tests/mine/none-wrong.log")
    wrong.write_text(OOPS)
    tested = run("test", "--junit", "out.xml", "--mutate")
    assert tested.exit_code == 1
    assert f"{wrong}:1: mine: it matches, because kind is bug" in tested.stdout
    assert "    -no match\n    +mine\n" in tested.stdout
    assert "1 failing tests left out" in tested.stdout
    assert "survives: kind dropped" in tested.stdout
    assert ET.parse("out.xml").getroot().get("failures") == "1"
    rows = json.loads(run("test", "--json").stdout)
    assert [row["ok"] for row in rows] == [True, True, False]


def test_lint_speaks_sarif_and_json(run):
    run("new", "oops.txt", "--id", "mine")
    file = Path("runbooks/new/mine.yml")
    file.write_text(file.read_text().replace("owners:", "onwers:"))
    log = json.loads(run("lint", "--format", "sarif", "--no-ansible").stdout)
    (result,) = log["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == ("unknown-key", "error")
    assert "did you mean 'owners'?" in result["message"]["text"]
    (row,) = json.loads(run("lint", "--json", "--no-ansible").stdout)
    assert (row["file"], row["line"], row["rule"]) == (str(file), 6, "unknown-key")
    assert run("lint", "--no-ansible").exit_code == 1


def test_what_is_shipped_is_listed_shown_and_described(run):
    listed = run("list")
    assert listed.exit_code == 0
    assert "tcp-sack-panic" in listed.stdout
    rows = {row["id"]: row for row in json.loads(run("list", "--json").stdout)}
    assert rows["hung-task"]["offers"] == "no knob"
    shown = run("show", "hung-task").stdout
    assert shown.startswith("# yaml-language-server: $schema=")
    assert json.loads(run("show", "hung-task", "--json").stdout)["runbook"]["id"] == "hung-task"
    assert "did you mean 'hung-task'?" in run("show", "hung-tsak").stderr
    printed = json.loads(run("schema").stdout)
    assert printed == schema()
    jsonschema.Draft202012Validator.check_schema(printed)
