"""Where an incident's messages go: its own channel, or a thread of the common one."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.chat.slack_web import NOT_THERE, Channel, SlackError
from bot.errors import HoldfastError
from bot.incident.state import Incident
from bot.ports import Posted

log = logging.getLogger(__name__)

ROOM = "channel"
"""The slot that holds where an incident's messages go."""
OWN, THREAD = "own", "thread"
TRIES = 4
REFUSED = frozenset(
    {
        "missing_scope",
        "restricted_action",
        "not_allowed_token_type",
        "user_is_restricted",
        "no_permission",
        "unknown_method",
        "invalid_name",
        "invalid_name_specials",
        "name_taken",
    }
)
"""Answers after which no channel of its own is made: the messages go to a thread."""


class Channels(Protocol):
    """The calls that make a channel. They raise the errors of ``bot.errors``."""

    def create_channel(self, name: str) -> str:
        """Create a channel and return its id."""

    def channels(self, *, archived: bool = False) -> Iterator[Channel]:
        """Yield the channels that the bot can see."""

    def invite(self, channel: str, users: Sequence[str]) -> None:
        """Invite people."""

    def describe(self, channel: str, topic: str, purpose: str) -> None:
        """Set a channel's topic and purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A channel, and whether the incident has it for itself."""

    channel: str
    own: bool


def home(posted: Posted | None, common: str) -> Home:
    """Return where messages go by what was recorded."""
    if posted is not None and posted.ref == OWN:
        return Home(channel=posted.channel, own=True)
    return Home(channel=common, own=False)


def channel_name(incident: Incident, prefix: str, attempt: int = 0) -> str:
    """Return ``inc-42-tcp-estats-update-mss``: lower case, at most 80 characters."""
    signature = incident.signature
    word = (signature.function or signature.kind if signature else "") or "incident"
    plain = re.sub(r"[^a-z0-9]+", "-", f"{incident.id.removeprefix('INC-')}-{word}".lower())
    tail = f"-{attempt + 1}" if attempt else ""
    return f"{prefix}-{plain.strip('-')}"[: 80 - len(tail)].rstrip("-") + tail


def topic(incident: Incident, link: str) -> str:
    """Return a topic that stays right: who leads and how bad it is are in the headline."""
    return f"{incident.id} · {incident.title[:120]} · {link}"


def make(wire: Channels, incident: Incident, me: str, mark: str, prefix: str) -> Posted:
    """Make the incident's channel, or say why it has none.

    A channel that an earlier attempt made and did not record is known by its maker and purpose.
    Raises ``UnavailableError`` when that may go well later.
    """
    for attempt in range(TRIES):
        name = channel_name(incident, prefix, attempt)
        try:
            return Posted(channel=wire.create_channel(name), ref=OWN, content=name)
        except SlackError as error:
            if error.code == "name_taken":
                if ours := _earlier(wire, name, me, mark):
                    return Posted(channel=ours, ref=OWN, content=name)
                continue
            if error.code not in REFUSED:
                raise
            log.warning("an incident gets no channel", extra={"error": str(error)})
            return Posted(channel="", ref=THREAD, content=error.code)
    return Posted(channel="", ref=THREAD, content="name_taken")


def _earlier(wire: Channels, name: str, me: str, mark: str) -> str:
    """Return the id of a channel that we made for this incident; '' if it is another's."""
    for channel in wire.channels(archived=True):
        if channel.name == name:
            mine = channel.creator == me and not channel.archived
            return channel.id if mine and channel.purpose in {"", mark} else ""
    return ""


def furnish(wire: Channels, at: Posted, incident: Incident, link: str, mark: str) -> None:
    """Give a channel its purpose and topic. What Slack refuses is left out."""
    for words in (("", mark), (topic(incident, link), "")):
        try:
            wire.describe(at.channel, *words)
        except SlackError as error:
            if error.code in NOT_THERE:
                raise
            log.info("a channel keeps its topic", extra={"error": str(error)})


def bring(wire: Channels, at: Posted, users: Sequence[str]) -> None:
    """Invite people to a channel; that some cannot be, or nobody, does not stop the rest."""
    try:
        wire.invite(at.channel, users)
    except HoldfastError as error:
        log.warning("people cannot be invited", extra={"error": str(error)})
