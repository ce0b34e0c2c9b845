"""What may be kept: JSON, and text that both databases can hold."""

from __future__ import annotations

import math
from typing import Any

from bot.errors import BadInputError

DEPTH = 100


def check_text(what: str, text: str) -> None:
    """Raise ``BadInputError`` for text that cannot be written as UTF-8 or holds a NUL."""
    if "\0" in text or not _encodable(text):
        raise BadInputError(
            f"{what} {text!r} holds a character that cannot be kept", next="leave that out"
        )


def check_json(what: str, value: Any) -> None:
    """Raise ``BadInputError`` for anything that JSON would refuse, or silently change."""
    trouble = _trouble(value, DEPTH)
    if trouble:
        raise BadInputError(f"{what} is not JSON: {trouble}", next="this is a fault of the program")


def _trouble(value: Any, depth: int) -> str:
    """Return what is wrong with a value; '' if nothing is."""
    if isinstance(value, str):
        return "" if _encodable(value) else f"{value!r} holds half a character"
    if value is None or isinstance(value, int):
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is no number of JSON"
    if not depth:
        return f"it is nested deeper than {DEPTH}"
    if isinstance(value, dict):
        odd = next((key for key in value if not isinstance(key, str)), None)
        if odd is not None:
            return f"the key {odd!r} is not text"
        return _first([*value, *value.values()], depth)
    if isinstance(value, list | tuple):
        return _first(value, depth)
    return f"{value!r} is a {type(value).__name__}"


def _first(values: Any, depth: int) -> str:
    return next((found for value in values if (found := _trouble(value, depth - 1))), "")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
