"""Lines of a text that hold several lines of the kernel: JSON, written out breaks, run-on lines.

Each way to put lines into one is a row of ``WRAPPINGS``. The rows are tried in order on a line and
then on whatever came out of it, until none fits: JSON in JSON behind a prefix is three rounds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from bot.crash.prefixes import FOREIGN, MAX_LINE, STAMPED, bare, of_tag
from bot.crash.spelling import clean, of_code

MARKS = (r"\\", "\r", r"\{\s*\"", r"\) \[<", "#0[0-3][0-7]", "<br", "</?(?:pre|code)")
"""Patterns of which a text holds one that ``wrapped`` tells of."""

MAX_DEPTH = 8
"""Wrappings inside each other that are opened."""

MAX_TRIES = 3
"""Opening braces of a line at which JSON may begin."""

Parts = list[tuple[str, str]]
"""Lines, each with the context that is known of it; empty: none."""


class Wrapping(NamedTuple):
    """A way to put lines into one: a text that is needed, what takes them out or says None."""

    need: str
    open: Callable[[str], Parts | None]


_KEYS = ("log", "MESSAGE", "message", "msg", "line")
_OBJECT = re.compile(r"\{\s{0,64}\"")
_BETWEEN = re.compile(r"(?:\\{1,16}[nrt]|<br ?/?>|[\s,\]]){0,64}")
_COLON = re.compile(r"\s{0,64}:\s{0,64}(?=\")")
_MAX_STRINGS = 1000
_DECODER = json.JSONDecoder()
_HEX = re.compile(r"(?<!\\)(?:\\x[0-9a-f]{2})+")
_TAGS = re.compile(r"<br ?/?>|</?(?:pre|code)(?: [^<>]{0,200})?>")
_LINE_TAG = re.compile(r"<br ?/?>(?:\\{1,16}[rn]){0,4}")
_OTHER_TAG = re.compile(r"</?(?:pre|code)(?: [^<>]{0,200})?>")
_BREAK = re.compile(r"(?:\\{1,16}r){0,4}\\{1,16}n|\\{1,16}r$")
_LAST_BREAK = re.compile(r"(?:\\{1,16}[rn]){1,16}([\"'}\],\s]{0,16})$")
_ESCAPE = re.compile(r"\\{1,16}(?:u([0-9a-fA-F]{4})|(t)|([\"/]))")
_OCTAL = re.compile(r"#(0[0-3][0-7])")
_PRINTK = r"\[ {0,7}\d{1,10}\.\d{1,9}\]"
_RUN_ON = re.compile(
    r"(?<=[^\]m ]) {1,2}(?=\[<[0-9a-f]{8,16}>\] \()"
    rf"| (?=(?:<\d{{1,2}}>)?(?:{_PRINTK}(?:\[ {{0,12}}[CT]\d{{1,10}}\])? |\[ {{0,12}}[CT]\d{{1,10}}\] "
    r"|\[[A-Z][a-z]{2} [A-Z][a-z]{2} {1,2}\d{1,2} [\d:]{8} \d{4}\] "
    r"|\[ {0,7}\+\d{1,9}\.\d{6}\] |\[[A-Z][a-z]{2} {0,2}\d{1,2} \d\d:\d\d\] ))"
)
_STAMP = re.compile(rf"{_PRINTK}|\[ {{0,12}}[CT]\d{{1,10}}\] ")
_SIGNS = ("\\", "{", '"', "\r", "#0", "<br", "<pre", "<code", "</")
MIN_STAMPS = 3
"""Stamps in one line that make it a run-on line; two may be of lines printed into each other."""


def pieces(line: str, context: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the kernel lines that one line of text holds, with the context that is known."""
    if "\r" in line:
        line = line.replace("\r", " ").rstrip()
    if depth < MAX_DEPTH:
        for need, unwrap in WRAPPINGS:
            if need in line and (parts := unwrap(line)) is not None:
                for part, known in parts:
                    yield from pieces(part, known or context, depth + 1)
                return
    yield line[:MAX_LINE], context


def single(line: str) -> bool:
    """Tell at once, if it is so, that a line is one line of the kernel as it stands."""
    for sign in _SIGNS:
        if sign in line:
            return False
    return line.count("] ") < MIN_STAMPS


def wrapped(text: str) -> bool:
    """Tell whether ``text`` may hold lines that ``pieces`` takes apart, run-on lines aside."""
    return (
        "\\" in text
        or "\r" in text
        or ("{" in text and _OBJECT.search(text) is not None)
        or ") [<" in text
        or ("#" in text and _OCTAL.search(text) is not None)
        or ("<" in text and _TAGS.search(text) is not None)
    )


def run_on(line: str) -> bool:
    """Tell whether a line may hold several stamps."""
    if line.count("] ") < MIN_STAMPS:
        return False
    return len(_RUN_ON.findall(line)) + (_STAMP.match(line) is not None) >= MIN_STAMPS


def _mended(text: str) -> str:
    return clean(text) if "\\" in text or "&" in text or not text.isprintable() else text


def _hex(line: str) -> Parts | None:
    """Undo what /dev/kmsg and extended netconsole write for bytes that they do not print."""
    text = _HEX.sub(_bytes, line)
    return None if text == line else [(clean(text), "")]


def _bytes(match: re.Match[str]) -> str:
    text = bytes.fromhex(match[0].replace("\\x", "")).decode("utf-8", errors="replace")
    return text.replace("\n", "\\n")


def _objects(line: str) -> Parts | None:
    """Take the messages out of JSON objects, one or several in a row, behind whatever prefix."""
    for match in islice(_OBJECT.finditer(line), MAX_TRIES):
        at = match.start()
        found = _decoded(line, at)
        if found is not None:
            break
    else:
        return None
    rest, before = bare(line[:at])
    parts: Parts = [(line[:at], "")] if rest.strip(" ,[") else []
    while found is not None:
        value, end = found
        parts += _lines_of(value, before)
        between = _BETWEEN.match(line, end)
        at = between.end() if between is not None else end
        found = _decoded(line, at) if line[at : at + 1] == "{" else None
    if line[at:].strip():
        parts.append((line[at:], before if before[:1] == FOREIGN else ""))
    return parts if parts != [(line, "")] else None


def _decoded(line: str, at: int) -> tuple[object, int] | None:
    """Return the JSON value that begins there, and its end; None if there is none."""
    try:
        value, end = _DECODER.raw_decode(line, at)
    except (ValueError, RecursionError):
        return None
    return value, end


def _lines_of(value: object, before: str) -> Parts:
    return [
        (_mended(part), context or before)
        for message, context in _messages(value, 0)
        for part in message.rstrip("\r\n").split("\n")
    ]


def _messages(value: object, depth: int) -> Parts:
    """Return the strings of a JSON value that may be lines: the message of a record, or all."""
    if depth > MAX_DEPTH:
        return []
    if isinstance(value, str):
        return [(value, "")] if " " in value or "\n" in value else []
    if isinstance(value, list):
        return [one for item in value[:_MAX_STRINGS] for one in _messages(item, depth + 1)]
    if not isinstance(value, dict):
        return []
    for key in _KEYS:
        message = _text(value.get(key))
        if message is not None:
            others = [
                (v, "") for k, v in value.items() if k != key and isinstance(v, str) and "\n" in v
            ]
            return [(message, _of_fields(value)), *others]
    return [one for item in value.values() for one in _messages(item, depth + 1)]


def _text(value: object) -> str | None:
    """Return a message as text; journald writes one that it cannot print as numbers of bytes."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, int) for item in value):
        return bytes(item & 255 for item in value).decode("utf-8", errors="replace")
    return None


def _of_fields(data: dict[str, object]) -> str:
    """Return the context that the fields of a journal entry tell."""
    if data.get("_TRANSPORT") == "kernel":
        return STAMPED
    name = data.get("SYSLOG_IDENTIFIER")
    if not isinstance(name, str):
        return ""
    pid = data.get("SYSLOG_PID") or data.get("_PID")
    return of_tag(name, pid if isinstance(pid, str) else None)


def _string(line: str) -> Parts | None:
    """Take the lines out of a JSON string: alone, of a key on a line of its own, behind words."""
    words, before = bare(line)
    first = line.find('"', len(line) - len(words))
    found = _decoded(line, first) if first >= 0 else None
    if found is None:
        return None
    value, end = found
    colon = _COLON.match(line, end)
    if colon is not None:
        found = _decoded(line, colon.end())
        if found is None:
            return None
        value, end = found
    if not isinstance(value, str) or line[end:].strip(" ,]}\t"):
        return None
    said = words.partition('"')[0].strip()
    if said and "\n" not in value:
        return None
    parts: Parts = [(line[:first], "")] if said else []
    return [*parts, *_lines_of(value, before)]


def _tags(line: str) -> Parts | None:
    text = _OTHER_TAG.sub("", line)
    return _split(_LINE_TAG, text) or (None if text == line else [(text, "")])


def _split(pattern: re.Pattern[str], line: str) -> Parts | None:
    """Split a line; a program's words stay that program's."""
    parts = pattern.split(line)
    if len(parts) == 1:
        return None
    if not parts[-1].strip():
        parts.pop()
    context = bare(parts[0])[1]
    if context[:1] == FOREIGN:
        return [(part, context) for part in parts]
    if not context and len(parts) > 1 and _STAMP.search(parts[0]) is None:
        after = bare(parts[1])[1]
        context = after if after == STAMPED else ""
    return [(part, "" if n else context) for n, part in enumerate(parts)]


def _breaks(line: str) -> Parts | None:
    """Undo line breaks that were written out, and with them the other escapes."""
    match = _LAST_BREAK.search(line, max(0, len(line) - 64))
    if match is not None:
        line = line[: match.start()] + match[1]
    elif len(_BREAK.findall(line)) < 2:  # one may be a program's own
        return None
    parts = _split(_BREAK, line) or [(line, "")]
    return [(_mended(_ESCAPE.sub(_escaped, part)), known) for part, known in parts]


def _escaped(match: re.Match[str]) -> str:
    if match[1]:
        return of_code(int(match[1], 16))
    return "\t" if match[2] else match[3]


def _octal(line: str) -> Parts | None:
    """Undo what rsyslog writes for control characters in the kernel's lines."""
    if _OCTAL.search(line) is None or bare(line)[1][:1] == FOREIGN:
        return None
    text = _OCTAL.sub(_control, line)
    return [(clean(part), "") for part in text.split("\n")]


def _control(match: re.Match[str]) -> str:
    char = chr(int(match[1], 8))
    return "" if char == "\r" else char


def _run_on(line: str) -> Parts | None:
    return _split(_RUN_ON, line) if run_on(line) else None


WRAPPINGS: tuple[Wrapping, ...] = (
    Wrapping("\\x", _hex),
    Wrapping("{", _objects),
    Wrapping('"', _string),
    Wrapping("<", _tags),
    Wrapping("\\", _breaks),
    Wrapping("#0", _octal),
    Wrapping("] ", _run_on),
)
"""Every way that is known, in the order in which they are tried."""
