"""The manifest asks for what the code uses, and for nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import bot.chat
from bot.chat import slack_manifest

CHAT = Path(bot.chat.__file__).parent
CALL = r'"((?:api|apps|auth|bots|chat|conversations|emoji|files|pins|reactions|team|usergroups|users|views)\.[A-Za-z.]+)"'
MANAGED = {"channels:manage"}
NEEDS = {
    "auth.test": set(),
    "chat.getPermalink": set(),
    "chat.postEphemeral": {"chat:write"},
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "conversations.create": MANAGED,
    "conversations.history": {"channels:history", "groups:history"},
    "conversations.info": {"channels:read", "groups:read"},
    "conversations.invite": MANAGED,
    "conversations.list": {"channels:read", "groups:read"},
    "conversations.replies": {"channels:history", "groups:history"},
    "conversations.setPurpose": MANAGED,
    "conversations.setTopic": MANAGED,
    "pins.add": {"pins:write"},
    "reactions.add": {"reactions:write"},
    "reactions.remove": {"reactions:write"},
    "usergroups.list": {"usergroups:read"},
    "usergroups.users.list": {"usergroups:read"},
    "users.info": {"users:read"},
    "views.open": set(),
    "views.update": set(),
}
"""Slack's documentation of the methods, written down apart from the code's own table."""
EVENTS = {
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
    "reaction_added": {"reactions:read"},
    "reaction_removed": {"reactions:read"},
}


def calls() -> set[str]:
    """Return every Web API method that the calling module names."""
    return set(re.findall(CALL, (CHAT / "slack_web.py").read_text()))


def test_the_scopes_are_those_of_the_calls_made() -> None:
    wanted: set[str] = {"commands", "files:read"}
    for needs in (*(NEEDS[call] for call in calls()), *EVENTS.values()):
        wanted |= needs
    manifest = yaml.safe_load(slack_manifest.manifest())
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == wanted
    assert set(slack_manifest.METHODS) == calls()
    assert set(slack_manifest.WHY) == wanted


def test_no_other_module_calls_slack_by_name() -> None:
    for file in CHAT.glob("*.py"):
        if file.name not in {"slack_web.py", "slack_manifest.py"}:
            assert set(re.findall(CALL, file.read_text())) <= calls(), file.name


@pytest.mark.parametrize("url", ["", "https://holdfast.example/"])
def test_the_manifest_says_how_slack_comes(url: str) -> None:
    manifest = yaml.safe_load(slack_manifest.manifest(url))
    settings, where = manifest["settings"], "https://holdfast.example/slack/events"
    assert set(settings["event_subscriptions"]["bot_events"]) == set(EVENTS)
    assert settings["socket_mode_enabled"] is not bool(url)
    assert settings["interactivity"]["is_enabled"] is True
    told = [settings["event_subscriptions"], settings["interactivity"]]
    told[0] = {**told[0], "url": told[0].get("request_url")}
    assert {one.get("request_url") for one in told} == ({where} if url else {None})
    (command,) = manifest["features"]["slash_commands"]
    assert (command["command"], command.get("url")) == ("/incident", where if url else None)
    shortcuts = {one["callback_id"]: one["name"] for one in manifest["features"]["shortcuts"]}
    assert shortcuts == {"holdfast:add": "Add to timeline", "holdfast:read": "Read this crash"}
