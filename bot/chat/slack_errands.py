"""What is done in Slack beside an incident's messages: its channel, its guests, private words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.chat.slack_blocks import message
from bot.chat.slack_notices import Notice
from bot.chat.slack_rooms import OWN, ROOM, Home, bring, furnish, make
from bot.chat.slack_slots import INVITED, PINNED, guests
from bot.chat.slack_web import LostAnswerError, SlackError, Web
from bot.config import SlackPart
from bot.errors import HoldfastError
from bot.incident.state import Incident
from bot.ports import Posted, Store
from bot.service.site import Site

log = logging.getLogger(__name__)

Errand = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errands:
    """Makes the errands of the outbox; each records what it has done."""

    store: Store
    wire: Web
    config: SlackPart
    site: Site
    people: Mapping[str, str]
    page_url: str

    def make_room(self, incident: Incident, mark: str) -> None:
        """Give an incident its own channel, or record why it has none."""
        me = str(self.wire.whoami().get("user_id") or "")
        made = make(self.wire, incident, me, mark, self.config.channel_prefix)
        if made.ref == OWN:
            link = f"{self.page_url.rstrip('/')}/incidents/{incident.id}"
            furnish(self.wire, made, incident, link, mark)
        self.store.set_posted(incident.id, ROOM, made)

    def furniture(
        self, incident: Incident, posted: Mapping[str, Posted], place: Home
    ) -> Iterator[tuple[str, Errand]]:
        """Yield slot and errand: the pinned headline, and who has to be in the channel."""
        head = posted["headline"]
        if PINNED not in posted:
            yield PINNED, lambda: self._pin(incident.id, head)
        wanted = guests(self.site, incident, self.config.invite, self.people)
        invited = set(posted[INVITED].content.split()) if INVITED in posted else set()
        if new := [user for user in wanted if user not in invited]:
            yield INVITED, lambda: self._invite(incident.id, place, new, invited)

    def _pin(self, incident: str, head: Posted) -> None:
        try:
            self.wire.pin(head.channel, head.ref)
        except SlackError as error:
            log.info("a headline is not pinned", extra={"error": str(error)})
        self.store.set_posted(incident, PINNED, head)

    def _invite(self, incident: str, place: Home, new: Sequence[str], invited: set[str]) -> None:
        at = Posted(channel=place.channel, ref=OWN, content=" ".join(sorted({*invited, *new})))
        bring(self.wire, at, new)
        self.store.set_posted(incident, INVITED, at)

    def tell(
        self, incident: str, notice: Notice, user: str, posted: Mapping[str, Posted], place: Home
    ) -> Errand:
        """Return the errand that tells one person something, once."""
        old, head = posted.get(notice.slot), posted["headline"]

        def run() -> None:
            # Nobody can look up later whether it was said, so it is recorded before: an answer
            # that is lost does not make it be said twice.
            new = Posted(channel=head.channel, ref=user, content=notice.content)
            self.store.set_posted(incident, notice.slot, new)
            try:
                thread = None if place.own else head.ref
                self.wire.whisper(head.channel, user, message(notice.card), thread)
            except LostAnswerError:
                raise
            except HoldfastError:
                again = old or Posted(channel=head.channel, ref=user, content="")
                self.store.set_posted(incident, notice.slot, again)
                raise

        return run
