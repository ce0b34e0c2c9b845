"""The clean-up step: whatever carried the console text, give back plain kernel lines.

Every transport that on-call people meet (syslog, journal, dmesg, netconsole, container logs,
chat, mail, JSON) writes something in front of the kernel's line or changes characters in it. All
of that is undone here, so that the reader knows one form only. Line numbers stay those of the
text that was handed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

MAX_LINE = 4096
"""Characters of one line that are read; the rest of a longer line is ignored."""

STAMPED = "console"
"""Context of a kernel line that carries a time or a kernel tag, but no caller id (``T12``, ``C0``)."""

FOREIGN = "@"
"""How the context of a line begins that another program wrote: ``@sshd[812]``."""

_ANSI = re.compile(r"\x1b\[[0-9;?]{0,16}[A-Za-z]")
_TYPOGRAPHY = (
    ("\u2018", "'"),
    ("\u2019", "'"),
    ("\u201c", '"'),
    ("\u201d", '"'),
    ("\u2013", "-"),
    ("\u2014", "--"),
    ("\u2026", "..."),
    ("\xa0", " "),
    ("\u202f", " "),
    ("\u200b", ""),
    ("\u2060", ""),
    ("\ufeff", ""),
    ("\u2028", " "),
    ("\u2029", " "),
    ("\x85", " "),
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
_WRITTEN = (("\\t", "\t"), ('\\"', '"'), ("\\u003c", "<"), ("\\u003e", ">"), ("\\u0026", "&"))
_MAX_DEPTH = 4
_JSON_KEYS = ("log", "MESSAGE", "message", "msg", "line")
_DATE = (
    r"(?:[A-Z][a-z]{2} +\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d\d:?\d\d))?)"
)
_SYSLOG_3164 = re.compile(
    rf"(?:<\d{{1,3}}>)?{_DATE} +(?:\S{{1,255}} +){{0,2}}?"
    r"([A-Za-z_./-][\w./@-]{0,63})(?:\[(\d{1,10})\])?: ?"
)
_SYSLOG_5424 = re.compile(
    rf"<\d{{1,3}}>1 +(?:{_DATE}|-) +\S{{1,255}} +(\S{{1,48}}) +(?:-|(\S{{1,128}})) +\S{{1,32}} +"
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
_PLAIN_STAMP = re.compile(rf"{_STAMP}(?:{_CALLER})? ")
_LONG = 160
_KERNEL_TAGS = frozenset({"kernel", "kernel-", "-", "netconsole"})


def decode(text: str | bytes) -> str:
    """Return ``text`` as characters; bytes that are no UTF-8 become replacement marks."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    return text


def clean(text: str) -> str:
    """Undo what happened to characters; the number of lines stays the same."""
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if not text.isascii():
        for odd, plain in _TYPOGRAPHY:
            if odd in text:
                text = text.replace(odd, plain)
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


def folded(text: str, hits: Sequence[str]) -> bool:
    """Tell whether lines of ``text`` may hold several kernel lines: JSON, written out breaks.

    Lines that were run together are looked for among ``hits``, the lines that matter, alone.
    """
    if ("{" in text and '{"' in text) or ("\\" in text and "\\n" in text) or "\r" in text:
        return True
    return any(len(line) > _LONG and line.count("] ") >= 3 for line in hits)


def pieces(line: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the kernel lines that one line of text holds, with the context that is known."""
    line = line.replace("\r", " ").rstrip() if "\r" in line else line
    at = line.find('{"')
    if at >= 0 and depth < _MAX_DEPTH and line.rstrip().endswith("}"):
        inner = _from_json(line[at:])
        if inner is not None:
            message, context = inner
            for part in message.split("\n"):
                for piece, known in pieces(part, depth + 1):
                    yield piece, known or context
            return
    for piece in _unfold(line):
        yield piece, ""


def _unfold(line: str) -> Iterator[str]:
    """Undo line breaks that were written out or replaced by blanks."""
    if line.count("\\n") >= 2:
        for part in _LITERAL_BREAK.split(line):
            for written, meant in _WRITTEN:
                if written in part:
                    part = part.replace(written, meant)
            yield part[:MAX_LINE]
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
    for key in _JSON_KEYS:
        value = data.get(key)
        if isinstance(value, list) and value and all(isinstance(item, int) for item in value):
            value = bytes(item & 255 for item in value).decode("utf-8", errors="replace")
        if isinstance(value, str):
            return clean(value.rstrip("\r\n")), _of_fields(data)
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


def is_stamp(prefix: str) -> bool:
    """Tell whether ``prefix`` is a printk stamp, with or without a caller id, and no more."""
    return _PLAIN_STAMP.fullmatch(prefix) is not None


def bare(text: str, context: str = "") -> tuple[str, str]:
    """Strip what stands in front of the kernel's own line; return the line and its context."""
    if text[:1] == "[":
        match = _PRINTK.match(text)
        if match is not None:
            return text[match.end() :], match[1] or STAMPED
    if text[:1] in ">`" or text.startswith((" >", "  >")):
        text = _unquote(text)
    for _ in range(5):
        step = _strip(text)
        if step is None:
            break
        text, seen = step
        if seen != STAMPED or not context:
            context = seen
        if context[:1] == FOREIGN:
            break
    return text, context


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
            return text[match.end() :], of_tag(match[1], match[2])
        match = _LEVEL.match(text)
        return (text[match.end() :], STAMPED) if match else None
    return _strip_word(text, first)


def _strip_word(text: str, first: str) -> tuple[str, str] | None:
    if first.isdigit() or first.isupper():
        match = _SYSLOG_3164.match(text)
        if match is not None:
            return text[match.end() :], of_tag(match[1], match[2])
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


def of_tag(tag: str, pid: str | None = None) -> str:
    """Return the context that a syslog tag stands for."""
    if tag.casefold() in _KERNEL_TAGS:
        return STAMPED
    return f"{FOREIGN}{tag}[{pid}]" if pid else FOREIGN + tag


def foreign(context: str) -> bool:
    """Tell whether a line of this context was written by a program, not by the kernel."""
    return context[:1] == FOREIGN
