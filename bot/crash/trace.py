"""The call trace of a report, and whether it is complete enough to be trusted."""

from __future__ import annotations

from typing import NamedTuple

from bot.crash.frames import KNOWN, TRACE_STARTS, may_be_frame, parse, unannounced
from bot.crash.report import Frame
from bot.crash.scan import needed
from bot.crash.window import Window

MAX_FRAMES = 128
_CUT = "the call trace is cut off"
_EMPTY = "a call trace without frames"
_NEAR = 15
_STARTS = tuple((needed(start.pattern), start) for start in TRACE_STARTS)
_UNAVAILABLE = "(stack is not available)"


class Trace(NamedTuple):
    """The frames of the first call trace, and the line of the window where it ends."""

    frames: tuple[Frame, ...]
    end: int


def trace_of(window: Window) -> Trace:
    """Return the first call trace, guesses of the kernel among its frames.

    Old kernels began a trace without announcing it; then it is every frame that they printed.
    """
    starts = [line for line in window.starts if line < window.keep]
    frames: list[Frame] = []
    texts, last, known = window.texts, 0, KNOWN.get
    stop, following = (starts[0] + 1, 1) if starts else (1, 0)
    while not frames and stop < window.keep:
        begin = stop
        stop = starts[following] if following < len(starts) else window.keep
        following += 1
        for line in range(begin, stop):
            text = texts[line]
            if "+0x" in text or (":" in text and may_be_frame(text)):
                parsed = known(text) or parse(text)
                if parsed.frame is not None:
                    frames.append(parsed.frame)
                    last = line
        stop += 1
    return Trace(tuple(frames[:MAX_FRAMES]), last)


def broken_trace(window: Window) -> str | None:
    """Say why the traces of a report cannot be complete; None when they look whole.

    Lines behind the next crash count: what is missing may have come late.
    """
    texts, starts = window.texts, window.starts
    if len(starts) == 1:
        return _broken_single(texts, starts[0])
    seen = False
    heads = [texts[line] for line in starts]
    for word, start in _STARTS if starts else ():
        n = next((n for n, text in enumerate(heads) if word in text and start.search(text)), None)
        if n is None:
            continue
        following = starts[n + 1] if n + 1 < len(starts) else len(texts)
        near, whole = _frames_near(texts, starts[n] + 1, following)
        if near < 2 and following == len(texts):
            return _CUT
        seen = seen or whole
        if not whole and start is not TRACE_STARTS[-1]:
            return _EMPTY
    return None if seen else _missing(texts)


def _broken_single(texts: list[str], start: int) -> str | None:
    near, whole = _frames_near(texts, start + 1, len(texts))
    if near < 2:
        return _CUT
    if whole:
        return None
    return _missing(texts) if TRACE_STARTS[-1].search(texts[start]) else _EMPTY


def _missing(texts: list[str]) -> str | None:
    """Say that there is no trace, unless an old kernel printed one without announcing it."""
    return None if any(unannounced(text) for text in texts) else "no call trace"


def _frames_near(texts: list[str], begin: int, stop: int) -> tuple[int, bool]:
    """Return how many lines follow (2 are enough to know), and whether one near is a frame."""
    near, whole = 0, False
    for line in range(begin, stop):
        parsed = parse(texts[line])
        if parsed.doubtful:
            continue
        near += 1
        whole = whole or bool(parsed.names) or _UNAVAILABLE in texts[line]
        if near >= _NEAR or (whole and near >= 2):
            break
    return near, whole
