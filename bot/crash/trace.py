"""The call trace of a report, and whether it is complete enough to be trusted."""

from __future__ import annotations

from typing import NamedTuple

from bot.crash.frames import ANY_START, ARM_FRAME, START_HINTS, TRACE_STARTS, parse
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
    """Return the first call trace, guesses of the kernel among its frames."""
    starts = window.starts
    if not starts:
        return Trace((), 0)
    frames: list[Frame] = []
    texts, last = window.texts, 0
    stop, following = starts[0] + 1, 1
    while not frames and stop < window.keep:
        begin = stop
        stop = starts[following] if following < len(starts) else window.keep
        following += 1
        for line in range(begin, stop):
            text = texts[line]
            if "+0x" in text or "[inline]" in text:
                frame = parse(text).frame
                if frame is not None:
                    frames.append(frame)
                    last = line
                    if len(frames) >= MAX_FRAMES:
                        break
        stop += 1
    return Trace(tuple(frames), last)


def broken_trace(window: Window) -> str | None:
    """Say why the traces of a report cannot be complete; None when they look whole."""
    texts = window.texts
    starts = window.starts
    if window.keep < len(texts):
        # What is missing may have come late, behind the headline of another crash.
        starts = [
            *starts,
            *(
                line
                for line in range(window.keep, len(texts))
                if any(hint in texts[line] for hint in START_HINTS)
                and ANY_START.search(texts[line])
            ),
        ]
    seen = False
    first_texts = [texts[line] for line in starts]
    for start in TRACE_STARTS:
        n = next((n for n, text in enumerate(first_texts) if start.search(text)), None)
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
    if not seen and not any(" from " in text and ARM_FRAME.match(text) for text in texts):
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
