"""Who may do what, and where: every action, by everybody, through every door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from bot.approval.policy import Person
from bot.chat.dispatch import dispatch
from bot.chat.grammar import VERBS, parse
from bot.errors import HoldfastError
from bot.timeline.entry import Actor
from tests.fakes import EVERYBODY, FakeHost, Night
from tests.unit.served import Served, wired

PLACES = ("cli", "console", "chat", "chat-alias")
NOBODY, RO, EVE, ALEX, DANA = "", "ro", "eve", "alex", "dana"
ROLES = {NOBODY: "anonymous", RO: "no role", EVE: "responder", ALEX: "approver", DANA: "commander"}

ANYONE = frozenset({NOBODY, RO, EVE, ALEX, DANA})
RESPONDERS = frozenset({EVE, ALEX, DANA})
APPROVERS = frozenset({ALEX, DANA})

# By hand, from the design, and not from the code's own tables.
MAY = {
    **dict.fromkeys(
        (
            "help", "incidents", "status", "hosts", "match", "details", "hold", "timeline", "recall",
            "knobs", "postmortem", "who",
        ),
        ANYONE,
    ),
    **dict.fromkeys(
        (
            "declare", "ack", "assign", "severity", "note", "pin", "resolve", "reopen", "propose",
            "abort", "pause",
        ),
        RESPONDERS,
    ),
    **dict.fromkeys(
        ("approve", "reject", "resume", "rollback", "release", "break-glass"), APPROVERS
    ),
}  # fmt: skip
WORDS = {
    "declare": "declare it burns",
    "assign": "assign INC-1 ops eve",
    "severity": "severity INC-1 sev2",
    "note": "note INC-1 hello",
    "pin": "pin INC-1 hello",
    "break-glass": "break-glass P-1 it burns",
    "hosts": "hosts INC-1",
    "help": "help",
    "incidents": "incidents",
    "who": "who",
}
DENIED = ("needs the role", "needs to know who you are", "unknown person")


@dataclass
class Stage:
    night: Night
    served: Served
    slack: Callable[[str], Actor]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a night in which P-1 was asked for by the bot and waits; Ro is known and has no role."""
    night = Night(tmp_path_factory.mktemp("matrix") / "h.db", {n: FakeHost() for n in "abc"})
    people = {**EVERYBODY, RO: Person(id=RO, name="Ro")}
    night.site = replace(night.site, people=people)
    night.crash("a")
    night.go(lambda: "P-1" in night.incident.proposals)
    served = Served(night)
    users = {"dana": "U1", "alex": "U2", "eve": "U3", "ro": "U4", "": "U9"}
    identities = wired(night).identities
    yield Stage(night, served, lambda who: identities.by_slack(users[who]))
    served.close()
    night.close()


def line_of(verb: str) -> str:
    if verb in WORDS:
        return WORDS[verb]
    return f"{verb} {'P-1' if VERBS[verb].wants == 'proposal' else 'INC-1'}"


def said(stage: Stage, place: str, who: str, line: str) -> str:
    """Say a line at a place; return what was refused, '' if it was answered."""
    if place in {"cli", "console"}:
        try:
            with stage.served.client(who, place) as client:
                answer = client.line(line) if place == "console" else client.say(line.split())
        except HoldfastError as error:
            return error.what
        assert answer.card["title"]
        return ""
    # A person of the chat: by mention and slash command, or as a button that carries the line.
    actor = stage.slack(who)
    try:
        dispatch(stage.night.site, parse(line), actor, "INC-1" if place == "chat-alias" else "")
    except HoldfastError as error:
        return error.what
    return ""


def test_the_matrix_names_every_verb():
    assert set(MAY) == set(VERBS)
    assert {name for name, who in MAY.items() if who is not ANYONE} == {
        name for name, verb in VERBS.items() if verb.writes
    }


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("who", ROLES, ids=ROLES.get)
@pytest.mark.parametrize("verb", VERBS)
def test_an_action_is_for_those_who_may_and_for_nobody_else(
    stage: Stage, verb: str, who: str, place: str
):
    before = [len(stage.night.store.entries(row.id)) for row in stage.night.store.incidents()]
    refusal = said(stage, place, who, line_of(verb))
    denied = any(word in refusal for word in DENIED)
    assert denied is (who not in MAY[verb]), refusal or "it was allowed"
    if not denied:
        return
    after = [len(stage.night.store.entries(row.id)) for row in stage.night.store.incidents()]
    known = [e.kind for e in stage.night.entries[before[-1] :]]
    assert len(after) == len(before)
    assert set(known) <= {"approval.refused"}


def test_nothing_of_this_has_touched_the_fleet(stage: Stage):
    assert all(not host.writes for host in stage.night.fleet.values())
