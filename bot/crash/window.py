"""Which lines belong to a report: those of its context, up to the next crash."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import compress
from operator import itemgetter
from typing import NamedTuple

from bot.crash.console import Console, Region
from bot.crash.formats import CONTINUES
from bot.crash.frames import POINTER_MARKS, START_MARKS, doubtful, first_words, parse, starts_trace
from bot.crash.transport import MAX_LINE, STAMPED

MAX_WINDOW = 4000
"""Lines that are looked at behind a headline."""

ALL_CPUS = "Sending NMI from CPU"
INJECTION = "should_fail"
PANIC = "Kernel panic - not syncing"
DEADLOCK = "WARNING: possible circular locking dependency detected"
_REMARK = "Disabling lock debugging due to kernel taint"
_NEAR = 64
"""Lines behind a headline among which its first frame stands."""

_ENOUGH = 22
_ENOUGH_KMSAN = 16


TASK_MARKS = first_words(
    "CPU:", "CPU ", "Pid:", "PID:", "pid:", "Comm", "Hard", "REGS", "EFLA", "Proc", "TASK",
)  # fmt: skip
"""How lines begin that tell the task, the processor, the release."""

END_MARKS = first_words("---[", "Rebo", "Kern")
"""How the last lines of a report begin."""

REGISTER_MARKS = first_words(
    "RAX:", "RDX:", "RSP:", "EAX:", "psta", "sp :", "x29:", "r10:", "r7 :", "IASQ", "TSTA", "psr ",
    "ESR ", "Inte", "Mem ",
)  # fmt: skip
"""How lines begin that show the registers of one architecture."""

_BEGIN = itemgetter(slice(4))
MARKS = POINTER_MARKS | START_MARKS | TASK_MARKS | END_MARKS | REGISTER_MARKS


class Headline(NamedTuple):
    """A line that announces a crash: where it is, its words, its context, what says so.

    ``literal`` is empty for a line that prints a trace without being a crash.
    """

    at: int
    text: str
    context: str
    literal: str


class Window:
    """The lines of one report, beginning with its headline.

    ``texts`` holds the kernel's words. The first ``keep`` stand before the next crash; the others
    tell whether what is missing came late. ``marks`` are the lines that begin like a register, a
    task, a trace or an end, ``starts`` those that start a trace.
    """

    __slots__ = ("injected", "keep", "marks", "panicked", "places", "starts", "texts")

    def __init__(self, texts: list[str], places: Sequence[int]) -> None:
        """Take the lines and where each stands in the console."""
        self.texts = texts
        self.places = places
        self.keep = len(texts)
        self.panicked = False
        self.injected = False
        begins = map(_BEGIN, texts)
        self.marks = list(compress(range(len(texts)), map(MARKS.__contains__, begins)))
        self.starts = [
            n for n in self.marks if texts[n][:4] in START_MARKS and starts_trace(texts[n])
        ] or [n for n, text in enumerate(texts) if starts_trace(text)]

    @property
    def ends_in_trace(self) -> bool:
        """Whether the lines end with frames, the last one perhaps cut in the middle."""
        last = self.texts[self.starts[-1] + 1 : self.keep][-2:] if self.starts else []
        return self.keep == len(self.texts) and any(parse(text).frame for text in last)


def cut(
    console: Console, heads: Sequence[Headline], n: int, ahead: int, most: int = MAX_WINDOW
) -> Window:
    """Cut the window of ``heads[n]``; the ``ahead`` headlines behind it may end it.

    ``most`` lines behind it are looked at.
    """
    first, lines = heads[n], console.lines
    others = heads[n + 1 : n + 1 + ahead]
    stop = min(console.end, first.at + most)
    texts, places = _same_context(console, first, stop)
    if first.at and first.context and lines[first.at - 1] == lines[first.at]:
        texts, places = _once(texts, places)
    texts.insert(0, first.text)
    panicked = PANIC in first.text
    second = None
    end = len(texts)
    for other in others:
        if other.at >= stop:
            break
        if second is None and (not other.literal or CONTINUES.search(other.text) is None):
            second = other.at
        if PANIC in other.text:
            panicked = True
            if other.context == first.context:
                end = min(end, _echo(first, other, texts, places))
        elif other.context == first.context and DEADLOCK in other.text:
            end = min(end, _echo(first, other, texts, places))
    if end < len(texts):
        del texts[end:]
        places = places[:end]
    keep = len(texts)
    if second is not None and not first.context.startswith(("C", "T")):
        keep = bisect_left(places, second)
    window = Window(texts, places)
    window.keep = keep
    window.panicked = panicked
    window.injected = console.injected
    return window


def _once(texts: list[str], places: Sequence[int]) -> tuple[list[str], list[int]]:
    """Drop every line that only says again what the one before it says."""
    kept = [n for n, text in enumerate(texts) if n == 0 or text != texts[n - 1]]
    return [texts[n] for n in kept], [places[0], *(places[n + 1] for n in kept)]


def _echo(first: Headline, other: Headline, texts: list[str], places: Sequence[int]) -> int:
    """Return where the crash is said again, if enough lines stand before; else the end."""
    before = bisect_left(places, other.at)
    enough = _ENOUGH_KMSAN if "BUG: KMSAN:" in first.text else _ENOUGH
    told = 0
    for text in texts[:before]:
        if " ? " in text or text.endswith(" (unreliable)") or _REMARK in text:
            told -= doubtful(text) or _REMARK in text
        told += 1
        if told >= enough:
            return before
    return len(texts)


def _same_context(console: Console, first: Headline, stop: int) -> tuple[list[str], Sequence[int]]:
    """Return the lines behind the headline that share its context, and all their places.

    The common case, a console whose every line begins with a stamp of the same width, is told
    apart by slices alone: patterns cost ten times as much.
    """
    begin = first.at + 1
    lines, context = console.lines, first.context
    all_cpus = console.all_cpus and context not in ("", STAMPED)
    prefix = console.prefix(first.at, first.text)
    if not prefix or not context:
        return _slowly(console, first, stop, all_cpus=all_cpus)
    if console.stamps < console.end - 1 and _torn(console, first, stop):
        return _slowly(console, first, stop, all_cpus=all_cpus)
    width, edge = len(prefix), prefix.index("]")
    key = (prefix[edge:], width, stop)
    known = console.regions.get(key)
    if known is None or first.at >= known.until:
        region = lines[begin:stop]
        known = _of_prefix(console, region, begin, prefix, stop=stop, all_cpus=all_cpus)
        console.regions[key] = known
        return known.texts.copy(), [first.at, *known.places]
    at = bisect_right(known.places, first.at)
    return known.texts[at:], [first.at, *known.places[at:]]


def _of_prefix(
    console: Console, region: Sequence[str], begin: int, prefix: str, *, stop: int, all_cpus: bool
) -> Region:
    """Return the lines that begin with a stamp like ``prefix``."""
    width, edge = len(prefix), prefix.index("]")
    tag = prefix[edge:]
    if tag == "] ":
        texts = [line[width:MAX_LINE] for line in region if line[edge:width] == tag]
        if len(texts) == len(region):
            return Region(range(begin, stop), texts, stop)
    places = [at for at, line in enumerate(region, begin) if line[edge:width] == tag]
    until = stop
    if all_cpus:
        until = next((at for at in places if ALL_CPUS in console.lines[at]), stop)
        places = _all_cpus(console, places, until, stop, prefix)
    strays = [] if _even(console, region, edge) else _strays(console, begin, region, prefix)
    if strays:
        places = sorted([*places, *strays])
        return Region(places, [console.bare(at)[0][:MAX_LINE] for at in places], until)
    return Region(places, [console.lines[at][width:MAX_LINE] for at in places], until)


def _all_cpus(console: Console, own: list[int], asked: int, stop: int, prefix: str) -> list[int]:
    """Add what the other processors say once this one has asked all of them, at ``asked``."""
    width, edge = len(prefix), prefix.index("]")
    tag = prefix[edge:]
    answers = [
        at
        for at in range(asked + 1, stop)
        if (mark := console.lines[at][edge:width]) == tag or (mark[:2] == "][" and "C" in mark)
    ]
    return [*own[: bisect_right(own, asked)], *answers]


def _even(console: Console, region: Sequence[str], edge: int) -> bool:
    """Tell whether all stamps are of one width: time only grows, so two of them are enough."""
    return (
        len(region) > 0
        and region[0][edge : edge + 1] == region[-1][edge : edge + 1] == "]"
        and console.stamps >= console.end - 1
    )


def _strays(console: Console, begin: int, region: Sequence[str], prefix: str) -> list[int]:
    """Return the lines of the context of ``prefix`` whose stamp is wider, narrower or hidden."""
    width, edge = len(prefix), prefix.index("]")
    tag = prefix[edge:]
    context = console.bare(begin - 1)[1]
    return [
        at
        for at, line in enumerate(region, begin)
        if line[edge:width] != tag
        and line[edge : edge + 2] != "]["
        and ("] " in line or line[:1].isdigit())
        and console.bare(at)[1] == context
    ]


def _torn(console: Console, first: Headline, stop: int) -> bool:
    """Tell whether the frames right behind the headline have lost the context that it has kept."""
    if not first.context:
        return False
    for at in range(first.at + 1, min(stop, first.at + 1 + _NEAR)):
        text, context = console.bare(at)
        if context:
            return False
        if parse(text).frame is not None:
            return True
    return False


def _slowly(
    console: Console, first: Headline, stop: int, *, all_cpus: bool
) -> tuple[list[str], Sequence[int]]:
    texts: list[str] = []
    places = [first.at]
    others = False
    context, bare = first.context, console.bare
    torn = own = _torn(console, first, stop)
    for at in range(first.at + 1, stop):
        text, where = bare(at)
        if torn:  # a line without a context belongs to the one above it
            own = where == context or (own and not where)
            where = context if own else where
        if where == context or (others and where[:1] == "C"):
            texts.append(text[:MAX_LINE])
            places.append(at)
            others = others or (all_cpus and ALL_CPUS in text)
    return texts, places
