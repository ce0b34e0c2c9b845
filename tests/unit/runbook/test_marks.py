from __future__ import annotations

import pytest

from bot.runbook.load import load
from bot.runbook.marks import LARGEST, MarkedError, read


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("id: x\nmatch:\n\tkind: bug\n", 3, "a tab is used to indent"),
        ("id: x\ntitle: \udcff\n", 2, "the byte 0xff is no UTF-8"),
        ("id: x\n\x00", 2, "the control character U+0000"),
        ("id: x\n---\nid: y\n", 2, "a second document"),
        ("a: &a [x]\nb:\n  - *a\n", 3, "aliases"),
        ("a: &a [*a]\n", 1, "aliases"),
        ("x: 1\ntitle: a: b\n", 2, "mapping values are not allowed"),
        ('id: x\ntitle: "abc\n\nb: 1\n', 2, "unexpected end"),
        ("# nothing\n", 1, "the file is empty"),
        ("a: " + "[" * 100_000, 1, "nested too deeply"),
        ("a: !!python/object:os.system x\n", 1, "the tag"),
        ("a: !!str 1\n", 1, "the tag"),
        ("a: " + "x" * LARGEST, 1, "is larger than 256 KiB"),
        ("a:\n" + "- 1\n" * 60_000, 50_000, "more than 50,000 parts"),
        ("? [a, b]\n: 1\n", 1, "a key has to be a word"),
        ("<<: {a: 1}\n", 1, "a key has to be a word"),
        ("a: 2024-02-31\n", 1, "day is out of range"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(text, line, what):
    with pytest.raises(MarkedError) as refused:
        read(text)
    assert what in refused.value.what
    assert refused.value.line == line


def test_words_that_yaml_takes_for_something_else_are_named_as_they_stand():
    text = "id: no\ntitle: 5.10\nsummary: 2024-01-01\nowners: [12:30]\nmatch: {kind: bug}\n"
    said = "\n".join(map(str, load({"a.yml": text}).problems))
    assert "a.yml:1: 'id' is no (a truth value to YAML), not text, put quotes around it" in said
    assert "a.yml:2: 'title' is 5.10 (a number to YAML), not text" in said
    assert "a.yml:3: 'summary' is 2024-01-01 (a date to YAML), not text" in said
    assert "a.yml:4: 12:30 is 750 to YAML" in said


def test_a_variable_that_yaml_takes_for_a_truth_value_is_a_problem():
    text = "mitigations:\n  - variables: {value: off, n: 010}\n"
    said = "\n".join(map(str, load({"a.yml": text}).problems))
    assert "a.yml:2: 'mitigations.variables.value': off is false to YAML" in said
    assert "a.yml:2: 010 is 8 to YAML" in said


def test_a_key_given_twice_names_both_lines_and_the_first_counts():
    found = read("a: 1\nb: 2\na: {c: 3}\n")
    assert found.data == {"a": 1, "b": 2}
    assert [(p.line, p.what) for p in found.problems] == [(3, "'a' is given twice (line 1)")]


def test_a_playbook_may_have_aliases_and_tags_but_not_without_limit():
    text = "- vars: &v {a: 1}\n- vars: {<<: *v, b: 2}\n- vars: *v\n- x: !vault secret\n"
    data = read(text, playbook=True).data
    assert data[1:] == [{"vars": {"a": 1, "b": 2}}, {"vars": {"a": 1}}, {"x": "secret"}]
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for n in range(1, 9):
        bomb += f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n"
    with pytest.raises(MarkedError, match="more than 50,000 parts"):
        read(bomb, playbook=True)
    with pytest.raises(MarkedError, match="no anchor &nowhere"):
        read("a: *nowhere\n", playbook=True)
