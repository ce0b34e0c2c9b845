"""Cards: what a front door shows, before Slack, a terminal or a page gives it its form.

All text in a card is plain text. Each door escapes it in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.errors import HoldfastError, UnclearError


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A button: ``line`` is the command that it stands for (``approve P-1 --digest …``)."""

    label: str
    line: str
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """``tone`` is ``info good warn bad``. ``code`` is preformatted text."""

    title: str
    tone: str = "info"
    fields: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    code: str = ""
    buttons: tuple[Button, ...] = ()
    foot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to one command: a card for people and JSON for programs."""

    card: Card
    data: Mapping[str, Any] | list[Any] = field(default_factory=dict)
    exit_code: int = 0


def sorry(error: HoldfastError) -> Card:
    """Return an error as a card; of an unclear question the first answers are its buttons."""
    where = f"{error.where}: " if error.where else ""
    choices = error.choices if isinstance(error, UnclearError) else ()
    buttons = tuple(Button(label=line, line=line) for line in choices[:3])
    lines = (f"Next: {error.next}",) if error.next else ()
    return Card(title=f"{where}{error.what}", tone="bad", lines=lines, buttons=buttons)


def plain(card: Card) -> str:
    """Write a card as plain text, its lines unbroken, for a pipe or a log."""
    rows = [card.title]
    pad = max((len(name) for name, _ in card.fields), default=0)
    rows += [f"  {name.ljust(pad)}  {value}" for name, value in card.fields]
    rows += [f"  {line}" for line in card.lines]
    rows += [f"    {line}" for line in card.code.splitlines()]
    rows += [f"  > {button.line}" for button in card.buttons]
    if card.foot:
        rows.append(f"  {card.foot}")
    return "\n".join(row.rstrip() for row in rows)
