"""The interpreter of the tables of events and notices: which of them a kernel log tells of.

It walks over the lines that hold a hint, lets the first row that fits speak, and puts lines that
belong to one event together. It knows no event by itself.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bot.crash.context import CONTEXT_HINTS, context
from bot.crash.entry import Entry
from bot.crash.event_row import Row
from bot.crash.frames import name_of
from bot.crash.losses import LOSSES
from bot.crash.notices import NOTICES
from bot.crash.report import CrashReport, Frame, Line, Skipped
from bot.crash.skips import rule_of
from bot.crash.speaking import Table, groups, ours
from bot.crash.titles import anonymous

_TABLE = Table((*LOSSES, *NOTICES))

EVENT_HINTS = Table(LOSSES).hints
"""Patterns of which every line of an event holds one: for a reader that wants no notices."""

HINTS = _TABLE.hints
"""Patterns, for ``re`` and RE2, of which every line of an event or a notice holds one."""

MAX_REPORTS = 32
"""Events of one text; those behind them only add to events that are known."""

MAX_BODY = 96
"""Lines behind a headline that are searched for details and a call trace."""

MAX_PARTS = 4
"""Lines besides the headline that are shown as evidence."""

NEAR = 16
"""A line that says an event again belongs to its block when it is at most so many lines away."""

_MACHINE = (
    re.compile(
        r"(?:CPU: (?P<cpu>\d{1,6}) (?:UID: \d{1,10} )?)?P[Ii][Dd]: \d{1,10},? [Cc]omm: .{1,32}? "
        r"(?:Kdump: loaded )?(?:Not tainted|Tainted: (?P<taint>[A-Z][A-Z ]{0,40}?)) +"
        r"(?:\[[^\]]{0,200}\],? )?(?P<release>\d+\.\d+\S{0,80})",
        re.ASCII,
    ),
    re.compile(r"Hardware name: ?(?P<hardware>.{1,200})"),
)
_TRACE = re.compile(r"Call [Tt]race:|Backtrace:|Stack:$")
_FRAME = re.compile(
    r"[ \t]{0,20}(?:\[<?(?:0x)?[0-9a-f]{1,16}>?\] {0,4}){0,3}(?P<guess>\? )?"
    r"(?:\(?[\w.]{1,120}\)? from (?:\[<[0-9a-f]{1,16}>\] )?\(?)?"
    r"(?P<raw>[A-Za-z_][\w.]{0,120})\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}"
    r"(?:[ )]{0,2}\[(?P<module>\w{1,64}))?",
    re.ASCII,
)
_BETWEEN = re.compile(r"[ \t]{0,8}(?:</?[A-Z#0-9]{2,8}>|Call [Tt]race:|={4,}|$)")
_ABOUT_MACHINE = ("cpu", "release", "taint", "hardware")


@dataclass(slots=True)
class _Event:
    """One event while it is put together; positions are those of the lines that were handed in.

    ``first`` is the row of the headline, ``row`` the one that names the event best.
    """

    first: Row
    row: Row
    head: int
    last: int
    told: dict[str, str]
    open: bool
    func: str | None
    times: int = 1
    parts: list[int] = field(default_factory=list)

    def add(self, row: Row, told: Mapping[str, str], at: int) -> None:
        """Take a further line into the block."""
        self.last = at
        if row.rank > self.row.rank:
            self.row = row
            self.func = told.get("func", self.func)
        if row is not self.first and len(self.parts) < MAX_PARTS:
            self.parts.append(at)


class _Reading:
    """What was read so far of one text."""

    def __init__(self) -> None:
        self.events: list[_Event] = []
        self.spoken: list[int] = []
        self._current: dict[str, _Event] = {}
        self._known: dict[tuple[str, ...], _Event] = {}
        self._seen: set[tuple[str, ...]] = set()

    def take(self, at: int, row: Row, told: dict[str, str]) -> None:
        """Take the line at ``at``, for which ``row`` speaks: it begins, completes or repeats."""
        key = _key(row.family, row, told)
        if row.silent:
            self._seen.add(key)
            return
        if row.needs and _key(row.needs, row, told) not in self._seen:
            return
        event = self._completed(at, row, told)
        if event is None and not row.opens and any(key[1:] or ("all",)):
            event = self._repeated(at, row, told, self._known.get(key))
        if event is None and len(self.events) < MAX_REPORTS:
            event = _Event(row, row, at, at, told, not row.closes, told.get("func"))
            self.events.append(event)
            self._current[row.family] = event
        if event is not None:
            self.spoken.append(at)
            self._known[_key(row.family, row, event.told)] = event

    def _completed(self, at: int, row: Row, told: dict[str, str]) -> _Event | None:
        """Add a line to the open event of its family, when there is one and it may belong."""
        event = self._current.get(row.family)
        if event is None or row.opens or not event.open or at - event.last > row.reach:
            return None
        if not row.replaces and any(
            name in told and event.told.get(name, told[name]) != told[name] for name in row.same
        ):
            return None
        event.told.update(told)
        event.open = not row.closes
        event.add(row, told, at)
        return event

    def _repeated(
        self, at: int, row: Row, told: dict[str, str], event: _Event | None
    ) -> _Event | None:
        """Count a line that says a known event again; what was told first stays."""
        if event is None:
            return None
        event.told |= {name: text for name, text in told.items() if name not in event.told}
        event.times += row is event.first
        if at - event.last <= NEAR:
            event.add(row, told, at)
        return event


def find(lines: Sequence[Entry], hits: Sequence[int] | None = None) -> list[CrashReport]:
    """Return the events and notices that ``lines`` tell of, in the order of their first lines.

    ``hits`` are the positions in ``lines`` that match ``HINTS``; without them they are searched.
    At most ``MAX_REPORTS``; never raises; takes time linear in the number of lines.
    """
    reading = _Reading()
    if hits is None:
        hits = [at for at, entry in enumerate(lines) if _TABLE.hinted(entry.text)]
    for at in sorted(set(hits)):
        spoken = _TABLE.speaker(lines[at])
        if spoken is not None:
            reading.take(at, *spoken)
    return [_report(lines, event, _next(reading.spoken, event)) for event in reading.events]


def _key(family: str, row: Row, told: Mapping[str, str]) -> tuple[str, ...]:
    """Return what makes an event the same as another one."""
    return (family, *(told.get(name, "") for name in row.same))


def _next(spoken: Sequence[int], event: _Event) -> int:
    """Return where the next line stands that speaks and is no part of ``event``."""
    for n in range(bisect_right(spoken, event.head), len(spoken)):
        if spoken[n] not in event.parts:
            return spoken[n]
    return event.head + MAX_BODY


def _report(lines: Sequence[Entry], event: _Event, stop: int) -> CrashReport:
    row, first = event.row, event.first
    body = range(event.head + 1, min(stop, event.head + MAX_BODY, len(lines)))
    wanted = (*first.body, *(_MACHINE if first.traced else ()))
    last = max(event.last, _read_body(lines, body, wanted, event.told))
    frames = list(_frames(lines, body)) if first.traced else []
    frame, skipped = _guilty(frames, first) if first.blames else (None, ())
    function = event.func and name_of(event.func)
    if frame is not None:
        function = frame.function
    names = defaultdict(str, event.told, in_func=f" in {function}" if function else "")
    title = anonymous(row.title.format_map(names))
    details = {k: v for k, v in event.told.items() if k not in ("func", "comm", *_ABOUT_MACHINE)}
    if event.times > 1:
        details["times"] = str(event.times)
    pid, cpu = event.told.get("pid", ""), event.told.get("cpu", "")
    positions = dict.fromkeys((event.head, *event.parts))
    return CrashReport(
        title=title,
        kind=row.kind,
        alt_titles=tuple(alt for alt in row.alts if alt != title),
        function=function or (None if first.blames else row.function),
        module=frame.module if frame is not None else row.module,
        release=event.told.get("release"),
        taint=event.told.get("taint", "").replace(" ", "") or None,
        comm=event.told.get("victim") or event.told.get("comm"),
        pid=int(pid) if pid else None,
        cpu=int(cpu) if cpu else None,
        hardware=event.told.get("hardware"),
        trace=tuple(frames),
        skipped=skipped,
        evidence=(*_evidence(lines, positions), *_frame_line(lines, body, frame)),
        details=details,
        corrupted=row.broken is not None,
        corrupted_reason=row.broken,
        start=lines[event.head].number,
        end=max([lines[last].number, *(each.line for each in frames)]),
    )


def _read_body(
    lines: Sequence[Entry],
    body: Iterable[int],
    wanted: Sequence[re.Pattern[str]],
    told: dict[str, str],
) -> int:
    """Add what the lines that follow tell; return the position of the last that told something."""
    last = -1
    for at in body if wanted else ():
        text = lines[at].text
        if not ours(lines[at]):
            continue
        for pattern in wanted:
            match = pattern.match(text)
            if match is not None:
                told.update({k: v for k, v in groups(match).items() if k not in told})
                last = at
    return last


def _frames(lines: Sequence[Entry], body: Iterable[int]) -> Iterator[Frame]:
    """Yield the frames of the first call trace."""
    begun = False
    for at in body:
        entry = lines[at]
        if not ours(entry):
            continue
        match = _FRAME.match(entry.text) if begun else None
        if match is not None:
            yield Frame(
                function=name_of(match["raw"]),
                raw=match["raw"],
                module=match["module"],
                reliable=match["guess"] is None,
                line=entry.number,
            )
        elif begun and _BETWEEN.match(entry.text) is None:
            return
        begun = begun or _TRACE.match(entry.text) is not None


def _guilty(frames: Sequence[Frame], row: Row) -> tuple[Frame | None, tuple[Skipped, ...]]:
    """Return the first frame that no rule skips, and those that were skipped in front of it."""
    skipped: list[Skipped] = []
    for frame in frames:
        if not frame.reliable:
            continue
        rule = rule_of(frame.function, row.plumbing)
        if rule is None:
            return frame, tuple(skipped)
        skipped.append(Skipped(function=frame.function, rule=rule))
    return None, tuple(skipped)


def _evidence(lines: Sequence[Entry], positions: Iterable[int]) -> Iterator[Line]:
    for n, at in enumerate(positions):
        role = "" if n else "headline"
        yield Line(number=lines[at].number, text=lines[at].text, role=role)


def _frame_line(lines: Sequence[Entry], body: Iterable[int], frame: Frame | None) -> Iterator[Line]:
    for at in body if frame is not None else ():
        if frame is not None and lines[at].number == frame.line:
            yield Line(number=frame.line, text=lines[at].text, role="frame")
            return


__all__ = ["CONTEXT_HINTS", "EVENT_HINTS", "HINTS", "MAX_REPORTS", "context", "find"]
