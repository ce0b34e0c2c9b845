"""Transports and copying by people leave the title unchanged."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.crash import read
from tests.unit.crash import golden
from tests.unit.crash.carriers import CARRIERS, HOPELESS, LOG_DAEMONS, LOSSY, compose

_STAMPED = re.compile(r"\[ *\d+\.\d+\]")
_CALLER = re.compile(r"^\[ *\d+\.\d+\]\[ *([CT]\d+)\]", re.MULTILINE)

TWICE = "null_deref_4_15_two_consoles"
"""Each line stands there twice; equal stamps tell so, which most carriers take away or change."""

CLEAN = {
    path.stem: log
    for path in golden.files()
    if path.stem != TWICE
    and (log := golden.split(path)[1].rstrip("\n"))
    and all(_STAMPED.match(line) for line in log.split("\n"))
}
INTERLEAVED = {name for name, log in CLEAN.items() if len(set(_CALLER.findall(log))) > 1}
NAMES = st.sampled_from(sorted(CLEAN))


def titles(text: str) -> list[str]:
    return [report.title for report in read(text)]


def survives(name: str, *carriers: str) -> bool:
    """Tell whether a log can be read after these carriers: not if its CPUs are mixed up."""
    return not (name in INTERLEAVED and LOSSY.intersection(carriers))


@pytest.mark.parametrize("name", CLEAN)
def test_no_carrier_changes_the_title(name):
    """One test a log, all carriers: thirty times as many tests cost more than the reading."""
    log = CLEAN[name]
    wanted = titles(log)[:1]
    tried = {carrier: carry for carrier, carry in CARRIERS.items() if survives(name, carrier)}
    assert len(tried) >= len(CARRIERS) - len(LOSSY)
    found = {carrier: titles(carry(log))[:1] for carrier, carry in tried.items()}
    assert {carrier: title for carrier, title in found.items() if title != wanted} == {}


@pytest.mark.parametrize("seed", range(4))
def test_of_two_carriers_in_any_order_98_of_100_leave_the_title_unchanged(seed):
    chance = Random(seed)
    pairs = [(inner, outer) for inner in CARRIERS for outer in CARRIERS]
    drawn = [(chance.choice(sorted(CLEAN)), *chance.choice(pairs)) for _ in range(250)]
    tried = [
        (name, inner, outer)
        for name, inner, outer in drawn
        if (inner, outer) not in HOPELESS and survives(name, inner, outer)
    ]
    lost = [
        (name, inner, outer)
        for name, inner, outer in tried
        if titles(compose(CARRIERS[inner], CARRIERS[outer])(CLEAN[name]))[:1]
        != titles(CLEAN[name])[:1]
    ]
    assert len(lost) <= 0.02 * len(tried), lost


@pytest.mark.parametrize(("inner", "outer"), HOPELESS)
def test_a_pair_that_is_called_hopeless_loses_titles(inner, outer):
    carry = compose(CARRIERS[inner], CARRIERS[outer])
    assert any(titles(carry(log))[:1] != titles(log)[:1] for log in CLEAN.values())


@pytest.mark.parametrize("carrier", sorted(set(CARRIERS) - LOSSY))
def test_a_carrier_that_is_not_called_lossy_keeps_the_caller_ids(carrier):
    log = CLEAN["interleaved_cpus_6_6"]
    assert titles(CARRIERS[carrier](log)) == titles(log)


@given(
    name=NAMES,
    before=st.text(st.characters(blacklist_characters=":[<{"), max_size=200),
    after=st.text(st.characters(blacklist_characters=":[<{"), max_size=200),
)
@settings(deadline=None, max_examples=60)
def test_words_before_and_after_leave_the_title_unchanged(name, before, after):
    log = CLEAN[name]
    assert titles(f"{before}\n{log}\n{after}")[:1] == titles(log)[:1]


@given(name=NAMES, carrier=st.sampled_from(sorted(LOG_DAEMONS)))
@settings(deadline=None, max_examples=60)
def test_a_daemon_writes_one_line_for_each_line(name, carrier):
    log = CLEAN[name]
    carried = CARRIERS[carrier](log)
    whole = [line for line in carried.split("\n") if ",ncfrag=" not in line]
    cut = {line.split(",")[1] for line in carried.split("\n") if ",ncfrag=" in line}
    assert len(whole) + len(cut) == len(log.split("\n"))
    assert CARRIERS[carrier](log + "\n") == carried + "\n"


def test_a_program_that_prints_an_oops_into_syslog_is_not_the_kernel():
    log = CARRIERS["syslog"](CLEAN["sack_panic_4_15"]).replace(" kernel: ", " replay[812]: ")
    assert titles(log) == []


def test_another_programs_lines_inside_the_report_do_not_end_it():
    lines = CARRIERS["syslog"](CLEAN["sack_panic_4_15"]).split("\n")
    noise = "Jul  4 12:00:01 web-12 cron[77]: BUG: soft lockup drill"
    mixed = "\n".join(f"{line}\n{noise}" for line in lines)
    assert titles(mixed) == titles(CLEAN["sack_panic_4_15"])


STAMPED_ONLY = sorted(name for name in set(CLEAN) - INTERLEAVED if titles(CLEAN[name]))


@pytest.mark.parametrize("name", STAMPED_ONLY)
def test_lines_under_a_headline_that_alone_kept_its_stamp_are_its_own(name):
    log = CLEAN[name]
    report = read(log)[0]
    lines = log.split("\n")
    for at in range(report.start, report.end):
        lines[at] = CARRIERS["no prefixes"](lines[at])
    later = "[99999.000001] eth0: link becomes ready"
    assert titles("\n".join([*lines, later]))[:1] == titles(log)[:1]


def test_lines_of_programs_behind_a_headline_are_not_taken_for_its_frames():
    lines = CLEAN["sack_panic_4_15"].split("\n")
    start = read(CLEAN["sack_panic_4_15"])[0].start
    lines[start:start] = ["starting lanes: lane_open done", "mount /dev/sda1: ok"]
    assert titles("\n".join(lines)) == titles(CLEAN["sack_panic_4_15"])
