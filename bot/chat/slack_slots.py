"""Which messages an incident has in Slack, and how urgent each is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.approval.policy import may
from bot.chat.alarm import glass_card
from bot.chat.card import Card
from bot.chat.cards import headline
from bot.chat.proposal_cards import proposal_card
from bot.chat.slack_notices import last_word
from bot.chat.slack_queue import Urgency
from bot.chat.slack_rooms import Home
from bot.incident.state import Incident, Proposal, ProposalState
from bot.ports import IncidentRow, Posted
from bot.service.progress import Progress
from bot.service.site import Site
from bot.timeline.entry import Entry

ENDED = frozenset({ProposalState.EXPIRED, ProposalState.REJECTED, ProposalState.SUPERSEDED})
PINNED, INVITED, POINTER = "pinned", "invited", "pointer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A message. ``common``: it stands in the common channel whatever the incident has."""

    name: str
    card: Card
    urgency: Urgency
    common: bool = False


def slots(  # noqa: PLR0913 - all that a message is made from
    site: Site,
    row: IncidentRow,
    incident: Incident,
    posted: Mapping[str, Posted],
    lives: Sequence[Progress],
    place: Home,
    entries: Sequence[Entry],
    *,
    known: bool,
) -> Iterator[Slot]:
    """Yield the messages. What was over before it could be said is not said any more.

    ``known``: nothing happened since the last look, so only counts and times moved.
    """
    if row.open or "headline" in posted:
        card = headline(incident, site.clock.now(), lives, last_word(entries))
        urgency = Urgency.PROGRESS if known else Urgency.NEWS
        first = "headline" not in posted
        yield Slot(name="headline", card=card, urgency=Urgency.APPROVAL if first else urgency)
    for proposal in incident.proposals.values():
        name = f"proposal.{proposal.id}"
        if name in posted or (row.open and _matters(incident, proposal)):
            card = proposal_card(incident, proposal, site.people)
            yield Slot(name=name, card=card, urgency=Urgency.APPROVAL)
        glass = glass_card(incident, proposal, site.people)
        name = f"glass.{proposal.id}"
        if glass is not None and (name in posted or row.open):
            yield Slot(name=name, card=glass, urgency=Urgency.APPROVAL)
    if place.own and (row.open or POINTER in posted):
        yield Slot(name=POINTER, card=_pointer(incident), urgency=Urgency.NEWS, common=True)


def _matters(incident: Incident, proposal: Proposal) -> bool:
    return proposal is incident.current or proposal.state not in ENDED


def _pointer(incident: Incident) -> Card:
    """Return the one line that the common channel gets of an incident with a channel."""
    whole = (
        headline(incident, incident.opened_at) if incident.opened_at else Card(title=incident.id)
    )
    return replace(whole, fields=(), lines=("It has a channel of its own.",), buttons=())


def guests(
    site: Site, incident: Incident, always: Sequence[str], people: Mapping[str, str]
) -> list[str]:
    """Return the Slack ids of who has to be in an incident's own channel."""
    deciding = [p.id for p in site.people.values() if may(p, "approve").ok]
    named = [*deciding, *incident.roles.values()]
    return list(dict.fromkeys([*always, *(people[p] for p in named if p in people)]))


def mark_of(slot: str, entries: Sequence[Entry]) -> str:
    """Name a slot so that no other bot, database or incident has the same name for another."""
    return f"{slot}@{entries[0].incident}.{entries[0].hash[:24]}"
