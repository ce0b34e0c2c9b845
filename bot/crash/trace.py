"""The call trace of a report, and whether it is complete enough to be trusted."""

from __future__ import annotations

from collections.abc import Sequence

from bot.crash.frames import (
    ANY_START,
    ARM_FRAME,
    OLD_FRAME,
    START_HINTS,
    TRACE_STARTS,
    candidates,
    frame,
)
from bot.crash.report import Frame
from bot.crash.transport import Record

MAX_FRAMES = 128
_NEAR = 15
_FRAME_HINTS = ("+0x", "[inline]", ".c:", ".h:", ".S:", ".rs:")
_UNAVAILABLE = "(stack is not available)"


def trace_of(lines: Sequence[Record], guesses: Sequence[Record]) -> tuple[Frame, ...]:
    """Return the frames of the first call trace, guesses of the kernel among them."""
    frames: list[Frame] = []
    doubted = {record.order for record in guesses}
    begun = not any(_starts(record.text) for record in lines)
    for record in sorted((*lines, *guesses), key=lambda record: record.order):
        if _starts(record.text):
            if begun and frames:
                break
            begun = True
            continue
        if begun and any(hint in record.text for hint in _FRAME_HINTS):
            read = frame(record, reliable=record.order not in doubted)
            if read is not None:
                frames.append(read)
                if len(frames) >= MAX_FRAMES:
                    break
    return tuple(frames)


def _starts(text: str) -> bool:
    return any(hint in text for hint in START_HINTS) and ANY_START.search(text) is not None


def broken_trace(lines: Sequence[Record]) -> str | None:
    """Say why the traces of a report cannot be complete; None when they look whole."""
    seen = False
    texts = [record.text for record in lines]
    starts = [n for n, text in enumerate(texts) if _starts(text)]
    for start in TRACE_STARTS:
        first = next((n for n in starts if start.search(texts[n])), None)
        if first is None:
            continue
        if len(texts) - first < 3:
            return "the call trace is cut off"
        whole = _frames_near(texts, first)
        seen = seen or whole
        if not whole and start is not TRACE_STARTS[-1]:
            return "a call trace without frames"
    if not seen and not any(_bare(text) for text in texts):
        return "no call trace"
    return None


def _bare(text: str) -> bool:
    """Tell whether a line is a frame even where no line announced a trace."""
    return OLD_FRAME.match(text) is not None or (
        " from " in text and ARM_FRAME.match(text) is not None
    )


def _frames_near(texts: Sequence[str], first: int) -> bool:
    for text in texts[first + 1 : first + 1 + _NEAR]:
        if _starts(text):
            return False
        if _UNAVAILABLE in text or candidates(text):
            return True
    return False
