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
    global _ENGINE  # noqa: PLW0603 - the one switch of this module
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


class Scanner:
    """Many patterns, valid for both engines, that are looked for line by line."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Take the patterns; they are compiled when they are first used."""
        self._patterns = tuple(dict.fromkeys(patterns))
        self._re2: object = None
        self._words: tuple[tuple[str, re.Pattern[str] | None], ...] = ()

    def lines(self, text: str) -> list[int]:
        """Return the numbers (from 0, rising) of the lines of ``text`` that hold a pattern."""
        return self._by_re2(text) if _ENGINE == "re2" else self._by_words(text)

    def found(self, text: str) -> bool:
        """Tell whether any line of ``text`` holds a pattern."""
        if _ENGINE == "re2":
            return self._compiled().search(_encoded(text)) is not None
        return bool(self._by_words(text))

    def _compiled(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - re2 has no types
        if self._re2 is None:
            options = re2.Options()
            options.max_mem = MAX_MEMORY
            options.never_capture = True
            options.log_errors = False
            joined = "|".join(f"(?:{pattern})" for pattern in self._patterns)
            self._re2 = re2.compile(joined.encode(), options)
        return self._re2

    def _by_re2(self, text: str) -> list[int]:
        data = _encoded(text)
        search = self._compiled().search
        numbers: list[int] = []
        number = at = 0
        while True:
            match = search(data, at)
            if match is None:
                return numbers
            start = match.start()
            number += data.count(b"\n", at, start)
            numbers.append(number)
            at = data.find(b"\n", start) + 1
            if at == 0:
                return numbers
            number += 1

    def _by_words(self, text: str) -> list[int]:
        if not self._words:
            self._words = _by_word(self._patterns)
        starts: set[int] = set()
        for word, pattern in self._words:
            at = text.find(word)
            while at >= 0:
                end = text.find("\n", at)
                if pattern is None:
                    starts.add(text.rfind("\n", 0, at) + 1)
                else:
                    start = text.rfind("\n", 0, at) + 1
                    if start not in starts and pattern.search(
                        text, start, len(text) if end < 0 else end
                    ):
                        starts.add(start)
                at = text.find(word, end) if end >= 0 else -1
        numbers: list[int] = []
        number = before = 0
        for start in sorted(starts):
            number += text.count("\n", before, start)
            before = start
            numbers.append(number)
        return numbers


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


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
