"""Which lines belong to a report: those of its context, up to the next crash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bot.crash.formats import CONTINUES, INTRUDERS
from bot.crash.frames import doubtful
from bot.crash.transport import FOREIGN, STAMPED, Record

MAX_WINDOW = 4000
"""Lines that are looked at behind a headline."""

_ENOUGH = 22
_ENOUGH_KMSAN = 16


class Headline(NamedTuple):
    """A line that announces a crash: its place among the records, the line, its literal."""

    index: int
    record: Record
    literal: str


class Window(NamedTuple):
    """The lines of one report, beginning with its headline.

    ``lines`` end before the next crash; ``every`` goes on behind it, to see whether what is
    missing came late. ``guesses`` are the frames that the kernel itself doubts.
    ``indices`` tells where each of ``every`` stands among all records.
    """

    lines: list[Record]
    every: list[Record]
    indices: list[int]
    guesses: list[Record]
    panicked: bool
    end: int


def cut(records: Sequence[Record], heads: Sequence[Headline]) -> Window:
    """Cut the window of ``heads[0]``; the others are the headlines behind it."""
    head = heads[0]
    context = head.record.context
    own = context not in ("", STAMPED)
    second = _second(heads)
    enough = _ENOUGH_KMSAN if "BUG: KMSAN:" in head.record.text else _ENOUGH
    every, indices, guesses = [head.record], [head.index], []
    keep, all_cpus, echo, panicked = 1, False, False, False
    stop = min(len(records), head.index + MAX_WINDOW)
    for index in range(head.index + 1, stop):
        record = records[index]
        text = record.text
        if second is None and any(intruder in text for intruder in INTRUDERS):
            second = index
        if record.context != context and not (all_cpus and record.context[:1] == "C"):
            if "Kernel panic - not syncing" in text and record.context != FOREIGN:
                panicked = True
            continue
        if doubtful(text):
            guesses.append(record)
            continue
        if "Disabling lock debugging due to kernel taint" in text:
            continue
        if "Sending NMI from CPU" in text:
            all_cpus = True
        elif "Kernel panic - not syncing" in text or (
            "WARNING: possible circular locking dependency detected" in text
        ):
            panicked = panicked or "Kernel panic" in text
            echo = echo or len(every) >= enough
        if echo:
            continue
        every.append(record)
        indices.append(index)
        if own or second is None or index < second:
            keep = len(every)
    panicked = panicked or "Kernel panic - not syncing" in head.record.text
    return Window(every[:keep], every, indices, guesses, panicked, stop)


def _second(heads: Sequence[Headline]) -> int | None:
    """Return where the next crash begins, if one does."""
    for other in heads[1:]:
        if CONTINUES.search(other.record.text) is None:
            return other.index
    return None
