"""What Slack should show of every incident, compared with what it shows: posted, then edited.

Nothing is queued: the wanted messages follow from the incident, and what was sent is in the
store. So a restart, an outage or a lost answer is mended by looking again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.chat.card import Card
from bot.chat.cards import headline, proposal_card
from bot.chat.slack_blocks import Message, message
from bot.chat.slack_web import ThrottledError
from bot.errors import HoldfastError, UnavailableError
from bot.incident.fold import fold
from bot.incident.state import Incident, Proposal, ProposalState
from bot.ports import IncidentRow, Posted
from bot.service.progress import Progress, live
from bot.service.site import Site
from bot.timeline.entry import Entry

log = logging.getLogger(__name__)

LOOK = 0.5
REFRESH = 30.0
"""Seconds after which an open incident is looked at without news: its counts age."""
PROGRESS = 2.0
"""The same while one of its runs goes on: so often its progress is shown."""
FIRST_RETRY, LAST_RETRY = 1.0, 60.0
ENDED = frozenset({ProposalState.EXPIRED, ProposalState.REJECTED, ProposalState.SUPERSEDED})


class Wire(Protocol):
    """The few calls that the outbox makes. They raise ``UnavailableError``."""

    def post(self, channel: str, message: Message, thread: str | None) -> tuple[str, str]:
        """Post, in a thread if one is given; return the channel's id and the message's ref."""

    def update(self, channel: str, ref: str, message: Message) -> bool:
        """Replace a message. False: it is gone or too old to be edited."""

    def find(self, channel: str, mark: str, thread: str | None) -> tuple[str, str] | None:
        """Return the channel id and ref of our recent message that bears this mark."""


@dataclass(slots=True, kw_only=True)
class _Look:
    """How an incident was when everything about it had been sent."""

    open: bool
    seq: int
    at: float
    live: bool


@dataclass(slots=True, kw_only=True)
class Outbox:
    """Keeps the messages of one channel right. ``pace`` is seconds between two messages."""

    site: Site
    wire: Wire
    channel: str
    page_url: str
    pace: float = 1.0
    trouble: str = ""
    _looks: dict[str, _Look] = field(default_factory=dict)
    _retry: dict[str, tuple[float, float]] = field(default_factory=dict)
    _next: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def serve(self, stop: threading.Event) -> None:
        """Look until ``stop``. Nothing that goes wrong here leaves this thread."""
        self._stop = stop
        while not stop.is_set():
            try:
                self.sweep()
            except HoldfastError as error:
                self._troubled(str(error))
                stop.wait(FIRST_RETRY)
            self.site.store.wait(LOOK)

    def sweep(self) -> None:
        """Look once at every incident that may have news."""
        for row in self.site.store.incidents():
            if self._stop.is_set():
                return
            if not self._has_news(row):
                continue
            try:
                self._settle(row)
                self._retry.pop(row.id, None)
                self.trouble = ""
            except HoldfastError as error:
                self._later(row.id, error)
            except Exception as error:  # one odd incident must not silence the others
                log.exception("an incident cannot be shown", extra={"incident": row.id})
                self._later(row.id, error)

    def _has_news(self, row: IncidentRow) -> bool:
        now = time.monotonic()
        if now < self._retry.get(row.id, (0.0, 0.0))[0]:
            return False
        last = self._looks.get(row.id)
        if last is None or last.open != row.open:
            return True
        if row.open and now - last.at >= (PROGRESS if last.live else REFRESH):
            return True
        return row.open and bool(self.site.store.entries(row.id, after=last.seq))

    def _later(self, incident: str, error: Exception) -> None:
        delay = min(max(self._retry.get(incident, (0.0, 0.0))[1] * 2, FIRST_RETRY), LAST_RETRY)
        if isinstance(error, ThrottledError):
            self._next = time.monotonic() + error.after
            delay = error.after
        self._retry[incident] = (time.monotonic() + delay, delay)
        self._troubled(f"{incident}: {error}")

    def _troubled(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("messages cannot be sent", extra={"error": trouble})
        self.trouble = trouble

    def _settle(self, row: IncidentRow) -> None:
        entries = self.site.store.entries(row.id)
        incident = fold(entries)
        posted = dict(self.site.store.posted(row.id))
        thread: str | None = None
        channel = self.channel
        lives = live(self.site, row.id) if row.open else []
        for slot, card in self._wanted(row, incident, posted, lives):
            if self._stop.is_set():
                return
            mark = _mark(slot, entries)
            link = f"{self.page_url.rstrip('/')}/incidents/{row.id}"
            ready = message(card, mark=mark, link=link)
            at = self._send(row.id, slot, posted.get(slot), ready, channel, thread, mark)
            if slot == "headline":
                channel, thread = at.channel, at.ref
        self._looks[row.id] = _Look(
            open=row.open, seq=incident.seq, at=time.monotonic(), live=bool(lives)
        )

    def _wanted(
        self,
        row: IncidentRow,
        incident: Incident,
        posted: dict[str, Posted],
        lives: Sequence[Progress],
    ) -> Iterator[tuple[str, Card]]:
        """Yield slot and card. What was over before it could be said is not said any more."""
        if row.open or "headline" in posted:
            yield "headline", headline(incident, self.site.clock.now(), lives)
        for proposal in incident.proposals.values():
            slot = f"proposal.{proposal.id}"
            if slot in posted or (row.open and _matters(incident, proposal)):
                yield slot, proposal_card(incident, proposal, self.site.people)

    def _send(
        self,
        incident: str,
        slot: str,
        old: Posted | None,
        ready: Message,
        channel: str,
        thread: str | None,
        mark: str,
    ) -> Posted:
        """Make the slot's message what it should be; return where it is."""
        if old is not None and old.content == ready.content:
            return old
        if old is None and (found := self.wire.find(channel, mark, thread)) is not None:
            old = Posted(channel=found[0], ref=found[1], content="")
        self._wait()
        if old is not None and self.wire.update(old.channel, old.ref, ready):
            new = Posted(channel=old.channel, ref=old.ref, content=ready.content)
        else:
            where, ref = self.wire.post(channel, ready, thread)
            new = Posted(channel=where, ref=ref, content=ready.content)
        self.site.store.set_posted(incident, slot, new)
        return new

    def _wait(self) -> None:
        """Keep the pace that the chat demands of one channel."""
        delay = self._next - time.monotonic()
        if delay > 0 and self._stop.wait(delay):
            raise UnavailableError("the bot is stopping", next="it goes on after its next start")
        self._next = time.monotonic() + self.pace


def _matters(incident: Incident, proposal: Proposal) -> bool:
    return proposal is incident.current or proposal.state not in ENDED


def _mark(slot: str, entries: Sequence[Entry]) -> str:
    """Name a slot so that no other bot, database or incident has the same name for another."""
    return f"{slot}@{entries[0].incident}.{entries[0].hash[:24]}"
