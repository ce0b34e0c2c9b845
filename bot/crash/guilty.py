"""The guilty function: walk the window as the format says, then pick among the frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bot.crash.formats import Format, Pick, Steps
from bot.crash.frames import ANY_START, INTERLEAVED, START_HINTS, candidates, name_of, names_of
from bot.crash.report import Skipped
from bot.crash.skips import ANCHORS, CROSS_CALL, HANG_GROUPS, HANG_SKIP, rule_of
from bot.crash.transport import Record

MAX_SKIPPED = 64


class Suspect(NamedTuple):
    """A function that may be guilty, the line that names it, and its longer names."""

    function: str
    record: Record
    also: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """What the walk found: one suspect for each trace (None: nobody), and who was passed over."""

    suspects: tuple[Suspect | None, ...]
    skipped: tuple[Skipped, ...]
    pointer: Record | None
    broken: str | None


class _Walk:
    """One pass over the lines, step by step."""

    def __init__(self, lines: Sequence[Record], entry: Format) -> None:
        self.lines = lines
        self.entry = entry
        self.at = 0
        self.suspects: list[Suspect] = []
        self.skipped: list[Skipped] = []
        self.found: list[Suspect | None] = []
        self.pointer: Record | None = None
        self.broken: str | None = None

    def run(self, steps: Steps) -> Verdict:
        step, traces = 0, 0
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
        self._close()
        return Verdict(tuple(self.found), tuple(self.skipped), self.pointer, self.broken)

    def _seek(self, wanted: object) -> None:
        while self.at < len(self.lines):
            record = self.lines[self.at]
            self.at += 1
            if INTERLEAVED.match(record.text):
                self.broken = "another call trace is printed into this one"
                return
            match = wanted.search(record.text)  # type: ignore[attr-defined]
            if match is not None:
                names = [group for group in match.groups() if group]
                if names:
                    self.pointer = self.pointer or record
                    self._suspect(names, record)
                return

    def _collect(self, following: object) -> int:
        """Collect frames until a trace begins or ``following`` fits; say how many steps to skip."""
        while self.at < len(self.lines):
            record = self.lines[self.at]
            text = record.text
            self.at += 1
            if "should_fail" in text and INTERLEAVED.match(text):
                self.broken = "another call trace is printed into this one"
                return 0
            if any(hint in text for hint in START_HINTS) and ANY_START.search(text):
                return 0
            if following is not None:
                match = following.search(text)  # type: ignore[attr-defined]
                if match is not None:
                    self._suspect([group for group in match.groups() if group], record)
                    return 1
            self._suspect(candidates(text), record)
        return 0

    def _suspect(self, names: Sequence[str], record: Record) -> None:
        for name in names:
            rule = rule_of(name, self.entry.plumbing)
            if rule is None:
                function, *also = names_of(name)
                self.suspects.append(Suspect(function, record, tuple(also)))
            elif len(self.skipped) < MAX_SKIPPED:
                self.skipped.append(Skipped(function=name_of(name), rule=rule))

    def _close(self) -> None:
        self.found.append(_pick(self.suspects, self.entry.pick))
        self.suspects = []


def judge(lines: Sequence[Record], entry: Format) -> Verdict:
    """Walk ``lines`` as the format says; the first way that names somebody for all traces wins."""
    verdict = Verdict((), (), None, None)
    for steps in entry.look.ways:
        verdict = _Walk(lines, entry).run(steps)
        if verdict.broken is None and all(verdict.suspects):
            return verdict
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
        if ANCHORS.search(suspect.function):
            if CROSS_CALL in suspect.function:
                return _renamed(suspect, CROSS_CALL)
            return below
        below = suspect
    return None


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
    return Suspect(name, suspect.record, (suspect.function, *suspect.also))
