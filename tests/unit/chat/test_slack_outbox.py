"""The outbox: what Slack shows follows from the incident, whatever goes wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from bot.approval.policy import Person
from bot.chat import slack_outbox
from bot.chat.slack_blocks import Message
from bot.chat.slack_outbox import Outbox
from bot.chat.slack_web import LostAnswerError, SlackError, ThrottledError, Web
from bot.clock import SystemClock
from bot.config import SlackPart
from bot.errors import UnavailableError
from bot.ports import Answer, Run, Sources
from bot.rollout.outcome import Raw
from bot.service.site import Site
from bot.store import open_store
from bot.timeline.entry import Actor, Draft
from tests.unit.chat.fake_slack import FakeSlack
from tests.unit.events import Log

PEOPLE = {
    "kim": Person(id="kim", name="Kim", roles=frozenset({"commander"})),
    "robin": Person(id="robin", name="Robin", roles=frozenset({"responder"})),
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    clock = SystemClock()
    store = open_store(f"sqlite:///{tmp_path / 'x.db'}", secret=b"key", clock=clock)
    yield Site(store=store, clock=clock, sources=cast("Sources", None), people=PEOPLE)
    store.close()


@pytest.fixture
def slack() -> FakeSlack:
    return FakeSlack()


def outbox(site: Site, slack: FakeSlack, **config: Any) -> Outbox:
    return Outbox(
        site=site,
        wire=Web(call=slack),
        config=SlackPart(channel="alerts", **config),
        people={"kim": "U0KIM", "robin": "U0ROBIN"},
        page_url="http://127.0.0.1:8420/",
        pace=0,
    )


def opened(site: Site, *, proposals: int = 1) -> Log:
    log = Log(at=site.clock.now())
    log.crash("web-01")
    log.matched()
    for number in range(1, proposals + 1):
        log.prepare(f"P-{number}", number)
    with site.store.transaction("intake") as tx:
        tx.open("x")
    add(site, log)
    return log


def add(site: Site, log: Log) -> None:
    with site.store.transaction("INC-1") as tx:
        tx.append(
            "INC-1",
            *(
                Draft(key=e.key, kind=e.kind, text=e.text, actor=e.actor, data=e.data)
                for e in log.entries
            ),
        )


def test_one_headline_and_one_card_a_proposal_in_its_thread(site: Site, slack: FakeSlack) -> None:
    opened(site)
    outbox(site, slack).sweep()
    headline, card = slack.messages.values()
    assert "INC-1 · open" in headline["blocks"][0]["text"]["text"]
    assert "P-1 · open" in card["blocks"][0]["text"]["text"]
    assert card["thread_ts"] == site.store.posted("INC-1")["headline"].ref
    assert card["reply_broadcast"] is True
    assert headline["parse"] == "none"


def test_without_news_nothing_is_sent(site: Site, slack: FakeSlack) -> None:
    opened(site)
    box = outbox(site, slack)
    box.sweep()
    before = len(slack.calls)
    box.sweep()
    outbox(site, slack).sweep()  # as after a restart
    assert len(slack.calls) == before


def test_news_edits_the_message_and_takes_the_buttons(site: Site, slack: FakeSlack) -> None:
    log = opened(site)
    box = outbox(site, slack)
    box.sweep()
    log.about("proposal.rejected", "P-1", "no", why="wrong time")
    add(site, log)
    box.sweep()
    assert len(slack.messages) == 2
    assert "P-1 · rejected: wrong time" in slack.titles()[1]
    card = slack.messages[site.store.posted("INC-1")["proposal.P-1"].ref]
    actions = [b for b in card["blocks"] if b["type"] == "actions"]
    assert [e["action_id"] for e in actions[0]["elements"]] == ["holdfast:details"]


def test_what_was_posted_but_not_recorded_is_found_again(site: Site, slack: FakeSlack) -> None:
    opened(site)
    box = outbox(site, slack)
    box.sweep()
    forgetful = cast("Any", _Forgetful(site.store))
    again = Site(store=forgetful, clock=site.clock, sources=site.sources, people=PEOPLE)
    outbox(again, slack).sweep()
    assert len(slack.messages) == 2


class _Forgetful:
    """Knows nothing of what was posted; with ``keeps`` what is posted from now on."""

    def __init__(self, store: Any, *, keeps: bool = False) -> None:
        self._store = store
        self._posted: dict[str, Any] = {}
        self._keeps = keeps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def posted(self, incident: str) -> dict[str, Any]:
        return dict(self._posted)

    def set_posted(self, incident: str, slot: str, posted: Any) -> None:
        if self._keeps or slot == "headline":
            self._posted[slot] = posted
        else:
            self._store.set_posted(incident, slot, posted)


def test_a_message_that_somebody_deleted_is_posted_again(site: Site, slack: FakeSlack) -> None:
    log = opened(site, proposals=0)
    box = outbox(site, slack)
    box.sweep()
    slack.messages.clear()
    log.add("incident.severity", "sev1", {"severity": "sev1"})
    add(site, log)
    box.sweep()
    assert "INC-1 · open · sev1" in slack.titles()[0]


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("Slack cannot be reached"),
        SlackError("not_in_channel"),
        SlackError("missing_scope"),
        KeyError("a bug"),
    ],
)
def test_a_failure_is_shown_and_mended_by_looking_again(
    site: Site, slack: FakeSlack, error: Exception
) -> None:
    opened(site, proposals=0)
    slack.fails = [error]
    box = outbox(site, slack)
    box.sweep()
    assert "INC-1" in box.trouble
    assert not slack.messages
    box._queue.retry()
    box.sweep()
    assert box.trouble == ""
    assert len(slack.messages) == 1


def test_after_a_failure_it_waits_longer_each_time(site: Site, slack: FakeSlack) -> None:
    opened(site, proposals=0)
    box = outbox(site, slack)
    slack.fails = [UnavailableError("away")]
    box.sweep()
    calls = len(slack.calls)
    box.sweep()
    assert len(slack.calls) == calls


def test_slow_down_is_obeyed_for_as_long_as_slack_says(site: Site, slack: FakeSlack) -> None:
    opened(site, proposals=0)
    box = outbox(site, slack)
    slack.fails = [ThrottledError(30.0)]
    box.sweep()
    due = box._queue.next()
    assert due is not None
    assert 25 < due - time.monotonic() <= 30
    box._queue.retry()
    box.sweep()
    assert not slack.messages


def test_what_ended_before_slack_was_there_is_not_said_any_more(
    site: Site, slack: FakeSlack
) -> None:
    log = opened(site, proposals=3)  # each replaces the one before
    outbox(site, slack).sweep()
    assert [t.split(" · ")[0].split()[-1] for t in slack.titles()] == ["INC-1", "P-3"]
    log.add("incident.resolved", "resolved")
    add(site, log)
    with site.store.transaction("INC-1") as tx:
        tx.close("INC-1")
    fresh = FakeSlack()
    outbox(cast("Any", _closed(site)), fresh).sweep()
    assert not fresh.messages


def _closed(site: Site) -> Site:
    store = cast("Any", _Forgetful(site.store))
    return Site(store=store, clock=site.clock, sources=site.sources, people=PEOPLE)


def test_a_resolved_incident_gets_its_last_edit(site: Site, slack: FakeSlack) -> None:
    log = opened(site, proposals=0)
    box = outbox(site, slack)
    box.sweep()
    log.add("incident.resolved", "resolved")
    add(site, log)
    with site.store.transaction("INC-1") as tx:
        tx.close("INC-1")
    box.sweep()
    assert "INC-1 · resolved" in slack.titles()[0]


def test_it_ends_when_told_to(site: Site, slack: FakeSlack) -> None:
    opened(site)
    stop = threading.Event()
    thread = threading.Thread(target=outbox(site, slack).serve, args=(stop,))
    thread.start()
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_a_channel_is_asked_for_once_and_an_unknown_one_is_named(slack: FakeSlack) -> None:
    web = Web(call=slack)
    assert web.channel_id("#alerts") == web.channel_id("alerts") == "C01ALERTS"
    assert slack.calls == ["conversations.list"]
    assert web.channel_id("C0123ABCD") == "C0123ABCD"
    with pytest.raises(UnavailableError, match="no channel nowhere"):
        web.channel_id("nowhere")


def test_an_update_that_slack_refuses_for_good_says_so(slack: FakeSlack) -> None:
    web = Web(call=slack)
    sent = Message(text="x", blocks=())
    assert web.update("C01ALERTS", "0", sent) is False
    slack.fails = [SlackError("is_archived")]
    with pytest.raises(SlackError, match="is_archived"):
        web.update("C01ALERTS", "0", sent)


def test_progress_edits_the_one_message_at_its_pace_and_goes_with_the_run(
    site: Site, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(site)
    spec = {"wave": 2, "proposal": "P-1", "purpose": "first"}
    hosts = ("web-03", "web-04")
    with site.store.transaction("INC-1") as tx:
        tx.queue(Run(ident="w.1", incident="INC-1", kind="wave", hosts=hosts, spec=spec))
    site.store.claim_run("w.1", "s")
    box, now = outbox(site, slack), site.clock.now()

    def shown() -> str:
        box.sweep()
        ref = site.store.posted("INC-1")["headline"].ref
        return json.dumps(slack.messages[ref]["blocks"], ensure_ascii=False)

    assert "wave 2: 0 of 2 answered" in shown()
    raw = Raw(host="web-03", status="failed", message="read-only")
    site.store.note("w.1", [Answer(host="web-03", began=now, at=now, said=raw.as_dict())])
    assert "wave 2: 0 of 2 answered" in shown()  # too early for another edit
    monkeypatch.setattr(slack_outbox, "PROGRESS", 0.0)
    assert "wave 2: 1 of 2 answered · 1 failed" in shown()
    with site.store.transaction("INC-1") as tx:
        tx.finish("w.1", "finished")
    assert "answered" not in shown()
    assert len(slack.messages) == 2


def _own(slack: FakeSlack) -> list[dict[str, Any]]:
    return [c for c in slack.channels.values() if c["name"].startswith("inc-")]


def test_an_incident_gets_its_own_channel_with_people_topic_and_pinned_headline(
    site: Site, slack: FakeSlack
) -> None:
    opened(site)
    box = outbox(site, slack, own_channels=True, invite=["U0LEAD"])
    box.sweep()
    (room,) = _own(slack)
    assert room["name"] == "inc-1-tcp-estats-update-mss"
    assert room["topic"].startswith("INC-1 · ")
    assert room["members"] == ["U0LEAD", "U0KIM"]
    posted = site.store.posted("INC-1")
    assert room["pins"] == [posted["headline"].ref]
    assert posted["headline"].channel == posted["proposal.P-1"].channel == room["id"]
    assert posted["pointer"].channel == "C01ALERTS"
    assert "thread_ts" not in slack.messages[posted["proposal.P-1"].ref]
    calls = len(slack.calls)
    outbox(site, slack, own_channels=True, invite=["U0LEAD"]).sweep()
    assert len(slack.calls) == calls


def test_a_channel_that_was_made_and_not_recorded_is_taken_and_a_stranger_s_is_not(
    site: Site, slack: FakeSlack
) -> None:
    opened(site, proposals=0)
    mine = slack.add_channel("inc-1-tcp-estats-update-mss", creator="U0BOT")
    outbox(site, slack, own_channels=True).sweep()
    assert site.store.posted("INC-1")["headline"].channel == mine
    other = FakeSlack()
    other.add_channel("inc-1-tcp-estats-update-mss", creator="U0SOMEBODY")
    again = Site(
        store=cast("Any", _Forgetful(site.store, keeps=True)),
        clock=site.clock,
        sources=site.sources,
        people=PEOPLE,
    )
    outbox(again, other, own_channels=True).sweep()
    assert "inc-1-tcp-estats-update-mss-2" in {c["name"] for c in other.channels.values()}


@pytest.mark.parametrize("code", ["missing_scope", "restricted_action", "unknown_method"])
def test_without_leave_to_make_channels_the_thread_does(
    site: Site, slack: FakeSlack, code: str
) -> None:
    opened(site)
    slack.refuse["conversations.create"] = code
    outbox(site, slack, own_channels=True).sweep()
    assert site.store.posted("INC-1")["channel"].content == code
    headline, card = slack.messages.values()
    assert card["thread_ts"] == headline["ts"]


def test_an_archived_channel_sends_the_messages_back_to_the_common_one(
    site: Site, slack: FakeSlack
) -> None:
    log = opened(site)
    box = outbox(site, slack, own_channels=True)
    box.sweep()
    (room,) = _own(slack)
    room["archived"] = True
    log.add("incident.severity", "sev1", {"severity": "sev1"})
    add(site, log)
    box.sweep()
    posted = site.store.posted("INC-1")
    assert posted["headline"].channel == posted["proposal.P-1"].channel == "C01ALERTS"
    assert posted["channel"].content == "is_archived"
    assert slack.messages[posted["proposal.P-1"].ref]["thread_ts"] == posted["headline"].ref


def test_a_new_role_is_explained_to_its_holder_alone_and_once(site: Site, slack: FakeSlack) -> None:
    log = opened(site)
    given = {"role": "commander", "person": "kim"}
    log.add("incident.assigned", "Kim is commander", given)
    add(site, log)
    slack.fails_of["chat.postEphemeral"] = [SlackError("internal_error")]
    box = outbox(site, slack)
    box.sweep()
    box._queue.retry()
    box.sweep()
    outbox(site, slack).sweep()
    ((user, text),) = slack.whispers
    assert (user, "You are commander of INC-1" in text) == ("U0KIM", True)
    log.add("incident.assigned", "Robin is commander", {"role": "commander", "person": "robin"})
    add(site, log)
    box.sweep()
    assert [user for user, _ in slack.whispers] == ["U0KIM", "U0ROBIN"]


def test_a_private_word_whose_answer_was_lost_is_not_said_twice(
    site: Site, slack: FakeSlack
) -> None:
    log = opened(site, proposals=0)
    log.add("incident.assigned", "Kim is commander", {"role": "commander", "person": "kim"})
    add(site, log)
    slack.fails_of["chat.postEphemeral"] = [LostAnswerError("timed out")]
    box = outbox(site, slack)
    box.sweep()
    outbox(site, slack).sweep()
    assert slack.calls.count("chat.postEphemeral") == 1


class _Later:
    """A clock that is ahead by some minutes, and can be put forward."""

    def __init__(self, minutes: float) -> None:
        self.ahead = timedelta(minutes=minutes)

    def now(self) -> datetime:
        return SystemClock().now() + self.ahead

    def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def test_only_the_commander_is_reminded_and_only_after_silence(
    site: Site, slack: FakeSlack
) -> None:
    log = opened(site, proposals=0)
    log.add("incident.assigned", "Kim is commander", {"role": "commander", "person": "kim"})
    log.add("note.added", "drained", actor=Actor(id="robin", name="Robin", via="cli"))
    add(site, log)
    for minutes, times in ((0, 0), (29, 0), (31, 1), (35, 1), (62, 2)):
        outbox(replace(site, clock=_Later(minutes)), slack).sweep()
        told = [user for user, text in slack.whispers if "no word" in text]
        assert told == ["U0KIM"] * times
    assert "Robin: drained" in json.dumps(next(iter(slack.messages.values()))["blocks"])


def test_of_two_bots_on_one_database_one_sends_and_the_other_takes_over(
    site: Site, slack: FakeSlack
) -> None:
    opened(site)
    first, second = outbox(site, slack), outbox(site, slack)
    assert first._leads()
    assert not second._leads()
    first.sweep()
    second._led = -1e9
    assert not second._leads()
    assert len(slack.messages) == 2
    site.store.unlock_hosts(first._owner)
    assert second._leads()
    second.sweep()
    assert len(slack.messages) == 2


def test_a_message_that_is_too_long_for_slack_is_sent_short_with_its_buttons(
    site: Site, slack: FakeSlack
) -> None:
    opened(site)
    slack.fails_of["chat.postMessage"] = [None, SlackError("msg_blocks_too_long")]
    box = outbox(site, slack)
    box.sweep()
    card = slack.messages[site.store.posted("INC-1")["proposal.P-1"].ref]
    assert {b["type"] for b in card["blocks"]} == {"header", "section", "actions", "context"}
    assert "too long for Slack" in json.dumps(card["blocks"])


def test_after_stop_what_is_left_is_sent(site: Site, slack: FakeSlack) -> None:
    stop, box = threading.Event(), outbox(site, slack)
    thread = threading.Thread(target=box.serve, args=(stop,))
    thread.start()
    while box._led < 0:
        time.sleep(0.01)
    opened(site)
    stop.set()
    thread.join(timeout=10)
    assert len(slack.messages) == 2


def test_when_slack_is_back_it_is_said_how_long_it_was_away(site: Site, slack: FakeSlack) -> None:
    opened(site, proposals=0)
    box, told = outbox(site, slack), list[float]()
    box.back = told.append
    slack.fails = [UnavailableError("away")]
    box.sweep()
    box._queue.retry()
    box.sweep()
    assert len(told) == 1
    assert len(slack.messages) == 1  # no summary of so short an outage


@pytest.mark.parametrize("restarted", [False, True])
def test_after_a_long_outage_there_is_one_summary_even_over_a_restart(
    site: Site, slack: FakeSlack, restarted: bool
) -> None:
    clock = _Later(0)
    site = replace(site, clock=cast("Any", clock))
    box = outbox(site, slack)
    assert box._leads()
    opened(site)  # before the first failure, and yet unsaid
    slack.fails = [UnavailableError("away")]
    box.sweep()
    clock.ahead += timedelta(minutes=4)
    slack.fails = [UnavailableError("away")]
    box._queue.retry()
    box.sweep()
    slack.fails_of["chat.postMessage"] = [None, *[UnavailableError("away")] * 20]
    box._queue.retry()
    box.sweep()  # the headline is posted, and then it is away again
    assert len(slack.messages) == 1
    clock.ahead += timedelta(minutes=2)
    slack.fails_of.clear()
    if restarted:
        site.store.unlock_hosts(box._owner)
        box = outbox(site, slack)
        assert box._leads()
    box._queue.retry()
    for _ in range(3):
        box.sweep()
    titles = [title for title in slack.titles() if "was away" in title]
    assert titles == ["🟡 The chat was away for 6 min; the bot was not: news of 1 incident"]
    site.store.unlock_hosts(box._owner)
    again = outbox(site, slack)
    assert again._leads()
    again.sweep()
    assert len(slack.messages) == 3  # headline, card, summary
