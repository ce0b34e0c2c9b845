"""The counts of the headline, from the fold of real entries."""

from __future__ import annotations

from datetime import timedelta

from bot.incident.cascade import WINDOW, Pool, measure, outcomes
from bot.incident.fold import fold
from bot.incident.state import Incident, Outcome
from tests.unit.events import HOSTS, POOLS, START, Log, night


def test_an_incident_without_anything_counts_nothing():
    cascade = measure(Incident(id="INC-1"), START)
    assert cascade.sentence.startswith("0 crashed in the last 10 min · 0 down")
    assert (cascade.crashed, cascade.crashes, cascade.pools) == (0, 0, ())


def test_hosts_and_crashes_are_counted_apart():
    log = Log()
    for host in ("web-01", "web-02", "web-01", "web-01"):
        log.crash(host)
    cascade = measure(fold(log.entries), log.at)
    assert (cascade.recent, cascade.crashed, cascade.crashes) == (2, 2, 4)
    assert cascade.repeat == ("web-01",)
    assert cascade.down == ("web-01", "web-02")


def test_a_crash_leaves_the_window_after_ten_minutes_to_the_moment():
    log = Log()
    log.crash("web-01")
    incident = fold(log.entries)
    crashed = incident.crashes[0].at
    assert measure(incident, crashed + WINDOW - timedelta(milliseconds=1)).recent == 1
    assert measure(incident, crashed + WINDOW).recent == 0
    assert measure(incident, crashed + WINDOW).crashed == 1


def test_a_host_that_crashes_again_within_the_window_counts_once():
    log = Log()
    log.crash("web-01")
    log.crash("web-01", after=500)
    assert measure(fold(log.entries), log.at).recent == 1


def test_a_host_that_came_back_is_not_down_until_it_crashes_again():
    log = Log()
    log.crash("web-01")
    log.back("web-01")
    assert measure(fold(log.entries), log.at).down == ()
    log.crash("web-01")
    assert measure(fold(log.entries), log.at).down == ("web-01",)


def test_the_end_of_a_crash_alert_is_no_proof_of_life():
    log = Log()
    log.crash("web-01")
    entry = log.entries[-1]
    log.add("alert.resolved", "over", {**entry.data, "up": False})
    assert measure(fold(log.entries), log.at).down == ("web-01",)


def test_a_host_that_nobody_knows_is_counted_and_named():
    log = Log()
    log.crash("web-01")
    log.crash("rogue-9", known=False)
    cascade = measure(fold(log.entries), log.at)
    assert cascade.strangers == ("rogue-9",)
    assert cascade.crashed == 2
    assert cascade.sentence.endswith("1 unknown to the inventory")


def test_pools_say_how_many_are_up():
    log = Log()
    log.crash("web-01")
    log.crash("db-02")
    log.matched()
    log.request(1)
    log.probe(1, unreachable=["web-01", "web-03"])
    cascade = measure(fold(log.entries), log.at)
    assert cascade.pools == (
        Pool(name="db", up=len(POOLS["db"]), size=3),
        Pool(name="web", up=4, size=6),
    )
    assert cascade.down == ("web-01", "web-03")
    assert "db 3/3 up · web 4/6 up" in cascade.sentence


def test_the_numbers_agree_with_each_other_at_every_moment_of_a_night():
    entries = night()
    for length in range(1, len(entries) + 1):
        cascade = measure(fold(entries[:length]), entries[length - 1].at)
        assert cascade.recent <= cascade.crashed <= cascade.crashes
        assert len(cascade.repeat) <= cascade.crashed
        assert all(0 <= pool.up <= pool.size for pool in cascade.pools)
        assert str(len(cascade.down)) in cascade.sentence


def test_every_outcome_is_there_even_if_no_host_has_it():
    assert outcomes(Incident(id="INC-1")) == {outcome.value: 0 for outcome in Outcome}
    counts = outcomes(fold(night()))
    assert set(counts) == {outcome.value for outcome in Outcome}
    assert sum(counts.values()) == len(HOSTS)
