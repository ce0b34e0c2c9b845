"""What a run's raw result says about one host: judged purely, nothing guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.incident.state import Host, Outcome, Proposal
from bot.rollout.outcome import (
    Raw,
    applied,
    concerned,
    exposure,
    read_back,
    read_back_undone,
    rolled_back,
)

AT = "2026-01-01T00:00:00+00:00"
STATUSES = ("ok", "failed", "unreachable", "missing")


def fact(phase: str, **changes: Any) -> dict[str, Any]:
    """Return the line that a host prints when all is well."""
    good = {
        "holdfast": 1,
        "phase": phase,
        "applicable": True,
        "value": "0",
        "wanted": "0",
        "safe": True,
        "persisted": True,
        "boot_id": "b1",
        "kernel": "6.1.0",
        "reason": "",
    }
    return {**good, **changes}


def raw(status: str, *facts: dict[str, Any], message: str = "") -> Raw:
    return Raw(host="web-01", status=status, facts=facts, message=message, at=AT)


WRITE, READ = fact("apply"), fact("verify")
GONE = {"applicable": False, "value": None, "safe": False, "reason": "this kernel has no such knob"}


def test_a_write_that_may_have_been_done_leaves_the_host_in_doubt():
    assert applied(raw("unreachable")).doubt
    assert applied(raw("missing")).doubt
    assert applied(raw("broken", WRITE)).doubt
    assert rolled_back(raw("unreachable")).doubt
    refused = Raw(host="web-01", status="unreachable", untouched=True)
    assert (applied(refused).outcome, applied(refused).doubt) == (Outcome.OWED, False)
    assert not applied(raw("ok", WRITE, READ)).doubt
    assert not applied(raw("failed", WRITE)).doubt


def test_only_a_separate_read_back_makes_a_host_verified():
    seen = applied(raw("ok", WRITE, READ))
    assert seen.outcome is Outcome.VERIFIED
    assert (seen.value, seen.boot_id, seen.kernel, seen.seen_at) == ("0", "b1", "6.1.0", AT)
    assert applied(raw("ok", WRITE)).outcome is Outcome.UNKNOWN


def test_a_value_that_would_be_lost_at_the_next_boot_is_only_applied():
    loose = fact("verify", persisted=False, reason="a later file sets it back")
    seen = applied(raw("ok", WRITE, loose))
    assert seen.outcome is Outcome.APPLIED
    assert seen.reason == "live value set, lost at the next boot: a later file sets it back"


def test_a_read_back_that_disagrees_is_failed_and_says_both_values():
    seen = applied(raw("ok", WRITE, fact("verify", safe=False, value="1")))
    assert (seen.outcome, seen.reason) == (Outcome.FAILED, "read back 1, wanted 0")


def test_a_host_without_the_knob_is_not_failed():
    for facts in ([fact("apply", **GONE)], [fact("apply", **GONE), fact("verify", **GONE)]):
        seen = applied(raw("ok", *facts))
        assert seen.outcome is Outcome.NOT_APPLICABLE
        assert seen.reason == "this kernel has no such knob"


def test_a_host_that_never_answered_is_owed_and_one_that_died_after_its_write_is_unknown():
    gone = applied(raw("unreachable", message="No route to host"))
    assert (gone.outcome, gone.reason, gone.unreachable) == (Outcome.OWED, "No route to host", True)
    assert applied(raw("unreachable", WRITE)).outcome is Outcome.UNKNOWN


def test_a_host_without_any_event_is_unknown_not_owed():
    assert applied(raw("missing")).outcome is Outcome.UNKNOWN


def test_a_failed_task_is_failed_with_ansibles_words():
    seen = applied(raw("failed", message="read-only file system"))
    assert (seen.outcome, seen.reason) == (Outcome.FAILED, "read-only file system")


def test_a_read_back_before_the_host_died_still_is_no_proof():
    assert applied(raw("unreachable", WRITE, READ)).outcome is not Outcome.VERIFIED
    assert applied(raw("failed", WRITE, READ)).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("status", "facts", "kind", "unreachable"),
    [
        ("ok", [fact("probe")], "exposed", None),
        ("ok", [fact("probe", **GONE)], "not_applicable", None),
        ("unreachable", [], "unreachable", True),
        ("failed", [], "unknown", False),
        ("missing", [], "unknown", False),
        ("ok", [], "unknown", False),
    ],
)
def test_a_probe_says_who_has_the_knob(
    status: str, facts: list[dict[str, Any]], kind: str, unreachable: bool | None
):
    seen = exposure(raw(status, *facts))
    assert seen["exposure"] == kind
    assert seen.get("unreachable") == unreachable
    assert kind == "exposed" or seen["reason"]


def test_a_probe_calls_a_host_safe_only_if_the_value_also_persists():
    assert exposure(raw("ok", fact("probe")))["safe"] is True
    assert exposure(raw("ok", fact("probe", persisted=False)))["safe"] is False


def test_a_rollback_is_proved_by_its_own_answer():
    back = fact("rollback", value="1", wanted="1", persisted=False)
    seen = rolled_back(raw("ok", back))
    assert (seen.outcome, seen.value, seen.seen_at) == (Outcome.ROLLED_BACK, "1", AT)
    assert rolled_back(raw("failed", back, message="refused")).outcome is Outcome.FAILED
    assert rolled_back(raw("unreachable")).outcome is Outcome.OWED
    assert rolled_back(raw("missing")).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("before", [*Outcome, None])
def test_a_value_that_is_read_back_is_believed_whatever_was_thought(before: Outcome | None):
    host = Host(name="web-01", outcome=before)
    good = read_back(raw("ok", READ), host)
    assert good is not None
    assert good.outcome is Outcome.VERIFIED
    lost = read_back(raw("ok", fact("verify", safe=False, value="1")), host)
    assert lost is not None
    assert (lost.outcome, lost.reason) == (Outcome.OWED, "the value is 1, not 0")
    none = read_back(raw("ok", fact("verify", **GONE)), host)
    assert none is not None
    assert none.outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Outcome.UNKNOWN, Outcome.OWED),
        (Outcome.VERIFIED, Outcome.VERIFIED),
        (Outcome.APPLIED, Outcome.APPLIED),
    ],
)
def test_silence_turns_unknown_into_owed_and_takes_nothing_else_back(
    before: Outcome, after: Outcome
):
    seen = read_back(raw("unreachable"), Host(name="web-01", outcome=before))
    assert seen is not None
    assert (seen.outcome, seen.unreachable) == (after, True)


@pytest.mark.parametrize("before", [Outcome.OWED, Outcome.FAILED, Outcome.NOT_APPLICABLE, None])
def test_silence_of_other_hosts_is_no_news(before: Outcome | None):
    assert read_back(raw("unreachable"), Host(name="web-01", outcome=before)) is None


@pytest.mark.parametrize("status", ["ok", "failed", "missing"])
def test_a_read_without_an_answer_changes_nothing(status: str):
    assert read_back(raw(status), Host(name="web-01", outcome=Outcome.VERIFIED)) is None


def test_after_a_rollback_the_value_is_to_be_gone():
    host = Host(name="web-01", outcome=Outcome.UNKNOWN)
    gone = fact("verify", safe=False, persisted=False, value="1")
    undone = read_back_undone(raw("ok", gone), host)
    assert undone is not None
    assert undone.outcome is Outcome.ROLLED_BACK
    kept = read_back_undone(raw("ok", READ), host)
    assert kept is not None
    assert (kept.outcome, kept.reason) == (Outcome.OWED, "it still has the value")
    silent = read_back_undone(raw("unreachable"), host)
    assert silent is not None
    assert (silent.outcome, silent.reason) == (
        Outcome.OWED,
        "could not be read back: unreachable",
    )


def test_a_value_that_comes_back_at_the_next_boot_is_not_rolled_back():
    """Neither owed without end nor vanished: what a rollback could not remove has failed."""
    stays = raw("ok", fact("verify", safe=False, persisted=True, value="1"))
    owed = read_back_undone(stays, Host(name="web-01", outcome=Outcome.UNKNOWN))
    assert owed is not None
    assert (owed.outcome, "still persisted" in owed.reason) == (Outcome.OWED, True)
    before = Host(name="web-01", outcome=Outcome.UNKNOWN, partly=True, reason="cannot remove it")
    for read in (stays, raw("ok", READ)):
        failed = read_back_undone(read, before)
        assert failed is not None
        assert failed.outcome is Outcome.FAILED
        assert failed.reason.startswith("cannot remove it; ")
    done = read_back_undone(raw("ok", fact("verify", safe=False, persisted=False)), before)
    assert done is not None
    assert done.outcome is Outcome.ROLLED_BACK


def test_who_was_not_concerned_is_judged_by_the_runbooks_rule():
    rule = {
        "not_applicable": {"applicable": False, "kernel": [">= 6.12"]},
        "exposed": {"applicable": True},
    }
    mended = {"not_applicable": {"kernel": [">= 6.12"]}, "exposed": {"applicable": True}}
    host = Host(name="web-01", outcome=Outcome.NOT_APPLICABLE)
    for said, kernel, word in (
        (rule, "6.12.9", Outcome.OWED),
        (mended, "6.12.9", Outcome.NOT_APPLICABLE),
        (mended, "6.1.0", Outcome.OWED),
        (None, "6.1.0", Outcome.NOT_APPLICABLE),
    ):
        answer = raw("ok", fact("verify", safe=False, value="1", kernel=kernel))
        seen = read_back(answer, host)
        assert seen is not None
        assert concerned(answer, seen, proposal(said)).outcome is word


def proposal(rule: Any) -> Proposal:
    """Return a proposal with a rule of who is concerned."""
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return Proposal(
        id="P-1",
        digest="d",
        content={"concerned": rule},
        requester="holdfast",
        made_at=when,
        expires_at=when,
    )


@given(
    st.sampled_from(STATUSES),
    st.lists(
        st.builds(
            lambda phase, applicable, safe, persisted: fact(
                phase, applicable=applicable, safe=safe, persisted=persisted
            ),
            st.sampled_from(["probe", "apply", "verify", "preview", "rollback", "odd"]),
            st.booleans(),
            st.booleans(),
            st.booleans(),
        ),
        max_size=4,
    ),
)
def test_verified_always_rests_on_the_last_read_back(status: str, facts: list[dict[str, Any]]):
    seen = applied(raw(status, *facts))
    reads = [f for f in facts if f["phase"] == "verify"]
    if seen.outcome is Outcome.VERIFIED:
        assert status == "ok"
        assert reads[-1]["safe"]
        assert reads[-1]["persisted"]
    if seen.outcome is Outcome.OWED:
        assert status == "unreachable"
        assert not [f for f in facts if f["phase"] == "apply"]
    assert seen.as_dict()["outcome"] == seen.outcome.value


def test_what_failed_after_the_host_was_changed_is_unknown_until_it_is_read_back():
    partly = applied(
        raw("failed", fact("apply", changed=True, safe=False), message="no space left")
    )
    assert (partly.outcome, partly.partly) == (Outcome.UNKNOWN, True)
    assert partly.reason == "partly applied, to be read back: no space left"
    module = Raw(host="web-01", status="failed", message="task 2 failed", changed=True)
    assert applied(module).outcome is Outcome.UNKNOWN
    silent = Raw(host="web-01", status="unreachable", message="timed out", changed=True)
    assert applied(silent).outcome is Outcome.UNKNOWN

    before = Host(name="web-01", outcome=Outcome.UNKNOWN, reason=partly.reason, partly=True)
    there = read_back(raw("ok", READ), before)
    assert there is not None
    assert there.outcome is Outcome.VERIFIED
    lacking = read_back(raw("ok", fact("verify", value="1", safe=False)), before)
    assert lacking is not None
    assert lacking.outcome is Outcome.FAILED
    assert lacking.reason == f"{partly.reason}; the value is 1, not 0"


def test_a_raw_result_is_read_as_it_was_kept():
    kept = Raw(host="a", status="ok", facts=(READ,), message="m", at=AT, changed=True)
    assert Raw.from_dict(kept.as_dict()) == kept
