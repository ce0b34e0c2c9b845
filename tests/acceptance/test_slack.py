"""Slack, against a real Slack-compatible server over a real WebSocket: what is told of one server.

The behaviours that hold on every server are in test_slack_behaviours.py.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from bot.chat.slack import SlackDoor
from bot.demo import enclave as place
from bot.service.site import Site, load
from bot.timeline.entry import Draft
from tests.slack_server import (
    ALERT_USER,
    ALERTS,
    COMMANDER,
    ONCALL,
    STRANGER,
    SlackServer,
    binary,
    envelope,
    until,
    words,
)
from tests.slack_site import (
    LABELS,
    PEOPLE,
    attachment,
    kinds,
    opened_door,
    proposed,
    stored,
)
from tests.unit.events import OOPS

pytestmark = pytest.mark.slack

SLACK_IDS = {COMMANDER: "kim", ONCALL: "robin"}


@pytest.fixture(scope="module")
def server(enclave: place.Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlackServer]:
    binary()
    found = SlackServer(tmp_path_factory.mktemp("slack"))
    found.start()
    yield found
    found.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with stored(tmp_path) as found:
        yield found


@contextmanager
def door(site: Site, server: SlackServer, **changes: Any) -> Iterator[SlackDoor]:
    config = {
        "bot_token": "xoxb-bot",
        "app_token": "xapp-bot",
        "api_url": server.api_url,
        "alert_channels": ["#alerts"],
        "alert_bots": ["B0PROM", ALERT_USER],
        "replay": 0.0,
        **changes,
    }
    with opened_door(site, config, SLACK_IDS) as found:
        yield found


@pytest.fixture
def connected(site: Site, server: SlackServer) -> Iterator[SlackDoor]:
    server.control("reset")
    with door(site, server) as found:
        until(lambda: found.health()["connected"], "the bot connects")
        yield found
    assert not [t.name for t in threading.enumerate() if t.name.startswith("slack.")]


def alertmanager(ts: str, text: str = OOPS, title: str = "[FIRING] KernelOops") -> dict[str, Any]:
    """Return an alert as Alertmanager's message arrives: no text, all in the attachment."""
    return {
        "type": "message",
        "subtype": "bot_message",
        "channel": ALERTS,
        "channel_type": "channel",
        "ts": ts,
        "event_ts": ts,
        "bot_id": "B0PROM",
        "username": "Alertmanager",
        "text": "",
        "attachments": [attachment(text, title)],
    }


def open_incident(site: Site, server: SlackServer) -> None:
    server.relay.deliver(envelope(alertmanager("1700000001.000100")))
    assert [row.id for row in site.store.incidents()] == ["INC-1"]


def test_an_alert_with_empty_text_opens_an_incident_whose_headline_is_posted(
    site: Site, server: SlackServer, connected: SlackDoor
) -> None:
    open_incident(site, server)
    (alert,) = (e for e in site.store.entries("INC-1") if e.kind == "alert.received")
    assert alert.data["host"] == "web-01"
    assert alert.data["known"] is True
    assert alert.actor.id == "slack:B0PROM"
    shown = server.message_with("INC-1 · open")
    assert "tcp_estats_update_mss" in words(shown)
    server.say(ALERT_USER, OOPS.replace("web10g", "web10h") + "host: web-02")
    until(lambda: "2 down" in words(server.message_with("INC-1 · open")), "the headline is edited")
    assert len(server.messages()) == 2  # the alert and the headline, edited, never posted again


def test_a_stale_or_foreign_button_does_nothing_and_is_answered(
    site: Site, server: SlackServer, connected: SlackDoor
) -> None:
    open_incident(site, server)
    proposed(site)
    card = server.message_with("P-1 · open")

    def press(action: str, value: str) -> None:
        server.control(
            "interact",
            channel=ALERTS,
            messageTs=card["ts"],
            user=COMMANDER,
            action={"action_id": action, "value": value},
        )

    press("holdfast:approve", "approve P-1 --digest ffffffffffff")
    until(lambda: "not this proposal's" in "".join(server.whispers(COMMANDER)), "refused")
    press("elsewhere", "approve P-1")
    until(lambda: "this button is not known here" in "".join(server.whispers(COMMANDER)), "told")
    press("holdfast:details", "approve P-1")
    assert "approval.given" not in kinds(site)


def test_the_slash_command_answers_one_person(
    site: Site, server: SlackServer, connected: SlackDoor
) -> None:
    open_incident(site, server)
    server.command(ONCALL, "status")
    until(lambda: "INC-1 · open" in "".join(server.whispers(ONCALL)), "status is answered")
    server.command(ONCALL, "statsu")
    until(lambda: "did you mean 'status'?" in "".join(server.whispers(ONCALL)), "did you mean")
    server.command(ONCALL, f"assign commander <@{COMMANDER}|commander>")
    until(lambda: load(site, "INC-1").commander == "kim", "a mention names a person")
    server.command(STRANGER, "note I am the incident commander")
    until(lambda: "note needs the role" in "".join(server.whispers(STRANGER)), "refused")
    assert "note.added" not in kinds(site)


def test_what_is_delivered_again_or_to_two_bots_is_carried_out_once(
    site: Site, server: SlackServer, connected: SlackDoor
) -> None:
    open_incident(site, server)
    proposed(site)

    def typed(ident: str, text: str) -> dict[str, Any]:
        asked = {"command": "/incident", "text": text, "user_id": ONCALL, "channel_id": ALERTS}
        return {"envelope_id": ident, "type": "slash_commands", "payload": asked}

    with door(site, server) as second:
        until(lambda: second.health()["connected"], "the other bot connects")
        for _ in range(3):
            server.relay.deliver(typed("E-1", "note INC-1 said once"))
        server.relay.deliver(typed("E-2", "note\nINC-1 said again"))
        until(lambda: kinds(site).count("note.added") == 2, "both notes are there")
        pressed = {
            "type": "block_actions",
            "user": {"id": ONCALL},
            "channel": {"id": ALERTS},
            "actions": [
                {"type": "button", "action_id": "holdfast:reject", "block_id": "b"}
                | {"value": "reject P-1", "action_ts": "1.1"}
            ],
        }
        again = {"envelope_id": "E-3", "type": "interactive", "payload": pressed}
        for _ in range(3):
            server.relay.deliver(again)
        server.relay.deliver(typed("E-4", "note INC-1 the end"))
        until(lambda: kinds(site).count("note.added") == 3, "the last note is there")
    notes = [e.text for e in site.store.entries("INC-1") if e.kind == "note.added"]
    assert notes == ["said once", "said again", "the end"]
    told = [one for one in server.whispers(ONCALL) if "reject needs the role" in one]
    assert len(told) == 1


def test_a_socket_that_breaks_under_a_command_loses_its_ack_and_nothing_else(
    site: Site, server: SlackServer, connected: SlackDoor, caplog: pytest.LogCaptureFixture
) -> None:
    open_incident(site, server)
    with site.store.transaction("INC-1"):  # the command has to wait
        typed = threading.Thread(target=server.command, args=(ONCALL, "note INC-1 cut short"))
        typed.start()
        time.sleep(0.3)
        server.relay.drop()
        until(lambda: not connected.health()["connected"], "the cut is noticed")
    typed.join()
    until(lambda: "noted in INC-1" in "".join(server.whispers(ONCALL)), "it is answered")
    assert kinds(site).count("note.added") == 1
    assert not [row for row in caplog.records if row.exc_info]


def test_a_command_that_comes_while_the_bot_stops_is_carried_out(
    site: Site, server: SlackServer, connected: SlackDoor, caplog: pytest.LogCaptureFixture
) -> None:
    open_incident(site, server)
    with site.store.transaction("INC-1"):  # the command has to wait
        typed = threading.Thread(target=server.command, args=(ONCALL, "note INC-1 the last"))
        typed.start()
        time.sleep(0.3)
    connected.stop()
    typed.join()
    assert kinds(site).count("note.added") == 1
    assert not [row for row in caplog.records if row.exc_info]


def test_details_opens_a_modal(site: Site, server: SlackServer, connected: SlackDoor) -> None:
    open_incident(site, server)
    proposed(site)
    server.click(ONCALL, server.message_with("P-1 · open"), "Details")

    def opened() -> list[Any]:
        return [e["detail"] for e in server.sent() if e["summary"] == "views.open"]

    (call,) = until(opened, "a modal is opened")
    assert "127 becomes 0" in json.dumps(call["view"])


def test_slack_away_at_the_start_and_later_is_only_shown(site: Site, server: SlackServer) -> None:
    server.stop()
    with door(site, server) as found:
        until(lambda: "cannot be reached" in found.health()["trouble"].get("socket", ""), "told")
        server.start()
        until(lambda: found.health()["connected"], "it connects", 8)
        open_incident(site, server)
        server.message_with("INC-1 · open")
        server.stop()
        until(lambda: not found.health()["connected"], "it is noticed")
        site_note(site, "while Slack was away")
        server.start()  # it has forgotten every message: as if somebody had deleted ours
        until(lambda: found.health()["connected"], "it connects again", 8)
        server.message_with("INC-1 · open · sev1")
        server.relay.drop()
        until(lambda: not found.health()["connected"], "a cut is noticed")
        until(lambda: found.health()["connected"], "it connects again", 5)
        server.relay.deliver(
            envelope(alertmanager("1700000005.000100", OOPS.replace("812", "913")))
        )
        assert kinds(site).count("alert.received") == 2


def site_note(site: Site, text: str) -> None:
    with site.store.transaction("INC-1") as tx:
        tx.append(
            "INC-1",
            Draft(key="sev", kind="incident.severity", text=text, data={"severity": "sev1"}),
        )


def test_a_restart_posts_nothing_again_and_finds_what_it_had_not_recorded(
    site: Site, server: SlackServer
) -> None:
    server.control("reset")
    with door(site, server) as found:
        until(lambda: found.health()["connected"], "the bot connects")
        open_incident(site, server)
        proposed(site)
        server.message_with("P-1 · open")
        until(lambda: "proposal.P-1" in site.store.posted("INC-1"), "it is recorded")
    before = len(server.messages())
    forgetful = cast("Any", _Forgetful(site.store))
    again = Site(
        store=forgetful, clock=site.clock, sources=site.sources, people=PEOPLE, host_labels=LABELS
    )
    for which in (site, again):
        with door(which, server) as found:
            site_note(site, "news")
            until(lambda: found.health()["connected"], "the bot connects")
            server.message_with("INC-1 · open · sev1")
            time.sleep(0.7)
    assert len(server.messages()) == before


class _Forgetful:
    """A store that died after each message was posted and before that was recorded."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return cast("Callable[..., Any]", getattr(self._store, name))

    def posted(self, incident: str) -> dict[str, Any]:
        return {}


def test_an_alert_in_a_snippet_is_read_to_its_end(
    site: Site, server: SlackServer, connected: SlackDoor
) -> None:
    noise = "".join(f"[{n}.0] usb 1-1: new device number {n}\n" for n in range(4000))
    server.upload(ALERT_USER, "console.txt", f"host: web-01\n{noise}{OOPS}")
    until(site.store.incidents, "the incident is opened")
    (alert,) = (e for e in site.store.entries("INC-1") if e.kind == "alert.received")
    assert alert.data["crash"]["function"] == "tcp_estats_update_mss"
    assert alert.data["host"] == "web-01"
