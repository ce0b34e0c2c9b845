"""The entries of an incident's timeline: the only source of truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did something: ``id`` is stable, ``via`` is the authenticated door it came through."""

    id: str
    name: str
    via: str


BOT = Actor(id="holdfast", name="holdfast", via="bot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry that is to be appended.

    ``key`` is unique within the incident, so that appending twice changes nothing. ``kind`` is a
    row of ``bot.timeline.kinds``. ``text`` is one line for people, ``data`` JSON for programs.
    """

    key: str
    kind: str
    text: str
    actor: Actor = BOT
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An appended entry. ``prev`` and ``hash`` are hex; ``redacted`` means the body is gone."""

    id: str
    incident: str
    seq: int
    at: datetime
    kind: str
    key: str
    actor: Actor
    text: str
    data: Mapping[str, Any]
    payload_hash: str
    prev: str
    hash: str
    redacted: bool = False
