"""Lines of a log with the program that wrote each: what the reader hands to ``userland.find``."""

from __future__ import annotations

import re

from bot.crash.entry import Entry
from bot.crash.transport import records

_TAG = re.compile(
    r"(?:[A-Z][a-z]{2} +\d+ [\d:]{8}|\d{4}-\d\d-\d\dT[\d:.+Z-]+) \S+ ([\w.@/-]+(?:\[\d+\])?):"
)


def entries(log: str) -> list[Entry]:
    """Split ``log`` into lines without prefixes, each with its program."""
    found: list[Entry] = []
    for record in records(log):
        tag = _TAG.match(record.raw)
        stamped = record.context not in ("", "foreign")
        program = tag[1] if tag else "kernel" if stamped else ""
        found.append(Entry(record.number, record.text, program))
    return found
