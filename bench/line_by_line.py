"""The same knowledge, read the obvious way: line by line, pattern by pattern.

It uses the product's own tables of formats and skip rules, so that its titles can be compared:
each line loses its stamp by a pattern, is tried against every headline pattern, and below a
headline against every pattern of frames, pointers and facts. Nothing is slow on purpose: all
patterns are compiled once and each line is split and stripped once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from bot.crash.formats import FORMATS, QUIET, Format, Pick
from bot.crash.frames import FRAME, POINTER
from bot.crash.skips import ANCHORS, HANG_GROUPS, HANG_SKIP, SKIP, SYSCALL_PREFIXES
from bot.crash.titles import anonymous

_STAMP = re.compile(r"(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *([CT]\d+)\])? ?")
_QUIET = [re.compile(pattern) for patterns in QUIET.values() for pattern in patterns]
_SKIP = [re.compile(word) for rule in SKIP for word in rule.words]
_FACTS = {
    "release": re.compile(r"(?:Not tainted|Tainted: [A-Z ]+) (\d+\.\d+\S*)"),
    "taint": re.compile(r"Tainted: ([A-Z ]+?) \d"),
    "pid": re.compile(r"(?:PID|Pid): (\d+)"),
    "cpu": re.compile(r"CPU: (\d+)"),
    "comm": re.compile(r"Comm: (\S+)"),
    "hardware": re.compile(r"Hardware name: (.*)"),
    "arch": re.compile(r"^(RIP|EIP|NIP|Krnl PSW|PC is at|pc : |epc )"),
}


class Crash(NamedTuple):
    """What is found: the title, the frames of the trace, the facts."""

    title: str
    frames: list[str]
    facts: dict[str, str]


def read(text: str) -> list[Crash]:
    """Return the crashes of ``text``, in order."""
    lines = []
    for line in text.splitlines():
        match = _STAMP.match(line)
        lines.append((match[1] if match else None, line[match.end() :] if match else line))
    crashes: list[Crash] = []
    for n, (context, words) in enumerate(lines):
        found = _headline(words)
        if found is not None:
            own = [text for where, text in lines[n + 1 :] if where == context and " ? " not in text]
            crashes.append(_crash(*found, own))
    return crashes


def _headline(words: str) -> tuple[Format, re.Match[str]] | None:
    for entry in FORMATS:
        match = entry.pattern.search(words)
        if match is not None:
            return None if any(quiet.search(words) for quiet in _QUIET) else (entry, match)
    return None


def _crash(entry: Format, headline: re.Match[str], lines: Sequence[str]) -> Crash:
    frames: list[str] = []
    facts: dict[str, str] = {}
    names = headline.groupdict(default="")
    for line in lines:
        pointer = POINTER.search(line)
        if pointer is not None and pointer[1]:
            frames.append(pointer[1])
        frame = FRAME.match(line)
        if frame is not None:
            frames.append(frame[1])
        for name, pattern in _FACTS.items():
            match = pattern.search(line)
            if match is not None:
                facts.setdefault(name, match[1])
        for detail in entry.details:
            match = detail.search(line)
            if match is not None:
                names.update(match.groupdict(""))
    names.setdefault("func", "")
    names.setdefault("name", "")
    names |= {"frame": _guilty(entry, frames), "origin": "corrupted"}
    return Crash(anonymous(entry.title.format_map(_Names(names))), frames, facts)


class _Names(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


def _guilty(entry: Format, frames: Sequence[str]) -> str:
    own = [name for name in frames if not any(word.search(name) for word in _SKIP)]
    if entry.plumbing:
        own = [name for name in own if not re.search(entry.plumbing, name)]
    if entry.pick is Pick.HANG:
        groups = [(name, shared) for name in own for part, shared in HANG_GROUPS if part in name]
        if groups:
            return groups[0][1] or groups[0][0]
        own = [name for name in own if not HANG_SKIP.search(name)]
    if entry.pick is Pick.STALL:
        at = next((n for n, name in enumerate(own) if ANCHORS.search(name)), None)
        own = [] if at is None else own[max(0, at - 1) :]
    name = own[0] if own else "corrupted"
    for prefix in SYSCALL_PREFIXES:
        name = name.removeprefix(prefix)
    return name
