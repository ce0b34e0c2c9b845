"""Which hosts a wave takes, and which of them may be touched now."""

from __future__ import annotations

from typing import Any

import pytest

from bot.incident.state import Incident, Proposal
from bot.rollout.plan import Traffic, blocked, order, remaining, room, spread, upcoming
from tests.unit.log import Log

HOSTS = ("a", "b", "c", "d", "e", "f")


def row(exposure: str = "exposed", **place: Any) -> dict[str, Any]:
    return {"exposure": exposure, **place}


def rollout(*, down: str = "", **waves: Any) -> tuple[Incident, Proposal]:
    """Return a started rollout over six hosts, of which the letters of ``down`` are down."""
    incident = log(down=down, **waves).fold()
    return incident, incident.proposals["P-1"]


def log(*, down: str = "", **waves: Any) -> Log:
    found = Log(HOSTS).opened().back("a").requested().probed()
    for host in down:
        found.crash(host)
    plan = {"order": list(HOSTS), "sizes": [1, 2, 3], "rule": [1, 2, "100%"], **waves}
    return found.proposed(waves=plan).started()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(None, "acbd"), ("loaded-last", "cabd"), ("loaded-first", "acbd")],
)
def test_hosts_come_by_exposure_then_by_load(rule: str | None, expected: str):
    hosts = {
        "d": row("unreachable", loaded=False),
        "b": row("unknown", loaded=False),
        "c": row(loaded=False),
        "a": row(loaded=True),
        "x": row("not_applicable", loaded=True),
    }
    assert "".join(order(hosts, rule)) == expected


def test_a_wave_takes_hosts_in_turn_over_the_racks_within_their_rank():
    racks = {"a": "r1", "b": "r1", "c": "r1", "d": "r2", "e": None, "f": "r2"}
    hosts = {h: row(loaded=h == "f", domain=rack) for h, rack in racks.items()}
    assert spread("abcdef", hosts) == list("adebcf")


def test_the_canaries_are_live_and_on_different_racks():
    hosts = {h: row(value="1", domain=f"r{n // 2}") for n, h in enumerate(HOSTS)}
    incident = (
        Log(HOSTS)
        .opened()
        .back("a")
        .requested()
        .probed()
        .crash("c")
        .proposed(
            waves={"order": list(HOSTS), "sizes": [3, 3], "rule": [3, "100%"], "spread": "rack"},
            hosts=hosts,
        )
        .started()
        .fold()
    )
    wave = upcoming(incident, incident.proposals["P-1"])
    assert wave is not None
    assert wave.hosts == ("a", "d", "e")


def test_the_cap_counts_what_other_runs_are_touching():
    incident, proposal = rollout(max_parallel=3)
    assert room(incident, proposal, HOSTS, Traffic()) == ["a", "b", "c"]
    assert room(incident, proposal, HOSTS[2:], Traffic(flying=frozenset("ab"))) == ["c"]
    assert room(incident, proposal, HOSTS[3:], Traffic(flying=frozenset("abc"))) == []


def test_no_pool_sinks_below_its_survivors_and_the_others_go_on():
    pools = {"web": ["a", "b", "c", "d"], "db": ["e", "f"]}
    incident, proposal = rollout(down="d", pools=pools, min_survivors="50%")
    assert room(incident, proposal, HOSTS, Traffic()) == ["a", "d", "e"]
    flying = Traffic(flying=frozenset("ae"), written=frozenset("ae"))
    assert room(incident, proposal, ["b", "c", "f"], flying) == []
    assert blocked(incident, proposal, HOSTS, Traffic()) is None


def test_a_host_that_is_down_or_was_hurt_may_be_touched_whatever_survives():
    incident, proposal = rollout(down="cdef", pools={"all": list(HOSTS)}, min_survivors=2)
    assert room(incident, proposal, HOSTS, Traffic()) == ["c", "d", "e", "f"]


def test_a_pool_that_can_never_spare_a_host_says_so_with_its_numbers():
    incident, proposal = rollout(down="f", pools={"web": list(HOSTS)}, min_survivors=6)
    block = blocked(incident, proposal, HOSTS[:5], Traffic())
    assert block is not None
    assert block.forever
    assert block.sentence == (
        "pool web: 5 of its 6 hosts are live and untouched or verified, and min_survivors asks "
        "for 6: no further host of it may be touched"
    )
    incident, proposal = rollout(down="f", pools={"web": list(HOSTS)}, min_survivors=5)
    block = blocked(incident, proposal, HOSTS[:5], Traffic())
    assert block is not None
    assert not block.forever


def test_what_is_left_of_a_wave_is_what_no_run_took_and_is_up():
    begun = log()
    planned = {"proposal": "P-1", "wave": 1, "run": "w1", "hosts": ["a"], "planned": list("abcd")}
    begun.add("wave.started", {**planned, "attempt": 1}).crash("b")
    incident = begun.fold()
    wave = incident.proposals["P-1"].open_wave
    assert remaining(incident, wave, busy={"c"}) == ["d"]


def test_what_a_halted_open_wave_did_not_touch_is_a_wave_again():
    begun = log(sizes=[6], rule=["100%"])
    planned = {"proposal": "P-1", "wave": 1, "run": "w1", "hosts": ["a"], "planned": list("abcd")}
    begun.add("wave.started", {**planned, "attempt": 1}).ended(1, a="failed")
    begun.add("rollout.halted", {"proposal": "P-1", "why": "1 failed"})
    begun.add("rollout.resumed", {"proposal": "P-1"})
    incident = begun.fold()
    wave = upcoming(incident, incident.proposals["P-1"])
    assert wave is not None
    assert (wave.number, wave.last, wave.hosts) == (1, True, ("b", "c", "d"))
