"""Slack's limits on messages and modals, written down apart from the code that keeps them.

From the reference of Block Kit: 50 blocks a message and 100 a modal, 3000 characters a section's
text, ten fields of 2000, 150 a header, 75 a button, 24 a modal's title, 3000 its metadata; and
about 13,200 characters in all blocks of a message, above which Slack was seen to refuse it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TEXT = {"header": 150, "section": 3000}
WHOLE = 13_200
BUTTONS = 3
"""The project's own rule, not Slack's: more to choose from does not help at night."""


def problems(blocks: list[dict[str, Any]], *, modal: bool = False) -> list[str]:
    """Return what Slack would refuse in these blocks; empty if nothing."""
    found = [] if 0 < len(blocks) <= (100 if modal else 50) else [f"{len(blocks)} blocks"]
    marks = [b["block_id"] for b in blocks if "block_id" in b]
    found += ["a block_id twice"] * (len(marks) != len(set(marks)))
    found += [f"block_id of {len(m)}" for m in marks if not 0 < len(m) <= 255]
    for number, block in enumerate(blocks):
        found += [f"block {number}: {said}" for said in _block(block)]
    whole = sum(len(text) for text in strings(blocks))
    return found + ([f"{whole} characters in all"] if whole > WHOLE and not modal else [])


def view_problems(view: dict[str, Any]) -> list[str]:
    """Return what Slack would refuse in a modal; empty if nothing."""
    found = problems(view["blocks"], modal=True)
    found += [] if view["type"] == "modal" else ["no modal"]
    for name in ("title", "submit", "close"):
        if name in view:
            found += [f"{name}: {said}" for said in _text(view[name], 24, plain=True)]
    if "submit" not in view and any(b["type"] == "input" for b in view["blocks"]):
        found.append("an input without submit")
    found += ["metadata"] * (len(view.get("private_metadata", "")) > 3000)
    found += ["callback_id"] * (len(view.get("callback_id", "")) > 255)
    return found


def strings(value: Any) -> Iterator[str]:
    """Yield every text that is shown."""
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["text"]
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def _block(block: dict[str, Any]) -> Iterator[str]:
    kind = block["type"]
    if kind == "header":
        yield from _text(block["text"], 150, plain=True)
    elif kind == "section":
        yield from _section(block)
    elif kind == "context":
        yield from ["elements"] * (not 0 < len(block["elements"]) <= 10)
        for one in block["elements"]:
            yield from _text(one, 2000)
    elif kind == "actions":
        yield from _actions(block["elements"])
    elif kind == "input":
        yield from _text(block["label"], 2000, plain=True)
        yield from _input(block["element"])
    elif kind != "divider":
        yield f"type {kind}"


def _section(block: dict[str, Any]) -> Iterator[str]:
    fields = block.get("fields", [])
    if not fields and "text" not in block:
        yield "an empty section"
    if "text" in block:
        yield from _text(block["text"], 3000)
    yield from [f"{len(fields)} fields"] * (len(fields) > 10)
    for one in fields:
        yield from _text(one, 2000)


def _actions(elements: list[dict[str, Any]]) -> Iterator[str]:
    yield from [f"{len(elements)} buttons"] * (not 0 < len(elements) <= BUTTONS)
    names = [one["action_id"] for one in elements]
    yield from ["an action_id twice"] * (len(names) != len(set(names)))
    for one in elements:
        yield from _text(one["text"], 75, plain=True)
        yield from ["value"] * (len(one.get("value", "")) > 2000)
        yield from ["action_id"] * (not 0 < len(one["action_id"]) <= 255)
        yield from ["style"] * (one.get("style", "primary") not in {"primary", "danger"})


def _input(element: dict[str, Any]) -> Iterator[str]:
    if "placeholder" in element:
        yield from _text(element["placeholder"], 150, plain=True)
    if element["type"] == "static_select":
        options = element["options"]
        yield from ["options"] * (not 0 < len(options) <= 100)
        for one in options:
            yield from _text(one["text"], 75, plain=True)
            yield from ["an option's value"] * (len(one["value"]) > 150)
    elif element["type"] != "plain_text_input":
        yield f"input {element['type']}"


def _text(value: dict[str, Any], most: int, *, plain: bool = False) -> Iterator[str]:
    if value["type"] not in ({"plain_text"} if plain else {"plain_text", "mrkdwn"}):
        yield f"text is {value['type']}"
    if not 0 < len(value["text"]) <= most:
        yield f"text of {len(value['text'])}, at most {most}"
    if value["type"] == "mrkdwn" and value["text"].count("```") % 2:
        yield "an open fence"
