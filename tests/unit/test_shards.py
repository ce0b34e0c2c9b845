"""Above a run's most hosts every sort of run is cut: probes, waves, read-backs, retries, checks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bot.ports import Run
from bot.rollout.plan import shards
from bot.service import prepare
from tests.fakes import FakeHost, Night

NAMES = "abcdefg"


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    """Return a night in which a run has three hosts at most."""
    monkeypatch.setattr(prepare, "shards", partial(shards, size=3))
    monkeypatch.setattr(prepare, "SHARD", 3)
    night = Night(tmp_path / "holdfast.db", {name: FakeHost() for name in NAMES})
    night.crash("a")
    yield night
    night.close()


def runs(night: Night, kind: str) -> list[Run]:
    return [r for r in night.runs() if r.kind == kind]


def test_a_night_of_a_large_fleet_is_carried_by_small_runs(night: Night):
    night.approve()
    night.go(lambda: night.incident.hold.state == "active")
    assert [r.hosts for r in runs(night, "probe")] == [("a", "b", "c"), ("d", "e", "f"), ("g",)]
    assert len({r.ident for r in runs(night, "probe")}) == 3
    assert night.outcomes() == dict.fromkeys(NAMES, "verified")
    night.go(lambda: len([r for r in runs(night, "check") if r.state == "finished"]) == 6)
    assert {r.hosts for r in runs(night, "check")} == {r.hosts for r in runs(night, "probe")}
    for name in "cfg":
        night.fleet[name].up = False
    for name in "ad":
        night.fleet[name].value = "1"
    night.go(lambda: night.incident.hold.restores == 2)
    assert all(len(r.hosts) <= 3 for r in night.runs() if r.kind != "preview")


def test_a_probe_is_enough_only_when_its_last_run_has_ended(night: Night):
    """The first runs reach nobody who has the knob; the last one does."""
    for name in "abcdef":
        night.fleet[name].knob = False
    night.go(lambda: len(runs(night, "probe")) == 3)
    first, second, third = (r.ident for r in runs(night, "probe"))
    night.supervise(first)
    night.supervise(second)
    (request,) = night.incident.requests
    assert (request.probed, request.waiting) == (None, "")
    night.turn()
    assert len(night.runs()) == 3, "nothing else is begun meanwhile"
    night.supervise(third)
    (request,) = night.incident.requests
    assert request.probed == third
    night.go(lambda: "P-1" in night.incident.proposals)
    exposure = {
        h: row["exposure"] for h, row in night.incident.proposals["P-1"].content["hosts"].items()
    }
    assert exposure == {**dict.fromkeys("abcdef", "not_applicable"), "g": "exposed"}


def test_a_probe_of_which_one_run_was_lost_is_done_again(night: Night):
    night.go(lambda: len(runs(night, "probe")) == 3)
    first, second, third = (r.ident for r in runs(night, "probe"))
    night.store.claim_run(first, "s")
    with night.store.transaction("INC-1") as tx:
        tx.finish(first, "lost")
    night.supervise(second)
    night.supervise(third)
    assert night.incident.requests[0].probed is None
    night.go(lambda: "P-1" in night.incident.proposals)
    assert len(runs(night, "probe")) == 6
    hosts = night.incident.proposals["P-1"].content["hosts"]
    assert {row["exposure"] for row in hosts.values()} == {"exposed"}


def test_the_hosts_of_lost_runs_are_read_back_by_small_runs(night: Night):
    night.approve()
    night.go(lambda: len([r for r in runs(night, "wave") if r.state == "queued"]) == 2)
    for run in runs(night, "wave")[-2:]:
        night.supervise(run.ident, dies_after=len(run.hosts) - 1)
        with night.store.transaction("INC-1") as tx:
            tx.finish(run.ident, "lost")
            tx.wake("INC-1", night.clock.now())
    dead = {h for r in runs(night, "wave")[-2:] for h in r.hosts}
    night.go(lambda: night.state() == "done")
    reads = runs(night, "readback")
    assert {h for r in reads for h in r.hosts} == dead
    assert len(dead) > 3 >= max(len(r.hosts) for r in reads)
    assert night.outcomes() == dict.fromkeys(NAMES, "verified")
    assert all(len(host.writes) == 1 for host in night.fleet.values())
