from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.runbook.variable import Variable, check_value


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("{{ x }}", "str"),
        ("{% x %}", "str"),
        ("{# x #}", "str"),
        ("a\nb", "str"),
        ("a\x1b[31m", "str"),
        (1, "str"),
        (True, "str"),
        ("1", "int"),
        (True, "int"),
        ("true", "bool"),
        (1, "bool"),
        ("0; reboot", "sysctl_value"),
        ("$(id)", "sysctl_value"),
        ("", "sysctl_value"),
        ("0\n", "sysctl_value"),
        ("x" * 129, "sysctl_value"),
        (True, "sysctl_value"),
        ("net..ipv4", "sysctl_key"),
        ("/etc/passwd", "sysctl_key"),
        ("net.ipv4.*", "sysctl_key"),
        ("net.ipv4.tcp sack", "sysctl_key"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused(value, kind):
    with pytest.raises(ValueError, match=r"is not|holds"):
        check_value(value, kind)
    with pytest.raises(ValidationError):
        Variable.model_validate({"value": value, "type": kind})


@pytest.mark.parametrize(
    ("value", "kind", "given_as"),
    [
        ("4096 87380 6291456", "sysctl_value", "4096 87380 6291456"),
        (-1, "sysctl_value", "-1"),
        ("net/ipv4/conf/eth0.100/rp_filter", "sysctl_key", "net/ipv4/conf/eth0.100/rp_filter"),
        ("plain words, (with) $igns", "str", "plain words, (with) $igns"),
        (7, "int", 7),
        (False, "bool", False),
    ],
)
def test_a_value_of_its_type_is_given_as_that(value, kind, given_as):
    found = Variable.model_validate({"value": value, "type": kind}).resolved()
    assert found == given_as
    assert type(found) is type(given_as)


def test_an_allowed_value_must_itself_be_of_the_type():
    with pytest.raises(ValidationError, match="not a whole number"):
        Variable.model_validate({"value": 1, "type": "int", "allowed": [1, "two"]})


@given(st.text(max_size=50))
def test_no_accepted_text_holds_a_template_or_a_control_character(text):
    try:
        found = check_value(text, "str")
    except ValueError:
        return
    assert isinstance(found, str)
    assert not any(mark in found for mark in ("{{", "{%", "{#"))
    assert found.isprintable()
