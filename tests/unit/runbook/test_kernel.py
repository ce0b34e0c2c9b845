from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.crash.machine import _BY_LINE, _ENTRIES, _REGISTERS
from bot.crash.report import TAINTS
from bot.runbook.clause import Arch, Taint
from bot.runbook.kernel import check_range, inside


@pytest.mark.parametrize(
    ("text", "release", "answer"),
    [
        ("< 5.2", "5.1.21", True),
        ("< 5.2", "5.2.0", False),
        ("<= 5.4", "5.4.250-generic", True),
        ("> 5.4", "5.4.250", False),
        ("> 5.4", "5.5", True),
        ("= 5.4", "5.4.1", True),
        ("= 5.4", "5.40.1", False),
        (">= 4.15 < 5.2", "4.15.0-50-generic", True),
        (">= 4.15, < 5.2", "5.10.0", False),
        (">=4.15<5.2", "4.4.0", False),
        ("< 4.18.0-305", "4.18.0-240.el8", True),
        ("< 4.18.0-305", "4.18.0-305.25.1.el8_4", False),
        ("< 6.8.3", "6.8-rc1", True),
        ("< 6.8", "6.10.1", False),
        ("< 5.2", "next-20260101", None),
    ],
)
def test_a_release_is_inside_or_outside(text, release, answer):
    assert inside(text, release) is answer


@pytest.mark.parametrize(
    "text", ["", " ", "5.2", "< 5", "< 5.x", "5.2 <", "~ 5.2", "< 5.2 or > 6.1"]
)
def test_what_is_no_range_is_said_with_an_example(text):
    with pytest.raises(ValueError, match=r"is no range of kernel versions: write < 5\.2"):
        check_range(text)


@pytest.mark.parametrize("text", ["< 4.9 > 5.2", "> 5.4 < 5.5", "= 5.4 = 5.5", ">= 5.2 < 5.2"])
def test_a_range_without_a_kernel_in_it_is_refused(text):
    with pytest.raises(ValueError, match="no kernel is inside"):
        check_range(text)


VERSIONS = st.lists(st.integers(0, 6), min_size=2, max_size=4)


@given(VERSIONS, st.lists(VERSIONS, min_size=1, max_size=4))
def test_a_range_that_holds_a_kernel_is_not_refused(version, others):
    bounds = []
    for other in others:
        own = [*version, 0, 0, 0, 0][: len(other)]
        sign = "<" if own < other else ">" if own > other else "="
        bounds.append(f"{sign} {'.'.join(map(str, other))}")
    assert check_range(" ".join(bounds)) == " ".join(bounds)
    assert inside(" ".join(bounds), ".".join(map(str, version)))


def test_clauses_know_the_architectures_and_taints_that_are_read():
    read = {row[0] for row in _REGISTERS} | {row[-1] for row in (*_ENTRIES, *_BY_LINE)}
    assert read <= set(get_args(Arch))
    assert get_args(Taint) == tuple(TAINTS)
