"""Which lines belong to a report: those of its context, up to the next crash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bot.crash.formats import CONTINUES, INTRUDERS
from bot.crash.frames import doubtful
from bot.crash.transport import FOREIGN, STAMPED, Record

MAX_WINDOW = 4000
"""Lines that are looked at behind a headline."""

_PANIC = "Kernel panic - not syncing"
_DEADLOCK = "WARNING: possible circular locking dependency detected"
_ENOUGH = 22
_ENOUGH_KMSAN = 16


class Headline(NamedTuple):
    """A line that announces a crash, and the literal that says so."""

    record: Record
    literal: str


class Window(NamedTuple):
    """The lines of one report, beginning with its headline.

    ``lines`` end before the next crash; ``every`` goes on behind it, to see whether what is
    missing came late. ``guesses`` are the frames that the kernel itself doubts.
    """

    lines: list[Record]
    every: list[Record]
    guesses: list[Record]
    panicked: bool


def cut(records: Sequence[Record], heads: Sequence[Headline]) -> Window:
    """Cut the window of ``heads[0]``; the others are the headlines behind it."""
    first = heads[0].record
    own = first.context not in ("", STAMPED)
    second = _second(heads)
    enough = _ENOUGH_KMSAN if "BUG: KMSAN:" in first.text else _ENOUGH
    every, guesses = [first], list[Record]()
    keep, all_cpus, echo, panicked = 1, False, False, _PANIC in first.text
    for record in records[first.order + 1 : first.order + MAX_WINDOW]:
        text = record.text
        if second is None and any(intruder in text for intruder in INTRUDERS):
            second = record.order
        panicked = panicked or (_PANIC in text and record.context != FOREIGN)
        if record.context != first.context and not (all_cpus and record.context[:1] == "C"):
            continue
        if doubtful(text):
            guesses.append(record)
            continue
        if "Disabling lock debugging due to kernel taint" in text:
            continue
        all_cpus = all_cpus or "Sending NMI from CPU" in text
        if _PANIC in text or _DEADLOCK in text:
            echo = echo or len(every) >= enough
        if echo:
            continue
        every.append(record)
        if own or second is None or record.order < second:
            keep = len(every)
    return Window(every[:keep], every, guesses, panicked)


def _second(heads: Sequence[Headline]) -> int | None:
    """Return where the next crash begins, if one does."""
    for other in heads[1:]:
        if CONTINUES.search(other.record.text) is None:
            return other.record.order
    return None
