"""The manifest asks for what the code uses, and for nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import bot.chat

CHAT = Path(bot.chat.__file__).parent
NEEDS = {
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "chat.postEphemeral": {"chat:write"},
    "views.open": set(),
    "conversations.history": {"channels:history", "groups:history"},
    "conversations.replies": {"channels:history", "groups:history"},
    "conversations.list": {"channels:read", "groups:read"},
}


def test_the_scopes_are_those_of_the_calls_made() -> None:
    manifest = yaml.safe_load((CHAT / "slack_manifest.yml").read_text())
    source = (CHAT / "slack_web.py").read_text()
    calls = set(re.findall(r'"((?:chat|views|conversations|users|files)\.[A-Za-z]+)"', source))
    wanted = set().union(*(NEEDS[call] for call in calls))
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == wanted | {"commands"}
    events = manifest["settings"]["event_subscriptions"]["bot_events"]
    assert events == ["message.channels", "message.groups"]
    assert manifest["settings"]["socket_mode_enabled"] is True
    assert manifest["settings"]["interactivity"]["is_enabled"] is True
    assert manifest["features"]["slash_commands"][0]["command"] == "/incident"
