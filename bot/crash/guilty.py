"""The guilty function: walk the window as the format says, then pick among the frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from bot.crash.formats import CUT_OFF, Format, Pick, Steps
from bot.crash.frames import (
    INTERLEAVED,
    POINTER_MARKS,
    POINTER_WORDS,
    START_MARKS,
    names_of,
    parse,
)
from bot.crash.report import Skipped
from bot.crash.scan import needed
from bot.crash.skips import ANCHORS, CROSS_CALL, HANG_GROUPS, HANG_SKIP, rule_of
from bot.crash.window import Window

MAX_SKIPPED = 64
_PASSED = {
    Pick.HANG: "how it waits, not what for",
    Pick.STALL: "above the point where work is dispatched: chance",
}
"""Why frames on top of the guilty one are passed over that no rule skips."""

_CUT = "the call trace is cut off before a function that may be guilty"
_MIXED = "another call trace is printed into this one"


class Suspect(NamedTuple):
    """A function that may be guilty, which line of the window names it, and its longer names."""

    function: str
    line: int
    also: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """What the walk found: one suspect for each trace (None: nobody), and who was passed over.

    ``pointer`` is the line of the window with the instruction pointer.
    """

    suspects: tuple[Suspect | None, ...]
    skipped: tuple[Skipped, ...]
    pointer: int | None
    broken: str | None


class _Walk:
    """One pass over the lines, step by step."""

    def __init__(self, window: Window, entry: Format, steps: Steps) -> None:
        self.window = window
        self.texts = window.texts
        self.stop = window.keep
        self.entry = entry
        self.steps = steps
        self.at = 0
        self.suspects: list[Suspect] = []
        self.skipped: list[Skipped] = []
        self.found: list[Suspect | None] = []
        self.pointer: int | None = None
        self.broken: str | None = None
        # Fault injection prints traces into other traces; without it nothing can be mixed in,
        # and for the first good frame the rest of the trace need not be read.
        self.mixed = window.injected
        self.hasty = entry.pick is Pick.TOP and steps.count(None) < 2 and not self.mixed

    def run(self) -> Verdict:
        step, traces, steps = 0, 0, self.steps
        while step < len(steps):
            wanted = steps[step]
            if wanted is None:
                if traces:
                    self._close()
                traces += 1
                following = steps[step + 1] if step + 1 < len(steps) else None
                step += self._collect(following)
            else:
                self._seek(wanted)
            step += 1
            if self.hasty and self.suspects:
                break
        self._close()
        return Verdict(tuple(self.found), tuple(self.skipped), self.pointer, self.broken)

    def _seek(self, wanted: re.Pattern[str]) -> None:
        """Go on behind the next line that fits; its groups are names of suspects."""
        marks = None if self.mixed else _marks(wanted.pattern)
        if marks is not None and self._among(wanted, marks):
            return
        texts, words = self.texts, _words(wanted.pattern)
        for line in range(self.at, self.stop):
            text = texts[line]
            if self.mixed and "should_fail" in text and INTERLEAVED.match(text):
                self.at = line + 1
                self.broken = _MIXED
                return
            for word in words:
                if word in text:
                    break
            else:
                continue
            if self._fits(wanted, line):
                return
        self.at = self.stop

    def _among(self, wanted: re.Pattern[str], marks: frozenset[str]) -> bool:
        """Look among the lines that begin as such lines do; they nearly always do."""
        texts = self.texts
        if self.at == 0 and self._fits(wanted, 0):
            return True
        for line in self.window.marks:
            if line >= self.at and texts[line][:4] in marks:
                if line >= self.stop:
                    return False
                if self._fits(wanted, line):
                    return True
        return False

    def _fits(self, wanted: re.Pattern[str], line: int) -> bool:
        text = self.texts[line]
        if " ? " in text and "<EOI>" not in text:
            return False
        match = wanted.search(text)
        if match is None:
            return False
        self.at = line + 1
        names = [group for group in match.groups() if group]
        if names:
            if self.pointer is None:
                self.pointer = line
            self._suspect(names, line)
        return True

    def _collect(self, following: re.Pattern[str] | None) -> int:
        """Collect frames until a trace begins or ``following`` fits; say how many steps to skip."""
        texts = self.texts
        end = next((line for line in self.window.starts if line >= self.at), self.stop)
        end = min(end, self.stop)
        for line in range(self.at, end):
            text = texts[line]
            if self.mixed and "should_fail" in text and INTERLEAVED.match(text):
                self.at = line + 1
                self.broken = _MIXED
                return 0
            if following is not None:
                match = following.search(text)
                if match is not None:
                    self.at = line + 1
                    self._suspect([group for group in match.groups() if group], line)
                    return 1
            parsed = parse(text)
            if parsed.names and not parsed.doubtful:
                self._suspect(parsed.names, line)
                if self.hasty and self.suspects:
                    return 0
        self.at = min(end + 1, self.stop)
        return 0

    def _suspect(self, names: Sequence[str], line: int) -> None:
        for name in names:
            known = _judged(name, self.entry.plumbing)
            if isinstance(known, tuple):
                self.suspects.append(Suspect(known[0], line, known[1:]))
            elif len(self.skipped) < MAX_SKIPPED:
                self.skipped.append(known)

    def _close(self) -> None:
        guilty = _pick(self.suspects, self.entry.pick)
        rule = _PASSED.get(self.entry.pick)
        if guilty is not None and rule is not None:
            for suspect in self.suspects:
                if suspect.line >= guilty.line or len(self.skipped) >= MAX_SKIPPED:
                    break
                self.skipped.append(Skipped(function=suspect.function, rule=rule))
        self.found.append(guilty)
        self.suspects = []


@lru_cache(maxsize=16384)
def _judged(name: str, plumbing: str) -> Skipped | tuple[str, ...]:
    """Return why a function is never guilty, or its stable name and the longer ones."""
    rule = rule_of(name, plumbing)
    names = names_of(name)
    return names if rule is None else Skipped(function=names[0], rule=rule)


@lru_cache(maxsize=256)
def _marks(pattern: str) -> frozenset[str] | None:
    """Return how the lines that fit ``pattern`` usually begin; None: in any way."""
    if pattern.startswith(("(?:IP", "(?:(?:IP")):
        return POINTER_MARKS
    return START_MARKS if "Call [Tt]race" in pattern else None


@lru_cache(maxsize=256)
def _words(pattern: str) -> tuple[str, ...]:
    """Return words of which every line that fits ``pattern`` holds one; empty: any line may."""
    if pattern.startswith(("(?:IP", "(?:(?:IP")):
        return POINTER_WORDS
    return tuple(needed(part) for part in _alternatives(pattern))


def _alternatives(pattern: str) -> list[str]:
    """Split at the bars that stand outside of every group."""
    parts, depth, begin = [], 0, 0
    for at, char in enumerate(pattern):
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            parts.append(pattern[begin:at])
            begin = at + 1
    return [*parts, pattern[begin:]]


def judge(window: Window, entry: Format) -> Verdict:
    """Walk the window as the format says; the first way that names somebody everywhere wins."""
    verdict = Verdict((), (), None, None)
    for steps in entry.look.ways:
        last = _Walk(window, entry, steps).run()
        pointer = last.pointer or verdict.pointer
        verdict = last if last.pointer == pointer else last._replace(pointer=pointer)
        if last.broken is None and all(last.suspects):
            break
    return verdict


def judge_cut(window: Window, entry: Format, verdict: Verdict) -> Verdict:
    """Name whoever the lines before the frames name, where the trace was cut off too early.

    Warnings say who warns, and what a worker runs is in its trace, whatever it called. A stall may
    be in an interrupt.
    """
    unwanted = entry.pick is Pick.STALL or entry.look.ways == ((),)
    if unwanted or len(verdict.suspects) != 1 or not window.ends_in_trace:
        return verdict
    for steps in CUT_OFF:
        last = _Walk(window, replace(entry, pick=Pick.TOP), steps).run()
        if all(last.suspects):
            return verdict._replace(suspects=last.suspects, broken=_CUT)
    return verdict


def _pick(suspects: Sequence[Suspect], pick: Pick) -> Suspect | None:
    if not suspects:
        return None
    if pick is Pick.STALL:
        return _below_anchor(suspects)
    if pick is Pick.HANG:
        return _waited_for(suspects)
    return suspects[0]


def _below_anchor(suspects: Sequence[Suspect]) -> Suspect | None:
    below = suspects[0]
    for suspect in suspects:
        if is_anchor(suspect.function):
            if CROSS_CALL in suspect.function:
                return _renamed(suspect, CROSS_CALL)
            return below
        below = suspect
    return None


@lru_cache(maxsize=16384)
def is_anchor(function: str) -> bool:
    """Tell whether the kernel dispatches work in ``function``."""
    return ANCHORS.search(function) is not None


def _waited_for(suspects: Sequence[Suspect]) -> Suspect | None:
    for suspect in suspects:
        for part, shared in HANG_GROUPS:
            if part in suspect.function:
                return _renamed(suspect, shared or suspect.function)
    for suspect in suspects:
        if HANG_SKIP.search(suspect.function) is None:
            return suspect
    return None


def _renamed(suspect: Suspect, name: str) -> Suspect:
    """Give a suspect its group's name; its own becomes one that it is known by as well."""
    if name == suspect.function:
        return suspect
    return Suspect(name, suspect.line, (suspect.function, *suspect.also))
