"""Since when the chat is away; what lasts is in the store, so that a restart does not end it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.clock import parse, stamp
from bot.ports import Clock, Store

LONG = timedelta(seconds=30)
"""After so long an outage there is a summary; a shorter one is not worth a message."""
BEGAN, OVER = "chat-away/", "chat-back/"


@dataclass(frozen=True, slots=True)
class Gap:
    """An outage: nothing of what happened after ``since`` was said; ``away`` is the first failure."""

    since: datetime
    away: datetime

    @property
    def name(self) -> str:
        """Return what the store and the summary's mark call it."""
        return f"{stamp(self.since)}/{stamp(self.away)}"


class Outage:
    """Told of every call that reached the chat, and of every one that did not."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._last = clock.now()
        self._gap: Gap | None = None
        self._unsaid: Gap | None = None
        self._kept: list[str] = []

    def recall(self) -> None:
        """Go on with what another process, or this one before its restart, has left."""
        over = {key.removeprefix(OVER) for key in self._store.alert_keys(OVER)}
        began = [key.removeprefix(BEGAN) for key in self._store.alert_keys(BEGAN)]
        if left := [name for name in began if name not in over]:
            since, _, away = left[0].partition("/")
            self._gap, self._kept = Gap(parse(since), parse(away)), left

    def failed(self) -> None:
        """Note that the chat did not answer."""
        now = self._clock.now()
        if self._gap is None:
            self._gap = Gap(self._last, now)
        if not self._kept and now - self._gap.away >= LONG:
            self._kept = [self._gap.name]
            self._note(BEGAN)

    def reached(self) -> Gap | None:
        """Note that the chat answers; return the outage that this ends, if it ends one.

        An outage that begins before the summary of the last one was posted is a part of that one.
        """
        self._last = self._clock.now()
        gap, self._gap = self._gap, None
        if gap is not None:
            gap = self._unsaid or gap
            self._unsaid = gap if self._last - gap.away >= LONG else None
        return gap

    def told(self) -> None:
        """Note that the summary stands, or is not needed."""
        self._note(OVER)
        self._kept, self._unsaid = [], None

    def _note(self, beginning: str) -> None:
        if not self._kept:
            return
        with self._store.transaction("intake") as tx:
            for name in self._kept:
                tx.alert(f"{beginning}{name}", None)
