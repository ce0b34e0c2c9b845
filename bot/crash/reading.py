"""The two doors of the reader, for a text and for a stream, and the excerpt of a long text."""

from __future__ import annotations

from collections.abc import Collection
from typing import IO

from bot.crash.account import Account, crash_headlines
from bot.crash.console import Console
from bot.crash.report import KERNEL_CRASH, CrashReport, Kind
from bot.crash.stream import PART, parts, parts_of, read_parts
from bot.crash.transport import decode

_LEAD = 80


def read(text: str | bytes, kinds: Collection[Kind] = KERNEL_CRASH) -> list[CrashReport]:
    """Return the crashes in ``text``, in order: the first is the cause, later ones follow from it.

    With ``kinds=ALL`` notices of the kernel and crashes of programs too; what stands before a
    crash of the kernel is its evidence then, not a report. Text without a crash gives an empty
    list. Never raises, whatever the text holds.
    """
    text = decode(text)
    if len(text) > PART:
        return read_parts(parts(text), kinds)
    account = Account(kinds)
    account.add(Console(text))
    return account.reports()


def read_stream(
    file: IO[str] | IO[bytes], kinds: Collection[Kind] = KERNEL_CRASH
) -> list[CrashReport]:
    """Read ``file`` (text or binary) to its end and return its crashes, as ``read`` does.

    Memory is bounded whatever its length. Reading ends early when so many crashes were found
    that the rest follows from them.
    """
    return read_parts(parts_of(file), kinds)


def excerpt(text: str, limit: int = 3000) -> str:
    """Cut ``text`` to ``limit`` characters, counted from the first headline, not the first line.

    Without a headline the beginning is returned.
    """
    if len(text) <= limit:
        return text
    console = Console(text)
    found = crash_headlines(console)
    if not found:
        return text[:limit]
    lines = text.split("\n")
    number = console.number(found[0].at)
    first = lines[number - 1]
    if len(first) > limit:
        first = first[max(0, first.find(found[0].literal) - _LEAD) :]
    return "\n".join([first, *lines[number:]])[:limit]
