from __future__ import annotations

import pytest

from bot.approval.policy import Person, may, may_start, may_write, tally
from bot.incident.state import Approval, Proposal
from tests.unit.log import START, Log

PEOPLE = {
    "dana": Person(id="dana", name="Dana", roles=frozenset({"commander"})),
    "alex": Person(id="alex", name="Alex", roles=frozenset({"approver"})),
    "sam": Person(id="sam", name="Sam", roles=frozenset({"responder"})),
}


def proposal(**changes: object) -> Proposal:
    found = Log().opened().requested().probed().proposed(**changes).fold().current
    assert found is not None
    return found


def yes(person: str, digest: str = "d" * 64) -> Approval:
    return Approval(person=person, name=person, via="cli", digest=digest, at=START)


def started() -> Proposal:
    found = Log().opened().requested().probed().proposed().started().fold().current
    assert found is not None
    return found


def test_a_commander_counts_and_a_responder_does_not():
    count = tally(proposal(), [yes("sam"), yes("dana")], PEOPLE)
    assert count.counted == ("dana",)
    assert count.complete
    assert (
        count.not_counted[0].why
        == "approve needs the role approver or commander; Sam has responder"
    )


def test_the_requester_never_counts():
    count = tally(proposal(requester="dana"), [yes("dana")], PEOPLE)
    assert not count.complete
    assert count.sentence == (
        "0 of 1: none counted; one not counted, because the requester cannot approve"
    )


def test_two_approvals_need_two_people():
    two = proposal(approvals=2)
    assert not tally(two, [yes("dana"), yes("dana")], PEOPLE).complete
    assert tally(two, [yes("dana"), yes("alex")], PEOPLE).complete


def test_a_yes_to_other_content_does_not_count():
    assert not tally(proposal(), [yes("dana", "e" * 64)], PEOPLE).complete


def test_required_zero_still_needs_one():
    assert tally(proposal(approvals=0), [], PEOPLE).required == 1


def test_a_stranger_may_only_read():
    stranger = Person(id="x", name="X")
    assert may(stranger, "read").ok
    assert not may(stranger, "note").ok
    assert not may(stranger, "no such verb").ok


@pytest.mark.parametrize("verb", ["abort", "pause", "propose", "note"])
def test_a_responder_may_stop_things_and_speak(verb):
    assert may(PEOPLE["sam"], verb).ok


@pytest.mark.parametrize("verb", ["approve", "resume", "rollback", "release", "reject"])
def test_a_responder_may_not_let_things_go(verb):
    assert not may(PEOPLE["sam"], verb).ok


def test_nothing_starts_without_enough_approvals_or_after_expiry():
    log = Log().opened().requested().probed().proposed()
    log.add("approval.given", {"proposal": "P-1", "digest": "d" * 64, "complete": True})
    found = log.fold().current
    assert found is not None
    found.approvals.clear()
    assert not may_start(found, PEOPLE, log.now).ok
    found.approvals.append(yes("dana"))
    assert may_start(found, PEOPLE, log.now).ok
    assert "expired" in may_start(found, PEOPLE, found.expires_at).sentence


def test_a_write_needs_a_started_approval_for_that_host_and_purpose():
    assert not may_write(proposal(), "a", "first").ok
    assert may_write(started(), "a", "first").ok
    assert "not on the approved list" in may_write(started(), "zz", "first").sentence
    assert "unknown purpose" in may_write(started(), "a", "because").sentence
    assert "does not approve a rollback" in may_write(started(), "a", "rollback").sentence


@pytest.mark.parametrize("kind", ["rollout.aborted", "hold.released"])
def test_authority_ends_with_abort_and_release(kind):
    log = Log().opened().requested().probed().back("a").proposed().started().done()
    log.add(kind, {"proposal": "P-1"})
    found = log.fold().current
    assert found is not None
    for purpose in ("first", "retry", "reboot", "restore"):
        assert not may_write(found, "a", purpose).ok


def test_restores_need_a_hold_that_restores():
    log = Log().opened().requested().probed()
    log.proposed(hold={"action": "alert", "interval_seconds": 30}).started()
    found = log.fold().current
    assert found is not None
    assert not may_write(found, "a", "restore").ok
    assert may_write(found, "a", "reboot").ok


def test_a_paused_or_halted_rollout_writes_nothing():
    for kind in ("rollout.paused", "rollout.halted"):
        log = Log().opened().requested().probed().proposed().started()
        log.add(kind, {"proposal": "P-1"})
        found = log.fold().current
        assert found is not None
        assert not may_write(found, "a", "first").ok
        assert not may_write(found, "a", "retry").ok
