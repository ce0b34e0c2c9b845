"""Lines of a log with the program that wrote each: what the readers of events and programs get."""

from __future__ import annotations

from bot.crash.account import Entries
from bot.crash.console import Console
from bot.crash.entry import Entry
from bot.crash.scan import Hit


def entries(log: str) -> list[Entry]:
    """Split ``log`` into lines without prefixes, each with its program."""
    console = Console(log)
    console.unfold([Hit(0, (), "")])
    return list(Entries(console))
