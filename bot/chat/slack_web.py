"""The few calls of Slack's Web API that the bot makes, over one function that makes a call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bot.chat.slack_blocks import Block, Message
from bot.errors import UnavailableError

RECENT = 200
PAGE = 1000
GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
ADVICE = {
    "not_in_channel": "invite the bot to the channel",
    "channel_not_found": "name a channel that exists under 'slack', and invite the bot to it",
    "is_archived": "name another channel under 'slack'",
    "missing_scope": "install the app again with the manifest of 'holdfast slack manifest'",
    "invalid_auth": "check slack.bot_token and slack.app_token",
    "not_authed": "check slack.bot_token and slack.app_token",
    "account_inactive": "install the app again",
}
QUIET = {"parse": "none", "unfurl_links": False, "unfurl_media": False}


class SlackError(UnavailableError):
    """Slack's refusal of a call: ``code`` is its word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Slack says {code}", next=ADVICE.get(code, "it is tried again by itself"))
        self.code = code


class ThrottledError(UnavailableError):
    """Slack asks to wait ``after`` seconds."""

    def __init__(self, after: float) -> None:
        super().__init__("Slack asks to slow down", next=f"waits {after:.0f} s by itself")
        self.after = after


class Call(Protocol):
    """Makes one call; raises ``SlackError``, ``ThrottledError`` or ``UnavailableError``."""

    def __call__(self, method: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return Slack's answer to ``method``."""

    def respond(self, url: str, args: Mapping[str, Any]) -> None:
        """Post to the URL that came with a command or a click."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Posts, edits, finds and answers. Nothing is sent twice by itself."""

    call: Call
    _ids: dict[str, str] = field(default_factory=dict)

    def post(self, channel: str, message: Message, thread: str | None) -> tuple[str, str]:
        """Post a message; in a thread it is shown in the channel as well."""
        where = {"thread_ts": thread, "reply_broadcast": True} if thread else {}
        args = {"channel": channel, **_parts(message), **where, **QUIET}
        sent = self.call("chat.postMessage", args)
        return str(sent["channel"]), str(sent["ts"])

    def update(self, channel: str, ref: str, message: Message) -> bool:
        """Replace a message, blocks included. False: it cannot be edited any more."""
        args = {"channel": channel, "ts": ref, **_parts(message), "parse": "none"}
        try:
            self.call("chat.update", args)
        except SlackError as error:
            if error.code in GONE:
                return False
            raise
        return True

    def find(self, channel: str, mark: str, thread: str | None) -> tuple[str, str] | None:
        """Look for our message among the channel's or the thread's latest."""
        where = self.channel_id(channel)
        if thread:
            args = {"channel": where, "ts": thread, "limit": RECENT}
            found = self.call("conversations.replies", args)
        else:
            found = self.call("conversations.history", {"channel": where, "limit": RECENT})
        for one in found.get("messages") or ():
            if any(block.get("block_id") == mark for block in one.get("blocks") or ()):
                return where, str(one["ts"])
        return None

    def channel_id(self, name: str) -> str:
        """Return the id of a channel that the configuration calls by id or name."""
        plain = name.removeprefix("#")
        if re.fullmatch(r"[CGD][A-Z0-9]{6,}", plain):
            return plain
        args = {"types": "public_channel,private_channel", "exclude_archived": True, "limit": PAGE}
        cursor = ""
        while plain not in self._ids:
            page = self.call("conversations.list", {**args, "cursor": cursor} if cursor else args)
            self._ids.update({str(c["name"]): str(c["id"]) for c in page["channels"]})
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        if plain not in self._ids:
            raise UnavailableError(f"Slack has no channel {name}", next=ADVICE["not_in_channel"])
        return self._ids[plain]

    def respond(self, url: str, message: Message) -> None:
        """Answer a command or click, to its person alone, at the URL that came with it."""
        args = {"response_type": "ephemeral", "replace_original": False, **_parts(message)}
        self.call.respond(url, args)

    def whisper(self, channel: str, user: str, message: Message) -> None:
        """Tell one person something in a channel."""
        self.call("chat.postEphemeral", {"channel": channel, "user": user, **_parts(message)})

    def open_modal(self, trigger: str, view: Block) -> None:
        """Open a modal for the person whose click this trigger is."""
        self.call("views.open", {"trigger_id": trigger, "view": view})


def _parts(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": list(message.blocks)}
