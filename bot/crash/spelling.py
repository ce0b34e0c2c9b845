"""Characters that the way changed: colours, entities, typography, what cannot be seen.

All of it is undone for a whole text at once, before anything is looked for in it. The number of
lines stays the same.
"""

from __future__ import annotations

import re

MARKS = ("&(?:amp|lt|gt|quot|apos|nbsp|#)", "\x1b\\[", r"\\", "#033", r"\^\[\[", "<br")
"""Patterns of which an ASCII text holds one that ``clean`` changes."""

SAMPLE = 40_000
"""Characters of each of the three samples of a long text: a program writes all its lines alike."""

_ESC = r"(?:\x1b|#033|\^\[|\\{1,16}(?:u001[bB]|x1[bB]|033|e))"
_ANSI = re.compile(_ESC + r"\[[0-9;?]{0,16}[A-Za-z]")
_REAL_ANSI = re.compile(r"\x1b\[[0-9;?]{0,16}[A-Za-z]")
_OCTAL_ESC = re.compile(r"#033\[")
_WRITTEN_ESC = ("033[", "u001b[", "u001B[", "x1b[", "x1B[", "\\e[")

_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufe0f\xad\ufeff"
_PLAIN: dict[str, str] = {
    **dict.fromkeys(_INVISIBLE, ""),
    **dict.fromkeys("\xa0\u202f\u2028\u2029\x85", " "),
    **dict.fromkeys("\u2018\u2019", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    "\u2013": "-",
    "\u2014": "--",
    "\u2026": "...",
}
_WRITTEN_INVISIBLE = re.compile(
    r"\\{1,16}u(?:200[b-fB-F]|206[0-4]|[fF][eE](?:0[fF]|[fF][fF])|00[aA][dD])"
)
_WRITTEN_MARKS = ("\\u200", "\\u206", "\\ufe", "\\uFE", "\\u00ad", "\\u00AD")

_ENTITY = re.compile(r"&(?:(amp|lt|gt|quot|apos|nbsp)|#(\d{1,6})|#[xX]([0-9a-fA-F]{1,5}));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " "}
_MAX_NESTED = 4
_BREAK = re.compile("<br")
_END_BREAK = re.compile(r"<br ?/?>[ \t\r]{0,16}$", re.MULTILINE)


def decode(text: str | bytes) -> str:
    """Return ``text`` as characters; bytes that are no UTF-8 become replacement marks."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    return text


def sample(text: str) -> str:
    """Return ``text``, or of a long one its beginning, its middle and its end."""
    if len(text) <= 3 * SAMPLE:
        return text
    half = (len(text) - SAMPLE) // 2
    return "\n".join((text[:SAMPLE], text[half : half + SAMPLE], text[-SAMPLE:]))


def clean(text: str) -> str:
    """Undo what happened to characters; the number of lines stays the same.

    Each step asks for one character first, which ordinary logs do not hold.
    """
    if not text.isascii():
        text = _plain(text)
    seen = sample(text)
    if "&" in seen and _ENTITY.search(seen) is not None:
        text = _without_entities(text)
        if not text.isascii():
            text = _plain(text)
        seen = sample(text)
    if "\x1b" in text:
        text = _REAL_ANSI.sub("", text)
    if _coloured(seen):
        text = _ANSI.sub("", text)
    if "\\" in seen and any(mark in seen for mark in _WRITTEN_MARKS):
        text = _WRITTEN_INVISIBLE.sub("", text)
    if "<" in seen and _BREAK.search(seen) is not None:
        text = _END_BREAK.sub("", text)
    return text


def _coloured(text: str) -> bool:
    """Tell whether colours stand in ``text`` with their escape character written out."""
    return (
        ("\\" in text and any(mark in text for mark in _WRITTEN_ESC))
        or ("#" in text and _OCTAL_ESC.search(text) is not None)
        or ("^" in text and "^[[" in text)
    )


def _plain(text: str) -> str:
    for odd, plain in _PLAIN.items():
        if odd in text:
            text = text.replace(odd, plain)
    return text


def _without_entities(text: str) -> str:
    for _ in range(_MAX_NESTED):
        before = text
        text = _ENTITY.sub(_character, text)
        if text == before:
            break
    return text


def _character(match: re.Match[str]) -> str:
    if match[1]:
        return _NAMED[match[1]]
    return of_code(int(match[2]) if match[2] else int(match[3], 16))


def of_code(code: int) -> str:
    """Return the character of a number; a line break as it is written, no break of its own."""
    if code == 10:
        return "\\n"
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        return "\ufffd"
    return chr(code)
