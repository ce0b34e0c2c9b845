"""Frames of call traces and instruction pointers: how each architecture and era prints them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from bot.crash.report import Frame
from bot.crash.skips import SYSCALL_PREFIXES

PC = r"\[<?(?:0x)?[0-9a-f]+>?\]"
FUNC = r"([a-zA-Z0-9_]+)[.+]"
SRC = r"([a-zA-Z0-9\-_/.]+\.[a-z]+:[0-9]+)"

FRAME = re.compile(rf"\s*(?:{PC} ){{0,2}}\.?{FUNC}")
"""A frame of a trace, from the start of the line."""

ARM_FRAME = re.compile(rf"\s*{PC} \(([a-zA-Z0-9_.]+)\) from {PC} \({FUNC}")

POINTER = re.compile(
    r"(?:IP:? |NIP:? |pc :? ?|PC is at:? |EIP is at |epc {0,3}: (?:[0-9a-f]{8,16} )?|TPC: <"
    r"|Krnl PSW : [0-9a-f]{16} [0-9a-f]{16} \()"
    rf"(?:(?!00[23]3:)(?:[0-9a-f]{{2,4}}:)?(?:{PC} {{1,4}}){{0,2}}\.?{FUNC}"
    rf"|(?:[0-9]+:)?0x[0-9a-f]+|(?:[0-9]+:)?{PC} +\[< *\(null\)>\] +\(null\)"
    r"|[0-9]+: +\(null\))"
)
"""An instruction pointer; the group is empty for an address without a name or in user space."""

POINTER_WORDS = ("IP", "pc :", "pc:", "PC is at", "epc", "TPC", "PSW", "--- interrupt")
"""Words of which every line with an instruction pointer holds one."""

TRACE = re.compile(r"Call [Tt]race:|Backtrace:")

TRACE_STARTS = (
    re.compile(r"Call [Tt]race"),
    re.compile(r"Allocated:"),
    re.compile(r"Allocated by task [0-9]+:"),
    re.compile(r"Freed:"),
    re.compile(r"Freed by task [0-9]+:"),
    re.compile(r"[^k] backtrace(?: \(crc [0-9a-fA-F]*\))?:"),
    re.compile(r"Backtrace:"),
    re.compile(r"Uninit was stored to memory at"),
    re.compile(r"status: [0-9a-f]{16} badaddr: [0-9a-f]{16} cause: [0-9a-f]{16}"),
)
"""Lines that start a trace; the last (riscv64) may stand without one."""

ANY_START = re.compile("|".join(f"(?:{start.pattern})" for start in TRACE_STARTS))
START_HINTS = ("Call T", "Call t", "cktrace", "located", "reed", "stored to", "badaddr")
"""Words of which every line that starts a trace holds one."""

INTERLEAVED = re.compile(rf"(?: {PC})? should_fail(?:slab)?(?:\.[a-z0-9.]+)?\+0x")
"""A frame of fault injection: another trace was printed into this one."""

_SOURCE = SRC.replace("(", "(?P<src>", 1)
_DETAIL = re.compile(
    r"(?P<guess>\? )?\.?(?P<raw>[a-zA-Z0-9_$]+(?:\.[a-zA-Z0-9_.]+)?)(?:\+0x[0-9a-f]+/0x[0-9a-f]+)"
    rf"[)>]?(?: (?:\./)?{_SOURCE})?(?: \[(?P<module>[a-zA-Z0-9_]+)[^\]]*\])?"
)
_INLINE = re.compile(rf"\s{{0,4}}(?P<raw>[a-zA-Z0-9_]+) {_SOURCE} \[inline\]")


@lru_cache(maxsize=16384)
def names_of(symbol: str) -> tuple[str, ...]:
    """Return the stable name of a symbol, then the longer names that it was made of.

    Suffixes and the offset go without a trace; each system call prefix leaves a longer name.
    """
    names = [re.split(r"[.+]", symbol.lstrip("."), maxsplit=1)[0]]
    for prefix in SYSCALL_PREFIXES:
        if names[-1].startswith(prefix) and len(names[-1]) > len(prefix):
            names.append(names[-1].removeprefix(prefix))
    return tuple(reversed(names))


def name_of(symbol: str) -> str:
    """Return the stable name of a symbol: without suffixes, offset and system call prefix."""
    return names_of(symbol)[0]


class Parsed(NamedTuple):
    """What one line of a trace holds.

    ``names`` are the raw function names when it is a frame (32-bit arm prints two), ``frame``
    everything that it says about the first, ``doubtful`` whether the kernel calls it a guess.
    """

    names: tuple[str, ...]
    frame: Frame | None
    doubtful: bool = False


_NOTHING = Parsed((), None)
_KNOWN: dict[str, Parsed] = {}
_MAX_KNOWN = 16384
_MAX_KEY = 160


def parse(text: str) -> Parsed:
    """Read one line of a trace. Equal lines are read once: kernels repeat their frames a lot."""
    known = _KNOWN.get(text)
    if known is None:
        known = _parse(text)
        if len(text) <= _MAX_KEY:
            if len(_KNOWN) >= _MAX_KNOWN:
                _KNOWN.clear()
            _KNOWN[text] = known
    return known


def _parse(text: str) -> Parsed:
    match = FRAME.match(text)
    if match is not None:
        names: tuple[str, ...] = (match[1],)
    else:
        names = _of_arm(text)
    found = _frame(text) if "+0x" in text or "[inline]" in text else None
    return Parsed(names, found, doubtful(text)) if names or found else _NOTHING


def _of_arm(text: str) -> tuple[str, ...]:
    if " from " in text:
        match = ARM_FRAME.match(text)
        if match is not None:
            return match[1].split(".")[0], match[2]
    return ()


def _frame(text: str) -> Frame | None:
    match = _DETAIL.search(text) or _INLINE.match(text)
    if match is None:
        return None
    groups = match.groupdict()
    return Frame(
        function=name_of(match["raw"]),
        raw=match["raw"],
        module=groups.get("module"),
        location=match["src"],
        reliable=not doubtful(text),
    )


def place(text: str, function: str) -> tuple[str | None, str | None]:
    """Return (module, file:line) that a line prints beside ``function``."""
    for match in _DETAIL.finditer(text):
        if name_of(match["raw"]) == function:
            return match["module"], match["src"]
    return None, None


def doubtful(text: str) -> bool:
    """Tell whether the kernel itself calls this frame a guess."""
    return (" ? " in text and "<EOI>" not in text) or text.endswith(" (unreliable)")
