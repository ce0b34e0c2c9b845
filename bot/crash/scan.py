"""Find the lines of a large text in which one of many patterns occurs, in one pass.

google-re2 walks the whole text once, whatever the number of patterns. Without it the standard
library looks for the words that each pattern needs, then tries the pattern on that line only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

try:
    import re2
except ImportError:  # pragma: no cover - google-re2 has no wheel for this platform
    re2 = None

MAX_MEMORY = 64 * 1024 * 1024
"""Bytes that google-re2 may use for the automaton of one scanner."""

_ENGINE = "re" if re2 is None else "re2"
_META = frozenset("\\.[]{}()*+?^$|")


def use(engine: str) -> str:
    """Choose ``re2`` or ``re`` for the scans of this process; return the engine used before.

    For benchmarks and tests: the answers are the same, the speed is not. ValueError for a name
    that is neither or an engine that is not installed.
    """
    global _ENGINE
    if engine not in ("re", "re2") or (engine == "re2" and re2 is None):
        raise ValueError(f"no such engine: {engine!r}, use 're2' (if installed) or 're'")
    before, _ENGINE = _ENGINE, engine
    return before


@lru_cache(maxsize=1024)
def needed(pattern: str) -> str:
    """Return the longest plain text that every match of ``pattern`` holds; may be empty."""
    runs, run, depth, at = [""], "", 0, 0
    while at < len(pattern):
        char = pattern[at]
        width = 2 if char == "\\" else 1
        plain = char not in _META
        if char == "\\" and not pattern[at + 1].isalnum():
            char, plain = pattern[at + 1], True
        if char == "[" and not plain:
            width = _class_end(pattern, at) - at
        depth += (char == "(" and not plain) - (char == ")" and not plain)
        if char == "|" and not plain and depth == 0:
            return ""
        if plain and depth == 0 and pattern[at + width : at + width + 1] not in ("?", "*", "{"):
            run += char
        else:
            runs.append(run)
            run = ""
            if pattern[at + width : at + width + 1] == "{" or char == "{":
                width = pattern.index("}", at) + 1 - at
        at += width
    return max([*runs, run], key=len)


def _class_end(pattern: str, at: int) -> int:
    end = at + 2 + (pattern[at + 1] == "^")
    while pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    return end + 1


Hit = tuple[int, tuple[str, ...]]
"""A line, by its number from 0, and what was found in it, in its order."""


class Scanner:
    """Many patterns, valid for both engines, that are looked for line by line."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Take the patterns; they are compiled when they are first used."""
        self._patterns = tuple(dict.fromkeys(patterns))
        self._re2: object = None
        self._words: tuple[tuple[str, re.Pattern[str] | None], ...] = ()

    def hits(self, text: str) -> list[Hit]:
        """Return the lines of ``text`` that hold a pattern: number (from 0) and what was found.

        Of two that overlap, only the one that begins first is found.
        """
        return self._by_re2(text) if _ENGINE == "re2" else self._by_words(text)

    def _compiled(self):  # type: ignore[no-untyped-def]
        if self._re2 is None:
            options = re2.Options()
            options.max_mem = MAX_MEMORY
            options.never_capture = True
            options.log_errors = False
            joined = "|".join(f"(?:{_loose(pattern)})" for pattern in self._patterns)
            self._re2 = re2.compile(joined.encode(), options)
        return self._re2

    def _by_re2(self, text: str) -> list[Hit]:
        data = text.encode("utf-8", errors="replace")
        search = self._compiled().search
        hits: list[Hit] = []
        number = before = end = 0
        match = search(data)
        while match is not None:
            at, stop = match.span()
            word = data[at:stop].decode("utf-8", errors="replace")
            if at < end:
                hits[-1] = (number, (*hits[-1][1], word))
            else:
                number += data.count(b"\n", before, at)
                hits.append((number, (word,)))
                before = at
                end = data.find(b"\n", at)
                if end < 0:
                    end = len(data)
            match = search(data, max(stop, at + 1))
        return hits

    def _by_words(self, text: str) -> list[Hit]:
        if not self._words:
            self._words = _by_word(self._patterns)
        places: dict[int, str] = {}
        for word, pattern in self._words:
            at = text.find(word)
            while at >= 0:
                stop = at + len(word)
                if pattern is None:
                    places.setdefault(at, word)
                else:
                    start = text.rfind("\n", 0, at) + 1
                    stop = text.find("\n", at)
                    stop = len(text) if stop < 0 else stop
                    for match in pattern.finditer(text, start, stop):
                        places.setdefault(match.start(), match[0])
                at = text.find(word, stop)
        hits: list[Hit] = []
        number = before = 0
        for at in sorted(places):
            skipped = text.count("\n", before, at)
            before = at
            number += skipped
            if hits and skipped == 0:
                hits[-1] = (number, (*hits[-1][1], places[at]))
            else:
                hits.append((number, (places[at],)))
        return hits


_COUNTED = re.compile(r"\{(\d+),(\d+)\}")


def _loose(pattern: str) -> str:
    """Take the upper bounds out: an automaton needs none, and a state for each it would have."""
    return _COUNTED.sub(lambda count: "*" if count[1] == "0" else "+", pattern)


def _by_word(patterns: Sequence[str]) -> tuple[tuple[str, re.Pattern[str] | None], ...]:
    """Group the patterns by the word that they need; a pattern that is its word has no test."""
    groups: dict[str, list[str]] = {}
    for pattern in patterns:
        groups.setdefault(needed(pattern), []).append(pattern)
    if "" in groups:
        raise ValueError(f"a pattern of a scanner needs a plain word: {groups[''][0]!r}")
    return tuple(
        (word, None if re.escape(word) in group or word in group else re.compile("|".join(group)))
        for word, group in groups.items()
    )
