"""Alerts that came while nobody listened, read from the channels' history."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from bot.chat.slack_talk import Talk
from bot.chat.slack_text import is_alert
from bot.errors import HoldfastError

log = logging.getLogger(__name__)

OVERLAP = timedelta(minutes=5)
"""How far before the last known alert it is read: two may have come in the other order."""
FIRST = timedelta(minutes=10)
"""How far back a bot reads that has never taken an alert from a channel."""


class History(Protocol):
    """Reads channels. Raises the errors of ``bot.errors``."""

    def channel_id(self, name: str) -> str:
        """Return the id of a channel that the configuration calls by id or name."""

    def since(self, channel: str, oldest: str) -> list[Mapping[str, Any]]:
        """Return the channel's messages after a time of Slack's, oldest first."""


def replay(talk: Talk, history: History, own: Sequence[str]) -> int:
    """Take in the alerts that were missed in the alert channels; return how many there were.

    A message that was taken before is left alone, also if it was edited since. ``own`` are the
    bot's ids. Raises the first error after every channel was tried.
    """
    missed, trouble = 0, None
    for name in talk.config.alert_channels:
        try:
            missed += _channel(talk, history, history.channel_id(name), own)
        except HoldfastError as error:
            trouble = error
    if missed:
        log.warning("alerts were missed and are taken in now", extra={"alerts": missed})
    if trouble is not None:
        raise trouble
    return missed


def _channel(talk: Talk, history: History, channel: str, own: Sequence[str]) -> int:
    beginning = f"slack/{channel}/"
    keys = talk.site.store.alert_keys(beginning)
    taken = {key.removeprefix(beginning).partition("/")[0] for key in keys}
    oldest = _oldest(max(taken, default=""), talk.site.clock.now(), talk.config.replay)
    found = 0
    for event in history.since(channel, oldest):
        whole = {**event, "channel": channel}
        ours = set(own) & {event.get("bot_id"), event.get("user")}
        if event.get("ts") in taken or ours:
            continue
        if is_alert(whole, {channel}, talk.config.alert_bots):
            talk.take(whole)
            found += 1
    return found


def _oldest(last: str, now: datetime, most: float) -> str:
    """Return the time from which on history is read, as Slack writes it."""
    limit = (now - timedelta(seconds=most)).timestamp()
    try:
        known = float(last) - OVERLAP.total_seconds()
    except ValueError:
        known = (now - FIRST).timestamp()
    return f"{max(limit, known):.6f}"
