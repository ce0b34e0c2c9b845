"""A card as Slack's Block Kit. Nothing in a card can become markup, a mention or a link."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.chat.card import Button, Card

Block = dict[str, Any]

HEADER, TEXT, FIELD, LABEL = 145, 2900, 1900, 70
FIELDS = 6000
ALL_TEXT = 10_000
"""Slack refuses messages whose blocks hold about 13,000 characters in all."""
ROWS = 5
BUTTONS = 3
VALUE = 2000

TONES = {"good": "🟢", "warn": "🟡", "bad": "🔴"}

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What Slack is sent. ``content`` is the hash by which a change is noticed."""

    text: str
    blocks: tuple[Block, ...]

    @property
    def content(self) -> str:
        """The sha256 (hex) of all that a reader sees."""
        seen = json.dumps([self.text, self.blocks], sort_keys=True)
        return hashlib.sha256(seen.encode()).hexdigest()


def escape(text: str, limit: int = TEXT) -> str:
    """Return plain text as Slack wants it: escaped, without unseen characters, cut to ``limit``.

    Unseen are control characters (a terminal's colours), and those that turn the direction of
    writing and so make one host name look like another.
    """
    raw = _UNSEEN.sub("", text.replace("\r\n", "\n")[: limit * 4])
    safe = raw.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(safe) <= limit:
        return safe
    return re.sub(r"&[a-z]{0,3}\Z", "", safe[: limit - 1]) + "…"


def message(card: Card, *, mark: str = "", link: str = "") -> Message:
    """Write a card as a message. ``mark`` names its slot, ``link`` is a page that says more."""
    text = "\n".join([escape(card.title, 300), *(escape(line, 300) for line in card.lines[:3])])
    return Message(text=text, blocks=tuple(blocks(card, mark=mark, link=link)))


def slim(whole: Message) -> Message:
    """Return what is left of a message that Slack finds too long: headline, buttons, link."""
    kept = [b for b in whole.blocks if b["type"] in {"header", "actions", "context"}]
    at = 1 if kept and kept[0]["type"] == "header" else 0
    kept.insert(at, section("The rest is too long for Slack: see the page, or 'details'."))
    return Message(text=whole.text, blocks=tuple(kept))


def blocks(card: Card, *, mark: str = "", link: str = "") -> list[Block]:
    """Write a card as blocks within Slack's limits. What is cut says so."""
    found: list[Block] = [_header(card, mark)]
    for start in range(0, min(len(card.fields), 8 * ROWS), ROWS):
        room = max(80, FIELDS // len(card.fields))
        found.append(_fields(card.fields[start : start + ROWS], min(room, FIELD)))
    if card.lines:
        found.append(section("\n".join(card.lines)))
    if card.code:
        found += fenced(card.code, max(1000, ALL_TEXT - len(json.dumps(found))))
    if card.buttons:
        found += _actions(card.buttons)
    foot: list[Block] = [plain_text(card.foot, FIELD)] if card.foot else []
    if link:
        foot.append({"type": "mrkdwn", "text": f"<{_url(link)}|More on the incident's page>"})
    if foot:
        found.append({"type": "context", "elements": foot})
    return found


def plain_text(text: str, limit: int) -> Block:
    """Return text as an object that can hold no markup."""
    return {"type": "plain_text", "text": escape(text, limit).strip() or "-", "emoji": False}


def _header(card: Card, mark: str) -> Block:
    sign = TONES.get(card.tone, "🔵")
    block: Block = {"type": "header", "text": plain_text(f"{sign} {card.title}", HEADER)}
    return {**block, "block_id": mark[:255]} if mark else block


def section(text: str) -> Block:
    """Return a paragraph of plain text."""
    return {"type": "section", "text": plain_text(text, TEXT)}


def _fields(pairs: Sequence[tuple[str, str]], room: int) -> Block:
    """Write rows of a bold label (its words are the product's own) and a plain value."""
    cells: list[Block] = []
    for label, value in pairs:
        bold = re.sub(r"[*_~`:]", " ", escape(label, LABEL)).strip() or "-"
        cells += [
            {"type": "mrkdwn", "text": f"*{bold}*", "verbatim": True},
            plain_text(value, room),
        ]
    return {"type": "section", "fields": cells}


def fenced(code: str, room: int) -> list[Block]:
    """Write preformatted text in fenced blocks, split at line ends, as far as there is room."""
    lines = [_unfenced(line) for line in code.split("\n")]
    chunks: list[list[str]] = []
    used = size = shown = 0
    for line in lines:
        if used + len(line) + 1 > room:
            break
        if not chunks or size + len(line) + 1 > TEXT - 10:
            chunks.append([])
            size = 0
        chunks[-1].append(line)
        size, used, shown = size + len(line) + 1, used + len(line) + 1, shown + 1
    found: list[Block] = [_fence("\n".join(chunk)) for chunk in chunks if "".join(chunk).strip()]
    if shown < len(lines):
        found.append(section(f"… and {len(lines) - shown} more lines"))
    return found


def _unfenced(line: str) -> str:
    """Return a line that fits into a block and cannot end it."""
    return re.sub("`(?=`)", "`\u200b", escape(line, TEXT // 2 - 10))


def _fence(text: str) -> Block:
    fenced = f"```\n{text}\n```"
    return {"type": "section", "text": {"type": "mrkdwn", "text": fenced, "verbatim": True}}


def _actions(buttons: Sequence[Button]) -> list[Block]:
    elements: list[Mapping[str, Any]] = []
    for button in buttons:
        verb = button.line.partition(" ")[0]
        if len(button.line) > VALUE:
            continue
        same = sum(1 for e in elements if e["action_id"].partition(".")[0] == f"holdfast:{verb}")
        action = f"holdfast:{verb}" + (f".{same + 1}" if same else "")
        style = {"style": button.style} if button.style in {"primary", "danger"} else {}
        elements.append(
            {
                "type": "button",
                "action_id": action[:255],
                "text": plain_text(button.label, LABEL),
                "value": button.line,
                **style,
            }
        )
    return [{"type": "actions", "elements": elements[:BUTTONS]}] if elements else []


def _url(link: str) -> str:
    return re.sub(r"[<>|\s]", "", link).replace("&", "&amp;")
