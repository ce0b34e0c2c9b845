"""Read crash reports out of console text.

``read`` takes whatever on-call people have: a paste, a log, an alert's annotation. It returns
what crashed, in which function, how sure that is and which lines say so.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import IO

from bot.crash.account import account, crash_headlines
from bot.crash.console import Console
from bot.crash.report import (
    ALL,
    KERNEL_CRASH,
    CrashReport,
    Evidence,
    Frame,
    Kind,
    Line,
    Skipped,
)

_LEAD = 80

MAX_TEXT = 64 * 1024 * 1024
"""Characters (or bytes) of one text that are read; of a longer one, the first."""


def read(text: str | bytes, kinds: Collection[Kind] = KERNEL_CRASH) -> list[CrashReport]:
    """Return the crashes in ``text``, in order: the first is the cause, later ones follow from it.

    Text without a crash gives an empty list. Never raises, whatever the text holds.
    """
    return account(Console(text[:MAX_TEXT]), kinds)


def read_stream(
    file: IO[str] | IO[bytes], kinds: Collection[Kind] = KERNEL_CRASH
) -> list[CrashReport]:
    """Read ``file`` (text or binary) to its end, at most ``MAX_TEXT``, and return its crashes."""
    return read(file.read(MAX_TEXT), kinds)


def excerpt(text: str, limit: int = 3000) -> str:
    """Cut ``text`` to ``limit`` characters, counted from the first headline, not the first line.

    Without a headline the beginning is returned.
    """
    if len(text) <= limit:
        return text
    console = Console(text[:MAX_TEXT])
    found = crash_headlines(console)
    if not found:
        return text[:limit]
    lines = text.split("\n")
    number = console.number(found[0].at)
    first = lines[number - 1]
    if len(first) > limit:
        first = first[max(0, first.find(found[0].literal) - _LEAD) :]
    return "\n".join([first, *lines[number:]])[:limit]


__all__ = [
    "ALL",
    "KERNEL_CRASH",
    "CrashReport",
    "Evidence",
    "Frame",
    "Kind",
    "Line",
    "Skipped",
    "excerpt",
    "read",
    "read_stream",
]
