"""A rollout that a gate has stopped: what people are offered, and that each of it works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.approval.policy import Person
from bot.chat.dispatch import dispatch
from bot.chat.grammar import parse
from bot.chat.proposal_cards import proposal_card
from bot.errors import RefusedError
from bot.service.record import record
from bot.service.report import Report
from bot.timeline.entry import Actor
from tests.fakes import DANA, EVE, EVERYBODY, FakeHost, Night

ALEX = Actor(id="alex", name="Alex", via="slack")
WAVE = "INC-1.P-1.wave.1.1"


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """Return a night whose second wave failed on host b; three hosts were not touched."""
    alex = Person(id="alex", name="Alex", roles=frozenset({"approver"}))
    hosts = {name: FakeHost() for name in "abcde"} | {"b": FakeHost(manner="fails")}
    night = Night(tmp_path / "holdfast.db", hosts)
    night.site = replace(night.site, people={**EVERYBODY, "alex": alex})
    night.worker._site = night.site
    night.crash("a")
    night.approve()
    night.go(lambda: night.state() == "halted")
    yield night
    night.close()


def say(night: Night, line: str, actor: Actor = DANA) -> None:
    dispatch(night.site, parse(line), actor)


def offered(night: Night) -> dict[str, str]:
    """Return the buttons of the proposal's card: label and line."""
    card = proposal_card(night.incident, night.incident.proposals["P-1"], EVERYBODY)
    return {button.label: button.line for button in card.buttons}


def test_a_halt_says_why_and_offers_three_ways(night: Night):
    (halt,) = [e for e in night.entries if e.kind == "rollout.halted"]
    assert "1 of 1 hosts not verified (limit 0): b: read-only file system" in halt.text
    assert halt.text.endswith("Next: resume P-1 (a commander), rollback P-1 or abort P-1")
    assert offered(night) == {
        "Continue": "resume P-1",
        "Roll back": "rollback P-1",
        "Abort": "abort P-1",
    }


def test_it_goes_on_under_the_same_digest_by_one_who_may(night: Night):
    with pytest.raises(RefusedError, match="resume needs the role"):
        say(night, offered(night)["Continue"], EVE)
    with pytest.raises(RefusedError, match="continue needs the role commander; Alex has approver"):
        say(night, offered(night)["Continue"], ALEX)
    assert night.state() == "halted"
    before = night.incident.proposals["P-1"].digest
    say(night, offered(night)["Continue"])
    night.go(lambda: night.state() == "done")
    (resumed,) = [e for e in night.entries if e.kind == "rollout.resumed"]
    assert (resumed.actor.id, resumed.data["digest"]) == ("dana", before)
    assert night.outcomes() == {**dict.fromkeys("acde", "verified"), "b": "failed"}


def test_an_approver_may_still_end_a_pause(night: Night):
    say(night, offered(night)["Continue"])
    say(night, "pause P-1")
    say(night, "resume P-1", ALEX)
    assert night.state() == "running"


def test_it_is_taken_back_by_a_proposal_of_its_own(night: Night):
    say(night, offered(night)["Roll back"], ALEX)
    night.go(lambda: "P-2" in night.incident.proposals)
    assert night.state() == "halted"
    plan = night.incident.proposals["P-2"].content
    assert (plan["purpose"], set(plan["hosts"])) == ("rollback", {"a", "b"})
    with pytest.raises(RefusedError, match="the requester cannot approve"):
        say(night, "approve P-2", ALEX)
    say(night, "approve P-2")
    night.go(lambda: night.state("P-2") == "running")
    assert night.state() == "aborted"
    assert night.incident.proposals["P-1"].authority_ended == "rolled back"
    assert [night.outcomes()[h] for h in "cde"] == ["None"] * 3


def test_while_its_rollback_waits_it_can_still_go_on_and_then_ends_with_it(night: Night):
    say(night, "rollback P-1", ALEX)
    night.go(lambda: "P-2" in night.incident.proposals)
    say(night, "resume P-1")
    night.go(lambda: any(r.kind == "wave" and r.state == "queued" for r in night.runs()))
    say(night, "approve P-2")
    night.go(lambda: night.state("P-2") == "running", 20)
    assert night.state() == "aborted"
    ours = [r for r in night.runs() if r.spec.get("proposal") == "P-1"]
    assert all(r.state not in {"queued", "running"} or r.cancel for r in ours)


def test_it_is_aborted_by_any_responder(night: Night):
    say(night, offered(night)["Abort"], EVE)
    assert night.state() == "aborted"
    writes = {name: len(host.writes) for name, host in night.fleet.items()}
    for _ in range(20):
        night.turn()
        night.carry_out()
        night.clock.sleep(5)
    assert {name: len(host.writes) for name, host in night.fleet.items()} == writes


@pytest.mark.parametrize(("paused", "state"), [(False, "halted"), (True, "aborted")])
def test_a_run_that_left_its_hosts_stops_everything(tmp_path: Path, paused: bool, state: str):
    night = Night(tmp_path / "holdfast.db", {name: FakeHost() for name in "abc"})
    night.crash("a")
    night.approve()
    night.go(lambda: WAVE in night.launcher.launched)
    run = night.store.claim_run(WAVE, "s")
    assert run is not None
    if paused:
        say(night, "pause P-1")
    raws = [night.touch(run, host, "first") for host in run.hosts]
    record(night.site, Report(run=run, raws=raws, strangers=["x-1", "x-2"]))
    assert night.state() == state
    said = night.entries[-1]
    assert "BREACH: run INC-1.P-1.wave.1.1 reached 2 hosts that are not on its list" in said.text
    assert said.data["strangers"] == ["x-1", "x-2"]
    night.close()


def test_a_dry_run_that_left_its_hosts_makes_no_proposal(tmp_path: Path):
    night = Night(tmp_path / "holdfast.db", {name: FakeHost() for name in "abc"})
    night.crash("a")
    night.go(lambda: any(".preview." in ident for ident in night.launcher.launched))
    run = night.store.claim_run("INC-1.preview.1.1", "s")
    assert run is not None
    raws = [night.touch(run, host, "") for host in run.hosts]
    record(night.site, Report(run=run, raws=raws, strangers=["x-1"]))
    assert "BREACH" in night.entries[-1].text
    assert night.incident.requests[0].previewed is None
    night.close()
