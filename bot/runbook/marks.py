"""YAML with the line of every part; what would surprise a reader of the file is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

Path = tuple[str | int, ...]
LARGEST = 256 << 10
"""Characters of a file."""
DEEPEST = 40
MOST = 50_000
"""Parts of a file, those that an alias repeats counted as often as they are repeated."""

YAML = "tag:yaml.org,2002:"
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is built in: several times faster."""
WHOLE = re.compile(r"[-+]?(0|[1-9]\d*)")
HINTS = {
    "mapping values are not allowed": "put quotes around a text that holds ': '",
    "unexpected end": "a quote or bracket is not closed",
    "did not find expected key": "look at the indentation, and at quotes before it",
    "did not find expected '-' indicator": "look at the indentation",
    "did not find expected node content": "a value is missing, or a bracket is not closed",
    "did not find expected ',' or": "a bracket before it is not closed",
}


class MarkedError(ValueError):
    """What is wrong, on which line (from 1), and perhaps a hint."""

    def __init__(self, what: str, line: int, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.line = line
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """Plain data, the line of every part, and the problems that do not stop the reading.

    ``raw`` is how values that are no text stand in the file, such as ``5.10`` or ``off``.
    """

    data: Any
    lines: Mapping[Path, int]
    problems: tuple[MarkedError, ...] = ()
    raw: Mapping[Path, str] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """Return the line of the part at ``path``, or of the nearest part around it."""
        return line_of(self.lines, path)


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of ``path`` or of the nearest part around it; 1 if there is none."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def read(text: str, *, playbook: bool = False) -> Marked:
    """Read one YAML document; raise ``MarkedError`` where it cannot be read.

    A key given twice is a problem. Aliases and tags are refused, for they can make a small file
    huge and a value something else; a ``playbook`` may have them, within limits, and a tag there
    leaves its value as it stands.
    """
    _refuse_bytes(text)
    try:
        reader = _Reader(yaml.parse(text, Loader=LOADER), playbook=playbook)
        data = reader.document()
    except yaml.MarkedYAMLError as error:
        raise _unreadable(text, error) from None
    except yaml.YAMLError as error:
        raise MarkedError(f"not readable as YAML: {str(error).splitlines()[0]}", 1) from None
    lines, raw = reader.lines, reader.raw
    return Marked(data=data, lines=lines, problems=tuple(reader.problems), raw=raw)


def _refuse_bytes(text: str) -> None:
    if len(text) > LARGEST:
        raise MarkedError(f"is larger than {LARGEST >> 10} KiB", 1)
    for number, line in enumerate(text.split("\n"), 1):
        if line.isprintable():
            continue
        for char in line:
            if "\udc80" <= char <= "\udcff":
                byte = ord(char) - 0xDC00
                raise MarkedError(f"the byte 0x{byte:02x} is no UTF-8", number, "save it as UTF-8")
            if (char < " " and char not in "\t\r") or char == "\x7f":
                raise MarkedError(f"it holds the control character U+{ord(char):04X}", number)


def _unreadable(text: str, error: yaml.MarkedYAMLError) -> MarkedError:
    said = str(error.problem or error.context)
    mark = error.problem_mark or error.context_mark
    if "unexpected end" in said:
        mark = error.context_mark or mark  # where what is not closed was opened
    lines = text.split("\n")
    line = min(mark.line + 1 if mark else 1, len(lines))
    here = lines[line - 1]
    indent = here[: len(here) - len(here.lstrip())]
    if "\t" in indent or (mark is not None and here[mark.column : mark.column + 1] == "\t"):
        return MarkedError("a tab is used to indent", line, "YAML wants blanks")
    hint = next((hint for words, hint in HINTS.items() if words in said), "")
    return MarkedError(f"not readable as YAML: {said}", line, hint)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


class _Reader:
    """Turns the parser's events into data, so that limits hold before anything grows."""

    def __init__(self, events: Iterator[yaml.Event], *, playbook: bool) -> None:
        self.events: Iterator[Any] = events
        self.playbook = playbook
        self.lines: dict[Path, int] = {}
        self.raw: dict[Path, str] = {}
        self.problems: list[MarkedError] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.parts = 0
        self.resolver: Any = Resolver()
        self.constructor = SafeConstructor()

    def document(self) -> Any:
        """Return the one document of the stream."""
        next(self.events)
        first = next(self.events)
        if not isinstance(first, yaml.DocumentStartEvent):
            raise MarkedError("the file is empty", 1)
        data = self._take(next(self.events), ())
        next(self.events)
        after: Any = next(self.events)
        if isinstance(after, yaml.DocumentStartEvent):
            line = _line(after)
            raise MarkedError("a second document begins here (---)", line, "one file, one document")
        return data

    def _take(self, event: Any, path: Path) -> Any:
        line = _line(event)
        self._count(1, line)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, line)
        self.lines.setdefault(path, line)
        if len(path) > DEEPEST:
            raise MarkedError("is nested too deeply", line)
        if event.tag is not None and not self.playbook:
            raise MarkedError(f"the tag {event.tag!r} means nothing here", line, "leave it out")
        before = self.parts
        if isinstance(event, yaml.MappingStartEvent):
            data: Any = self._mapping(path)
        elif isinstance(event, yaml.SequenceStartEvent):
            data = self._sequence(path)
        else:
            data = self._scalar(event, path, line)
        if event.anchor is not None:
            self.anchors[event.anchor] = (data, 1 + self.parts - before)
        return data

    def _count(self, parts: int, line: int) -> None:
        self.parts += parts
        if self.parts > MOST:
            raise MarkedError(f"it has more than {MOST:,} parts", line)

    def _alias(self, event: Any, line: int) -> Any:
        if not self.playbook:
            raise MarkedError("aliases (*name) are not read", line, "write the part out")
        if event.anchor not in self.anchors:
            raise MarkedError(f"there is no anchor &{event.anchor} before it", line)
        data, parts = self.anchors[event.anchor]
        self._count(parts, line)
        return data

    def _sequence(self, path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self._take(event, (*path, len(found))))
        return found

    def _mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = _line(event)
            merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<"
            if not isinstance(event, yaml.ScalarEvent) or (merge and not self.playbook):
                raise MarkedError("a key has to be a word", line)
            key = event.value
            if key in found:
                first = self.lines[(*path, key)]
                self.problems.append(MarkedError(f"{key!r} is given twice (line {first})", line))
                self._take(next(self.events), (*path, key, "again"))
                continue
            self.lines[(*path, key)] = line
            found[key] = self._take(next(self.events), (*path, key))
        merged = found.pop("<<", None)
        return {**merged, **found} if isinstance(merged, dict) else found

    def _scalar(self, event: Any, path: Path, line: int) -> Any:
        if event.tag is not None:
            return event.value
        tag = self.resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag == f"{YAML}str":
            return event.value
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            value = self.constructor.construct_object(node)
        except ValueError as error:  # the 31st of February, and the like
            raise MarkedError(f"{event.value!r}: {error}", line, "put quotes around it") from None
        self.raw[path] = event.value
        if tag == f"{YAML}int" and not WHOLE.fullmatch(event.value) and not self.playbook:
            said = f"{event.value} is {value} to YAML"
            self.problems.append(MarkedError(said, line, "put quotes around it, or write that"))
        return value
