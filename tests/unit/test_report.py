"""What a supervisor reports is used once; a run that may not be carried out says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.rollout.outcome import Raw
from bot.service import approve
from bot.service.record import record, refuse
from bot.service.report import Report
from tests.fakes import DANA, FakeHost, Night

WAVE = "INC-1.P-1.wave.1.1"


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """Return a night whose first wave is queued."""
    night = Night(tmp_path / "holdfast.db", {name: FakeHost() for name in "abc"})
    night.crash("a")
    night.approve()
    night.go(lambda: WAVE in night.launcher.launched)
    yield night
    night.close()


def report(night: Night) -> Report:
    run = night.store.run(WAVE)
    fact = {**night.fleet["a"].fact("a", "verify"), "safe": True, "persisted": True}
    return Report(run=run, raws=[Raw(host=h, status="ok", facts=(fact,)) for h in run.hosts])


def test_a_report_that_is_told_twice_changes_nothing(night: Night):
    night.store.claim_run(WAVE, "s")
    record(night.site, report(night))
    before = night.entries
    record(night.site, report(night))
    assert night.entries == before


def test_a_report_after_the_loss_is_noted_and_not_used(night: Night):
    night.store.claim_run(WAVE, "s")
    night.clock.sleep(60)
    for _ in range(10):
        night.turn()
        night.clock.sleep(1)
    assert "wave.lost" in night.kinds()
    record(night.site, report(night))
    record(night.site, report(night))
    kinds = night.kinds()
    assert (kinds.count("wave.late"), kinds.count("wave.finished")) == (1, 0)


def test_a_run_whose_ansible_was_killed_tells_what_it_knows_and_doubts_the_rest(tmp_path: Path):
    night = Night(tmp_path / "holdfast.db", {name: FakeHost() for name in "abcdef"})
    night.crash("a")
    night.approve()
    third = "INC-1.P-1.wave.3.1"
    night.go(lambda: third in night.launcher.launched)
    run = night.store.claim_run(third, "s")
    assert run is not None
    first, second, *rest = run.hosts
    raws = [night.touch(run, first, "first"), Raw(host=second, status="failed", message="no")]
    raws += [Raw(host=name, status="missing") for name in rest]
    told = Report(run=run, raws=raws, state="lost", trouble="its Ansible was killed")
    record(night.site, told)
    before = night.entries
    record(night.site, told)
    assert night.entries == before
    assert night.kinds()[-3:] == ["run.failed", "hosts.updated", "wave.lost"]
    assert (night.outcomes()[first], night.outcomes()[second]) == ("verified", "failed")
    assert {night.outcomes()[h] for h in rest} == {"unknown"}
    night.go(lambda: night.state() == "halted")
    assert "not verified" in night.story()[-1]
    assert not any(night.fleet[h].writes for h in rest)
    night.close()


def test_a_refused_wave_says_that_it_touched_nothing(night: Night):
    refuse(night.site, night.store.run(WAVE), "its hosts are locked")
    refuse(night.site, night.store.run(WAVE), "its hosts are locked")
    assert night.kinds()[-2:] == ["run.failed", "wave.lost"]
    assert set(night.outcomes().values()) == {"owed"}
    assert night.store.run(WAVE).state == "cancelled"


def test_a_refusal_comes_too_late_for_a_run_that_has_ended(night: Night):
    night.supervise(WAVE)
    before = night.entries
    refuse(night.site, night.store.run(WAVE), "too late")
    assert night.entries == before


def test_one_crash_after_the_value_was_set_counts_once_and_as_it_was(night: Night):
    night.go(lambda: night.state() == "done")
    night.clock.sleep(30)
    applied = night.incident.host("b").applied_at
    night.clock.sleep(30)
    night.crash("b", up=False)
    run = next(r for r in night.store.runs("INC-1") if r.kind == "wave" and "b" in r.hosts)
    crashed = night.incident.rollout
    assert crashed is not None
    (crash,) = crashed.crashed_after
    assert crash.applied_at == applied
    night.fleet["b"].boot()
    night.go(lambda: night.outcomes()["b"] == "verified")
    rollout = night.incident.rollout
    assert rollout is not None
    assert rollout.crashed_after == [crash]
    assert run.state == "finished"


def test_a_restore_is_told_although_a_check_saw_its_value_first(night: Night):
    night.go(lambda: night.incident.hold.state == "active")
    night.fleet["b"].value = "1"
    night.go(lambda: any(r.kind == "retry" for r in night.store.runs("INC-1")))
    retry = next(r for r in night.store.runs("INC-1") if r.kind == "retry")
    claimed = night.store.claim_run(retry.ident, "s")
    assert claimed is not None
    raw = night.touch(claimed, "b", "restore")
    night.go(lambda: night.outcomes()["b"] == "verified" or not night.store.beat(retry.ident))
    record(night.site, Report(run=claimed, raws=[raw]))
    assert night.incident.hold.restores == 1


def test_a_host_that_boots_a_kernel_with_the_knob_is_concerned_again(night: Night):
    """Who was counted as concerned gets the value; who was not is owed, and a proposal is made."""
    night.go(lambda: night.incident.hold.state == "active")
    host = night.fleet["b"]
    host.knob = False
    host.boot()
    night.go(lambda: night.outcomes()["b"] == "not_applicable")
    host.knob, host.persisted = True, False
    host.boot()
    night.go(lambda: night.outcomes()["b"] == "verified")
    assert night.incident.host("b").boot_id == "b-3"


def test_a_host_that_was_not_concerned_is_owed_once_it_is_and_not_written_to(tmp_path: Path):
    night = Night(tmp_path / "holdfast.db", {"a": FakeHost(), "b": FakeHost(knob=False)})
    night.crash("a")
    night.approve()
    night.go(lambda: night.incident.hold.state == "active")
    host = night.fleet["b"]
    host.knob = True
    host.boot()
    night.go(lambda: night.outcomes()["b"] == "owed")
    assert "when P-1 was made: propose again" in night.incident.host("b").reason
    began = night.clock.now()
    night.go(lambda: (night.clock.now() - began).total_seconds() > 120)
    assert (night.outcomes()["b"], host.value, host.writes) == ("owed", "1", [])
    host.knob = False
    host.boot()
    night.go(lambda: night.outcomes()["b"] == "not_applicable")
    night.close()


def test_a_host_that_failed_has_failed_on_its_next_boot_too(tmp_path: Path):
    night = Night(tmp_path / "holdfast.db", {"a": FakeHost(manner="fails"), "b": FakeHost()})
    night.crash("a")
    night.approve()
    night.go(lambda: night.state() == "halted")
    why = night.incident.host("a").reason
    night.fleet["a"].boot()
    approve.resume(night.site, "P-1", DANA)
    night.go(lambda: night.incident.host("a").boot_id == "a-2")
    assert (night.outcomes()["a"], night.incident.host("a").reason) == ("failed", why)
    night.close()
