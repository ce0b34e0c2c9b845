"""Frames of call traces and instruction pointers: how each architecture and era prints them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from bot.crash.report import Frame
from bot.crash.rust import demangle
from bot.crash.skips import SYSCALL_PREFIXES

PC = r"\[(?:<?(?:0x)?[0-9a-fA-F]+>?|[a-zA-Z0-9_]+\+[0-9]+/[0-9]+)\]"
"""An address in brackets; klogd of old put the symbol with decimal offsets there."""

FUNC = r"([a-zA-Z0-9_]+)(?:[.+]| \((?=[\w./-]{1,200}:[0-9?]))"
"""A function: an offset or a suffix follows, or the file:line of a symbolised trace."""

SRC = r"([a-zA-Z0-9\-_/.]+\.[a-z]+:[0-9]++)"
"""A file and its line; it keeps its digits, so that what follows is tried once behind them."""

FRAME = re.compile(
    r"\s{0,64}(?:<{1,2}[A-Z#]{2,4}>{1,2} {1,2})?"
    rf"(?:\(? ?(?:{PC} ){{0,2}}|<[0-9a-f]{{8,16}}>\{{)(?::\w{{1,64}}:)?\.?{FUNC}"
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
    r"(?:IP:? |NIP:? |pc :? ?|pc: [0-9a-f]{16}: |[Pp][Cc] is at:? |[Ee]?[Ii][Pp] is at "
    r"|E?IP: {1,6}[0-9a-f]{4}:(?=\[\w+\+)"
    r"|epc {0,3}: (?:[0-9a-f]{8,16} )?|TPC: <|IAOQ\[0\]: |(?:ERA|era) {0,3}: (?:[0-9a-f]{16} )?"
    r"|Krnl PSW : [0-9a-f]{8,16} [0-9a-f]{8,16} \(?)"
    rf"(?:(?!00[23]3:)(?:[0-9a-f]{{2,4}}:)?(?:{PC} {{1,4}}){{0,2}}(?:<[0-9a-f]{{8,16}}>\{{)?"
    rf"(?::\w{{1,64}}:)?\.?\[?{FUNC}"
    rf"|(?:[0-9]+:)?0x[0-9a-f]+|(?:[0-9]+:)?{PC} +\[< *\(null\)>\] +\(null\)"
    r"|[0-9]+: +\(null\))"
)
"""An instruction pointer; the group is empty for an address without a name or in user space."""

POINTER_WORDS = (
    "IP", "ip is at", "pc ", "pc:", "PC is", "Pc is", "pC is", "pc is", "epc", "TPC", "PSW", "IAOQ",
    "ERA", "era", "--- interrupt",
)  # fmt: skip
"""Words of which every line with an instruction pointer holds one."""

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

_ANY_START = re.compile("|".join(f"(?:{start.pattern})" for start in TRACE_STARTS))
_START_WORDS = ("race", "located", "reed", "stored to", "badaddr")


def first_words(*words: str) -> frozenset[str]:
    """Return how lines begin, in four characters, that begin with one of ``words``.

    Up to three blanks may stand in front; lines that begin with four blanks tell nothing.
    """
    return frozenset((" " * blanks + word)[:4] for word in words for blanks in range(4))


POINTER_MARKS = first_words(
    "RIP:", "RIP ", "EIP:", "EIP ", "IP: ", "IP [", "IP is", "NIP:", "NIP ", "pc :", "pc: ", "pc =",
    "PC i", "Pc i", "pc i", "epc ", "epc:", "TPC:", "Krnl", "--- i", "IAOQ", "ERA:", "ERA ", "era ",
)  # fmt: skip
START_MARKS = first_words(
    "Call", "Allo", "Free", "back", "Back", "Unin", "stat", "Trac",
)  # fmt: skip

WORK = re.compile(
    r"\s{0,8}Workqueue: +\S{1,64} (?P<raw>[a-zA-Z_][\w.]{0,127})(?: \[(?P<module>\w{1,64})[^\]]*\])?\s*$"
)
"""What a worker of the kernel runs."""

INTERLEAVED = re.compile(rf"(?: {PC})? should_fail(?:slab)?(?:\.[a-z0-9.]+)?\+0x")
"""A frame of fault injection: another trace was printed into this one."""

_SOURCE = SRC.replace("(", "(?P<src>", 1)
_DETAIL = re.compile(
    r"\.?(?<![a-zA-Z0-9_$])(?P<raw>[a-zA-Z0-9_$]{1,512}+(?:\.[a-zA-Z0-9_.]{1,512}+)?)"
    r"(?:\+0x[0-9a-f]++/0x[0-9a-f]+)"
    rf"[)>]?(?: (?:\./)?{_SOURCE})?(?: \[(?P<module>[a-zA-Z0-9_]++)[^\]]{{0,200}}\])?"
)
_RESOLVED = re.compile(
    r"\.?\b(?P<raw>[a-zA-Z0-9_]{1,128}(?:\.[a-zA-Z0-9_.]{1,64})?) "
    rf"\((?:\./)?{_SOURCE}[^()]{{0,200}}(?:\([^()]{{0,80}}\)[^()]{{0,200}}){{0,8}}\)"
    r"(?: (?:\[)?(?P<module>[a-zA-Z0-9_]+)\]?)?"
)
_INLINE = re.compile(rf"\s{{0,4}}(?P<raw>[a-zA-Z0-9_]+) {_SOURCE} \[inline\]")


def may_be_frame(text: str) -> bool:
    """Tell whether a line without an offset may be a frame: it was resolved to file:line."""
    return ".c:" in text or ".h:" in text or ".S:" in text or ".rs:" in text


def starts_trace(text: str) -> bool:
    """Tell whether a line announces a trace."""
    for word in _START_WORDS:
        if word in text:
            return _ANY_START.search(text) is not None
    return False


@lru_cache(maxsize=16384)
def names_of(symbol: str) -> tuple[str, ...]:
    """Return the stable name of a symbol, then the longer names that it was made of.

    Suffixes and the offset go without a trace; each system call prefix leaves a longer name.
    A mangled name of Rust becomes the path that people wrote.
    """
    if symbol.startswith(("_R", "_ZN")):
        path = demangle(symbol)
        if path is not None:
            return (path,)
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
KNOWN: dict[str, Parsed] = {}
"""Lines that were read before."""

MAX_KNOWN = 16384
_MAX_KEY = 160


def parse(text: str) -> Parsed:
    """Read one line of a trace. Equal lines are read once: kernels repeat their frames a lot."""
    known = KNOWN.get(text)
    if known is None:
        known = _parse(text)
        if len(text) <= _MAX_KEY:
            if len(KNOWN) >= MAX_KNOWN:
                KNOWN.clear()
            KNOWN[text] = known
    return known


def _parse(text: str) -> Parsed:
    if "+0x" in text:
        quick = _quick(text)
        if quick is not None:
            return quick
    match = FRAME.match(text)
    if match is not None:
        names: tuple[str, ...] = (match[1],)
    else:
        names = _of_arm(text)
    found = _frame(text) if "+0x" in text or may_be_frame(text) else None
    return Parsed(names, found, doubtful(text)) if names or found else _NOTHING


def _quick(text: str) -> Parsed | None:
    """Read the usual ``[<addr>] ? name.suffix+0x1/0x2 [module]`` without patterns."""
    front, _, back = text.partition("+0x")
    raw = front.rpartition(" ")[2]
    lead = front[: len(front) - len(raw)].strip()
    if lead and lead != "?" and (lead[0] != "[" or lead[-1] not in "]?" or "+" in lead):
        return None
    if not raw.replace(".", "").isidentifier() or raw[0] == "." or not raw.isascii():
        return None
    sizes, _, module = back.partition(" ")
    if "/0x" not in sizes or (module and (module[0] != "[" or "]" not in module)):
        return None
    module = module[1:].partition("]")[0].partition(" ")[0]
    frame = Frame(
        function=name_of(raw), raw=raw, module=module or None, reliable=not lead.endswith("?")
    )
    return Parsed((raw.partition(".")[0],), frame, not frame.reliable)


def _of_arm(text: str) -> tuple[str, ...]:
    if " from " in text:
        match = ARM_FRAME.match(text)
        if match is not None:
            return match[1].split(".")[0], match[2]
    return ()


def _frame(text: str) -> Frame | None:
    match = _DETAIL.search(text) or _RESOLVED.search(text) or _INLINE.match(text)
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
    for pattern, need in ((_DETAIL, "+0x"), (_RESOLVED, " (")):
        for match in pattern.finditer(text) if need in text else ():
            if name_of(match["raw"]) == function:
                return match["module"], match["src"]
    work = WORK.match(text)
    return (work["module"] if work is not None else None), None


def unannounced(text: str) -> bool:
    """Tell whether a line is a frame even where no line announced a trace."""
    return OLD_FRAME.match(text) is not None or (
        " from " in text and ARM_FRAME.match(text) is not None
    )


def doubtful(text: str) -> bool:
    """Tell whether the kernel itself calls this frame a guess."""
    return (" ? " in text and "<EOI>" not in text) or text.endswith(" (unreliable)")
