"""Transports and copying by people leave the title unchanged."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.crash import read
from tests.unit.crash import golden
from tests.unit.crash.carriers import CARRIERS

_STAMPED = re.compile(r"\[ *\d+\.\d+\]")

CLEAN = {
    path.stem: log
    for path in golden.files()
    if (log := golden.split(path)[1].rstrip("\n"))
    and all(_STAMPED.match(line) for line in log.split("\n"))
}
INNER = ("syslog", "syslog 5424", "journal", "level", "dmesg -x", "dmesg -T", "caller only")
OUTER = ("quote", "fence", "html", "html twice", "crlf", "docker", "prose", "written out breaks")


def titles(text: str) -> list[str]:
    return [report.title for report in read(text)]


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("name", CLEAN)
def test_a_carrier_leaves_the_title_unchanged(name, carrier):
    log = CLEAN[name]
    assert titles(CARRIERS[carrier](log))[:1] == titles(log)[:1]


@given(
    name=st.sampled_from(sorted(CLEAN)),
    inner=st.sampled_from(INNER),
    outer=st.sampled_from(OUTER),
)
@settings(deadline=None, max_examples=100)
def test_two_carriers_one_in_the_other_leave_the_title_unchanged(name, inner, outer):
    log = CLEAN[name]
    assert titles(CARRIERS[outer](CARRIERS[inner](log)))[:1] == titles(log)[:1]


@given(
    name=st.sampled_from(sorted(CLEAN)),
    before=st.text(st.characters(blacklist_characters=":[<{"), max_size=200),
    after=st.text(st.characters(blacklist_characters=":[<{"), max_size=200),
)
@settings(deadline=None, max_examples=60)
def test_words_before_and_after_leave_the_title_unchanged(name, before, after):
    log = CLEAN[name]
    assert titles(f"{before}\n{log}\n{after}")[:1] == titles(log)[:1]


def test_a_program_that_prints_an_oops_into_syslog_is_not_the_kernel():
    log = CARRIERS["syslog"](CLEAN["sack_panic_4_15"]).replace(" kernel: ", " replay[812]: ")
    assert titles(log) == []


def test_another_programs_lines_inside_the_report_do_not_end_it():
    lines = CARRIERS["syslog"](CLEAN["sack_panic_4_15"]).split("\n")
    noise = "Jul  4 12:00:01 web-12 cron[77]: BUG: soft lockup drill"
    mixed = "\n".join(f"{line}\n{noise}" for line in lines)
    assert titles(mixed) == titles(CLEAN["sack_panic_4_15"])
