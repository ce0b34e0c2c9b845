"""Frames of call traces and instruction pointers: how each architecture and era prints them."""

from __future__ import annotations

import re
from functools import lru_cache

from bot.crash.report import Frame
from bot.crash.skips import SYSCALL_PREFIXES
from bot.crash.transport import Record

PC = r"\[(?:<?(?:0x)?[0-9a-fA-F]+>?|[a-zA-Z0-9_]+\+[0-9]+/[0-9]+)\]"
"""An address in brackets; klogd of old put the symbol with decimal offsets there."""

FUNC = r"([a-zA-Z0-9_]+)(?:[.+]| \((?=[\w./-]{1,200}:[0-9?]))"
"""A function: an offset or a suffix follows, or the file:line of a symbolised trace."""

SRC = r"([a-zA-Z0-9\-_/.]+\.[a-z]+:[0-9]+)"

FRAME = re.compile(
    rf"\s{{0,64}}(?:<{{1,2}}[A-Z#]{{2,4}}>{{1,2}} {{1,2}})?(?:\(? ?(?:{PC} ){{0,2}}|<[0-9a-f]{{8,16}}>\{{)(?::\w{{1,64}}:)?\.?{FUNC}"
)
"""A frame of a trace, from the start of the line."""

ARM_FRAME = re.compile(
    rf"\s{{0,64}}(?:{PC} \()?([a-zA-Z0-9_.]+)(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?(?: \[\w{{1,64}}\])?\)?"
    rf" from (?:{PC} \()?{FUNC}"
)
"""A line of a 32-bit arm trace: callee and caller, with or without addresses."""

OLD_FRAME = re.compile(r"\s{0,8}\[<[0-9a-f]{8,16}>\] (?:\? )?[a-zA-Z0-9_.]+\+0x")
"""A frame of the kernels that printed a trace without announcing it."""

POINTER = re.compile(
    r"(?:IP:? |NIP:? |pc :? ?|[Pp][Cc] is at:? |[Ee]?[Ii][Pp] is at |E?IP: {1,6}[0-9a-f]{4}:(?=\[\w+\+)"
    r"|epc {0,3}: (?:[0-9a-f]{8,16} )?|TPC: <|IAOQ\[0\]: |(?:ERA|era) {0,3}: (?:[0-9a-f]{16} )?"
    r"|Krnl PSW : [0-9a-f]{8,16} [0-9a-f]{8,16} \(?)"
    rf"(?:(?!00[23]3:)(?:[0-9a-f]{{2,4}}:)?(?:{PC} {{1,4}}){{0,2}}(?:<[0-9a-f]{{8,16}}>\{{)?(?::\w{{1,64}}:)?\.?\[?{FUNC}"
    rf"|(?:[0-9]+:)?0x[0-9a-f]+|(?:[0-9]+:)?{PC} +\[< *\(null\)>\] +\(null\)"
    r"|[0-9]+: +\(null\))"
)
"""An instruction pointer; the group is empty for an address without a name or in user space."""

TRACE = re.compile(r"Call [Tt]race:|Backtrace:|\bunwind_backtrace\)? from |^Trace:")

TRACE_STARTS = (
    re.compile(r"Call [Tt]race"),
    re.compile(r"Allocated:"),
    re.compile(r"Allocated by task [0-9]+:"),
    re.compile(r"Freed:"),
    re.compile(r"Freed by task [0-9]+:"),
    re.compile(r"[^k] backtrace(?: \(crc [0-9a-fA-F]*\))?:"),
    re.compile(r"Backtrace:|^Trace:"),
    re.compile(r"Uninit was stored to memory at"),
    re.compile(r"status: [0-9a-f]{16} badaddr: [0-9a-f]{16} cause: [0-9a-f]{16}"),
)
"""Lines that start a trace; the last (riscv64) may stand without one."""

ANY_START = re.compile("|".join(f"(?:{start.pattern})" for start in TRACE_STARTS))
START_HINTS = ("race", "located", "reed", "stored to", "badaddr")

INTERLEAVED = re.compile(rf"(?: {PC})? should_fail(?:slab)?(?:\.[a-z0-9.]+)?\+0x")
"""A frame of fault injection: another trace was printed into this one."""

_DETAIL = re.compile(
    r"(?P<guess>\? )?\.?(?P<raw>[a-zA-Z0-9_$]+(?:\.[a-zA-Z0-9_.]+)?)(?:\+0x[0-9a-f]+/0x[0-9a-f]+)"
    rf"[)>]?(?: (?:\./)?{SRC})?(?: \[(?P<module>[a-zA-Z0-9_]+)[^\]]*\])?"
)
_RESOLVED = re.compile(
    rf"(?P<guess>\? )?\.?\b(?P<raw>[a-zA-Z0-9_]{{1,128}}(?:\.[a-zA-Z0-9_.]{{1,64}})?) \((?:\./)?{SRC}[^)]{{0,200}}\)"
    r"(?: (?:\[)?(?P<module>[a-zA-Z0-9_]+)\]?)?"
)
_INLINE = re.compile(rf"\s{{0,4}}(?P<raw>[a-zA-Z0-9_]+) {SRC} \[inline\]")


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


def candidates(text: str) -> tuple[str, ...]:
    """Return the raw function names when ``text`` is a frame of a trace; 32-bit arm prints two."""
    match = FRAME.match(text)
    if match is not None:
        return (match[1],)
    if " from " in text:
        match = ARM_FRAME.match(text)
        if match is not None:
            return match[1].split(".")[0], match[2]
    return ()


def frame(record: Record, *, reliable: bool) -> Frame | None:
    """Read one line of a trace with everything that it says."""
    text = record.text
    match = _DETAIL.search(text) or _RESOLVED.search(text) or _INLINE.match(text)
    if match is None:
        return None
    groups = match.groupdict()
    return Frame(
        function=name_of(match["raw"]),
        raw=match["raw"],
        module=groups.get("module"),
        reliable=reliable and not groups.get("guess"),
        line=record.number,
    )


def place(text: str, function: str) -> tuple[str | None, str | None]:
    """Return (module, file:line) that a line prints beside ``function``."""
    for pattern in (_DETAIL, _RESOLVED):
        for match in pattern.finditer(text):
            if name_of(match["raw"]) == function:
                return match["module"], match[3]
    return None, None


def doubtful(text: str) -> bool:
    """Tell whether the kernel itself calls this frame a guess."""
    return (" ? " in text and "<EOI>" not in text) or text.endswith(" (unreliable)")
