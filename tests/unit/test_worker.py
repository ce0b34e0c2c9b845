"""The worker over the real store: whole stories with hosts that fail, vanish, die and come back."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.chat import cards, proposal_cards
from bot.errors import BadInputError, ConflictError, RefusedError, UnavailableError
from bot.rollout.gate import allowed
from bot.service import approve
from bot.service.record import record
from bot.service.report import Report
from bot.service.request import request, rollback
from tests.fakes import ALEX, DANA, EVE, EVERYBODY, FakeHost, Night
from tests.unit.runbook.texts import negative, positive

WAVE_1 = "INC-1.P-1.wave.1.1"
SOAK = os.environ.get("HOLDFAST_SOAK") == "1"
NAMES = ("a", "b", "c", "d", "e")
Begin = Callable[..., Night]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Return ``begin(a=FakeHost(...))``: a night of five hosts, of which host ``a`` crashed."""
    nights: list[Night] = []

    def make(**changes: FakeHost) -> Night:
        hosts = {name: changes.get(name, FakeHost()) for name in NAMES}
        nights.append(Night(tmp_path / "holdfast.db", hosts))
        nights[-1].crash("a")
        return nights[-1]

    yield make
    for night in nights:
        night.close()


def test_a_night_without_trouble(begin: Begin):
    night = begin(e=FakeHost(knob=False))
    night.approve()
    assert not any(host.writes for host in night.fleet.values())
    night.go(lambda: night.state() == "done")
    assert night.outcomes() == {**dict.fromkeys("abcd", "verified"), "e": "not_applicable"}
    assert [len(night.fleet[h].writes) for h in NAMES] == [1, 1, 1, 1, 0]
    night.go(lambda: night.incident.hold.state == "active")


def test_hosts_that_join_are_proposed_once_and_each_rollout_tends_its_own(begin: Begin):
    night = begin()
    night.approve()
    night.go(lambda: "INC-1.P-1.wave.1.1" in night.launcher.launched)
    night.fleet["f"] = FakeHost()
    night.sources.hosts.append("f")
    night.go(lambda: "P-2" in night.incident.proposals and night.state() == "done")
    content = night.incident.proposals["P-2"].content
    assert (list(content["hosts"]), content["requester"]) == (["f"], "holdfast")
    assert night.kinds().count("hosts.joined") == 1
    assert night.fleet["f"].writes == []
    night.approve("P-2")
    night.go(lambda: night.incident.hold.proposals == ["P-1", "P-2"])
    assert set(night.outcomes().values()) == {"verified"}
    for name in ("a", "f"):  # one of each rollout drifts
        night.fleet[name].value = "1"
        night.go(lambda name=name: night.fleet[name].value == "0")  # type: ignore[misc]
    night.crash("b")
    night.go(lambda: night.outcomes()["b"] == "verified")
    approve.release(night.site, "INC-1", DANA)
    assert night.incident.hold.state == "released"
    assert all(p.authority_ended for p in night.incident.proposals.values())
    assert night.unlawful == []
    assert night.kinds().count("hosts.joined") == 1


def test_a_proposal_for_hosts_that_joined_is_not_made_again_when_it_was_rejected(begin: Begin):
    night = begin()
    night.approve()
    night.go(lambda: night.incident.hold.state == "active")
    night.fleet["f"] = FakeHost()
    night.sources.hosts.append("f")
    night.go(lambda: "P-2" in night.incident.proposals)
    approve.reject(night.site, "P-2", DANA, "not that one")
    end = night.clock.now() + timedelta(minutes=10)
    night.go(lambda: night.clock.now() > end, seconds=700)
    assert list(night.incident.proposals) == ["P-1", "P-2"]
    assert night.fleet["f"].writes == []


@pytest.mark.parametrize("playbook", ["sysctl-set.yml", "sysctl-unset.yml"])
def test_a_mitigation_that_would_not_be_linear_is_not_proposed(begin: Begin, playbook: str):
    night = begin()
    night.sources.rushing = {playbook}
    night.go(lambda: any("runs on linear only" in line for line in night.story()))
    assert not night.incident.proposals
    assert any(f"{playbook}: free" in line for line in night.story())


def test_a_wave_that_is_lost_is_read_back_and_only_the_rest_is_written_again(begin: Begin):
    night = begin()
    night.approve()
    night.go(lambda: "INC-1.P-1.wave.3.1" in night.launcher.launched)
    night.supervise("INC-1.P-1.wave.3.1", dies_after=1)
    night.go(lambda: night.state() == "done")
    assert set(night.outcomes().values()) == {"verified"}
    kinds = night.kinds()
    assert kinds.count("wave.lost") == 1
    assert all(len(host.writes) == 1 for host in night.fleet.values())


def test_a_supervisor_that_is_gone_is_noticed_long_before_its_heartbeat_lapses(begin: Begin):
    night = begin()
    night.approve()
    night.go(lambda: WAVE_1 in night.launcher.launched)
    night.supervise(WAVE_1, dies_after=0)
    night.launcher.vanished.add(WAVE_1)
    began = night.clock.now()
    night.go(lambda: "wave.lost" in night.kinds())
    assert night.clock.now() - began < timedelta(seconds=3)


def test_a_host_that_was_cut_off_is_read_before_it_is_written_again(begin: Begin):
    """It did what it was told and went down before it could say so."""
    night = begin(c=FakeHost(manner="dies"))
    night.approve()
    night.go(lambda: night.outcomes().get("c") == "owed" and not night.fleet["c"].up)
    assert night.incident.host("c").doubt is not None
    night.fleet["c"].boot()
    night.go(lambda: set(night.outcomes().values()) == {"verified"})
    assert len(night.fleet["c"].writes) == 1
    assert night.incident.host("c").doubt is None


def test_a_host_that_was_cut_off_before_it_did_anything_is_read_and_written_again(begin: Begin):
    night = begin(c=FakeHost(manner="vanishes"))
    night.approve()
    night.go(lambda: night.outcomes().get("c") == "owed" and not night.fleet["c"].up)
    night.fleet["c"].boot()
    night.go(lambda: set(night.outcomes().values()) == {"verified"})
    first, second = night.fleet["c"].writes
    idents = [run.ident for run in night.runs()]
    between = idents[idents.index(first) : idents.index(second)]
    assert any(".readback." in ident for ident in between)


def test_a_host_that_cannot_tell_stays_unknown_and_a_person_is_asked(begin: Begin):
    night = begin(c=FakeHost(manner="dumb"))
    night.approve()
    night.go(lambda: night.state() == "halted")
    assert night.outcomes()["c"] == "unknown"
    assert "unknown: neither the run nor a read-back could tell; look at c" in night.story()[-1]
    approve.resume(night.site, "P-1", DANA)
    night.go(lambda: night.state() == "done")
    for _ in range(300):
        night.turn()
        night.carry_out()
        night.clock.sleep(1)
    assert night.outcomes()["c"] == "unknown"
    assert len(night.fleet["c"].writes) == 1


@pytest.mark.parametrize("taken", [False, True])
def test_an_abort_ends_a_supervisor_that_has_not_taken_its_run(begin: Begin, *, taken: bool):
    """One that has taken it stops by itself, and tells who was touched."""
    night = begin()
    night.approve()
    night.go(lambda: WAVE_1 in night.launcher.launched)
    if taken:
        night.store.claim_run(WAVE_1, "s")
    approve.abort(night.site, "P-1", EVE)
    night.turn()
    assert night.launcher.withdrawn == (set() if taken else {WAVE_1})


def test_a_pause_lets_the_wave_in_flight_end_and_starts_no_other(begin: Begin):
    night = begin()
    night.approve()
    night.go(lambda: WAVE_1 in night.launcher.launched)
    approve.pause(night.site, "P-1", EVE)
    approve.resume(night.site, "P-1", DANA)
    night.go(lambda: "INC-1.P-1.wave.2.1" in night.launcher.launched)
    run = night.store.claim_run("INC-1.P-1.wave.2.1", "s")
    assert run is not None
    approve.pause(night.site, "P-1", EVE)
    record(night.site, Report(run=run, raws=[night.touch(run, h, "first") for h in run.hosts]))
    for _ in range(100):
        night.turn()
        night.carry_out()
        night.clock.sleep(1)
    assert night.state() == "paused"
    assert not any(".wave.3." in r.ident for r in night.runs())
    assert all(night.outcomes()[h] == "verified" for h in run.hosts)
    approve.resume(night.site, "P-1", DANA)
    night.go(lambda: night.state() == "done")
    assert all(len(host.writes) == 1 for host in night.fleet.values())


@pytest.mark.parametrize("manner", ["well", "fails"])
def test_a_rollback_goes_in_waves_behind_a_gate_of_its_own(begin: Begin, manner: str):
    night = begin()
    night.approve()
    night.go(lambda: night.state() == "done")
    rollback(night.site, "P-1", ALEX)
    night.go(lambda: "P-2" in night.incident.proposals)
    order = night.incident.proposals["P-2"].content["waves"]["order"]
    night.fleet[order[0]].manner = manner
    with pytest.raises(RefusedError):
        approve.approve(night.site, "P-2", ALEX)
    for _ in range(50):
        night.turn()
        night.carry_out()
    assert all(len(host.writes) == 1 for host in night.fleet.values())
    approve.approve(night.site, "P-2", DANA)
    night.go(lambda: night.state("P-2") in {"done", "halted"})
    waves = [e.data["hosts"] for e in night.entries if e.kind == "wave.started"][3:]
    assert [len(hosts) for hosts in waves] == ([1, 1, 3] if manner == "well" else [1])
    undone = {h for h, outcome in night.outcomes().items() if outcome == "rolled_back"}
    assert undone == (set(NAMES) if manner == "well" else set())
    assert night.state("P-2") == ("done" if manner == "well" else "halted")
    assert night.incident.proposals["P-1"].authority_ended == "rolled back"
    assert night.unlawful == []


def test_a_refused_wave_is_carried_out_later_and_not_waited_for(begin: Begin):
    night = begin()
    night.approve()
    night.go(lambda: "INC-1.P-1.wave.1.1" in night.launcher.launched)
    night.launcher.launched.clear()
    night.launcher.error = ConflictError("its supervisor does not start")
    night.go(lambda: night.state() == "halted")
    assert not any(host.writes for host in night.fleet.values())
    assert "were not reached: the wave's run was lost" in night.story()[-1]
    night.launcher.error = None
    approve.resume(night.site, "P-1", DANA)
    night.go(lambda: night.state() == "done")
    night.go(lambda: set(night.outcomes().values()) == {"verified"})


def test_a_supervisor_that_cannot_be_started_now_is_started_later(begin: Begin):
    night = begin()
    night.launcher.error = UnavailableError("no memory")
    with pytest.raises(UnavailableError):
        night.turn()
    night.launcher.error = None
    night.go(lambda: "P-1" in night.incident.proposals)


def test_a_look_that_fails_is_repeated(begin: Begin):
    night = begin()
    night.sources.failing = UnavailableError("the disk is away")
    with pytest.raises(UnavailableError):
        night.turn()
    night.sources.failing = None
    night.clock.sleep(6)
    night.go(lambda: "P-1" in night.incident.proposals, 60)


def test_one_bad_incident_does_not_end_the_worker(begin: Begin):
    night = begin()
    night.sources.failing = ZeroDivisionError("a fault of ours")
    troubles: list[str] = []

    class Stop(threading.Event):
        def is_set(self) -> bool:
            return bool(troubles) and night.incident.match is not None

        def wait(self, timeout: float | None = None) -> bool:
            troubles.append(night.worker.trouble)
            night.sources.failing = None
            return True

    night.worker.serve(Stop())
    assert troubles == ["a fault of ours"]


def test_heartbeats_that_are_old_after_an_outage_are_no_loss(begin: Begin):
    night = begin()
    night.approve()
    night.go(lambda: "INC-1.P-1.wave.1.1" in night.launcher.launched)
    ident = "INC-1.P-1.wave.1.1"
    assert night.store.claim_run(ident, "s") is not None
    night.clock.sleep(3600)
    night.turn()
    assert night.store.beat(ident)
    for _ in range(20):
        night.clock.sleep(0.5)
        night.turn()
        assert night.store.beat(ident)
    for _ in range(40):
        night.clock.sleep(0.5)
        night.turn()
    assert night.store.run(ident).state == "lost"


@pytest.mark.parametrize("word", ["halted", "paused", "canary"])
def test_waiting_costs_no_looks(begin: Begin, word: str):
    """A bot that waits for a person, or for a run, must not look five times a second."""
    night = begin(a=FakeHost(manner="fails") if word == "halted" else FakeHost())
    night.fleet["e"].up = False
    night.approve()
    if word == "halted":
        night.go(lambda: night.state() == "halted")
    else:
        night.go(lambda: "INC-1.P-1.wave.1.1" in night.launcher.launched)
        assert night.store.claim_run("INC-1.P-1.wave.1.1", "s") is not None
    if word == "paused":
        approve.pause(night.site, "P-1", DANA)
    looks: list[str] = []
    look = night.worker.look

    def counted(incident: str) -> datetime:
        looks.append(incident)
        return look(incident)

    night.worker.look = counted  # type: ignore[method-assign]
    end = night.clock.now() + timedelta(seconds=60)
    while night.clock.now() < end:
        night.turn()
        if word != "halted":
            night.store.beat("INC-1.P-1.wave.1.1")
        night.clock.sleep(0.2)
    assert len(looks) <= 16


def test_nobody_is_written_to_while_a_wave_that_may_have_broken_its_limits_is_unjudged(
    begin: Begin,
):
    night = begin(c=FakeHost(manner="fails"), b=FakeHost(manner="well"))
    night.approve()
    night.go(lambda: "INC-1.P-1.wave.2.1" in night.launcher.launched or night.state() == "halted")
    night.go(lambda: night.state() in {"halted", "done"})
    assert night.state() == "halted"
    written = {h: len(host.writes) for h, host in night.fleet.items()}
    for _ in range(300):
        night.turn()
        night.carry_out()
        night.clock.sleep(1)
    assert {h: len(host.writes) for h, host in night.fleet.items()} == written


def test_a_second_mitigation_takes_the_hold_over_and_says_so(begin: Begin):
    night = begin()
    night.approve()
    night.go(lambda: night.incident.hold.state == "active")
    request(night.site, "INC-1", EVE)
    night.approve("P-2")
    night.go(lambda: night.state("P-2") == "running")
    assert night.incident.proposals["P-1"].authority_ended == "released"
    night.go(lambda: night.state("P-2") == "done" and night.incident.hold.state == "active")
    assert night.incident.hold.proposal == "P-2"


MANNERS = st.sampled_from(["well", "well", "well", "fails", "vanishes", "dies", "mute"])
HOSTS = st.lists(
    st.builds(FakeHost, manner=MANNERS, up=st.booleans() | st.just(True), knob=st.just(True)),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=100 if SOAK else 6,
    derandomize=not SOAK,
    phases=[Phase.generate],  # to make a failing night smaller takes longer than to read it
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(hosts=HOSTS, chance=st.randoms(use_true_random=False))
def test_whatever_the_hosts_do_the_limits_hold(hosts, chance):
    place = Path(tempfile.mkdtemp())
    fleet = {f"h{n}": host for n, host in enumerate(hosts)}
    night = Night(place / "holdfast.db", fleet)
    try:
        _play(night, chance)
    finally:
        night.close()
        shutil.rmtree(place)


def _play(night: Night, chance) -> None:
    """Play a night with restarts, lost runs, crashes and reboots; check the rules at the end."""
    night.crash("h0", up=night.fleet["h0"].up)
    for _ in range(400):
        if night.store.incidents() and "P-1" in night.incident.proposals:
            break
        _step(night, chance, sabotage=False)
        if not any(h.up for h in night.fleet.values()):
            night.fleet["h0"].boot()
    assert not any(host.writes for host in night.fleet.values())
    approve.approve(night.site, "P-1", DANA)
    down_before = {h for h, host in night.fleet.items() if not host.up}
    for _ in range(80):
        _step(night, chance, sabotage=True)
    assert night.unlawful == []
    _check_limits(night)
    assert night.state() in {"running", "halted", "done"}
    if night.state() == "halted":
        assert not _only_known_down(night, down_before)


def _step(night: Night, chance, *, sabotage: bool) -> None:
    night.turn()
    for ident in list(night.launcher.launched):
        if night.store.run(ident).state == "queued" and chance.random() < 0.8:
            dies = sabotage and chance.random() < 0.1
            night.supervise(ident, dies_after=chance.randrange(3) if dies else None)
    if chance.random() < 0.1:
        night.restart()
    if sabotage and chance.random() < 0.1:
        host = chance.choice(list(night.fleet.values()))
        if not host.up:
            host.boot()
    night.clock.sleep(chance.choice([0.1, 2, 10]))


def _check_limits(night: Night) -> None:
    """No run that was asked for after a wave broke its limits has touched any host."""
    limit = night.incident.proposals["P-1"].content["gate"]["max_failed"]
    broken = [
        e.at
        for e in night.entries
        if e.kind == "wave.finished"
        and sum(o["outcome"] == "failed" for o in e.data["outcomes"].values())
        > allowed(limit, len(e.data["outcomes"]))
    ]
    wrote = {ident for host in night.fleet.values() for ident in host.writes}
    for run in night.store.runs("INC-1"):
        assert run.queued_at is not None
        late = bool(broken) and run.queued_at > broken[0]
        assert not (late and run.ident in wrote), "\n".join(night.story())


def _only_known_down(night: Night, down: set[str]) -> bool:
    """Say whether nothing but hosts that were down before went wrong."""
    bad = [e for e in night.entries if e.kind in {"wave.lost", "run.failed"}]
    wrong = {
        host
        for e in night.entries
        if e.kind == "wave.finished"
        for host, o in e.data["outcomes"].items()
        if o["outcome"] not in {"verified", "not_applicable"}
    }
    return not bad and wrong <= down


def test_an_approved_proposal_can_be_aborted_before_it_starts(begin: Begin):
    night = begin()
    night.approve()
    assert night.state() == "approved"
    approve.abort(night.site, "P-1", EVE, "wrong fleet")
    for _ in range(5):
        night.turn()
    assert night.state() == "aborted"
    assert not any(host.writes for host in night.fleet.values())


def test_a_release_stops_the_runs_that_are_under_way(begin: Begin):
    night = begin()
    night.approve()
    night.go(lambda: night.incident.hold.state == "active")
    night.go(lambda: any(r.kind == "check" and r.state == "queued" for r in night.runs()))
    approve.release(night.site, "INC-1", DANA)
    assert all(run.state not in {"queued", "running"} or run.cancel for run in night.runs())


# Matching

EQUAL = "{kind: null-deref, function: tcp_estats_update_mss}"


def test_from_a_tie_nothing_is_proposed_until_a_person_chooses(begin: Begin):
    night = begin()
    night.sources.put(positive("other", EQUAL), positive("broad", "{kind: null-deref}"))
    night.go(lambda: night.incident.match is not None)
    for _ in range(5):
        night.turn()
        night.clock.sleep(60)
    assert not night.incident.requests
    assert not night.incident.proposals
    assert "2 runbooks match equally, nothing is proposed" in "\n".join(night.story())
    card = cards.headline(night.incident, night.clock.now())
    names = "other or tcp-estats-update-mss"
    assert ("Runbook", f"choose, they match equally: {names}") in card.fields
    assert card.lines == (f"Next: propose INC-1 RUNBOOK ({names})",)
    with pytest.raises(BadInputError, match="say which runbook"):
        request(night.site, "INC-1", DANA)
    request(night.site, "INC-1", DANA, runbook="tcp-estats-update-mss")
    night.go(lambda: "P-1" in night.incident.proposals)
    assert night.incident.proposals["P-1"].requester == "dana"


def test_a_card_shows_the_reasons_of_the_runbook_that_was_chosen_not_of_the_best(begin: Begin):
    night = begin()
    # The negative comes first; a person proposes the broader one all the same.
    exact = "{kind: null-deref, function: tcp_estats_update_mss, kernel: '< 3.15'}"
    night.sources.put(negative("first", exact))
    night.go(lambda: night.incident.match is not None)
    assert [c["runbook"] for c in (night.incident.match or {})["candidates"]] == [
        "first",
        "tcp-estats-update-mss",
    ]
    assert not night.incident.requests
    request(night.site, "INC-1", DANA, runbook="tcp-estats-update-mss")
    night.go(lambda: "P-1" in night.incident.proposals)
    proposal = night.incident.proposals["P-1"]
    fields = dict(proposal_cards.proposal_card(night.incident, proposal, EVERYBODY).fields)
    assert "function is tcp_estats_update_mss" in fields["Runbook"]
    assert "kernel" not in fields["Runbook"]


def test_the_labels_of_the_alert_narrow_the_match(begin: Begin):
    night = begin()
    night.sources.put(
        negative("here", EQUAL[:-1] + ", labels: {instance: 'a*'}}"),
        negative("there", EQUAL[:-1] + ", labels: {instance: b}}"),
    )
    night.go(lambda: night.incident.match is not None)
    match = night.incident.match or {}
    assert [c["runbook"] for c in match["candidates"]] == ["here", "tcp-estats-update-mss"]
    assert {"runbook": "there", "clause": "labels", "why": "label instance is 'a:9100', not b"} in (
        match["near"]
    )


def test_without_a_match_propose_asks_for_a_runbook_and_the_card_names_the_nearest(begin: Begin):
    night = begin()
    night.sources.clear()
    night.sources.put(negative("near", EQUAL[:-1] + ", kernel: '>= 4.4'}"))
    night.go(lambda: night.incident.match is not None)
    with pytest.raises(BadInputError, match="say which runbook"):
        request(night.site, "INC-1", DANA)
    fields = dict(cards.headline(night.incident, night.clock.now()).fields)
    assert fields["Runbook"] == (
        "none matches this crash; near just misses: kernel 3.14.27-web10g is outside >= 4.4"
    )
