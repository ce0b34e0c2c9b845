"""The outbox: what Slack shows follows from the incident, whatever goes wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bot.approval.policy import Person
from bot.chat import slack_outbox
from bot.chat.slack_blocks import Message
from bot.chat.slack_outbox import Outbox
from bot.chat.slack_web import SlackError, ThrottledError, Web
from bot.clock import SystemClock
from bot.errors import UnavailableError
from bot.ports import Answer, Run, Sources
from bot.rollout.outcome import Raw
from bot.service.site import Site
from bot.store import open_store
from bot.timeline.entry import Draft
from tests.unit.events import Log

PEOPLE = {"kim": Person(id="kim", name="Kim", roles=frozenset({"commander"}))}


class FakeSlack:
    """Answers calls; ``fails`` are raised one a call, before anything is done."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.messages: dict[str, dict[str, Any]] = {}
        self.fails: list[Exception] = []

    def __call__(self, method: str, args: Any) -> dict[str, Any]:
        self.calls.append(method)
        if self.fails:
            raise self.fails.pop(0)
        if method == "chat.postMessage":
            ts = f"17000000{len(self.messages):02d}.0"
            self.messages[ts] = dict(args)
            return {"channel": "C01ALERTS", "ts": ts}
        if method == "chat.update":
            if args["ts"] not in self.messages:
                raise SlackError("message_not_found")
            self.messages[args["ts"]].update(args)
        if method == "conversations.list":
            return {"channels": [{"name": "alerts", "id": "C01ALERTS"}]}
        return {"messages": [{"ts": ts, **m} for ts, m in self.messages.items()]}

    def respond(self, url: str, args: Any) -> None:
        raise NotImplementedError

    def titles(self) -> list[str]:
        return [m["blocks"][0]["text"]["text"] for m in self.messages.values()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    clock = SystemClock()
    store = open_store(f"sqlite:///{tmp_path / 'x.db'}", secret=b"key", clock=clock)
    yield Site(store=store, clock=clock, sources=cast("Sources", None), people=PEOPLE)
    store.close()


@pytest.fixture
def slack() -> FakeSlack:
    return FakeSlack()


def outbox(site: Site, slack: FakeSlack) -> Outbox:
    return Outbox(
        site=site,
        wire=Web(call=slack),
        channel="alerts",
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
    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def posted(self, incident: str) -> dict[str, Any]:
        return {}


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
        ThrottledError(0.0),
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
    box._retry.clear()
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
    delays = []
    for _ in range(8):
        box._later("INC-1", UnavailableError("away"))
        delays.append(box._retry["INC-1"][1])
    assert delays == [2, 4, 8, 16, 32, 60, 60, 60]


def test_slow_down_is_obeyed_for_as_long_as_slack_says(site: Site, slack: FakeSlack) -> None:
    opened(site, proposals=0)
    box = outbox(site, slack)
    slack.fails = [ThrottledError(30.0)]
    box.sweep()
    assert box._retry["INC-1"][1] == 30.0
    box._retry.clear()
    box._stop.set()
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
