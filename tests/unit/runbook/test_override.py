from __future__ import annotations

import pytest

from bot.errors import BadInputError
from bot.runbook.load import load
from bot.runbook.model import resolved
from bot.runbook.override import override
from tests.unit.runbook.texts import GOOD, library


def test_an_overridden_variable_says_so_and_the_others_do_not():
    changed = override(library(GOOD), {"example": {"switch-off": {"value": "2"}}})
    mitigation = changed.runbooks[0].mitigations[0]
    assert resolved(mitigation) == {"key": "net.ipv4.example", "value": "2"}
    said = {name: variable.overridden for name, variable in mitigation.variables.items()}
    assert said == {"key": False, "value": True}


def test_an_override_with_the_same_value_is_none():
    changed = override(library(GOOD), {"example": {"switch-off": {"value": "0"}}})
    assert not changed.runbooks[0].mitigations[0].variables["value"].overridden


def test_the_library_that_was_given_stays_as_it_was():
    before = library(GOOD)
    override(before, {"example": {"switch-off": {"value": "2"}}})
    assert resolved(before.runbooks[0].mitigations[0])["value"] == "0"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"exampl": {}}, "unknown runbook 'exampl', did you mean 'example'?"),
        (
            {"example": {"switch-of": {}}},
            "unknown mitigation 'example.switch-of', did you mean 'example.switch-off'?",
        ),
        (
            {"example": {"switch-off": {"valuex": "2"}}},
            "unknown variable 'example.switch-off.valuex', did you mean 'example.switch-off.value'?",
        ),
        (
            {"example": {"switch-off": {"value": "9"}}},
            "example.switch-off.value: '9' is not allowed; it may be 0, 2",
        ),
        (
            {"example": {"switch-off": {"value": "{{ 1 }}"}}},
            "example.switch-off.value: '{{ 1 }}' is not a sysctl value",
        ),
        (
            {"example": {"switch-off": {"key": "a\nb"}}},
            "example.switch-off.key: 'a\\nb' is not one sysctl key",
        ),
    ],
)
def test_an_override_that_cannot_be_put_in_is_refused(overrides, said):
    with pytest.raises(BadInputError) as caught:
        override(library(GOOD), overrides)
    assert said in caught.value.what


def test_every_wrong_override_is_named_at_once():
    with pytest.raises(BadInputError) as caught:
        override(library(GOOD), {"other": {}, "example": {"switch-off": {"value": "9", "x": 1}}})
    assert caught.value.what.count(";") >= 2
    assert caught.value.exit_code == 2


def test_an_override_of_a_runbook_that_is_left_out_waits():
    found = load({"a.yml": GOOD.replace("risk: low", "risk: lwo")})
    assert override(found, {"example": {"switch-off": {"value": "2"}}}).runbooks == ()
