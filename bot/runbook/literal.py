"""The words that a pattern cannot do without, and which of many words stand in a text.

One automaton of ten thousand patterns is fast on a text that it knows and slow on one that it sees
for the first time, because its states are made on the way. So their words are looked for first.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, deque
from collections.abc import Sequence

GRAM = 8
"""Bytes that are looked up at once; the size of an unsigned ``Q``."""
STEP = 2
"""Grams of the text begin at every second byte."""
LONG = GRAM + STEP - 1
"""A word of this many bytes covers a whole gram of the text wherever it stands."""

PIECE = re.compile(
    r"\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\{\d*(?:,\d*)?\}"
    r"|\((?:\?(?:P?<\w+>|[a-zA-Z-]*:?))?|.",
    re.DOTALL,
)
# Quoted runs, characters by number and class, and the flag for blanks.
UNCLEAR = re.compile(r"\\[QxpPC0-9]|\(\?[^:)]*x")
SPECIAL = frozenset(".^$*+?()[]{}|")
OPTIONAL = frozenset("*?{")


def needed(pattern: str) -> tuple[str, ...]:
    """Return words of which every text that ``pattern`` matches holds one; none if it is unclear.

    Upper and lower case count as the same. Of all that must be there the longest is taken.
    """
    return () if UNCLEAR.search(pattern) else _words(deque(PIECE.findall(pattern)))


def _words(pieces: deque[str]) -> tuple[str, ...]:
    """Read branches up to the end of their group; return words of which one must be there."""
    branches: list[tuple[str, ...]] = []
    must: list[tuple[str, ...]] = []
    run = ""
    ended = False
    while not ended:
        piece = pieces.popleft() if pieces else ")"
        inner = _words(pieces) if piece[0] == "(" else ()
        optional = bool(pieces) and pieces[0][0] in OPTIONAL
        char = "" if optional else _plain(piece)
        run += char
        if char:
            continue
        must += [(run,), () if optional else inner]
        run = ""
        ended = piece == ")"
        if ended or piece == "|":
            branches.append(max(must, key=_shortest))
            must = []
    return tuple(w for words in branches for w in words) if all(map(_shortest, branches)) else ()


def _shortest(words: tuple[str, ...]) -> int:
    return min(map(len, words), default=0)


def _plain(piece: str) -> str:
    """Return the one character that a piece stands for, '' if it may be another."""
    if piece[0] == "\\":
        return "" if piece[1:].isalnum() else piece[1:]
    return "" if len(piece) > 1 or piece in SPECIAL else piece


class Words:
    """Finds, of many items that each need one of their words, those that a text may concern.

    Upper and lower case are the same. The time is that of one look at the text, and little for each
    short word.
    """

    def __init__(self, needs: Sequence[Sequence[str]]) -> None:
        """Take the words of each item; an item without words is always possible."""
        self._always = [item for item, words in enumerate(needs) if not words]
        owners: dict[bytes, list[int]] = {}
        for item, words in enumerate(needs):
            for word in words:
                owners.setdefault(word.casefold().encode(), []).append(item)
        self._short = [(word, items) for word, items in owners.items() if len(word) < LONG]
        long = [word for word in owners if len(word) >= LONG]
        common = Counter(gram for word in long for gram in _grams(word))
        self._by_gram: dict[int, list[tuple[bytes, list[int]]]] = {}
        for rare in long:
            for gram in _rarest(rare, common):
                self._by_gram.setdefault(gram, []).append((rare, owners[rare]))
        self._grams = frozenset(self._by_gram)

    def possible(self, data: bytes) -> set[int]:
        """Return the items that need no word, or one that stands in a UTF-8 text."""
        if data.isascii():
            data = data.lower()
        else:
            data = data.decode("utf-8", "replace").casefold().encode()
        found = set(self._always)
        view = memoryview(data)
        for start in range(0, min(GRAM, len(data)), STEP):
            whole = view[start : start + (len(data) - start) // GRAM * GRAM]
            for gram in self._grams.intersection(whole.cast("Q")):
                for word, owners in self._by_gram[gram]:
                    if word in data:
                        found.update(owners)
        for word, owners in self._short:
            if word in data:
                found.update(owners)
        return found


def _grams(word: bytes) -> list[int]:
    ends = range(GRAM, len(word) + 1)
    return [int.from_bytes(word[end - GRAM : end], sys.byteorder) for end in ends]


def _rarest(word: bytes, common: Counter[int]) -> list[int]:
    """Return ``STEP`` grams in a row, one of which is a gram of any text that holds the word."""
    grams = _grams(word)
    runs = [grams[at : at + STEP] for at in range(len(grams) - STEP + 1)]
    return min(runs, key=lambda run: sum(common[gram] for gram in run))
