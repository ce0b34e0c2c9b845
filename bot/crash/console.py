"""Console text as numbered lines, each bared of its transport when it is asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bot.crash import halves, spelling, wrapping
from bot.crash.numbering import separator, without
from bot.crash.scan import Hit, Scanner
from bot.crash.transport import (
    MAX_LINE,
    bare,
    clean,
    cut_up,
    decode,
    is_stamp,
    pieces,
    run_on,
    single,
    whole,
    wrapped,
)

MAX_BEFORE = 400
"""Lines before a headline that are kept: they tell the kernel release and the context."""

MAX_BEHIND = 4000
"""Lines behind a headline that are taken apart."""

MAX_COUNTED = 32
"""Lines before and behind a found one that are looked at to tell whether lines are numbered."""

MAX_TRIED = 4
"""Found lines that are asked whether they are numbered."""

MAX_SHOWN = 4096
"""Characters of an original line that are quoted as evidence."""

_LONG = 64

_SHORT = 64 * 1024
_MARKS = Scanner((*spelling.MARKS, *wrapping.MARKS, *halves.MARKS))
"""What every text holds whose characters or lines the way has changed, besides stamps."""


class Region(NamedTuple):
    """Lines of one context: where they are, their words.

    Reports whose headline stands before ``until`` share them.
    """

    places: Sequence[int]
    texts: list[str]
    until: int


Scan = Callable[[str], Sequence[Hit]]
"""Finds the lines of a text that matter."""


def is_plain(text: str) -> bool:
    """Tell that the way has changed nothing of ``text``; no means that it may have."""
    return text.isascii() and not _MARKS.occurs(text) and not halves.broken(text)


class Console:
    """The lines of one text.

    ``text`` is the whole text with its characters mended, ``lines`` the same by line. Where a
    line of the text holds several of the kernel (JSON, written out breaks), ``unfold`` makes
    each of them a line of its own; ``number`` still tells the line of the original text.
    """

    __slots__ = (
        "_bared", "_contexts", "_first", "_numbers", "_original", "_plain", "_separator", "_shown",
        "_stamps", "all_cpus", "boots", "injected", "lines", "regions", "text",
    )  # fmt: skip

    def __init__(self, original: str | bytes, first: int = 0) -> None:
        """Mend the characters of ``original``; nothing is split yet, unless words are hidden.

        ``first`` is how many lines stood before it, where it is a part of a longer text.
        """
        self._first = first
        text = decode(original)
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        self._original = text
        self._shown: list[str] | None = None
        self._plain = len(text) <= _SHORT and is_plain(text)
        self.text = text if self._plain else clean(text)
        self.lines: Sequence[str] = ()
        self._numbers: list[int] | None = None
        self._contexts: dict[int, str] = {}
        self._bared: dict[int, tuple[str, str]] = {}
        if not self._plain and cut_up(self.text):
            items = whole(self.text)
            self.text = "\n".join(item.text for item in items)
            self._numbers = [item.number for item in items]
            self._contexts = {at: item.context for at, item in enumerate(items) if item.context}
        self._stamps: int | None = None
        self.regions: dict[tuple[str, int, int], Region] = {}
        """Lines of one context that were told apart, for the next report of the same."""
        self._separator = ""
        self.injected = False
        """Whether fault injection printed traces into this text."""
        self.boots: list[tuple[int, str]] = []
        """The lines with which kernels came up: where they are, their words."""
        self.all_cpus = False
        """Whether one processor asked the others for their traces."""

    def unfold(self, hits: Sequence[Hit], scan: Scan | None = None) -> Sequence[Hit]:
        """Split the text around the lines of ``hits``; return where they are in ``lines``.

        A line that holds several of the kernel is looked at again with ``scan``, to tell which of
        them was found; without it, each of them counts as found.
        """
        places = self._unfolded(hits, scan)
        for hit in places[:MAX_TRIED]:
            if self.bare(hit.at)[0].lstrip()[:1].isdigit() and self._counted(hit.at):
                break
        return places

    def _counted(self, at: int) -> bool:
        """Tell whether the lines around line ``at`` are numbered; if so, from now on they are not."""
        first = max(0, at - MAX_COUNTED)
        around = range(first, min(at + MAX_COUNTED, len(self.lines)))
        self._separator = separator([self.bare(line)[0] for line in around], at - first)
        if self._separator:
            self._bared.clear()
        return bool(self._separator)

    def _unfolded(self, hits: Sequence[Hit], scan: Scan | None) -> Sequence[Hit]:
        lines = self.text.split("\n")
        self.lines = lines
        if self._numbers is not None:
            return hits
        if (self._plain or not wrapped(self.text)) and not any(
            len(hit.line) > _LONG and run_on(hit.line) for hit in hits
        ):
            return hits
        opened: list[str] = []
        numbers: list[int] = []
        places: list[Hit] = []
        done = 0
        for n, hit in enumerate(hits):
            low = max(done, hit.at - MAX_BEFORE)
            opened += lines[done:low]
            numbers += range(done, low)
            ahead = hits[n + 1].at if n + 1 < len(hits) else len(lines)
            done = max(done, min(ahead, hit.at + MAX_BEHIND, len(lines)))
            for number in range(low, done):
                begin = len(opened)
                if number != hit.at and single(lines[number]):
                    opened.append(lines[number][:MAX_LINE])
                    numbers.append(number)
                    continue
                for piece, context in pieces(lines[number]):
                    if context:
                        self._contexts[len(opened)] = context
                    opened.append(piece)
                numbers += [number] * (len(opened) - begin)
                if number == hit.at:
                    places += _found(hit, opened[begin:], begin, scan)
        opened += lines[done:]
        numbers += range(done, len(lines))
        self.lines, self._numbers = opened, numbers
        return places

    @property
    def end(self) -> int:
        """How many lines there are, without the empty one behind the last line break."""
        lines = self.lines
        return len(lines) - (1 if lines and not lines[-1] else 0)

    @property
    def stamps(self) -> int:
        """How many lines begin with a bracket, but for the first line."""
        if self._stamps is None:
            self._stamps = self.text.count("\n[")
        return self._stamps

    def booted(self, at: int) -> str:
        """Return the words with which the kernel came up that wrote line ``at``, if known."""
        return next((text for place, text in reversed(self.boots) if place < at), "")

    def place(self, number: int) -> int:
        """Return the first of ``lines`` that the original line ``number`` (from 1) holds."""
        line = number - 1 - self._first
        return line if self._numbers is None else bisect_left(self._numbers, line)

    def number(self, at: int) -> int:
        """Return the number, from 1, of the original line that holds line ``at``."""
        line = at if self._numbers is None else self._numbers[at]
        return line + 1 + self._first

    def shown(self, at: int) -> str:
        """Return line ``at`` as it stood in the original text, unless it was a part or several."""
        if self._numbers is not None:
            number = self._numbers[at]
            before, behind = self._numbers[at - 1 : at], self._numbers[at + 1 : at + 2]
            if before == [number] or behind not in ([], [number + 1]):
                return self.lines[at]
            at = number
        if self._original is self.text and self._numbers is None:
            return self.lines[at]
        if self._shown is None:
            self._shown = self._original.split("\n")
        return self._shown[at][:MAX_SHOWN]

    def prefix(self, at: int, text: str) -> str:
        """Return the stamp of line ``at`` if nothing else stands before ``text``; else nothing.

        Nothing too where what carried the lines tells whose they are: stamps do not then.
        """
        if self._contexts:
            return ""
        line = self.lines[at]
        width = len(line) - len(text)
        if width < 2 or line[0] != "[" or line[width - 2] != "]":
            return ""
        return line[:width] if is_stamp(line[:width]) else ""

    def alike(self, at: int, other: int) -> bool:
        """Tell at once, if it is so, that two lines begin with a stamp of the same context."""
        line, behind = self.lines[at], self.lines[other]
        edge = line.find("]") if line[:1] == "[" and not self._contexts else -1
        end = line.find(" ", edge)
        return (
            0 < edge < end and behind[:1] == "[" and behind[edge : end + 1] == line[edge : end + 1]
        )

    def bare(self, at: int) -> tuple[str, str]:
        """Return the kernel's own words of line ``at``, and their context."""
        known = self._bared.get(at)
        if known is None:
            known = bare(self.lines[at], self._contexts.get(at, ""))
            if self._separator:
                text, context = known
                known = bare(without(text, self._separator), context)
            self._bared[at] = known
        return known


def _found(hit: Hit, texts: Sequence[str], begin: int, scan: Scan | None) -> list[Hit]:
    """Return which of the lines that a found one holds are the ones that were found."""
    if scan is not None and len(texts) > 1:
        return [Hit(begin + one.at, one.words, one.line) for one in scan("\n".join(texts))]
    return [Hit(begin + n, hit.words, text) for n, text in enumerate(texts)]
