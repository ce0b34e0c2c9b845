"""Numbers that ``cat -n``, ``nl``, ``grep -n`` and paste sites write in front of every line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_NUMBER = re.compile(r"\s{0,16}(\d{1,7})(\t| ?\| ?|[:.)] ?| {1,2})")
_MIN_LINES = 3


def separator(texts: Sequence[str], at: int) -> str:
    """Return what stands between the numbers of lines and their words; empty: no such numbers.

    The lines around ``texts[at]`` are numbered if each number is one more than that above it.
    Lines without words may have no number; words of people may stand above and below them all.
    """
    first = _NUMBER.match(texts[at])
    if first is None:
        return ""
    above = _run(first, reversed(texts[:at]), -1)
    below = _run(first, texts[at + 1 :], 1)
    separators = [first[2], *above, *below]
    return min(separators, key=len) if len(separators) >= _MIN_LINES else ""


def _run(first: re.Match[str], texts: Iterable[str], step: int) -> list[str]:
    """Return the separators of the lines that go on counting from ``first``."""
    found: list[str] = []
    number = int(first[1])
    for text in texts:
        match = _NUMBER.match(text)
        if match is not None and int(match[1]) == number + step:
            if match[2].strip(" ") != first[2].strip(" "):
                break
            number += step
            found.append(match[2])
        elif text.strip(" \t|:"):
            break
    return found


def without(text: str, separator: str) -> str:
    """Take the number off a line."""
    match = _NUMBER.match(text)
    if match is None or match[2].strip(" ") != separator.strip(" "):
        return text
    return text[match.end(1) + len(separator) if separator.isspace() else match.end() :]
