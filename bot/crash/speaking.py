"""Which row of a table speaks for a line: one look-up for events, notices and evidence."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bot.crash.entry import Entry
from bot.crash.event_row import Row

_OURS = ("kernel", "")
_PROGRAM = re.compile(
    r"(?!systemd(?:-\w{1,32})?\[)[\w.@/-]{1,64}\[\d{1,10}\]: (?!segfault at |unhandled signal )",
    re.ASCII,
)
"""How a program begins its lines; of one that dies the kernel itself speaks like that."""


class Table:
    """Rows in order, grouped by their hint, so that most lines cost a few substring tests."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        self._place = {id(row): n for n, row in enumerate(self.rows)}
        self._by_hint: dict[str, list[Row]] = {}
        for row in self.rows:
            self._by_hint.setdefault(row.hint, []).append(row)

    @property
    def hints(self) -> tuple[str, ...]:
        """Patterns, for ``re`` and RE2, of which every line with a speaker holds one."""
        return tuple(re.escape(hint) for hint in self._by_hint)

    def hinted(self, text: str) -> bool:
        """Tell whether a line holds a hint at all."""
        return any(hint in text for hint in self._by_hint)

    def place(self, row: Row) -> int:
        """Return the place of ``row`` in the table, from 0."""
        return self._place[id(row)]

    def speaker(self, entry: Entry) -> tuple[Row, dict[str, str]] | None:
        """Return the first row that fits a line of the kernel, and what the line tells."""
        if not ours(entry) or _PROGRAM.match(entry.text):
            return None
        for hint, rows in self._by_hint.items():
            if hint not in entry.text:
                continue
            for row in rows:
                if row.stamped and not entry.program:
                    continue
                match = row.pattern.match(entry.text)
                if match is not None:
                    return row, {**row.facts, **groups(match)}
        return None


def ours(entry: Entry) -> bool:
    """Tell whether the kernel may have written a line."""
    return entry.program in _OURS


def groups(match: re.Match[str]) -> dict[str, str]:
    """Return the groups that hold something; ``name2`` and ``name3`` are other places of ``name``."""
    found = match.groupdict()
    return {name.rstrip("23"): text.strip() for name, text in found.items() if text}
