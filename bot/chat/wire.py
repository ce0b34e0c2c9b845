"""Cards on the wire, between the bot and its terminals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bot.chat.card import Button, Card


def card_json(card: Card) -> dict[str, Any]:
    """Return a card as JSON."""
    return asdict(card)


def read_card(value: Mapping[str, Any]) -> Card:
    """Read what ``card_json`` wrote."""
    return Card(
        title=value["title"],
        tone=value["tone"],
        fields=tuple((name, text) for name, text in value["fields"]),
        lines=tuple(value["lines"]),
        code=value["code"],
        buttons=tuple(Button(**button) for button in value["buttons"]),
        foot=value["foot"],
    )
