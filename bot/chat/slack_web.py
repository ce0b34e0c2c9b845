"""The few calls of Slack's Web API that the bot makes, over one function that makes a call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bot.chat.slack_blocks import Block, Message
from bot.errors import UnavailableError

RECENT = 200
PAGE = 1000
GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
NOT_THERE = frozenset({"is_archived", "channel_not_found", "not_in_channel", "channel_is_archived"})
"""Slack's words for a channel in which nothing can be posted."""
DONE = frozenset({"already_pinned", "already_reacted", "no_reaction", "already_in_channel"})
"""Refusals that say that what is asked for is so already."""
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


class LostAnswerError(UnavailableError):
    """The call was made and its answer never came: it may have been carried out."""


class Call(Protocol):
    """Makes one call; raises ``SlackError``, ``ThrottledError`` or ``UnavailableError``."""

    def __call__(self, method: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return Slack's answer to ``method``."""

    def respond(self, url: str, args: Mapping[str, Any]) -> None:
        """Post to the URL that came with a command or a click."""

    def download(self, url: str, most: int) -> bytes:
        """Fetch a file of Slack's with the bot's token, at most ``most`` bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel as Slack lists it: ``creator`` is a user id, ``purpose`` its text."""

    id: str
    name: str
    creator: str = ""
    purpose: str = ""
    archived: bool = False
    member: bool = True


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

    def find(
        self, channel: str, mark: str, thread: str | None, besides: str = ""
    ) -> tuple[str, str] | None:
        """Look for our message among the channel's or the thread's latest, ``besides`` one."""
        where = self.channel_id(channel)
        if thread:
            args = {"channel": where, "ts": thread, "limit": RECENT}
            found = self.call("conversations.replies", args)
        else:
            found = self.call("conversations.history", {"channel": where, "limit": RECENT})
        for one in found.get("messages") or ():
            if one.get("ts") != besides and any(
                block.get("block_id") == mark for block in one.get("blocks") or ()
            ):
                return where, str(one["ts"])
        return None

    def channel_id(self, name: str) -> str:
        """Return the id of a channel that the configuration calls by id or name."""
        plain = name.removeprefix("#")
        if re.fullmatch(r"[CGD][A-Z0-9]{6,}", plain):
            return plain
        if plain not in self._ids:
            for channel in self.channels():
                self._ids[channel.name] = channel.id
                if channel.name == plain:
                    break
        if plain not in self._ids:
            raise UnavailableError(f"Slack has no channel {name}", next=ADVICE["not_in_channel"])
        return self._ids[plain]

    def channels(self, *, archived: bool = False) -> Iterator[Channel]:
        """Yield the channels that the bot can see, a page at a time."""
        args = {"types": "public_channel,private_channel", "limit": PAGE}
        args |= {} if archived else {"exclude_archived": True}
        for page in self._pages("conversations.list", args):
            yield from (_channel(one) for one in page.get("channels") or ())

    def _pages(self, method: str, args: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        cursor = ""
        while True:
            page = self.call(method, {**args, "cursor": cursor} if cursor else args)
            yield page
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return

    def since(self, channel: str, oldest: str) -> list[Mapping[str, Any]]:
        """Return the channel's messages after a time of Slack's, oldest first."""
        args = {"channel": channel, "oldest": oldest, "limit": RECENT}
        found: list[Mapping[str, Any]] = []
        for page in self._pages("conversations.history", args):
            found += page.get("messages") or ()
        found.sort(key=lambda one: str(one.get("ts")))
        return [one for one in found if str(one.get("ts")) > oldest]

    def message_at(self, channel: str, ref: str) -> Mapping[str, Any] | None:
        """Return one message, also one in a thread; None if it is gone."""
        args = {"channel": channel, "latest": ref, "oldest": ref, "inclusive": True, "limit": 1}
        if found := _of(self.call("conversations.history", args), ref):
            return found
        args = {"channel": channel, "ts": ref, "limit": RECENT}
        try:
            return _of(self.call("conversations.replies", args), ref)
        except SlackError as error:
            if error.code in {"thread_not_found", "message_not_found"}:
                return None
            raise

    def permalink(self, channel: str, ref: str) -> str:
        """Return the address of a message."""
        found = self.call("chat.getPermalink", {"channel": channel, "message_ts": ref})
        return str(found.get("permalink") or "")

    def react(self, channel: str, ref: str, emoji: str, *, on: bool = True) -> None:
        """Put an emoji on a message, or take it away."""
        args = {"channel": channel, "timestamp": ref, "name": emoji}
        if on:
            self._settled("reactions.add", args)
        else:
            self._settled("reactions.remove", args)

    def person(self, user: str) -> Mapping[str, Any]:
        """Return Slack's user object of an id."""
        found = self.call("users.info", {"user": user}).get("user")
        return found if isinstance(found, Mapping) else {}

    def group(self, name: str) -> str:
        """Return the id of a user group that is called by id or handle."""
        plain = name.removeprefix("@")
        if re.fullmatch(r"S[A-Z0-9]{6,}", plain):
            return plain
        for one in self.call("usergroups.list", {}).get("usergroups") or ():
            if one.get("handle") == plain:
                return str(one["id"])
        raise UnavailableError(f"Slack has no user group {name}", next="see 'holdfast slack check'")

    def group_members(self, name: str) -> frozenset[str]:
        """Return the user ids of a user group, asked afresh."""
        found = self.call("usergroups.users.list", {"usergroup": self.group(name)})
        return frozenset(str(user) for user in found.get("users") or ())

    def create_channel(self, name: str) -> str:
        """Create a public channel and return its id; ``SlackError`` such as ``name_taken``."""
        return str(self.call("conversations.create", {"name": name})["channel"]["id"])

    def channel(self, ident: str) -> Channel:
        """Return one channel by its id."""
        return _channel(self.call("conversations.info", {"channel": ident}).get("channel") or {})

    def invite(self, channel: str, users: Sequence[str]) -> None:
        """Invite people; one who cannot be invited does not keep the others out."""
        for user in users:
            try:
                self._settled("conversations.invite", {"channel": channel, "users": user})
            except SlackError as error:
                if error.code in {"missing_scope", "unknown_method", *NOT_THERE}:
                    raise

    def describe(self, channel: str, topic: str, purpose: str) -> None:
        """Set a channel's topic and purpose."""
        if topic:
            self.call("conversations.setTopic", {"channel": channel, "topic": topic[:250]})
        if purpose:
            self.call("conversations.setPurpose", {"channel": channel, "purpose": purpose[:250]})

    def pin(self, channel: str, ref: str) -> None:
        """Pin a message to its channel."""
        self._settled("pins.add", {"channel": channel, "timestamp": ref})

    def _settled(self, method: str, args: Mapping[str, Any]) -> None:
        """Make a call that may find its work done already."""
        try:
            self.call(method, args)
        except SlackError as error:
            if error.code not in DONE:
                raise

    def whoami(self) -> Mapping[str, Any]:
        """Return ``user_id``, ``bot_id``, ``team`` … of the bot's token."""
        return self.call("auth.test", {})

    def respond(self, url: str, message: Message) -> None:
        """Answer a command or click, to its person alone, at the URL that came with it."""
        args = {"response_type": "ephemeral", "replace_original": False, **_parts(message)}
        self.call.respond(url, args)

    def whisper(self, channel: str, user: str, message: Message, thread: str | None = None) -> None:
        """Tell one person something in a channel; who is not in it is told directly."""
        where = {"thread_ts": thread} if thread else {}
        args = {"channel": channel, "user": user, **where, **_parts(message)}
        try:
            self.call("chat.postEphemeral", args)
        except SlackError as error:
            if error.code not in {"user_not_in_channel", *NOT_THERE}:
                raise
            self.tell(user, message)

    def tell(self, user: str, message: Message) -> None:
        """Send one person a direct message."""
        self.call("chat.postMessage", {"channel": user, **_parts(message), **QUIET})

    def open_modal(self, trigger: str, view: Block) -> str:
        """Open a modal for the person whose click this trigger is; return its id."""
        opened = self.call("views.open", {"trigger_id": trigger, "view": view})
        return str((opened.get("view") or {}).get("id") or "")

    def fill_modal(self, ident: str, view: Block) -> None:
        """Replace what an open modal shows."""
        self.call("views.update", {"view_id": ident, "view": view})

    def download(self, url: str, most: int) -> bytes:
        """Fetch a file that somebody shared, at most so many bytes."""
        return self.call.download(url, most)


def _of(page: Mapping[str, Any], ref: str) -> Mapping[str, Any] | None:
    messages: Sequence[Mapping[str, Any]] = page.get("messages") or ()
    return next((one for one in messages if one.get("ts") == ref), None)


def _channel(one: Mapping[str, Any]) -> Channel:
    purpose = one.get("purpose")
    return Channel(
        id=str(one.get("id") or ""),
        name=str(one.get("name") or ""),
        creator=str(one.get("creator") or ""),
        purpose=str(purpose.get("value") or "") if isinstance(purpose, Mapping) else "",
        archived=bool(one.get("is_archived")),
        member=bool(one.get("is_member", True)),
    )


def _parts(message: Message) -> dict[str, Any]:
    return {"text": message.text, "blocks": list(message.blocks)}
