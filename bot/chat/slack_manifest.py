"""What the Slack app asks for: every method and event that is used, and the scope it needs.

The manifest is written from these tables, and ``holdfast slack check`` compares a token with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.chat.slack_pins import ADD, READ

WHY: Mapping[str, str] = MappingProxyType(
    {
        "channels:history": "alerts in public channels, missed ones too; its own messages",
        "channels:manage": "an incident's own channel: create, invite, topic (slack.own_channels)",
        "channels:read": "channel names in the configuration",
        "chat:write": "headlines, proposal cards, answers",
        "commands": "/incident and the message shortcuts",
        "files:read": "the text of snippets: in alerts, and for 'Read this crash'",
        "groups:history": "the same in private channels",
        "groups:read": "the same in private channels",
        "pins:write": "the pinned headline of an incident's own channel",
        "reactions:read": "the pin emoji that puts a message into the timeline",
        "reactions:write": "the mark that says that it is there",
        "usergroups:read": "roles that are given to user groups",
        "users:read": "the names of authors of pinned messages",
    }
)
"""Scope -> what it is for."""

_HISTORY, _LIST = ("channels:history", "groups:history"), ("channels:read", "groups:read")
METHODS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "auth.test": (),
        "chat.getPermalink": (),
        "chat.postEphemeral": ("chat:write",),
        "chat.postMessage": ("chat:write",),
        "chat.update": ("chat:write",),
        "conversations.create": ("channels:manage",),
        "conversations.history": _HISTORY,
        "conversations.info": _LIST,
        "conversations.invite": ("channels:manage",),
        "conversations.list": _LIST,
        "conversations.replies": _HISTORY,
        "conversations.setPurpose": ("channels:manage",),
        "conversations.setTopic": ("channels:manage",),
        "pins.add": ("pins:write",),
        "reactions.add": ("reactions:write",),
        "reactions.remove": ("reactions:write",),
        "usergroups.list": ("usergroups:read",),
        "usergroups.users.list": ("usergroups:read",),
        "users.info": ("users:read",),
        "views.open": (),
        "views.update": (),
    }
)
"""Web API method -> scopes of the bot token; with two, one is for private channels."""
EVENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "message.channels": ("channels:history",),
        "message.groups": ("groups:history",),
        "reaction_added": ("reactions:read",),
        "reaction_removed": ("reactions:read",),
    }
)
ELSEWHERE = ("commands", "files:read")
"""Scopes of what is neither a method nor an event: slash commands, and files by their URL."""


def scopes() -> list[str]:
    """Return the scopes of the bot token, in order."""
    used = {scope for needed in (*METHODS.values(), *EVENTS.values()) for scope in needed}
    return sorted({*used, *ELSEWHERE})


def manifest(url: str = "") -> str:
    """Return the app manifest in YAML: for Socket Mode, or for HTTP at the bot's ``url``."""
    where = f"{url.rstrip('/')}/slack/events" if url else ""
    secret = "the signing secret" if url else "an app-level token with connections:write (xapp-…)"
    lines = [
        "# Paste into https://api.slack.com/apps -> Create New App -> From a manifest.",
        f"# Then: install it, copy the bot token (xoxb-…) and {secret}, and invite the bot",
        "# to the alert channels and to the channel that it posts in. 'holdfast slack check' tells",
        "# what is still missing.",
        "display_information:",
        "  name: Holdfast",
        "  description: From a crash to an approved, verified fleet mitigation with a timeline",
        '  background_color: "#1d3557"',
        "features:",
        "  bot_user:",
        "    display_name: holdfast",
        "    always_online: true",
        "  shortcuts:",
        *_shortcut("Add to timeline", ADD, "Put this message into the incident's timeline"),
        *_shortcut("Read this crash", READ, "Read the kernel crash in this message or its files"),
        "  slash_commands:",
        "    - command: /incident",
        *([f"      url: {where}"] if where else []),
        "      description: Incidents, proposals, approvals",
        '      usage_hint: "help | status | approve P-1 | …"',
        "      should_escape: true",
        "oauth_config:",
        "  scopes:",
        "    bot:",
        *(f"      - {scope} # {WHY[scope]}" for scope in scopes()),
        "settings:",
        "  event_subscriptions:",
        *([f"    request_url: {where}"] if where else []),
        "    bot_events:",
        *(f"      - {event}" for event in EVENTS),
        "  interactivity:",
        "    is_enabled: true",
        *([f"    request_url: {where}"] if where else []),
        "  org_deploy_enabled: false",
        f"  socket_mode_enabled: {'false' if where else 'true'}",
        "  token_rotation_enabled: false",
    ]
    return "\n".join([*lines, ""])


def _shortcut(name: str, callback: str, description: str) -> list[str]:
    return [
        f"    - name: {name}",
        "      type: message",
        f'      callback_id: "{callback}"',
        f"      description: {description}",
    ]
