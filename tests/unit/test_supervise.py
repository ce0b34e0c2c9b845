"""The supervisor: what it refuses, what it stops, and what it says when it breaks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.config import FleetPart
from bot.errors import ConflictError, UnavailableError
from bot.ports import Run
from bot.runner import ansible, launch, supervise
from bot.runner.leash import Lease
from bot.service import approve
from tests.fakes import DANA, FakeHost, Night

WAVE = "INC-1.P-1.wave.1.1"
FLEET = FleetPart(inventory="unused")


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """Return a night whose first wave is queued."""
    night = Night(tmp_path / "holdfast.db", {name: FakeHost() for name in "abc"})
    night.crash("a")
    night.approve()
    night.go(lambda: WAVE in night.launcher.launched)
    yield night
    night.close()


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[ansible.Job]:
    """Put a note in place of Ansible, and a pinned site in place; return the jobs that began."""
    begun: list[ansible.Job] = []

    def run(job: ansible.Job, results: ansible.Results, lease: Lease) -> str:
        begun.append(job)
        return "successful"

    monkeypatch.setattr(ansible, "run", run)
    monkeypatch.setattr(supervise, "lay_out", lambda *_: None)
    return begun


def locks(night: Night) -> set[str]:
    return set(night.store.lock_hosts("another", ["a", "b", "c"], 1))


def test_a_run_is_carried_out_and_its_locks_are_given_back(
    night: Night, begun: list[ansible.Job], tmp_path: Path
):
    old = tmp_path / "state" / "runs" / WAVE / "project" / "of-another-database.yml"
    old.parent.mkdir(parents=True)
    old.touch()
    assert supervise.supervise(night.site, FLEET, tmp_path / "state", WAVE, "s")
    assert not supervise.supervise(night.site, FLEET, tmp_path / "state", WAVE, "s")
    assert len(begun) == 1
    assert not old.exists()
    assert locks(night) == set()


def test_nothing_is_begun_after_an_abort(night: Night, begun: list[ansible.Job], tmp_path: Path):
    approve.abort(night.site, "P-1", DANA)
    assert not supervise.supervise(night.site, FLEET, tmp_path / "state", WAVE, "s")
    assert begun == []


def test_an_abort_while_it_waits_for_its_hosts_stops_it(
    night: Night, begun: list[ansible.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert night.store.lock_hosts("another", ["a", "b", "c"], 1000) == {}
    monkeypatch.setattr(night.clock, "sleep", lambda _: approve.abort(night.site, "P-1", DANA))
    assert supervise.supervise(night.site, FLEET, tmp_path / "state", WAVE, "s")
    assert begun == []
    assert night.store.run(WAVE).state == "cancelled"


def test_an_authority_that_ended_while_it_waited_is_asked_again(
    night: Night, begun: list[ansible.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The approval is asked when the hosts are locked, not before the wait for them."""
    assert night.store.lock_hosts("another", ["a", "b", "c"], 1000) == {}

    def end(_: float) -> None:
        night.store.unlock_hosts("another")
        approve.pause(night.site, "P-1", DANA)

    monkeypatch.setattr(night.clock, "sleep", end)
    assert supervise.supervise(night.site, FLEET, tmp_path / "state", WAVE, "s")
    assert begun == []
    assert "P-1 is paused" in night.story()[-2]
    assert locks(night) == set()


def test_a_run_whose_hosts_another_incident_touches_waits_and_then_names_its_run(
    night: Night, begun: list[ansible.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hosts = night.store.run(WAVE).hosts
    assert night.store.lock_hosts("INC-7.P-9.wave.2.1", hosts, 1000) == {}
    waits: list[float] = []
    monkeypatch.setattr(night.clock, "sleep", waits.append)
    assert supervise.supervise(night.site, FLEET, tmp_path / "state", WAVE, "s")
    assert begun == []
    assert sum(waits) == pytest.approx(supervise.PATIENCE)
    said = f"{hosts[0]} is locked by run INC-7.P-9.wave.2.1"
    assert any(said in line for line in night.story())
    assert locks(night) == set(hosts)


def test_two_incidents_take_turns_on_a_host(
    night: Night, begun: list[ansible.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hosts = night.store.run(WAVE).hosts
    assert night.store.lock_hosts("INC-7.P-9.wave.2.1", hosts, 1000) == {}
    let_go = [lambda: None, lambda: night.store.unlock_hosts("INC-7.P-9.wave.2.1")]
    monkeypatch.setattr(night.clock, "sleep", lambda _: let_go.pop(0)())
    assert supervise.supervise(night.site, FLEET, tmp_path / "state", WAVE, "s")
    assert let_go == []
    assert [set(job.inventory["all"]["hosts"]) for job in begun] == [set(hosts)]


def test_an_abort_before_ansible_is_up_begins_nothing(
    night: Night, begun: list[ansible.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def slow(*_: object) -> None:
        approve.abort(night.site, "P-1", DANA)
        time.sleep(3 * supervise.BEAT)

    monkeypatch.setattr(supervise, "lay_out", slow)
    assert supervise.supervise(night.site, FLEET, tmp_path / "state", WAVE, "s")
    assert begun == []
    assert night.store.run(WAVE).state == "cancelled"


def test_a_run_that_breaks_is_reported_at_once(
    night: Night, begun: list[ansible.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def breaks(*_: object) -> str:
        raise ValueError("no such thing")

    monkeypatch.setattr(ansible, "run", breaks)
    assert supervise.supervise(night.site, FLEET, tmp_path / "state", WAVE, "s")
    assert night.kinds()[-2:] == ["run.failed", "wave.lost"]
    assert "it broke: no such thing" in night.story()[-2]
    assert "unknown" in night.outcomes().values()


def test_a_supervisor_that_never_takes_its_run_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(launch, "PACE", 0.0)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    launcher = launch.Launcher(tmp_path / "holdfast.yml", tmp_path)
    with pytest.raises(ConflictError, match=f"started {launch.STARTS} times"):
        for _ in range(1000):
            launcher.launch(Run(ident="x", incident="INC-1", kind="probe", hosts=()))
            time.sleep(0.01)
    launcher.close()
    assert [path.name for path in (tmp_path / "log").iterdir()] == ["forkserver.log"]


def test_a_supervisor_that_cannot_be_started_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    launcher = launch.Launcher(tmp_path / "holdfast.yml", tmp_path)
    with pytest.raises(UnavailableError, match="no supervisor can be started"):
        launcher.launch(Run(ident="x", incident="INC-1", kind="probe", hosts=()))


@pytest.mark.parametrize("value", ["NaN", '"\\ud800"', "[" * 5000])
def test_an_answer_that_cannot_be_kept_is_no_answer(value: str):
    results = ansible.Results()
    line = f'{ansible.MARK} 1, "phase": "verify", "value": {value}}}'
    said = {"host": "a", "res": {"stdout": line, "msg": "\ud800"}}
    results.take({"event": "runner_on_ok", "event_data": said})
    (raw,) = results.raws(["a"])
    assert raw.facts == ()
    assert raw.message.startswith("unreadable answer")
    assert raw.message.encode()
