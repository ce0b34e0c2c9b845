"""What Slack should show of every incident, compared with what it shows: posted, then edited.

The wanted messages follow from the incident, and what was sent is in the store; the queue only
holds the difference. So a restart, an outage or a lost answer is mended by looking again. Of
several bots on one database one sends: whoever has the lock.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.chat.catchup import summary
from bot.chat.outage import LONG, Gap, Outage
from bot.chat.slack_blocks import Message, message, slim
from bot.chat.slack_errands import Errands
from bot.chat.slack_notices import notices
from bot.chat.slack_queue import Job, Queue, Urgency
from bot.chat.slack_rooms import OWN, ROOM, THREAD, Home, home
from bot.chat.slack_slots import Slot, mark_of, slots
from bot.chat.slack_web import NOT_THERE, SlackError, ThrottledError, Web
from bot.clock import stamp
from bot.config import SlackPart
from bot.errors import HoldfastError
from bot.incident.fold import fold
from bot.incident.state import Incident
from bot.ports import IncidentRow, Posted
from bot.service.progress import live
from bot.service.site import Site
from bot.timeline.entry import Entry

log = logging.getLogger(__name__)

LOOK = 0.5
REFRESH = 30.0
"""Seconds after which an open incident is looked at without news: its counts age."""
PROGRESS = 2.0
"""The same while one of its runs goes on: so often its progress is shown."""
LEASE, RENEW = 45.0, 10.0
LOCK = "outbox of the chat"
DRAIN = 3.0
"""Seconds that sending goes on after the bot was told to stop."""
TOO_LONG = frozenset(
    {"msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format"}
)


@dataclass(slots=True, kw_only=True)
class _Look:
    """How an incident was when everything about it had been queued."""

    open: bool
    seq: int
    at: float
    live: bool


@dataclass(slots=True, kw_only=True)
class Outbox:
    """Keeps the messages of all incidents right. ``pace`` is seconds between two messages.

    ``people`` are Slack user ids by person.
    """

    site: Site
    wire: Web
    config: SlackPart
    people: Mapping[str, str]
    page_url: str
    pace: float = 1.0
    trouble: str = ""
    back: Callable[[float], None] = lambda _: None
    """Called with how long Slack was away, in seconds, when it answers again."""
    _looks: dict[str, _Look] = field(default_factory=dict)
    _odd: dict[str, float] = field(default_factory=dict)
    _queue: Queue = field(default_factory=Queue)
    _stop: threading.Event = field(default_factory=threading.Event)
    _owner: str = field(default_factory=lambda: f"chat.{uuid.uuid4().hex}")
    _led: float = -RENEW
    _errands: Errands = field(init=False)
    _outage: Outage = field(init=False)

    def __post_init__(self) -> None:
        self._queue.pace = self.pace
        self._outage = Outage(self.site.store, self.site.clock)
        self._errands = Errands(
            store=self.site.store,
            wire=self.wire,
            config=self.config,
            site=self.site,
            people=self.people,
            page_url=self.page_url,
        )

    @property
    def channel(self) -> str:
        """The common channel, as it is configured; '' if there is none."""
        return self.config.channel or next(iter(self.config.alert_channels), "")

    def serve(self, stop: threading.Event) -> None:
        """Send until ``stop``, then for a moment what is left. Nothing leaves this thread."""
        self._stop = stop
        while not stop.is_set():
            try:
                if self._leads():
                    self.sweep()
                due = self._queue.next()
                soon = LOOK if due is None else due - time.monotonic()
                self.site.store.wait(min(LOOK, max(0.05, soon)))
            except HoldfastError as error:
                self._troubled(error)
                stop.wait(LOOK)
        try:
            self._drain()
            self.site.store.unlock_hosts(self._owner)
        except HoldfastError as error:
            log.warning("messages are left for the next start", extra={"error": str(error)})

    def _leads(self) -> bool:
        """Say whether this bot is the one that sends, for longer than a message takes."""
        if time.monotonic() - self._led < RENEW:
            return True
        if self.site.store.lock_hosts(self._owner, [LOCK], LEASE):
            # Another bot sends. What it has done is read from the store when it is gone.
            self._looks.clear()
            self._queue = Queue(pace=self.pace)
            self._led = -RENEW
            return False
        if self._led < 0:
            self._outage.recall()
        self._led = time.monotonic()
        return True

    def _drain(self) -> None:
        """Send what is left, if this bot is the one that sends, for a moment."""
        end = time.monotonic() + DRAIN
        while self._led > 0 and time.monotonic() < end:
            self._look_round()
            sent, due = self._work(), self._queue.next()
            if not sent:
                if due is None or due > end:
                    return
                time.sleep(0.02)

    def sweep(self) -> None:
        """Look at every incident that may have news, and send what may be sent now."""
        for _ in range(4):
            self._look_round()
            if not self._work() or self._stop.is_set():
                return

    def _look_round(self) -> None:
        heads = self.site.store.heads()
        for row in self.site.store.incidents():
            if not self._has_news(row, heads.get(row.id, 0)):
                continue
            try:
                self._look(row)
            except HoldfastError:
                raise
            except Exception as error:  # one odd incident must not silence the others
                log.exception("an incident cannot be shown", extra={"incident": row.id})
                self._odd[row.id] = time.monotonic() + REFRESH
                self._troubled(error, row.id)

    def _has_news(self, row: IncidentRow, head: int) -> bool:
        """``head`` is the number of the incident's last entry while it is open."""
        now = time.monotonic()
        if now < self._odd.get(row.id, 0.0):
            return False
        last = self._looks.get(row.id)
        if last is None or last.open != row.open:
            return True
        if row.open and now - last.at >= (PROGRESS if last.live else REFRESH):
            return True
        return row.open and head > last.seq

    def _look(self, row: IncidentRow) -> None:
        """Queue every message of an incident that is not as it should be."""
        entries = self.site.store.entries(row.id)
        if not entries:
            return
        incident = fold(entries)
        posted = dict(self.site.store.posted(row.id))
        lives = live(self.site, row.id) if row.open else []
        old, now = self._looks.get(row.id), time.monotonic()
        self._looks[row.id] = _Look(open=row.open, seq=incident.seq, at=now, live=bool(lives))
        if (
            row.open
            and self.config.own_channels
            and ROOM not in posted
            and "headline" not in posted
        ):
            self._put(row.id, ROOM, "", Urgency.APPROVAL, lambda: self._move_in(incident, entries))
            return
        place = home(posted.get(ROOM), self.channel)
        known = old is not None and old.seq == incident.seq
        for slot in slots(self.site, row, incident, posted, lives, place, entries, known=known):
            self._want(row.id, slot, posted, place, entries)
            head = posted.get("headline")
            if slot.name == "headline" and (head is None or _lost(head, posted)):
                return  # the others hang on it
        if not row.open:
            return
        if place.own:
            for slot_name, run in self._errands.furniture(incident, posted, place):
                self._put(row.id, slot_name, place.channel, Urgency.NEWS, run)
        every = self.config.status_every
        for notice in notices(incident, entries, posted, self.site.clock.now(), every):
            if user := self.people.get(notice.person):  # who has no Slack id reads it elsewhere
                run = self._errands.tell(incident.id, notice, user, posted, place)
                self._put(row.id, notice.slot, f"@{user}", Urgency.PRIVATE, run)

    def _move_in(self, incident: Incident, entries: Sequence[Entry]) -> None:
        self._errands.make_room(incident, mark_of(ROOM, entries))
        self._looks.pop(incident.id, None)

    def _put(
        self, incident: str, slot: str, channel: str, urgency: Urgency, run: Callable[[], None]
    ) -> None:
        job = Job(key=(incident, slot), channel=channel, urgency=urgency, run=run)
        self._queue.put(job, time.monotonic())

    def _want(
        self,
        incident: str,
        slot: Slot,
        posted: Mapping[str, Posted],
        place: Home,
        entries: Sequence[Entry],
    ) -> None:
        """Queue a message, unless it is what is shown."""
        link = f"{self.page_url.rstrip('/')}/incidents/{incident}"
        mark = mark_of(slot.name, entries)
        ready = message(slot.card, mark=mark, link=link)
        old = posted.get(slot.name)
        if old is not None and old.content == ready.content and not _lost(old, posted):
            self._queue.drop((incident, slot.name))
            return
        head = posted.get("headline")
        channel = self.channel if slot.common or not place.own else place.channel
        thread = head.ref if head and not place.own and slot.name != "headline" else None
        if head and not place.own:
            channel = head.channel if not _lost(head, posted) else channel
        self._put(
            incident,
            slot.name,
            channel,
            slot.urgency,
            lambda: self._send(incident, slot.name, ready, channel, thread, mark),
        )

    def _work(self) -> int:
        """Send what may be sent now, the most urgent first; return how much was tried."""
        began, tried = time.monotonic(), 0
        while (job := self._queue.take(time.monotonic())) is not None:
            tried += 1
            self._try(job)
            if time.monotonic() - began > LOOK or not self._leads():
                break
        return tried

    def _try(self, job: Job) -> None:
        try:
            job.run()
        except ThrottledError as error:
            self._queue.throttled(job, error.after, time.monotonic())
            self._troubled(error, job.key[0])
        except SlackError as error:
            self._reached()
            if not self._moved_out(job, error):
                self._failed(job, error)
        except HoldfastError as error:
            self._failed(job, error)
            self._outage.failed()
        except Exception as error:  # as above: one odd message must not silence the others
            log.exception("a message cannot be sent", extra={"incident": job.key[0]})
            self._failed(job, error)
        else:
            self._reached()
            self.trouble = ""

    def _failed(self, job: Job, error: Exception) -> None:
        self._queue.failed(job, time.monotonic())
        self._troubled(error, job.key[0])

    def _reached(self) -> None:
        """Note that Slack answers; if it was away, try at once what waits, and sum it up."""
        if (gap := self._outage.reached()) is None:
            return
        back = self.site.clock.now()
        self._queue.retry()
        self.back((back - gap.away).total_seconds())
        if back - gap.away >= LONG:
            self._put("", "summary", self.channel, Urgency.NEWS, lambda: self._sum_up(gap, back))

    def _sum_up(self, gap: Gap, back: datetime) -> None:
        """Post the one summary of an outage."""
        rows = self.site.store.incidents()
        card = summary([self.site.store.entries(row.id) for row in rows], gap, back)
        mark = f"summary@{stamp(gap.away)}"
        if card is not None and self.wire.find(self.channel, mark, None) is None:
            self.wire.post(self.channel, message(card, mark=mark, link=self.page_url), None)
        self._outage.told()

    def _troubled(self, error: Exception, incident: str = "") -> None:
        """Note what is wrong; the log has a cause once, however many incidents wait for it."""
        trouble = f"{incident}: {error}" if incident else str(error)
        if not self.trouble.endswith(str(error)):
            log.warning("messages cannot be sent", extra={"error": trouble})
        self.trouble = trouble

    def _moved_out(self, job: Job, error: SlackError) -> bool:
        """Go back to the common channel when an incident's own one cannot be written to."""
        incident = job.key[0]
        room = self.site.store.posted(incident).get(ROOM)
        lost = error.code in NOT_THERE and room is not None and room.ref == OWN
        if not lost or room is None or job.channel != room.channel:
            return False
        log.warning("an incident's channel is gone", extra={"error": str(error)})
        gone = Posted(channel=room.channel, ref=THREAD, content=error.code)
        self.site.store.set_posted(incident, ROOM, gone)
        self._queue.forget(incident)
        self._looks.pop(incident, None)
        return True

    def _send(
        self,
        incident: str,
        slot: str,
        ready: Message,
        channel: str,
        thread: str | None,
        mark: str,
    ) -> None:
        """Make the slot's message what it should be."""
        posted = self.site.store.posted(incident)
        old = posted.get(slot)
        first = old is None or _lost(old, posted)
        if old is not None and _lost(old, posted):
            old = None
        if old is None and (found := self.wire.find(channel, mark, thread)) is not None:
            old = Posted(channel=found[0], ref=found[1], content="")
        try:
            where, ref = self._write(old, ready, channel, thread, mark)
        except SlackError as error:
            if error.code not in TOO_LONG:
                raise
            log.warning("a message is cut short", extra={"error": str(error), "slot": slot})
            where, ref = self._write(old, slim(ready), channel, thread, mark)
        new = Posted(channel=where, ref=ref, content=ready.content)
        self.site.store.set_posted(incident, slot, new)
        if slot == "headline" and first:  # the cards hang on it
            self._looks.pop(incident, None)

    def _write(
        self, old: Posted | None, ready: Message, channel: str, thread: str | None, mark: str
    ) -> tuple[str, str]:
        """Edit the message, or post it: also where it was deleted, but once if the answer is lost."""
        if old is not None:
            if self.wire.update(old.channel, old.ref, ready):
                return old.channel, old.ref
            again = self.wire.find(channel, mark, thread, besides=old.ref)
            if again is not None and self.wire.update(*again, ready):
                return again
        return self.wire.post(channel, ready, thread)


def _lost(old: Posted, posted: Mapping[str, Posted]) -> bool:
    """Say whether a message stands in a channel that the incident has lost."""
    room = posted.get(ROOM)
    return room is not None and room.ref == THREAD and old.channel == room.channel
