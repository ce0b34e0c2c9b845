"""The verbs that open, find and remember; and what is meant when nothing is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.chat.card import sorry
from bot.chat.dispatch import dispatch
from bot.chat.grammar import VERBS, parse
from bot.chat.verbs import PHONE
from bot.errors import BadInputError, NotFoundError, UnclearError
from bot.postmortem import write
from bot.service import approve
from tests.fakes import DANA, EVE, OOPS, FakeHost, Night


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    made = Night(tmp_path / "h.db", {name: FakeHost() for name in "abc"})
    made.crash("a")
    made.go(lambda: "P-1" in made.incident.proposals)
    yield made
    made.close()


def say(night: Night, line: str, who=DANA, context: str = ""):
    return dispatch(night.site, parse(line), who, context)


def test_help_fits_a_phone_and_names_every_verb(night: Night):
    code = say(night, "help").card.code
    assert max(len(row) for row in code.splitlines()) <= PHONE
    assert set(VERBS) <= set(code.split())


@pytest.mark.parametrize("name", VERBS)
def test_help_of_a_verb_says_who_may_and_how(night: Night, name: str):
    reply = say(night, f"help {name}")
    said = dict(reply.card.fields)
    assert said["Write"] == VERBS[name].usage
    assert said["Who"] != "nobody"
    if example := VERBS[name].example:
        assert parse(example).verb.name == name


def test_help_of_a_slip_asks_back(night: Night):
    with pytest.raises(BadInputError) as found:
        say(night, "help aprove")
    assert found.value.next == "did you mean 'approve'?"


def test_an_incident_is_declared_by_hand_and_worked_on(night: Night):
    reply = say(night, "declare logins  fail --severity 2", EVE)
    assert reply.data["incident"] == "INC-2"
    assert say(night, "status INC-2").data["severity"] == "sev2"
    card = say(night, "status INC-2").card
    assert "declared by hand: propose INC-2 RUNBOOK" in dict(card.fields)["Runbook"]
    night.worker.look("INC-2")
    assert [e.kind for e in night.store.entries("INC-2")] == ["incident.opened"]
    assert "logins fail" in write(night.store.entries("INC-2"), night.clock.now())
    say(night, "propose INC-2 tcp-estats-update-mss", EVE)
    with pytest.raises(BadInputError, match="no crash is known here"):
        say(night, "match INC-2")
    with pytest.raises(BadInputError, match="is no severity"):
        say(night, "declare x --severity huge")


def test_a_crash_is_not_filed_under_a_declared_incident(night: Night):
    say(night, "declare something else")
    night.crash("b")
    assert [e.kind for e in night.store.entries("INC-2")] == ["incident.opened"]


def test_match_says_why_for_the_incident_and_for_a_text(night: Night):
    reply = say(night, "match INC-1")
    assert reply.exit_code == 0
    assert "tcp-estats-update-mss: " in reply.card.code
    assert dispatch(night.site, parse(f"match '{OOPS}'"), DANA).exit_code == 0
    before = night.kinds()
    with pytest.raises(BadInputError, match="no crash was found"):
        say(night, "match hello")
    assert night.kinds() == before


def test_recall_finds_the_same_function_and_says_what_was_done(night: Night):
    approve.approve(night.site, "P-1", DANA)
    night.go(lambda: night.state() == "done")
    say(night, "resolve INC-1")
    night.crash("b")
    reply = say(night, "recall INC-2")
    assert reply.data[0]["incident"] == "INC-1"
    assert "function tcp_estats_update_mss" in reply.card.code
    assert "(done)" in reply.card.code
    # The new crash of b is news for the hold of the earlier incident, too.
    assert "1 owed, 2 verified" in reply.card.code
    assert say(night, "recall tcp_estats_update_mss", context="").exit_code == 0
    assert say(night, "recall xyzzy").exit_code == 1


def test_a_pin_is_in_the_timeline(night: Night):
    say(night, "pin INC-1 the graph of 02:10", EVE)
    assert night.entries[-1].kind == "note.pinned"
    assert "the graph of 02:10" in night.entries[-1].text


def test_assign_takes_either_order_and_me_and_asks_back(night: Night):
    say(night, "assign commander me")
    assert night.incident.commander == "dana"
    say(night, "assign @alex Commander")
    assert night.incident.commander == "alex"
    with pytest.raises(BadInputError) as found:
        say(night, "assign comander alex")
    assert found.value.next == "did you mean 'commander'?"
    with pytest.raises(BadInputError, match="unknown person"):
        say(night, "assign ops bob")


# What is meant


def test_one_open_incident_needs_no_name(night: Night):
    assert say(night, "status").data["id"] == "INC-1"


def test_between_two_it_asks_and_the_answers_are_whole_commands(night: Night):
    say(night, "declare another one")
    with pytest.raises(UnclearError) as found:
        say(night, "note it is 'quoted'")
    assert found.value.choices == (
        "note INC-2 'it is quoted'",
        "note INC-1 'it is quoted'",
    )
    assert [b.line for b in sorry(found.value).buttons] == list(found.value.choices)
    for line in found.value.choices:
        assert parse(line).rest == "it is quoted"
    assert say(night, "status", context="INC-2").data["id"] == "INC-2"


def test_in_the_thread_of_a_proposal_it_is_that_one(night: Night):
    assert say(night, "details", context="P-1").data["id"] == "P-1"
    assert say(night, "status", context="P-1").data["id"] == "INC-1"


def test_only_a_proposal_in_a_fitting_state_is_meant(night: Night):
    approve.approve(night.site, "P-1", DANA)
    night.go(lambda: night.state() == "done")
    assert "preparing the rollback of P-1" in say(night, "rollback").card.title
    night.go(lambda: "P-2" in night.incident.proposals)
    assert say(night, "details").data["id"] == "P-2"
    say(night, "declare another one")
    with pytest.raises(NotFoundError, match="no open proposal"):
        say(night, "pause", context="INC-2")


def test_reopen_means_the_resolved_one(night: Night):
    say(night, "declare another one")
    say(night, "resolve INC-1")
    assert "INC-1 is open again" in say(night, "reopen").card.title
