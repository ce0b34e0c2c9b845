"""The night from Slack alone: alert message, proposal card, the commander's button, real hosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.demo import oops
from bot.demo.fleet import KNOB, Fleet
from tests.acceptance.bot import Bot, wait_for
from tests.acceptance.test_night import CHANCE, agree, settled
from tests.acceptance.test_slack import alertmanager
from tests.slack_server import (
    ALERTS,
    COMMANDER,
    ONCALL,
    SlackServer,
    binary,
    buttons,
    envelope,
    until,
    words,
)

pytestmark = [pytest.mark.fleet, pytest.mark.slack]


@pytest.fixture
def server(enclave: str, tmp_path: Path) -> Iterator[SlackServer]:
    binary()
    found = SlackServer(tmp_path)
    found.start()
    yield found
    found.close()


@pytest.fixture
def slack_bot(hosts: Fleet, server: SlackServer, tmp_path: Path) -> Iterator[Bot]:
    bot = Bot(
        tmp_path / "site",
        overrides={"tcp-estats-update-mss": {"disable-estats": {"key": KNOB}}},
        slack={
            "bot_token": "xoxb-bot",
            "app_token": "xapp-bot",
            "api_url": server.api_url,
            "channel": ALERTS,
            "alert_channels": [ALERTS],
            "alert_bots": ["B0PROM"],
        },
    )
    hosts.write_inventory(bot.site / "inventory.ini")
    with bot:
        wait_for(lambda: bool(bot.health()["chat"][0]["connected"]), 20)
        yield bot


def test_a_commander_approves_by_the_button_and_the_fleet_is_mitigated(
    slack_bot: Bot, server: SlackServer, hosts: Fleet
):
    text = oops.console(oops.ESTATS, "6.12.9-fleet", CHANCE)
    server.relay.deliver(envelope(alertmanager("1767225600.000100", text)))
    slack_bot.proposal("open")
    card = until(lambda: _card(server), "the proposal card", 20)

    server.click(ONCALL, card, "Approve")
    refused = until(lambda: server.whispers(ONCALL), "the refusal")
    assert "needs the role approver or commander" in refused[0]
    assert {hosts.read(h, KNOB) for h in hosts.hosts} == {"1", None}

    server.click(COMMANDER, card, "Approve")
    until(lambda: any(e["summary"] == "views.open" for e in server.sent()), "the question", 20)
    server.submit(COMMANDER)
    slack_bot.proposal("done")
    wait_for(lambda: settled(slack_bot), 30, slack_bot.log)
    agree(slack_bot, hosts)
    given = [e for e in slack_bot.timeline() if e["kind"] == "approval.given"]
    assert [(e["actor"]["id"], e["actor"]["via"]) for e in given] == [("dana", "slack")]
    until(lambda: "Approve" not in _labels(server), "the buttons vanish", 20)
    until(lambda: any("4 verified" in words(m) for m in server.messages()), "the counts", 20)


def _card(server: SlackServer) -> dict[str, Any]:
    return next((m for m in server.messages() if buttons(m) and "P-1" in words(m)), {})


def _labels(server: SlackServer) -> set[str]:
    return {b["text"]["text"] for m in server.messages() for b in buttons(m)}
