"""Lines of an interleaved log, as the readers of events and of programs want them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

MAX_FOREIGN = 64
"""Lines of other programs in a row that may stand between two lines of one program."""

_MAX_PREFIX = 200
_DIGITS = re.compile(r"\d+")
_KERNEL = "kernel"


class Entry(NamedTuple):
    """A line without what its transport wrote in front of it.

    ``number`` counts from 1 in the text that was handed in. ``program`` is ``python3[812]`` where
    the transport named one, ``kernel`` for the kernel's lines, empty where nobody is named.
    """

    number: int
    text: str
    program: str = ""


class Piece(NamedTuple):
    """A line of a program: the place of its entry, its number in the text, its words."""

    place: int
    number: int
    text: str


def pieces_of(index: int, entry: Entry) -> list[Piece]:
    """Return the lines of an entry: rsyslog writes breaks and tabs as ``#012`` and ``#011``."""
    if "#01" not in entry.text:
        return [Piece(index, entry.number, entry.text)]
    text = entry.text.replace("#011", "\t")
    return [Piece(index, entry.number, part) for part in text.split("#012")]


class Owners:
    """Which program wrote a line: one that names nobody belongs to the line above it.

    Asked for one line after the other, it walks upwards over each line once.
    """

    def __init__(self, lines: Sequence[Entry]) -> None:
        self.lines = lines
        self._asked = -1
        self._named = -1

    def of(self, index: int) -> str:
        """Return the program of a line; the kernel owns only what carries its name."""
        program = self.lines[index].program
        if program:
            return program
        named = self._above(index)
        program = self.lines[named].program if named >= 0 else ""
        return "" if program == _KERNEL else program

    def _above(self, index: int) -> int:
        """Return where the next line above stands that names a program, -1 if none is near."""
        known = self._asked if self._asked < index else -1
        first = max(0, index - MAX_FOREIGN)
        named = -1
        for place in range(index - 1, first - 1, -1):
            if self.lines[place].program:
                named = place
                break
            if place == known:
                named = self._named if self._named >= first else -1
                break
        self._asked, self._named = index, named
        return named


class Stream:
    """The lines of the program that wrote one line, in both directions.

    A line without a program belongs to the line above it, as in messages of several lines.
    """

    def __init__(self, lines: Sequence[Entry], index: int, program: str) -> None:
        self.lines = lines
        self.index = index
        self.program = program

    def below(self) -> Iterator[Piece]:
        """Yield the program's lines behind the one line, until others have the word for long."""
        attached, foreign = True, 0
        for place in range(self.index + 1, len(self.lines)):
            entry = self.lines[place]
            attached = entry.program == self.program or (attached and not entry.program)
            if attached or not (entry.program or self.program):
                foreign = 0
                yield from pieces_of(place, entry)
            else:
                foreign += 1
                if foreign > MAX_FOREIGN:
                    return

    def above(self) -> Iterator[Piece]:
        """Yield upwards; untagged lines wait until it is known whose they are."""
        waiting: list[int] = []
        foreign = 0
        for place in range(self.index - 1, -1, -1):
            program = self.lines[place].program
            if not program and self.program:
                waiting.append(place)
            elif program == self.program:
                for known in (*waiting, place):
                    yield from reversed(pieces_of(known, self.lines[known]))
                waiting, foreign = [], 0
                continue
            else:
                waiting = []
            foreign += 1
            if foreign > MAX_FOREIGN:
                return


@lru_cache(maxsize=64)
def _prefix(text: str) -> re.Pattern[str]:
    """Return what takes a prefix like ``text`` off, whatever its numbers are."""
    words = [re.escape(word) for word in _DIGITS.split(text)]
    return re.compile(r"\d{1,20}".join(words) + " ?")


class Cutter:
    """Takes off what a logger or a container wrote in front of every line of a block."""

    def __init__(self, before: str) -> None:
        shown = before.rstrip() if len(before) <= _MAX_PREFIX else ""
        if shown.endswith("+"):  # the corner of a group of Python exceptions
            shown = shown[:-1].rstrip()
        self.prefix = _prefix(shown) if shown.strip() else None

    def __call__(self, piece: Piece) -> Piece:
        """Return ``piece`` without the prefix, if it has one."""
        if self.prefix is None:
            return piece
        match = self.prefix.match(piece.text)
        return piece if match is None else piece._replace(text=piece.text[match.end() :])
