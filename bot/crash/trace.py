"""The call trace of a report, and whether it is complete enough to be trusted."""

from __future__ import annotations

from typing import NamedTuple

from bot.crash.frames import TRACE_STARTS, may_be_frame, parse, unannounced
from bot.crash.report import Frame
from bot.crash.window import Window

MAX_FRAMES = 128
_NEAR = 15
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
    texts, last = window.texts, 0
    stop, following = (starts[0] + 1, 1) if starts else (1, 0)
    while not frames and stop < window.keep:
        begin = stop
        stop = starts[following] if following < len(starts) else window.keep
        following += 1
        for line in range(begin, stop):
            text = texts[line]
            if "+0x" in text or (":" in text and may_be_frame(text)):
                frame = parse(text).frame
                if frame is not None:
                    frames.append(frame)
                    last = line
        stop += 1
    return Trace(tuple(frames[:MAX_FRAMES]), last)


def broken_trace(window: Window) -> str | None:
    """Say why the traces of a report cannot be complete; None when they look whole.

    Lines behind the next crash count: what is missing may have come late.
    """
    texts, starts = window.texts, window.starts
    seen = False
    heads = [texts[line] for line in starts]
    for start in TRACE_STARTS if starts else ():
        n = next((n for n, text in enumerate(heads) if start.search(text)), None)
        if n is None:
            continue
        following = starts[n + 1] if n + 1 < len(starts) else len(texts)
        near, whole = _frames_near(texts, starts[n] + 1, following)
        if near < 2 and following == len(texts):
            return "the call trace is cut off"
        seen = seen or whole
        if not whole and start is not TRACE_STARTS[-1]:
            return "a call trace without frames"
        if seen and len(starts) == 1:
            return None
    if not seen and not any(unannounced(text) for text in texts):
        return "no call trace"
    return None


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
