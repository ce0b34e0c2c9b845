"""What single people are told: the holder of a new role, and a commander who says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.chat.card import Card
from bot.clock import parse, stamp
from bot.incident.state import Incident
from bot.ports import Posted
from bot.timeline.entry import BOT, Entry

NAG = "nag"
SPOKEN = frozenset({"note.added", "note.pinned", "incident.severity"})
"""Kinds by which people tell each other how things stand."""
DUTIES: Mapping[str, tuple[str, ...]] = {
    "commander": (
        "You decide; others carry out. Approve or reject what is proposed, or say who shall.",
        "Say how bad it is: severity {id} sev1. Give work away: assign ops PERSON.",
        "Tell the others now and then: note {id} what is known, what is done, what is next.",
        "In doubt stop: abort. When it is over: resolve {id}.",
    ),
    "ops": (
        "You carry out what the commander decides, and say what you see: note {id} TEXT.",
        "You can propose, pause and abort: propose {id}, pause, abort. See: hosts {id} owed.",
    ),
    "scribe": (
        "You keep the record: note {id} TEXT, or the pin emoji on any message.",
        "What the bot does is in the timeline by itself: timeline {id}.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that one person is told once. ``slot`` and ``content`` name that once."""

    slot: str
    person: str
    card: Card
    content: str


def notices(
    incident: Incident,
    entries: Sequence[Entry],
    posted: Mapping[str, Posted],
    now: datetime,
    every: float,
) -> Iterator[Notice]:
    """Yield what has not been said yet; ``every`` is seconds of silence before the nag, or 0."""
    if incident.state != "open":
        return
    holders = {e.data["role"]: e for e in entries if e.kind == "incident.assigned" and e.data}
    for role, entry in holders.items():
        slot = f"role.{role}"
        if role in DUTIES and (slot not in posted or posted[slot].content != str(entry.seq)):
            yield Notice(
                slot=slot,
                person=str(entry.data["person"]),
                card=_duties(incident, role, entry),
                content=str(entry.seq),
            )
    since = silence(incident, entries, posted.get(NAG))
    if every and since is not None and now - since >= timedelta(seconds=every):
        person = str(incident.commander)
        yield Notice(slot=NAG, person=person, card=_nag(incident, since, now), content=stamp(now))


def silence(incident: Incident, entries: Sequence[Entry], nagged: Posted | None) -> datetime | None:
    """Return since when nobody has told the others anything; None without a commander."""
    taken = [
        e.at for e in entries if e.kind == "incident.assigned" and e.data.get("role") == "commander"
    ]
    if not incident.commander or not taken:
        return None
    spoken = [e.at for e in entries if e.kind in SPOKEN and e.actor.id != BOT.id]
    told = [parse(nagged.content)] if nagged and nagged.content else []
    return max([*spoken, *told, taken[-1]])


def last_word(entries: Sequence[Entry]) -> str:
    """Return the last note of a person, for those who come late; '' if there is none."""
    for entry in reversed(entries):
        if entry.kind == "note.added" and not entry.redacted:
            text = " ".join(entry.text.split())
            return f"{stamp(entry.at)[11:16]} UTC {entry.actor.name}: {text}"
    return ""


def _duties(incident: Incident, role: str, entry: Entry) -> Card:
    return Card(
        title=f"You are {role} of {incident.id}",
        fields=(("Incident", incident.title), ("Given by", entry.actor.name)),
        lines=tuple(line.format(id=incident.id) for line in DUTIES[role]),
        foot="Only you see this.",
    )


def _nag(incident: Incident, since: datetime, now: datetime) -> Card:
    minutes = int((now - since).total_seconds() // 60)
    return Card(
        title=f"{incident.id}: no word to the others for {minutes} min",
        tone="warn",
        lines=(
            f"Next: note {incident.id} what is known, what is being done, what comes next",
            "Or give the role away: assign commander PERSON",
        ),
        foot="Only you, the commander, are reminded.",
    )
