from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import BadInputError
from bot.runbook.disk import read_dir
from bot.runbook.lint import broad, lint, previewed
from bot.runbook.load import load
from bot.runbook.playbook import other_strategies, unpreviewed
from bot.runbook.weigh import Sight
from bot.runner import syntax
from tests.unit.runbook.texts import GOOD, library, negative, report

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
        (
            "      check_mode: false",
            "      check_mode: false\n      failed_when: false",
            9,
            "failed_when: false makes a failure look like success",
        ),
        (
            "  tasks:",
            "  vars_prompt: [{name: who}]\n  tasks:",
            5,
            "vars_prompt waits for somebody to type",
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


def test_a_task_that_says_that_it_cannot_be_previewed_is_believed():
    plain = SET.replace("      check_mode: false\n", "      tags: [cannot-preview]\n")
    assert said(set=plain) == []


def test_a_module_without_check_mode_is_named_unless_its_task_says_so():
    tasks = """\
- hosts: all
  gather_facts: false
  vars: {key: "", value: ""}
  tasks:
    - name: Write
      ansible.builtin.copy: {content: x, dest: /x}
    - name: Call
      site.own.call: {}
    - {name: Blind, site.own.call: {}, tags: cannot-preview}
"""
    used = previewed(load({"a.yml": GOOD}), {**PLAYBOOKS, "pb/sysctl-set.yml": tasks})
    support = {"ansible.builtin.copy": "full", "site.own.call": "none"}
    assert [str(p) for p in unpreviewed(used, support)] == [
        "pb/sysctl-set.yml:7: task 'Call' cannot be previewed: site.own.call has no check mode, "
        "use another module, or tag it cannot-preview"
    ]


def test_variables_of_probes_and_looks_are_checked_too():
    more = "applies_if: {probe: sysctl-read.yml, variables: {kye: x}}\n"
    more += "diagnose: [{title: x, playbook: sysctl-read.yml, variables: {valuue: x}}]\n"
    assert said(GOOD + more) == [
        "a.yml:19: sysctl-read.yml does not declare the variable 'kye', did you mean 'key'?",
        "a.yml:20: sysctl-read.yml does not declare the variable 'valuue', did you mean 'value'?",
    ]


def test_a_knob_that_cannot_be_set_back_wants_two_people():
    text = GOOD.replace("reversible: true\n    rollback: sysctl-unset.yml", "reversible: false")
    text += "knob: {name: x, safe: 1, scope: live, one_way: true}\n"
    assert said(text) == [
        "a.yml:8: its knob cannot be set back, and one person's yes is enough, say approvals: 2"
    ]
    assert said(text.replace("    risk:", "    approvals: 2\n    risk:")) == []


def test_a_match_that_fits_a_large_part_of_all_crashes_is_too_broad():
    books = library(
        negative("all", "{kind: bug}"),
        negative("some", "{function: example_rcv}"),
        negative("words", "{function: other, message: 'kernel BUG'}"),
    )
    names = ["example_rcv", *(f"other_{n}" for n in range(24))]
    sights = [Sight.of(report(function=name), "kernel BUG at x.c:1!") for name in names]
    assert [str(p) for p in broad(books, sights)] == [
        "rb/0.yml:4: it matches 25 of 25 sample crashes, say more of what the crash looks like",
        "rb/2.yml:4: /kernel BUG/ fits 25 of 25 sample crashes, "
        "it says nothing: take it out, or say more",
    ]
    assert broad(books, sights[:10]) == []


def test_what_is_still_to_be_written_is_a_warning():
    text = GOOD.replace("summary: Something", "summary: 'TODO: say what'")
    text = text.replace("crashes.\n", "\n", 1) + "# TODO: later\n"
    found = lint(load({"a.yml": text}), PLAYBOOKS)
    assert [str(p) for p in found] == ["a.yml:3: warning: still to be written: say what"]


def test_ansible_names_the_line_that_it_cannot_read_and_knows_check_modes(tmp_path):
    root = tmp_path / "playbooks"
    root.mkdir()
    (root / "good.yml").write_text(READ)
    assert syntax.check(root, ["good.yml"], "pb") == []
    (root / "bad.yml").write_text(READ.replace("  tasks:", "  tassks:"))
    found = syntax.check(root, ["bad.yml", "good.yml"], "pb")
    assert [(p.file, p.line, p.rule) for p in found] == [("pb/bad.yml", 5, "playbook-syntax")]
    assert "'tassks' is not a valid attribute for a Play" in found[0].what
    modes = syntax.check_modes(["ansible.builtin.copy", "ansible.builtin.raw", "no.such.one"], root)
    assert modes == {"ansible.builtin.copy": "full", "ansible.builtin.raw": "none"}
