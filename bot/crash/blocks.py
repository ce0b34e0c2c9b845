"""The lines of one crash of a program: found in an interleaved log, read clue by clue."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar, NamedTuple

from bot.crash.entry import Cutter, Piece, Stream, pieces_of
from bot.crash.runtimes import Again, Clue, Role, Runtime

MAX_LINES = 2000
"""Lines of one program that are read for one crash."""

MAX_FRAMES = 256
MAX_SECTIONS = 32
_MAX_OVER = 6
_PLACES = frozenset({"function", "file", "line"})


@dataclass(slots=True)
class Call:
    """A frame as printed; ``told`` holds what its clue named."""

    piece: Piece
    told: dict[str, str]


@dataclass(slots=True)
class Section:
    """One of the errors of a block, how it follows from the one above, and its stack."""

    role: Role
    head: Piece | None = None
    clue: Clue | None = None
    told: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    also: list[tuple[Clue, dict[str, str]]] = field(default_factory=list)


class Block(NamedTuple):
    """What was read: the sections, the indexes used, first and last line, whether text ran out."""

    sections: list[Section]
    used: set[int]
    start: int
    end: int
    ran_out: bool
    begins: bool


def read_block(
    stream: Stream, row: Runtime, hint: re.Pattern[str], taken: Collection[int]
) -> Block | None:
    """Read the crash that ``hint`` found in the line of ``stream``; None when it is none of ``row``."""
    index = stream.index
    pieces = pieces_of(index, stream.lines[index])
    found = next((n for n, piece in enumerate(pieces) if hint.search(piece.text)), None)
    if found is None:
        return None
    begun = row.starts.search(pieces[found].text) if row.starts is not None else None
    before = "" if begun is None else pieces[found].text[: begun.start()]
    cut = Cutter(before)
    above = _above(chain(reversed(pieces[:found]), stream.above()), row, cut, taken)
    below = (piece for piece in chain(pieces[found:], stream.below()) if piece.place not in taken)
    walk = _Walk(row)
    ran_out = walk.run(chain(above, map(cut, below)))
    if not walk.used:
        return None
    numbers = [piece.number for piece in walk.used]
    return Block(
        walk.sections,
        {piece.place for piece in walk.used},
        min(numbers),
        max(numbers),
        ran_out,
        begins=index <= 1,
    )


def _above(
    pieces: Iterator[Piece], row: Runtime, cut: Cutter, taken: Collection[int]
) -> list[Piece]:
    """Return the lines from the beginning of the block to the hint, which is not among them."""
    seen: list[Piece] = []
    start, over = 0, 0
    for piece in pieces:
        if piece.place in taken or len(seen) >= row.above or over > _MAX_OVER:
            break
        bare = cut(piece)
        seen.append(bare)
        clue = _clue_of(row, bare.text)
        role = None if clue is None else clue[0].role
        if role in {Role.END, Role.OPEN}:
            break
        if not start and role is Role.HEAD:
            start = len(seen)
        elif row.over is not None and row.over.match(bare.text):
            start, over = len(seen), 0
        over += bool(start)
    return seen[:start][::-1]


def _clue_of(row: Runtime, text: str) -> tuple[Clue, re.Match[str]] | None:
    for clue in row.clues:
        match = clue.pattern.match(text)
        if match is not None:
            return clue, match
    return None


_Step = Callable[["_Walk", Piece, Clue, dict[str, str]], bool | None]


class _Walk:
    """One pass over the lines of a block."""

    def __init__(self, row: Runtime) -> None:
        self.row = row
        self.sections: list[Section] = []
        self.used: list[Piece] = []
        self.linked = False
        self.waits = False
        self.done = False
        self.indent = 0

    def run(self, pieces: Iterator[Piece]) -> bool:
        """Read until the block ends; tell whether the text ended before."""
        idle = 0
        ahead = next(pieces, None)
        while ahead is not None and len(self.used) < MAX_LINES:
            piece, ahead = ahead, next(pieces, None)
            text = self._bare(piece.text)
            if not text.strip():
                continue
            read = self._read(piece, text, ahead)
            if read is None:
                return False
            if read:
                idle = 0
                self.used.append(piece)
                if self.done:
                    return False
                continue
            idle += 1
            if idle > self._patience():
                return False
        return ahead is None

    def _bare(self, text: str) -> str:
        """Take off the margin of the block: its first line's blanks, the bars of a group."""
        if self.row.margin is not None:
            text = self.row.margin.sub("", text, count=1)
        if not self.used:
            self.indent = len(text) - len(text.lstrip())
        blank = len(text) - len(text.lstrip())
        return text[min(self.indent, blank) :]

    def _patience(self) -> int:
        """Return how many lines in a row may say nothing here."""
        if not self.sections:
            return _MAX_OVER if self.used and self.row.over else len(self.used)
        section = self.sections[-1]
        complete = self.row.upward and section.head is not None
        return self.row.gap_below if section.calls and not complete else self.row.gap

    def _read(self, piece: Piece, text: str, ahead: Piece | None) -> bool | None:
        """Read one line: True when it says something, None when the block ended before it."""
        found = _clue_of(self.row, text)
        if found is not None and found[0].weak and not self._trusted(ahead):
            found = None
        if self.waits and (found is None or found[0].role is not Role.TRACE):
            self.waits = False
            self.sections[-1].told["message"] = text.strip()
            return True
        if found is None:
            over = self.row.over
            return not self.sections and over is not None and over.match(text) is not None
        clue, match = found
        told = {key: value for key, value in match.groupdict().items() if value is not None}
        return self._STEPS[clue.role](self, piece, clue, told)

    def _trusted(self, ahead: Piece | None) -> bool:
        """Tell whether a weak clue counts: frames stand above it and none goes on below."""
        if not (self.sections and self.sections[-1].calls):
            return False
        found = _clue_of(self.row, self._bare(ahead.text)) if ahead is not None else None
        return found is None or found[0].role not in {Role.FRAME, Role.NOISE}

    def _section(self, role: Role) -> Section:
        section = Section(role)
        if len(self.sections) < MAX_SECTIONS:
            self.sections.append(section)
        return section

    def _current(self) -> Section:
        return self.sections[-1] if self.sections else self._section(Role.HEAD)

    def _open(self, _piece: Piece, _clue: Clue, _told: dict[str, str]) -> bool | None:
        if self.used and not self.linked:
            return None
        self.linked = False
        return True

    def _head(self, piece: Piece, clue: Clue, told: dict[str, str]) -> bool | None:
        section = self._current()
        if section.head is None and (self.row.upward or not section.calls):
            section.head, section.clue = piece, clue
            section.told.update(told)
            self.waits = clue.cut
            return True
        if self.row.upward:
            return False
        if section.calls or self.row.again is Again.ENDS:
            return None
        if self.row.again is Again.SAID or section.told.get("unit") != told.get("unit"):
            return False
        if "unit" in told and clue in (section.clue, *(other for other, _ in section.also)):
            return None  # systemd says each thing once of one failure
        section.also.append((clue, told))
        section.told = {**told, **section.told}
        return True

    def _frame(self, piece: Piece, _clue: Clue, told: dict[str, str]) -> bool | None:
        section = self._current()
        if self.row.upward and section.head is not None:
            return None
        if len(section.calls) < MAX_FRAMES:
            section.calls.append(Call(piece, told))
        return True

    def _place(self, _piece: Piece, _clue: Clue, told: dict[str, str]) -> bool | None:
        calls = self._current().calls
        if calls and "file" not in calls[-1].told:
            calls[-1].told.update(told)
        return bool(calls)

    def _fact(self, _piece: Piece, _clue: Clue, told: dict[str, str]) -> bool | None:
        section = self._current()
        section.told = {**told, **section.told}
        return True

    def _trace(self, _piece: Piece, _clue: Clue, told: dict[str, str]) -> bool | None:
        first = next((s for s in self.sections if s.role is not Role.ASIDE), None)
        if first is None or first.calls:
            self._section(Role.HEAD if first is None else Role.ASIDE)
        elif first is not self.sections[-1]:
            self.sections.remove(first)
            self.sections.append(first)
        if first is not None and not first.calls:
            first.told = {**told, **first.told}
        return True

    def _link(self, piece: Piece, clue: Clue, told: dict[str, str]) -> bool | None:
        section = self._section(clue.role)
        if told:
            section.head, section.clue, section.told = piece, clue, told
        self.linked = True
        return True

    def _noise(self, _piece: Piece, _clue: Clue, _told: dict[str, str]) -> bool | None:
        return bool(self.sections or self.used)

    def _end(self, _piece: Piece, _clue: Clue, told: dict[str, str]) -> bool | None:
        if not self.used:
            return None
        if self.sections:
            self.sections[0].told = {**told, **self.sections[0].told}
        self.done = True
        return True

    _STEPS: ClassVar[Mapping[Role, _Step]] = {
        Role.OPEN: _open,
        Role.HEAD: _head,
        Role.FRAME: _frame,
        Role.PLACE: _place,
        Role.FACT: _fact,
        Role.TRACE: _trace,
        Role.ASIDE: _link,
        Role.CAUSE: _link,
        Role.AFTER: _link,
        Role.MEMBER: _link,
        Role.NOISE: _noise,
        Role.END: _end,
    }


class _Known(dict[str, str]):
    """What a template can name."""

    def __missing__(self, key: str) -> str:
        return "{where}" if key == "where" else ""


def fill(template: str, told: Mapping[str, str]) -> str:
    """Fill a template; ``{where}`` stays as it is, other unknown parts become empty."""
    return template.format_map(_Known(told))


def details_of(section: Section) -> dict[str, str]:
    """Return what a section told, without what names a place."""
    return {key: value for key, value in section.told.items() if key not in _PLACES}
