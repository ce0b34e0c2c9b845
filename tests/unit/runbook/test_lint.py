from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import BadInputError
from bot.runbook.disk import read_dir
from bot.runbook.lint import lint
from bot.runbook.load import load
from bot.runbook.playbook import other_strategies
from tests.unit.runbook.texts import GOOD

ROOT = Path(__file__).parents[3]
READ = """\
- name: Read
  hosts: all
  gather_facts: false
  vars: {key: "", value: ""}
  tasks:
    - name: Look
      ansible.builtin.raw: cat {{ key | quote }}
      check_mode: false
      changed_when: false
"""
SET = READ.replace("cat", "dry={{ ansible_check_mode }} set")
PLAYBOOKS = {"pb/sysctl-read.yml": READ, "pb/sysctl-set.yml": SET, "pb/sysctl-unset.yml": SET}


def said(text: str = GOOD, **changed: str) -> list[str]:
    playbooks = {**PLAYBOOKS, **{f"pb/sysctl-{name}.yml": body for name, body in changed.items()}}
    return [str(problem) for problem in lint(load({"a.yml": text}), playbooks)]


def test_what_is_shipped_has_no_problem():
    runbooks = load(read_dir(ROOT / "runbooks"))
    assert lint(runbooks, read_dir(ROOT / "playbooks")) == []


def test_runbooks_that_fit_their_playbooks_have_no_problem():
    assert said() == []


def test_a_playbook_that_does_not_exist_is_named_with_the_nearest():
    text = GOOD.replace("playbook: sysctl-set.yml", "playbook: sysctl-ste.yml")
    assert said(text) == [
        "a.yml:10: there is no playbook 'sysctl-ste.yml', did you mean 'sysctl-set.yml'?"
    ]


def test_a_probe_that_does_not_exist_is_named():
    text = GOOD.replace("mitigations:", "applies_if: {probe: reda.yml}\nmitigations:")
    assert "a.yml:7: there is no playbook 'reda.yml'" in said(text)[0]


def test_a_variable_that_a_playbook_does_not_declare_is_named():
    text = GOOD.replace("      value: {", "      valuex: {")
    assert said(text) == [
        f"a.yml:13: sysctl-{name}.yml does not declare the variable 'valuex', did you mean 'value'?"
        for name in ("read", "set", "unset")
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("hosts: all", "hosts: web", 2, "hosts is 'web', not 'all'"),
        ("  gather_facts: false\n", "", 1, "it gathers facts on every host"),
        ("hosts: all", "hosts: all\n  strategy: free", 3, "strategy free: only linear stops at"),
        (
            "      check_mode: false",
            "      check_mode: false\n      ignore_errors: true",
            9,
            "ignore_errors makes a failure look like success",
        ),
        (
            "  tasks:",
            "  ignore_unreachable: true\n  tasks:",
            5,
            "ignore_unreachable makes a failure look like success",
        ),
        (
            "      check_mode: false\n",
            "",
            6,
            "task 'Look' cannot be previewed: a dry run skips raw",
        ),
        (
            "dry={{ ansible_check_mode }} ",
            "",
            6,
            "task 'Look' would write in a dry run: it says check_mode: false",
        ),
        ("- name: Read", "- name: [", 1, "not readable as YAML"),
    ],
)
def test_a_playbook_against_our_rules_is_named_with_its_line(old, new, line, what):
    assert old in SET
    found = said(set=SET.replace(old, new))
    assert any(text.startswith("pb/sysctl-set.yml:") and what in text for text in found)
    if "YAML" not in what:
        assert f"pb/sysctl-set.yml:{line}: {what}" in found[0]


def test_a_task_inside_a_block_is_looked_at():
    inner = "    - block:\n        - ansible.builtin.shell: echo\n          ignore_errors: true\n"
    found = said(read=READ + inner)
    assert any("ignore_errors" in text for text in found)
    assert any("a dry run skips shell" in text for text in found)


def test_a_playbook_that_is_no_list_of_plays_is_named():
    assert "pb/sysctl-set.yml:1: it is no list of plays" in said(set="hosts: all\n")


def test_ansibles_own_tags_are_read():
    assert said(read=READ.replace('value: ""', "value: !unsafe x")) == []


def test_a_directory_is_read_with_its_texts_and_without_hidden_files(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net/a.yml").write_text(GOOD)
    (tmp_path / "net/a.log").write_bytes(b"oops \xff")
    (tmp_path / ".b.yml").write_text("x")
    (tmp_path / "notes.md").write_text("x")
    found = read_dir(tmp_path)
    assert found == {f"{tmp_path}/net/a.log": "oops \ufffd", f"{tmp_path}/net/a.yml": GOOD}


def test_a_directory_that_does_not_exist_is_said():
    with pytest.raises(BadInputError, match="no such directory"):
        read_dir(Path("/nonexistent/runbooks"))


def test_a_strategy_of_a_playbook_that_only_reads_is_a_warning():
    rushed = READ.replace("hosts: all", "hosts: all\n  strategy: host_pinned")
    files = {**PLAYBOOKS, "pb/look.yml": rushed}
    found = [p for p in lint(load({"a.yml": GOOD}), files) if "strategy" in p.what]
    assert [p.warning for p in found] == [True]


def test_other_strategies_are_found_in_imported_playbooks_too():
    files = {
        "a.yml": "- import_playbook: sub/../b.yml\n- hosts: all\n  strategy: linear\n",
        "b.yml": "- hosts: all\n  strategy: free\n- import_playbook: a.yml\n",
        "c.yml": "- hosts: all\n  strategy: '{{ fast }}'\n",
    }
    assert other_strategies(files, ["a.yml"]) == ["b.yml: free"]
    assert other_strategies(files, ["c.yml"]) == ["c.yml: {{ fast }}"]
    assert other_strategies(files, ["none.yml"]) == []


def test_a_check_playbook_is_looked_for_and_needs_no_variable_of_the_mitigation():
    check = "    gate: {checks: [{title: is it well, playbook: look.yml}]}\n    risk: low"
    text = GOOD.replace("    risk: low", check)
    assert "a.yml:14: there is no playbook 'look.yml'" in said(text)[0]
    plain = READ.replace('  vars: {key: "", value: ""}\n', "").replace(" {{ key | quote }}", "")
    assert [str(p) for p in lint(load({"a.yml": text}), {**PLAYBOOKS, "pb/look.yml": plain})] == []
