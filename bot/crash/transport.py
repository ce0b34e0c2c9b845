"""The clean-up step: whatever carried the console text, give back plain kernel lines.

Every transport that on-call people meet (syslog, journal, dmesg, netconsole, container logs,
chat, mail, JSON) writes something in front of the kernel's line or changes characters in it. All
of that is undone here, so that the reader knows one form only. Line numbers stay those of the
text that was handed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_LINE = 4096
"""Characters of one line that are read; the rest of a longer line is ignored."""

STAMPED = "console"
"""Context of a kernel line that carries a time or a kernel tag, but no caller id."""

FOREIGN = "foreign"
"""Context of a line that another program wrote (``sshd[812]:``)."""


class Record(NamedTuple):
    """One kernel line: its place, its number in the original text, that text, the bare line.

    ``context`` is the caller id (``T123``, ``C0``), ``console`` for a kernel line without one,
    ``foreign`` for another program's line, or empty where nothing stood in front of the line.
    """

    order: int
    number: int
    raw: str
    text: str
    context: str


_ANSI = re.compile(r"\x1b\[[0-9;?]{0,16}[A-Za-z]")
_TYPOGRAPHY = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "--",
        "\u2026": "...",
        "\u00a0": " ",
        "\u202f": " ",
        "\u200b": None,
        "\u2060": None,
        "\ufeff": None,
        "\u2028": " ",
        "\u2029": " ",
        "\x85": " ",
    }
)
_ENTITIES = (
    ("&amp;", "&"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&#34;", '"'),
    ("&#39;", "'"),
    ("&#x27;", "'"),
    ("&apos;", "'"),
    ("&nbsp;", " "),
)
_LITERAL_BREAK = re.compile(r"\\{1,3}r(?=\\)|\\{1,3}n")
_QUOTE = re.compile(r"(?: {0,3}> ?){1,16}")
_STAMP = r"\[ {0,7}\d{1,10}\.\d{1,9}\]"
_CALLER = r"\[ {0,12}([CT]\d{1,10})\]"
_RUN_ON = re.compile(rf" (?=(?:<\d{{1,2}}>)?{_STAMP}(?:{_CALLER})? )")
_JSON_KEYS = ("log", "MESSAGE", "message", "msg", "line")
_DATE = (
    r"(?:[A-Z][a-z]{2} +\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d\d:?\d\d))?)"
)
_SYSLOG_3164 = re.compile(
    rf"(?:<\d{{1,3}}>)?{_DATE} +(?:\S{{1,255}} +){{0,2}}?"
    r"([A-Za-z_./-][\w./@-]{0,63})(?:\[\d{1,10}\])?: ?"
)
_SYSLOG_5424 = re.compile(
    rf"<\d{{1,3}}>1 +(?:{_DATE}|-) +\S{{1,255}} +(\S{{1,48}}) +\S{{1,128}} +\S{{1,32}} +"
    r"(?:-|\[[^\]]{0,512}\]) ?"
)
_NETCONSOLE = re.compile(
    r"(?:\S{1,255} )?\d{1,4},\d{1,12},\d{1,18},[^,; ]{0,8}((?:,[^,;]{1,64}){0,8});"
)
_NET_CALLER = re.compile(r"caller=([CT]\d{1,10})")
_DMESG_DATE = re.compile(
    r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d \d{4}\](?: ?" + _CALLER + r")? ?"
)
_ISO_DMESG = re.compile(rf"{_DATE} (?={_CALLER} |\S)")
_FACILITY = re.compile(r"(?:kern|user|daemon|syslog) *: *[a-z]{3,6} *: *")
_INDENT = re.compile(rf"[ \t]{{1,32}}(?=(?:<\d{{1,2}}>)?{_STAMP}(?: ?{_CALLER})?(?: |$))")
_BARE_TAG = re.compile(r" ?kernel: ?(?=\S)|kernel: ")
_LEVEL = re.compile(r"<\d{1,3}>(?=[^:]|$)")
_PRINTK = re.compile(
    r"(?:\*\* \d{1,9} printk messages dropped \*\* ?)?(?:\S.{0,200}? login: )?"
    rf"(?:<\d{{1,2}}>)?{_STAMP}(?: ?{_CALLER})?(?: |$)"
)
_BARE_CALLER = re.compile(rf"{_CALLER} ")


def decode(text: str | bytes) -> str:
    """Return ``text`` as characters; bytes that are no UTF-8 become replacement marks."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    return text


def records(text: str | bytes) -> list[Record]:
    """Split console text into clean records, in order. Never raises, linear in its length."""
    found: list[Record] = []
    original = decode(text).replace("\r\n", "\n")
    cleaned = _clean(original)
    for number, (raw, line) in enumerate(
        zip(original.split("\n"), cleaned.split("\n"), strict=True), start=1
    ):
        pieces = list(_pieces(line))
        for piece, context in pieces:
            shown = raw[:MAX_LINE] if len(pieces) == 1 else piece
            found.append(_record(len(found), number, shown, piece, context))
    return found


def _clean(text: str) -> str:
    """Undo what happened to characters; the number of lines stays the same."""
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if not text.isascii():
        text = text.translate(_TYPOGRAPHY)
    if "&" in text:
        for _ in range(3):
            before = text
            text = text.replace("&amp;", "&")
            if text == before:
                break
        for entity, char in _ENTITIES[1:]:
            if entity in text:
                text = text.replace(entity, char)
    return text


def _pieces(line: str) -> Iterator[tuple[str, str]]:
    """Yield the kernel lines that one line of text holds, with the context that is known."""
    line = line.replace("\r", " ").rstrip() if "\r" in line else line
    bare = line.lstrip(" \t>")
    if bare.startswith("{") and '"' in bare:
        inner = _from_json(bare)
        if inner is not None:
            message, context = inner
            for part in message.split("\n"):
                yield from ((piece, context) for piece in _unfold(part))
            return
    for piece in _unfold(line):
        yield piece, ""


def _unfold(line: str) -> Iterator[str]:
    """Undo line breaks that were written out or replaced by blanks."""
    if line.count("\\n") >= 2:
        parts = _LITERAL_BREAK.split(line)
        yield from (part.replace("\\t", "\t")[:MAX_LINE] for part in parts)
    elif line.count("] ") >= 3 and len(_RUN_ON.findall(line)) >= 3:
        yield from (part[:MAX_LINE] for part in _split_at(line))
    else:
        yield line[:MAX_LINE]


def _split_at(line: str) -> Iterator[str]:
    start = 0
    for match in _RUN_ON.finditer(line):
        yield line[start : match.start()]
        start = match.end()
    yield line[start:]


def _from_json(line: str) -> tuple[str, str] | None:
    """Return the message of a container, journal or structured log line, and its context."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    context = STAMPED if data.get("_TRANSPORT") == "kernel" else ""
    for key in _JSON_KEYS:
        value = data.get(key)
        if isinstance(value, list) and value and all(isinstance(item, int) for item in value):
            value = bytes(item & 255 for item in value).decode("utf-8", errors="replace")
        if isinstance(value, str):
            return _clean(value.rstrip("\n")), context
    return None


def _record(order: int, number: int, raw: str, text: str, context: str) -> Record:
    """Strip what stands in front of the kernel's own line."""
    if text[:1] == "[":
        match = _PRINTK.match(text)
        if match is not None:
            return Record(order, number, raw, text[match.end() :], match[1] or STAMPED)
    if text[:1] in ">`" or text.startswith((" >", "  >")):
        text = _unquote(text)
    for _ in range(4):
        step = _strip(text)
        if step is None:
            break
        text, seen = step
        if seen != STAMPED or not context:
            context = seen
        if context == FOREIGN:
            break
    return Record(order, number, raw, text, context)


def _unquote(text: str) -> str:
    match = _QUOTE.match(text)
    if match is not None:
        text = text[match.end() :]
    return text.removeprefix("```")


def _strip(text: str) -> tuple[str, str] | None:
    """Take one transport prefix off; None when there is none."""
    first = text[:1]
    if first in " \t":
        match = _INDENT.match(text)
        text = text[match.end() :] if match else text
    match = _PRINTK.match(text)
    if match is not None:
        return text[match.end() :], match[1] or STAMPED
    if first == "[":
        match = _DMESG_DATE.match(text) or _BARE_CALLER.match(text)
        return (text[match.end() :], match[1] or STAMPED) if match else None
    if first == "<":
        match = _SYSLOG_5424.match(text) or _SYSLOG_3164.match(text)
        if match is not None:
            return text[match.end() :], _of_tag(match[1])
        match = _LEVEL.match(text)
        return (text[match.end() :], STAMPED) if match else None
    return _strip_word(text, first)


def _strip_word(text: str, first: str) -> tuple[str, str] | None:
    if first.isdigit() or first.isupper():
        match = _SYSLOG_3164.match(text)
        if match is not None:
            return text[match.end() :], _of_tag(match[1])
    match = _NETCONSOLE.match(text)
    if match is not None:
        caller = _NET_CALLER.search(match[1])
        return text[match.end() :], caller[1] if caller else STAMPED
    match = _FACILITY.match(text) or _BARE_TAG.match(text)
    if match is not None:
        return text[match.end() :], STAMPED
    if first.isdigit():
        match = _ISO_DMESG.match(text)
        if match is not None:
            return text[match.end() :], STAMPED
    return None


def _of_tag(tag: str) -> str:
    return STAMPED if tag.casefold() in {"kernel", "kernel-", "-", "netconsole"} else FOREIGN
