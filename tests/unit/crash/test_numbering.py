"""Numbers in front of lines are taken off where all lines are numbered in order, nowhere else."""

from __future__ import annotations

import pytest

from bot.crash import read
from bot.crash.numbering import separator, without

LOG = """\
BUG: unable to handle kernel NULL pointer dereference at 0000000000000018
CPU: 1 PID: 812 Comm: lanectl Not tainted 6.6.8 #1
RIP: 0010:lane_retrain+0x12/0x40 [lanes]
Call Trace:
 lane_open+0x1c/0x60 [lanes]
 do_sys_open+0x1d3/0x3c0
"""


def numbered(form: str, first: int = 1) -> str:
    return "\n".join(form.format(n, line) for n, line in enumerate(LOG.split("\n"), first))


@pytest.mark.parametrize("first", [1, 997])
@pytest.mark.parametrize(
    "form", ["{:3}  {}", "{:3} {}", "{}: {}", "{}:{}", "{}| {}", "{} | {}", "{:6}\t{}", "{}. {}", "{}) {}"]
)  # fmt: skip
def test_numbered_lines_are_read_like_those_without_numbers(form, first):
    text = f"web-12 is down:\n{numbered(form, first)}\nAny idea?"
    (report,) = read(text)
    (plain,) = read(LOG)
    assert (report.title, report.signature) == (plain.title, plain.signature)
    assert report.trace == plain.trace
    assert report.start == 2


@pytest.mark.parametrize(
    "texts",
    [
        ["11: a", "12: b", "14: c", "15: d"],
        ["12: b", "12: b", "12: b"],
        ["11: a", "12| b", "13  c"],
        ["a", "12: b", "c"],
        ["11: a", "12: b"],
    ],
)
def test_lines_that_are_not_numbered_in_order_keep_their_numbers(texts):
    at = next(n for n, text in enumerate(texts) if text.startswith("12"))
    assert separator(texts, at) == ""


def test_only_the_number_and_what_stands_behind_it_are_taken_off():
    assert without("   12   lane_open+0x1", "  ") == " lane_open+0x1"
    assert without("   12\tx", "\t") == "x"
    assert without("12: x", "|") == "12: x"
    assert without("x", ": ") == "x"
