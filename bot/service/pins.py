"""Pins: words from elsewhere that belong into the record, with who said them, when and where."""

from __future__ import annotations

from dataclasses import dataclass

from bot.errors import BadInputError, NotFoundError
from bot.service.site import Site, allow, refold
from bot.timeline.entry import Actor, Draft

LONGEST = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where pinned words are from. ``key`` tells the same message from another one.

    ``author`` said them, ``at`` is when (RFC 3339, UTC), ``link`` leads there.
    """

    key: str = ""
    author: str = ""
    at: str = ""
    link: str = ""


OWN = Source()
"""The words are those of whoever pins them."""


def pin(site: Site, incident: str, text: str, actor: Actor, source: Source = OWN) -> str:
    """Put words into the timeline. Pinned again from the same source, they are one entry.

    What was struck is pinned anew.
    """
    allow(site, actor, "pin")
    words = text.strip()[:LONGEST]
    if not words:
        raise BadInputError("there is nothing to pin", next="pin INC-1 what is worth keeping")
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        number = now.seq + 1
        mark = source.key or str(number)
        if mark in now.pins:
            return f"pinned in {incident} already"
        when = f", {source.at}" if source.at else ""
        by = f" (by {source.author}{when})" if source.author else ""
        tx.append(
            incident,
            Draft(
                key=f"pinned.{mark}.{number}",
                kind="note.pinned",
                text=f"📌 {words}{by}",
                actor=actor,
                data={
                    "pin": mark,
                    "text": words,
                    "author": source.author,
                    "at": source.at,
                    "link": source.link,
                },
            ),
        )
    return f"pinned in {incident}"


def unpin(site: Site, incident: str, key: str, actor: Actor, why: str = "") -> str:
    """Strike a pin; both entries stay in the record."""
    allow(site, actor, "pin")
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        if key not in now.pins:
            raise NotFoundError(f"{incident} has no such pin", next=f"see 'timeline {incident}'")
        said = f": {why}" if why else ""
        tx.append(
            incident,
            Draft(
                key=f"struck.{key}.{now.seq + 1}",
                kind="note.struck",
                text=f"{actor.name} struck the pin of entry {now.pins[key]}{said}",
                actor=actor,
                data={"pin": key, "entry": now.pins[key]},
            ),
        )
    return f"the pin is struck in {incident}; the record keeps both"
