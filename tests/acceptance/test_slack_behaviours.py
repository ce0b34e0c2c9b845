"""The ten behaviours that Slack asks of a bot, on every Slack-compatible server that offers them.

Each test's name is a row of the table in docs/reference.md, which says where it runs.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.chat.slack import SlackDoor
from bot.demo import enclave as isolation
from bot.service.site import Site, load
from bot.timeline.entry import Draft
from tests.slack_places import PLACES, Place
from tests.slack_proxy import Fault
from tests.slack_server import until
from tests.slack_site import attachment, kinds, opened_door, proposed, stored
from tests.unit.events import OOPS, Log

pytestmark = pytest.mark.slack

HOSTILE = "<!channel> <@U02COMMANDER> *b* ``` :fire: <http://evil.example|go> & &lt; \x1b[31m"
TOKENS = ("xoxb-bot", "xapp-bot", "s3cr3t")


@pytest.fixture(scope="module", params=list(PLACES))
def place(
    enclave: isolation.Mode,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    found = PLACES[request.param](tmp_path_factory.mktemp(request.param))
    yield found
    found.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with stored(tmp_path) as found:
        yield found


@contextmanager
def door(site: Site, place: Place, **changes: Any) -> Iterator[SlackDoor]:
    ids = {place.commander: "kim", place.oncall: "robin"}
    with opened_door(site, {"replay": "0s", **place.config(), **changes}, ids) as found:
        if place.listener is not None:
            place.listener.door = found
        try:
            yield found
        finally:
            if place.listener is not None:
                place.listener.door = None


@pytest.fixture
def connected(site: Site, place: Place) -> Iterator[SlackDoor]:
    place.reset()
    with door(site, place) as found:
        until(lambda: found.health()["connected"], "the bot connects")
        until(lambda: not found.health()["trouble"], "history is read")
        yield found
    assert not [t.name for t in threading.enumerate() if t.name.startswith("slack.")]


def opened(site: Site, place: Place) -> Log:
    """Let an alert open an incident and make a proposal for it."""
    place.alert(attachment())
    until(site.store.incidents, "the incident is opened")
    return proposed(site)


def card(site: Site, place: Place, name: str = "P-1 · open") -> dict[str, Any]:
    """Return the proposal's card as this incident has it."""
    slot = f"proposal.{name.partition(' ')[0]}"
    until(lambda: slot in site.store.posted("INC-1"), "the card is posted")
    at = site.store.posted("INC-1")[slot]
    found = until(
        lambda: [
            m
            for m in place.messages()
            if m["ts"] == at.ref and name in json.dumps(m, ensure_ascii=False)
        ],
        f"{name} is shown",
    )
    return found[0]


def labels(message: dict[str, Any]) -> list[str]:
    actions = [b for b in message["blocks"] if b["type"] == "actions"]
    return [e["text"]["text"] for b in actions for e in b["elements"]]


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Make calls at the same time; return what they returned."""
    found: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        found[number] = call()

    threads = [threading.Thread(target=run, args=one) for one in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_1_every_ack_comes_in_time_while_slack_is_slow_and_throttles(
    site: Site, place: Place, connected: SlackDoor
) -> None:
    opened(site, place)
    shown = card(site, place)
    place.proxy.always("*", Fault("delay", 4.0))
    place.proxy.always("chat.update", Fault("ratelimited", 2.0))
    calls: list[Callable[[], float]] = [
        lambda: place.command(place.oncall, "status"),
        lambda: place.command(place.oncall, "note seen"),
        lambda: place.click(place.commander, shown, "Approve"),
        lambda: place.click(place.commander, shown, "Details"),
        lambda: place.click(place.oncall, shown, "Reject"),
    ]
    assert max(together(*(calls * 4))) < 3.0


def test_2_an_alert_is_found_wherever_it_is_written_and_nothing_else_is_one(
    site: Site, place: Place, connected: SlackDoor
) -> None:
    place.alert(attachment())
    until(site.store.incidents, "an attachment opens an incident")
    (first,) = (e for e in site.store.entries("INC-1") if e.kind == "alert.received")
    assert (first.data["host"], first.data["known"], first.actor.id) == (
        "web-01",
        True,
        "slack:B0PROM",
    )
    nested = {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_preformatted",
                "elements": [{"type": "text", "text": OOPS.replace("web10g", "x")}],
            }
        ],
    }
    place.alert({}, attachments=[{"blocks": [nested]}])
    file = {
        "id": "F1",
        "name": "oops.txt",
        "mimetype": "text/plain",
        "preview": OOPS.replace("web10g", "y"),
    }
    place.alert({}, subtype="file_share", attachments=[], files=[file])
    assert kinds(site).count("alert.received") == 3
    ts = f"{time.time():.6f}"
    inner = {"type": "message", "bot_id": "B0PROM", "ts": ts, "text": OOPS}
    edited = {"type": "message", "subtype": "message_changed", "channel": place.alerts, "ts": ts}
    place.deliver({**edited, "hidden": True, "message": inner})
    place.alert(attachment(OOPS.replace("812", "813")), bot_id="B0BOT", user="U0BOT")
    place.say(place.commander, f"look what Alertmanager says:\n{OOPS}")
    place.alert(attachment(title="[RESOLVED] KernelOops"), bot_id="B0PROM")
    assert kinds(site).count("alert.received") == 3
    assert kinds(site).count("alert.resolved") == 1
    assert kinds(site).count("incident.opened") == 1
    assert len(site.store.incidents()) == 1


def test_3_what_is_delivered_again_is_counted_once(
    site: Site, place: Place, connected: SlackDoor
) -> None:
    ts = f"{time.time():.6f}"
    event = {
        "type": "message",
        "subtype": "bot_message",
        "channel": place.alerts,
        "ts": ts,
        "bot_id": "B0PROM",
        "text": "",
        "attachments": [attachment()],
    }
    for retry in (None, None, 1, 2):
        place.deliver(event, retry=retry)
    said = {
        "type": "message",
        "channel": place.alerts,
        "user": place.oncall,
        "ts": f"{time.time():.6f}",
    }
    for retry in (None, 1):
        place.deliver({**said, "text": "<@U0BOT> note the rack is hot"}, retry=retry)
    assert kinds(site).count("alert.received") == 1
    assert kinds(site).count("note.added") == 1


def test_4_of_many_clicks_one_approves_and_the_losers_are_told(
    site: Site, place: Place, connected: SlackDoor
) -> None:
    log = opened(site, place)
    shown = card(site, place)
    assert labels(shown) == ["Approve", "Reject", "Details"]
    together(*[lambda: place.click(place.commander, shown, "Approve")] * 3)
    assert "approval.given" not in kinds(site)  # a click asks; only the modal approves
    until(lambda: place.proxy.done("views.open") == 3, "the question is asked")
    together(*[lambda: place.submit(place.commander)] * 2)
    (given,) = (e for e in site.store.entries("INC-1") if e.kind == "approval.given")
    assert (given.actor.id, given.actor.via) == ("kim", "slack")
    assert given.data["digest"] == log.proposals["P-1"]
    after = card(site, place, "P-1 · approved")
    assert after["ts"] == shown["ts"]
    assert labels(after) == ["Details"]
    place.click(place.commander, shown, "Approve")
    until(lambda: "approved already" in place.told(place.commander), "the loser is told")
    place.click(place.commander, shown, "Reject")
    assert kinds(site).count("approval.given") == 1


def test_5_only_who_may_approves_and_it_is_checked_at_the_click_and_at_the_modal(
    site: Site, place: Place, connected: SlackDoor
) -> None:
    opened(site, place)
    shown = card(site, place)
    place.click(place.oncall, shown, "Approve")
    place.click(place.stranger, shown, "Approve")
    until(lambda: "Robin Oduya has responder" in place.told(place.oncall), "refused at the click")
    until(lambda: "unknown person" in place.told(place.stranger), "by id, not by name")
    assert place.proxy.made("views.open") == []
    place.click(place.commander, shown, "Approve")
    until(lambda: place.proxy.done("views.open"), "the question is asked")
    place.submit(place.oncall)  # another person sends the form off
    assert "approval.given" not in kinds(site)
    assert kinds(site).count("approval.refused") == 3
    place.click(place.commander, shown, "Approve")
    until(lambda: place.proxy.done("views.open") == 2, "the question is asked again")
    place.submit(place.commander)
    until(lambda: "approval.given" in kinds(site), "it is approved")


@pytest.mark.parametrize("place", ["http", "emulate"], indirect=True)  # a socket signs nothing
def test_6_forged_stale_and_replayed_requests_are_refused(
    site: Site, place: Place, connected: SlackDoor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"type": "url_verification", "challenge": "c-42", "token": "t"})
    answer = place.post(body, place.sign(body, "json"))
    assert (answer.status_code, "c-42" in answer.text) == (200, True)
    note = "command=%2Fincident&text=note+x&user_id=U1&channel_id=C1&team_id=T01TEST&api_app_id=A"
    for headers in (
        place.sign(note, "form", secret="another"),
        place.sign(note, "form", at=time.time() - 400),
        {**place.sign(note, "form"), "X-Slack-Signature": "v0=00"},
        {"Content-Type": "application/json"},
    ):
        assert place.post(note, headers).status_code == 403
    again = place.sign(note, "form")
    assert place.post(note, again).status_code == 200
    assert place.post(note, again).status_code == 403
    connected.stop()
    with door(site, place) as restarted:  # or another bot on the same database
        until(lambda: restarted.health()["connected"], "the next bot connects")
        assert place.post(note, again).status_code == 403
    sent = json.dumps([call.args for call in place.proxy.calls])
    for token in TOKENS:
        assert token not in caplog.text.replace("slack_sdk", "")
        assert token not in sent


def test_7_hostile_text_is_shown_as_text(site: Site, place: Place, connected: SlackDoor) -> None:
    text = OOPS.replace("swapper/5", HOSTILE) + f"\nBUG: {HOSTILE}\n" + "x" * 200_000
    fields = [{"title": "host", "value": HOSTILE}]
    place.alert({}, attachments=[attachment(text, title=HOSTILE, fields=fields)])
    until(site.store.incidents, "the incident is opened")
    place.say(place.oncall, f"<@U0BOT> note INC-1 {HOSTILE}")
    until(lambda: "note.added" in kinds(site), "noted")
    log = proposed(site)
    about = {"proposal": "P-1", "digest": log.proposals["P-1"], "why": HOSTILE}
    with site.store.transaction("INC-1") as tx:
        tx.append("INC-1", Draft(key="r", kind="proposal.rejected", text=HOSTILE, data=about))
    place.command(place.oncall, "statsu <!channel> & ```")
    until(lambda: "did you mean" in place.told(place.oncall), "answered")
    place.message_with("P-1 · rejected")
    bodies = [call.args for call in place.proxy.calls if call.method.startswith("chat.")]
    sent = json.dumps(bodies, ensure_ascii=False) + place.told(place.oncall)
    assert "&lt;!channel&gt;" in sent
    for bad in ("<!channel>", "<@U02COMMANDER>", "<http://evil", "\\u001b"):
        assert bad not in sent


def test_8_after_a_gap_it_reconnects_shows_it_and_takes_missed_alerts_in_once(
    site: Site, place: Place
) -> None:
    place.reset()
    with door(site, place, replay="1m") as found:
        until(lambda: not found.health()["trouble"], "the bot connects")
        mind_the_gap(site, place, found)


def mind_the_gap(site: Site, place: Place, connected: SlackDoor) -> None:
    opened(site, place)
    taken = kinds(site).count("alert.received")
    place.cut()
    until(lambda: not connected.health()["connected"], "the gap is shown", 20)
    missed = attachment(OOPS.replace("812", "913"), fields=[{"title": "host", "value": "web-02"}])
    if place.name == "emulate":
        place.listener.door = None  # type: ignore[union-attr]
        place.alert(missed)
    else:
        body = {"channel": place.alerts, "text": "", "attachments": [missed]}
        place.upstream("chat.postMessage", "xoxb-alert", **body)
    assert kinds(site).count("alert.received") == taken
    began = time.monotonic()
    place.mend()
    until(lambda: connected.health()["connected"], "it connects again", 20)
    back = time.monotonic() - began
    if place.listener is not None:
        place.listener.door = connected
    until(lambda: kinds(site).count("alert.received") == taken + 1, "the missed alert is read", 20)
    assert back < 15  # a generous limit: bench/slack.py measures it
    place.cut()
    until(lambda: not connected.health()["connected"], "another gap", 20)
    place.mend()
    until(lambda: not connected.health()["trouble"], "all is well", 20)
    assert kinds(site).count("alert.received") == taken + 1
    assert len(site.store.incidents()) == 1


REFUSALS = (
    *("msg_too_long", "invalid_blocks", "channel_not_found", "not_in_channel"),
    *("is_archived", "missing_scope"),
)


def test_9_a_failed_post_is_mended_and_changes_nothing_else(site: Site, place: Place) -> None:
    place.reset()
    place.proxy.plan("chat.postMessage", Fault("ratelimited", 1.0), Fault("lost"))
    with door(site, place) as found:
        until(lambda: found.health()["connected"], "the bot connects")
        opened(site, place)
        before = kinds(site)
        place.proxy.plan("chat.update", Fault("status", code=503))
        card(site, place)
        for number, word in enumerate(REFUSALS):
            place.proxy.plan("chat.update", Fault("refused", word=word))
            data = {"severity": f"sev{number}"}
            severity = Draft(key=word, kind="incident.severity", text=word, data=data)
            with site.store.transaction("INC-1") as tx:
                tx.append("INC-1", severity)
            place.message_with(f"INC-1 · open · sev{number}")
        marks = [m["blocks"][0].get("block_id") for m in place.messages() if m.get("blocks")]
        ours = [mark for mark in marks if site.store.entries("INC-1")[0].hash[:24] in str(mark)]
        assert len(ours) == len(set(ours)) == 2
        assert kinds(site) == [*before, *["incident.severity"] * len(REFUSALS)]


def test_10_a_pin_is_stored_once_and_struck_and_stop_sends_what_is_left(
    site: Site, place: Place, connected: SlackDoor
) -> None:
    opened(site, place)
    ts = place.say(place.commander, "mail gateway drained by hand")
    for _ in range(2):
        place.react(place.oncall, ts)
        place.react(place.oncall, ts, on=False)
    place.react(place.oncall, ts)
    item = {"type": "message", "channel": place.alerts, "ts": ts}
    again = {"type": "reaction_added", "user": place.oncall, "reaction": "pushpin", "item": item}
    place.deliver(again, retry=1)
    until(lambda: kinds(site).count("note.pinned") == 3, "pinned")
    rows = [e for e in site.store.entries("INC-1") if e.kind in {"note.pinned", "note.struck"}]
    assert [e.kind for e in rows] == ["note.pinned", "note.struck"] * 2 + ["note.pinned"]
    assert "mail gateway drained by hand" in rows[0].text
    assert f"Kim Larsen ({place.commander})" in json.dumps(dict(rows[0].data))
    assert rows[0].actor.id == "robin"
    assert place.alerts in str(rows[0].data["link"])
    until(lambda: place.proxy.made("reactions.add"), "the bot marks the message")
    with site.store.transaction("INC-1") as tx:
        tx.append(
            "INC-1",
            Draft(key="s", kind="incident.severity", text="sev1", data={"severity": "sev1"}),
        )
    connected.stop()
    place.message_with("INC-1 · open · sev1")


def test_the_shortcuts_add_a_message_and_read_a_crash(
    site: Site, place: Place, connected: SlackDoor
) -> None:
    opened(site, place)
    said = {"ts": place.say(place.commander, OOPS), "user": place.commander, "text": OOPS}
    place.shortcut(place.oncall, "holdfast:add", said)
    until(lambda: "note.pinned" in kinds(site), "added")
    place.shortcut(place.oncall, "holdfast:read", said)
    until(
        lambda: (
            "tcp_estats_update_mss" in json.dumps(place.proxy.made("views.update"))
            or "tcp_estats_update_mss" in place.told(place.oncall)
        ),
        "the crash is read",
    )
    if place.mode == "http":
        asked = place.proxy.made("views.open")
        assert asked


def test_roles_groups_and_the_modal_that_wants_the_number_typed(site: Site, place: Place) -> None:
    place.reset()
    place.proxy.groups = {"S0APPROVE": ("sre-approvers", [place.commander])}
    with door(site, place, typed_above=3) as found:
        until(lambda: found.health()["connected"], "the bot connects")
        assert found.group_members("@sre-approvers") == {place.commander}
        opened(site, place)
        place.click(place.commander, card(site, place), "Approve")
        until(lambda: place.proxy.done("views.open"), "the question is asked")
        answer = json.dumps(place.submit(place.commander, "3"))
        assert "It is 10 hosts" in answer
        assert load(site, "INC-1").proposals["P-1"].state == "open"
        place.submit(place.commander, "10")
        assert load(site, "INC-1").proposals["P-1"].state == "approved"


def test_a_deleted_card_is_posted_once_more_although_the_answer_is_lost(
    site: Site, place: Place, connected: SlackDoor
) -> None:
    log = opened(site, place)
    shown = card(site, place)
    assert place.upstream("chat.delete", channel=place.alerts, ts=shown["ts"])["ok"]
    place.proxy.plan("chat.postMessage", Fault("lost"))
    about = {"proposal": "P-1", "digest": log.proposals["P-1"], "why": "wrong time"}
    with site.store.transaction("INC-1") as tx:
        tx.append("INC-1", Draft(key="r", kind="proposal.rejected", text="rejected", data=about))
    until(lambda: site.store.posted("INC-1")["proposal.P-1"].ref != shown["ts"], "posted again")
    mark = shown["blocks"][0]["block_id"]
    cards = [m for m in place.messages() if mark in json.dumps(m.get("blocks") or [])]
    assert len([m for m in cards if m["ts"] != shown["ts"]]) == 1


@pytest.mark.parametrize(
    "fault", [Fault("ratelimited", 1.0), Fault("status", code=503), Fault("delay", 4.0)]
)
def test_an_answer_that_slack_delays_is_given_and_does_not_keep_the_event_waiting(
    site: Site, place: Place, connected: SlackDoor, fault: Fault
) -> None:
    place.proxy.plan("chat.postEphemeral", fault)
    said = {"type": "message", "channel": place.alerts, "user": place.oncall}
    failed = fault.kind != "delay"
    place.deliver({**said, "ts": f"{time.time():.6f}", "text": "<@U0BOT> statsu"})
    assert failed or place.proxy.done("chat.postEphemeral") == 0, "the ack waited for the answer"
    until(lambda: place.proxy.done("chat.postEphemeral") == 1 + failed, "it is tried again")
    assert "did you mean" in place.told(place.oncall)
