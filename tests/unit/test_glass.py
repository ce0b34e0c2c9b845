"""Freezes and break-glass over the real worker and store, each to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.approval.policy import BreakGlass, Policy
from bot.approval.rules import Freeze, Rule
from bot.chat import alarm, cards
from bot.errors import BadInputError, RefusedError
from bot.postmortem import write
from bot.service import approve, glass, people
from bot.service.request import rollback
from tests.fakes import ALEX, DANA, EVE, FakeHost, Night

Begin = Callable[..., Night]
START = datetime(2026, 1, 1, tzinfo=UTC)
FROZEN = Policy(required=2, freezes=(Freeze(name="year end"),))


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Return ``begin(policy)``: a night in which P-1 waits for people."""
    nights: list[Night] = []

    def make(policy: Policy) -> Night:
        hosts = {name: FakeHost() for name in "abc"}
        nights.append(Night(tmp_path / "holdfast.db", hosts, policy=policy))
        nights[-1].crash("a")
        nights[-1].go(lambda: "P-1" in nights[-1].incident.proposals)
        return nights[-1]

    yield make
    for night in nights:
        night.close()


def test_in_a_freeze_nobody_approves_and_the_way_out_is_said(begin: Begin):
    night = begin(FROZEN)
    with pytest.raises(RefusedError, match=r"frozen \('year end'\).*break-glass P-1 WHY"):
        approve.approve(night.site, "P-1", DANA)
    assert night.state() == "open"


def test_a_rollback_goes_through_a_freeze(begin: Begin):
    night = begin(Policy(freezes=(Freeze(name="f", begins=START + timedelta(hours=1)),)))
    approve.approve(night.site, "P-1", DANA)
    night.go(lambda: night.state() == "done")
    night.clock.sleep(3600)
    rollback(night.site, "P-1", DANA)
    night.go(lambda: "P-2" in night.incident.proposals)
    assert "approved" in approve.approve(night.site, "P-2", ALEX)


def test_two_people_break_the_glass_and_it_starts_at_once(begin: Begin):
    night = begin(FROZEN)
    with pytest.raises(BadInputError, match="needs a reason"):
        glass.break_glass(night.site, "P-1", DANA, "  ")
    said = glass.break_glass(night.site, "P-1", DANA, "it burns")
    assert "1 more person" in said
    with pytest.raises(RefusedError, match="you broke the glass already"):
        glass.break_glass(night.site, "P-1", DANA, "it burns")
    assert "two people broke the glass" in glass.break_glass(night.site, "P-1", ALEX, "it does")
    night.go(lambda: night.state() == "done")
    assert night.incident.proposals["P-1"].approved_by == ("dana", "alex")
    assert night.unlawful == []
    with pytest.raises(RefusedError, match=r"is done already \(break-glass by Dana, Alex\)"):
        approve.approve(night.site, "P-1", ALEX)


def test_one_person_waits_for_the_delay_in_which_everybody_is_told(begin: Begin):
    night = begin(FROZEN)
    glass.break_glass(night.site, "P-1", DANA, "nobody else is awake")
    incident = night.incident
    card = alarm.glass_card(incident, incident.proposals["P-1"], night.site.people)
    assert card is not None
    assert "BREAK-GLASS" in card.title
    assert card.buttons[0].line == "abort P-1"
    head = cards.headline(incident, night.clock.now())
    assert ("BREAK-GLASS", "Dana: nobody else is awake") in head.fields
    end = night.clock.now() + timedelta(seconds=890)
    night.go(lambda: night.clock.now() > end, seconds=1000)
    assert night.state() == "open"
    night.go(lambda: night.state() == "done")
    assert night.kinds().count("glass.opened") == 1
    text = write(night.entries, night.clock.now())
    assert "**break-glass**, without the usual approvals" in text
    assert "BROKE THE GLASS" in text


def test_any_responder_stops_it_before_the_delay_is_over(begin: Begin):
    night = begin(FROZEN)
    glass.break_glass(night.site, "P-1", DANA, "it burns")
    assert "rejected" in approve.abort(night.site, "P-1", EVE, "it does not")
    end = night.clock.now() + timedelta(seconds=1200)
    night.go(lambda: night.clock.now() > end, seconds=1300)
    assert night.state() == "rejected"
    assert all(not host.writes for host in night.fleet.values())


def test_the_glass_is_for_its_roles_and_the_refusal_is_on_record(begin: Begin):
    night = begin(FROZEN)
    with pytest.raises(RefusedError, match="needs the role approver or commander; Eve has"):
        glass.break_glass(night.site, "P-1", EVE, "please")
    assert night.kinds()[-1] == "approval.refused"


def test_a_site_may_give_the_glass_to_every_responder(begin: Begin):
    night = begin(Policy(glass=BreakGlass(roles=("responder",))))
    assert "1 more person" in glass.break_glass(night.site, "P-1", EVE, "I am alone")


def test_without_a_glass_the_refusal_says_so(begin: Begin):
    night = begin(Policy(glass=None))
    with pytest.raises(RefusedError, match="this site has no break-glass"):
        glass.break_glass(night.site, "P-1", DANA, "please")


def test_an_expired_proposal_has_no_glass(begin: Begin):
    night = begin(FROZEN)
    night.clock.sleep(1801)
    with pytest.raises(RefusedError, match="expired"):
        glass.break_glass(night.site, "P-1", DANA, "please")


def test_raising_the_severity_supersedes_and_the_card_says_why(begin: Begin):
    rule = Rule(name="worst", required=2, severities=frozenset({"sev1"}))
    night = begin(Policy(rules=(rule,)))
    approve.approve(night.site, "P-1", DANA)
    people.severity(night.site, "INC-1", "sev1", EVE)
    night.go(lambda: "P-2" in night.incident.proposals)
    old = night.incident.proposals["P-1"]
    assert old.state == "superseded"
    assert "who has to approve (now 2 of approver or commander, because severity is sev1" in old.why
    assert all(not host.writes for host in night.fleet.values())
    assert "1 of 2: one counted; still needed: 1" in approve.approve(night.site, "P-2", DANA)
    approve.approve(night.site, "P-2", ALEX)
    night.go(lambda: night.state("P-2") == "done")
