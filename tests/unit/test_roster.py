"""Roles from user groups: read at the click, kept for a while, gone when nobody can say."""

from __future__ import annotations

import pytest

from bot.approval.policy import Person
from bot.errors import RefusedError, UnavailableError
from bot.service import approve
from bot.service.roster import Roster
from bot.timeline.entry import Actor
from tests.fakes import Clock, FakeHost, Night

ZOE = Actor(id="slack:U9", name="Zoe", via="slack")
WANTED = ("approver", "commander")


class Groups:
    """The chat's user groups."""

    def __init__(self, **members: set[str]) -> None:
        self.members = members
        self.asked: list[str] = []
        self.away = False

    def __call__(self, group: str) -> set[str]:
        self.asked.append(group)
        if self.away:
            raise UnavailableError("Slack cannot be reached")
        return self.members[group]


def roster(clock: Clock, groups: Groups | None) -> Roster:
    listed = {
        "dana": Person(id="dana", name="Dana", roles=frozenset({"commander"})),
        "sam": Person(id="sam", name="Sam", roles=frozenset({"responder"})),
    }
    made = Roster(listed, {"U2": "sam"}, {"approver": ["S1"]}, clock)
    made.reader = groups
    return made


def test_a_member_has_the_role_by_stable_id_known_person_or_not():
    found = roster(Clock(), Groups(S1={"U2", "U9"}))
    assert found["sam"].roles == {"responder"}
    found.reread(["sam"], WANTED)
    assert found["sam"].roles == {"responder", "approver"}
    assert found["slack:U9"].roles == {"approver"}
    assert set(found) == {"dana", "sam", "slack:U9"}


def test_the_group_is_read_anew_at_every_click_and_leaving_it_counts_at_once():
    clock, groups = Clock(), Groups(S1={"U2"})
    found = roster(clock, groups)
    found.reread(["sam"], WANTED)
    groups.members["S1"] = set()
    clock.sleep(3)
    found.reread(["sam"], WANTED)
    assert found["sam"].roles == {"responder"}
    assert len(groups.asked) == 2


def test_clicks_at_one_moment_are_one_question():
    groups = Groups(S1={"U2"})
    found = roster(Clock(), groups)
    for _ in range(5):
        found.reread(["sam"], WANTED)
    assert len(groups.asked) == 1


def test_somebody_with_the_role_by_the_configuration_waits_for_nobody():
    groups = Groups(S1=set())
    groups.away = True
    found = roster(Clock(), groups)
    found.reread(["dana"], WANTED)
    assert groups.asked == []
    found.reread(["sam"], ("responder",))
    assert groups.asked == []


def test_while_the_chat_is_away_the_last_reading_counts_for_an_hour():
    clock, groups = Clock(), Groups(S1={"U2"})
    found = roster(clock, groups)
    found.reread(["sam"], WANTED)
    groups.away = True
    clock.sleep(3500)
    found.reread(["sam"], WANTED)
    assert "approver" in found["sam"].roles
    assert found.trouble == "user group S1: Slack cannot be reached"
    clock.sleep(200)
    assert "approver" not in found["sam"].roles


@pytest.fixture
def night(tmp_path):
    made = Night(tmp_path / "h.db", {name: FakeHost() for name in "abc"})
    made.crash("a")
    made.go(lambda: "P-1" in made.incident.proposals)
    yield made
    made.close()


def test_a_member_of_the_group_approves_and_the_rollout_starts(night: Night):
    groups = Groups(S1={"U9"})
    object.__setattr__(night.site, "people", roster(night.clock, groups))
    said = approve.approve(night.site, "P-1", ZOE)
    assert "1 of 1: one counted" in said
    night.go(lambda: night.incident.proposals["P-1"].started_at is not None)
    assert night.incident.proposals["P-1"].approved_by == ("slack:U9",)


def test_without_a_reading_the_group_gives_no_role_and_the_refusal_says_why(night: Night):
    groups = Groups(S1={"U9"})
    groups.away = True
    object.__setattr__(night.site, "people", roster(night.clock, groups))
    with pytest.raises(
        RefusedError, match="unknown person; user group S1: Slack cannot be reached"
    ):
        approve.approve(night.site, "P-1", ZOE)
    with pytest.raises(RefusedError, match="unknown person; user group S1"):
        approve.ask(night.site, "P-1", ZOE)  # as a button does
    with pytest.raises(RefusedError, match="Zoe has no role; user group S1"):
        approve.reject(night.site, "P-1", ZOE)
    assert night.kinds().count("approval.refused") == 2


def test_who_leaves_the_group_before_the_start_starts_nothing(night: Night):
    groups = Groups(S1={"U9"})
    object.__setattr__(night.site, "people", roster(night.clock, groups))
    approve.approve(night.site, "P-1", ZOE)
    groups.members["S1"] = set()
    night.clock.sleep(5)
    night.go(lambda: night.state() == "superseded")
    assert all(not host.writes for host in night.fleet.values())


def test_a_chat_that_goes_away_before_the_start_delays_it_and_supersedes_nothing(night: Night):
    groups = Groups(S1={"U9"})
    object.__setattr__(night.site, "people", roster(night.clock, groups))
    approve.approve(night.site, "P-1", ZOE)
    groups.away = True
    night.site.people._readings.clear()  # type: ignore[attr-defined]
    with pytest.raises(UnavailableError, match="unknown person; user group S1"):
        night.turn()
    assert night.state() == "approved"
    groups.away = False
    night.clock.sleep(10)
    night.go(lambda: night.state() in {"running", "done"})
