"""Long texts in parts of bounded size, so that memory does not grow with them."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Collection, Iterator
from typing import IO

from bot.crash.account import Account
from bot.crash.console import Console
from bot.crash.report import CrashReport, Kind

PART = 16 * 1024 * 1024
"""Characters that are read at once."""

AFTER = 1024 * 1024
"""Characters behind a headline that must be at hand before its report is written."""

BEFORE = 64 * 1024
"""Characters before a part that are kept, for what they say of the crash behind them."""


def parts(text: str) -> Iterator[str]:
    """Yield ``text`` in parts."""
    return (text[at : at + PART] for at in range(0, len(text), PART))


def parts_of(file: IO[str] | IO[bytes]) -> Iterator[str]:
    """Yield a file in parts, to its end; bytes that are no UTF-8 become replacement marks."""
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    while True:
        part = file.read(PART)
        if not part:
            break
        yield decoder.decode(part) if isinstance(part, bytes) else part
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest


def read_parts(given: Iterator[str], kinds: Collection[Kind]) -> list[CrashReport]:
    """Read a text that comes in parts, cut anywhere; return its crashes."""
    account = Account(kinds)
    text, first, known = "", 0, 0
    part = next(given, "")
    while part and not account.full:
        text += part
        part = next(given, "")
        # A report is written once what follows it is at hand; the last lines wait for more.
        settled = _line_at(text, len(text) - AFTER) if part else len(text)
        whole = first + text.count("\n", 0, settled)
        # In an endless line what stands before the cut counts as settled.
        cut = not part or text[settled - 1 : settled] not in ("", "\n")
        if account.add(Console(text, first), known, whole + cut if part else None):
            quiet = _line_at(text, len(text)) if part else len(text)
            whole += text.count("\n", settled, quiet)
            settled = quiet
        known = whole
        kept = _line_at(text, settled - BEFORE)
        first = whole - text.count("\n", kept, settled)
        text = text[kept:]
    return account.reports()


def _line_at(text: str, at: int) -> int:
    """Return where the line begins in which ``at`` is; ``at`` itself in an endless line."""
    if at <= 0:
        return 0
    begin = text.rfind("\n", 0, at) + 1
    return begin if at - begin <= PART else at
