"""What hosts have to have in common to be told the same."""

from __future__ import annotations

import pytest

from bot.runner.alike import Alike, reads


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("plain text", set()),
        ("a={{ key | quote }} b={{ value | string | default('x') }}", {"key", "value"}),
        ("{{ 'preview' if ansible_check_mode else 'apply' }}", {"ansible_check_mode"}),
        ("{{ lookup('ansible.builtin.file', 'x.sh') }}{{ facts.a['b'] }}", {"facts"}),
        ("{% if a is defined and b > 1 %}{{ c }}{% endif %}", {"a", "b", "c"}),
    ],
)
def test_what_a_template_reads_is_found_in_its_syntax(text: str, names: set[str]):
    found = reads(text)
    assert found is not None
    assert found.names == names


@pytest.mark.parametrize(
    "text",
    [
        "{{ 100 | random }}",
        "{{ lookup('pipe', 'date') }}",
        "{{ lookup('env', 'HOME') }}",
        "{{ lookup(which, 'x') }}",
        "{{ now() }}",
        "{{ name.upper() }}",
        "{{ x | my_own_filter }}",
        "{{ x is my_own_test }}",
        "{% set x = 1 %}{{ x }}",
        "{% for x in y %}{{ x }}{% endfor %}",
        "{{ broken",
    ],
)
def test_what_may_depend_on_anything_is_not_known(text: str):
    assert reads(text) is None


def alike() -> Alike:
    return Alike(lambda text: "{{" in text, lambda _, name: name != "quote")


def test_hosts_are_alike_if_all_that_is_read_is_equal_through_every_template():
    one = {"a": "{{ b }}-x", "b": "{{ c }}", "c": "1", "own": "web-01"}
    other = {**one, "own": "web-02"}
    assert alike().key(["a"], one) == alike().key(["a"], other)
    assert alike().key(["a"], one) != alike().key(["a"], {**one, "c": "2"})
    assert alike().key(["a", "own"], one) != alike().key(["a", "own"], other)


def test_texts_numbers_and_what_is_missing_are_told_apart():
    keys = [alike().key(["a"], {"a": value}) for value in ("1", 1, True, None, 1.0, "")]
    assert len({*keys, alike().key(["a"], {})}) == 7


def test_a_text_that_is_rendered_is_not_like_one_that_is_not():
    plain = Alike(lambda _: False, lambda *_: True)
    assert plain.key(["a"], {"a": "{{ b }}"}) != alike().key(["a"], {"a": "{{ b }}"})


@pytest.mark.parametrize("value", [["x"], {"x": 1}, "{{ 9 | random }}", "{{ x | quote }}"])
def test_what_cannot_be_compared_makes_nobody_alike(value: object):
    assert alike().key(["a"], {"a": value}) is None


def test_all_variables_at_once_make_nobody_alike():
    assert alike().key(["hostvars"], {"hostvars": {}}) is None
