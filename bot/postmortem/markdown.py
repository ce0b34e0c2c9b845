"""Markdown that text from outside cannot break out of.

Text is written as it is only when every character of it is harmless; everything else becomes a
code span, in which no renderer knows markup, links, mentions or entities.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LIMIT = 1000
"""Characters of one piece of outside text; the timeline itself holds the whole."""

EVIDENCE_LIMIT = 200
"""Characters of one evidence line."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff9-\ufffb]"
)
_HARMLESS = re.compile(r"(?:[^\W_]|[ .,;:?!\"()'/+%=·→…-]|(?<=[^\W_])_(?=[^\W_]))+")
_LIVELY = re.compile(r"://|www\.|:[\w+-]+:", re.IGNORECASE)
"""Harmless characters that a renderer makes a link or a picture of."""
_TEMPLATE = re.compile(r"\{(?=[{%#])")


def visible(text: str) -> str:
    """Write control and direction characters as escapes; new lines and tabs stay."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def inline(value: object, limit: int = LIMIT) -> str:
    """Write outside text on one line, harmless in a paragraph, a heading or a table cell."""
    text = _line(value, limit)
    if not text:
        return "-"
    if _HARMLESS.fullmatch(text) and not _LIVELY.search(text):
        return text
    return _span(text)


def code(value: object) -> str:
    """Write outside text as a code span even if it is harmless: digests, commands."""
    text = _line(value, LIMIT)
    return _span(text) if text else "-"


def _line(value: object, limit: int) -> str:
    text = _untemplated(visible(" ".join(str(value).split())))
    return f"{text[: limit - 1]}…" if len(text) > limit else text


def _untemplated(text: str) -> str:
    """Part the opening marks of template languages: a postmortem may pass through one."""
    return _TEMPLATE.sub("{ ", text)


def _span(text: str) -> str:
    marks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{marks}{pad}{text}{pad}{marks}"


def fence(lines: Sequence[str]) -> str:
    """Write lines as a fenced block that no line of it can close."""
    shown = [_untemplated(visible(" ".join(line.splitlines())))[:EVIDENCE_LIMIT] for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("~+", line)), default=0)
    marks = "~" * max(3, longest + 1)
    return "\n".join([f"{marks}text", *shown, marks])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table. Cells are Markdown already; a pipe in one stays inside its cell."""
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    r"""Escape pipes. Renderers disagree on ``\\|``, so a backslash never stands before one."""
    return re.sub(r"\\(?=\|)", r"\\ ", text).replace("|", r"\|")
