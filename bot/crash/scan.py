"""Find the lines of a large text in which one of many patterns occurs, in one pass.

google-re2 walks the whole text once, whatever the number of patterns. Without it the standard
library looks for the words that each pattern needs, then tries the pattern on that line only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

try:
    import re2
except ImportError:  # there is no wheel for every platform
    re2 = None

MAX_MEMORY = 64 * 1024 * 1024
"""Bytes that google-re2 may use for the automaton of one scanner."""

_ENGINE = "re" if re2 is None else "re2"
_NUMBERS = str.maketrans("", "", "0123456789abcdef")
"""What differs from line to line: decimal and hexadecimal digits."""

_SHORT = 64 * 1024
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


MAX_WORDS = 32
"""Different things that are told of one line."""


class Hit(NamedTuple):
    """A line, by its number from 0, what was found in it, each once, and its text."""

    at: int
    words: tuple[str, ...]
    line: str


Worth = Callable[[Sequence[Hit]], bool]
"""Tells whether lines that were found are worth a closer look."""


class Scanner:
    """Many patterns, valid for both engines, that are looked for line by line."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Take the patterns; they are compiled when they are first used."""
        self._patterns = tuple(dict.fromkeys(patterns))
        self._re2: Any = None
        self._words: _Words | None = None

    def hits(self, text: str, worth: Worth | None = None) -> list[Hit]:
        """Return the lines of ``text`` that hold a pattern: number (from 0) and what was found.

        Of two that overlap, only the one that begins first is found. With ``worth`` nothing is
        returned if it finds none of the lines worth it; they are not numbered then.
        """
        if _ENGINE == "re2":
            return self._by_re2(text, worth)
        hits = self._by_words(text)
        return hits if worth is None or worth(hits) else []

    def occurs(self, text: str) -> bool:
        """Tell whether ``text`` holds a pattern."""
        if _ENGINE == "re2":
            data = text.encode("utf-8", errors="replace")
            return self._compiled().search(data) is not None
        return self._by_word().occur(text)

    def _by_word(self) -> _Words:
        if self._words is None:
            self._words = _Words(self._patterns)
        return self._words

    def _compiled(self) -> Any:
        if self._re2 is None:
            options = re2.Options()
            options.max_mem = MAX_MEMORY
            options.never_capture = True
            options.log_errors = False
            joined = "|".join(f"(?:{_loose(pattern)})" for pattern in self._patterns)
            self._re2 = re2.compile(joined.encode(), options)
        return self._re2

    def _by_re2(self, text: str, worth: Worth | None) -> list[Hit]:
        data = text.encode("utf-8", errors="replace")
        hits: list[Hit] = []
        ends: list[int] = []
        number = before = end = tried = 0
        pattern = self._compiled()
        matches = pattern.finditer(data)
        while (match := next(matches, None)) is not None:
            at, stop = match.span()
            word = data[at:stop].decode("utf-8", errors="replace")
            if at < end:
                last = hits[-1]
                if word not in last.words:
                    hits[-1] = last._replace(words=(*last.words, word))
                tried += 1
                if tried >= MAX_WORDS:  # each further search walks over the rest of the line
                    matches = pattern.finditer(data, end)
                continue
            end = data.find(b"\n", at)
            if end < 0:
                end = len(data)
            line = data[data.rfind(b"\n", 0, at) + 1 : end].decode("utf-8", errors="replace")
            if worth is None:
                number += data.count(b"\n", before, at)
                before = at
            hits.append(Hit(number, (word,), line))
            ends.append(end)
            tried = 1
        if worth is None:
            return hits
        return _numbered(data, hits, ends) if worth(hits) else []

    def _by_words(self, text: str) -> list[Hit]:
        words = self._by_word()
        if len(text) < _SHORT:
            return words.hits((n, line, words.all) for n, line in enumerate(text.split("\n")))
        # Lines of long logs are alike but for their numbers: each shape is looked at once.
        shapes = text.translate(_NUMBERS).split("\n")
        odd = words.odd("\n".join(set(shapes)))
        if not odd:
            return []
        lines = text.split("\n")
        return words.hits(
            (n, lines[n], odd[shape]) for n, shape in enumerate(shapes) if shape in odd
        )


def _numbered(data: bytes, hits: list[Hit], ends: list[int]) -> list[Hit]:
    """Give lines their numbers, which end at ``ends``."""
    number = before = 0
    numbered = []
    for hit, end in zip(hits, ends, strict=True):
        number += data.count(b"\n", before, end)
        before = end
        numbered.append(Hit(number, hit.words, hit.line))
    return numbered


LONG_LINE = 4096
"""Characters of a line that are searched at once with ``re``."""

OVERLAP = 512
"""Characters in which two such stretches overlap: what is found on a line is no longer."""


def _stretches(line: str) -> Iterator[tuple[int, str]]:
    """Yield where each stretch of a line begins, and the stretch.

    ``re`` may walk to the end of what it searches from each place: that is at most one stretch.
    """
    if len(line) <= LONG_LINE:
        yield 0, line
        return
    for begin in range(0, len(line) - OVERLAP, LONG_LINE - OVERLAP):
        yield begin, line[begin : begin + LONG_LINE]


class _Words:
    """Patterns by the plain words that they need."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._by_word: dict[str, list[re.Pattern[str]]] = {}
        for pattern in patterns:
            for part in _parts(pattern):
                word = needed(part)
                if not word:
                    raise ValueError(f"a pattern of a scanner needs a plain word: {pattern!r}")
                self._by_word.setdefault(word, []).append(re.compile(part))

    def occur(self, text: str) -> bool:
        """Tell whether ``text`` holds a pattern."""
        return any(
            word in text and any(pattern.search(text) is not None for pattern in patterns)
            for word, patterns in self._by_word.items()
        )

    @property
    def all(self) -> Iterable[str]:
        """Every word."""
        return self._by_word

    def hits(self, lines: Iterable[tuple[int, str, Iterable[str]]]) -> list[Hit]:
        """Return the lines that hold a pattern, and what was found, in its order.

        With each line come the words that it may hold.
        """
        hits: list[Hit] = []
        for number, line, words in lines:
            found = {
                begin + match.start(): match[0]
                for begin, stretch in _stretches(line)
                for word in words
                if word in stretch
                for pattern in self._by_word[word]
                for match in pattern.finditer(stretch)
            }
            if found:
                words_found = dict.fromkeys(found[at] for at in sorted(found))
                hits.append(Hit(number, tuple(words_found)[:MAX_WORDS], line))
        return hits

    def odd(self, shapes: str) -> dict[str, list[str]]:
        """Return the lines of ``shapes``, texts without numbers, that may hold words, and which."""
        odd: dict[str, list[str]] = {}
        for word in self._by_word:
            bare = word.translate(_NUMBERS)
            at = shapes.find(bare)
            while at >= 0:
                start, end = shapes.rfind("\n", 0, at) + 1, shapes.find("\n", at)
                end = len(shapes) if end < 0 else end
                odd.setdefault(shapes[start:end], []).append(word)
                at = shapes.find(bare, end)
        return odd


def _parts(pattern: str) -> tuple[str, ...]:
    """Split a pattern that is one group of alternatives, or alternatives alone."""
    inner = pattern
    if pattern.startswith("(?:") and pattern.endswith(")") and _closes(pattern) == len(pattern) - 1:
        inner = pattern[3:-1]
    parts, depth, begin, at = [], 0, 0, 0
    while at < len(inner):
        char = inner[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = _class_end(inner, at) - 1
        elif char == "|" and depth == 0:
            parts.append(inner[begin:at])
            begin = at + 1
        depth += (char == "(") - (char == ")")
        at += 1
    return (*parts, inner[begin:])


def _closes(pattern: str) -> int:
    """Return where the group closes that opens ``pattern``."""
    depth = at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = _class_end(pattern, at) - 1
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return at
        at += 1
    return -1


_COUNTED = re.compile(r"\{(\d+),(\d+)\}")


def _loose(pattern: str) -> str:
    """Take the upper bounds out: an automaton needs none, and a state for each it would have."""
    return _COUNTED.sub(lambda count: "*" if count[1] == "0" else "+", pattern)
