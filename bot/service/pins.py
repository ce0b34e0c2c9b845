"""Pins: words from elsewhere that belong into the record, with who said them, when and where."""

from __future__ import annotations

from bot.errors import BadInputError, NotFoundError
from bot.service.site import Site, allow, refold
from bot.timeline.entry import Actor, Draft

LONGEST = 4000


def pin(
    site: Site,
    incident: str,
    text: str,
    actor: Actor,
    *,
    key: str = "",
    author: str = "",
    at: str = "",
    link: str = "",
) -> str:
    """Put words into the timeline. ``key`` names their source: pinned again, it is one entry.

    ``author``, ``at`` (RFC 3339, UTC) and ``link`` are those of the original; without them the
    words are the actor's own. What was struck is pinned anew.
    """
    allow(site, actor, "pin")
    words = text.strip()[:LONGEST]
    if not words:
        raise BadInputError("there is nothing to pin", next="pin INC-1 what is worth keeping")
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        number = now.seq + 1
        mark = key or str(number)
        if mark in now.pins:
            return f"pinned in {incident} already"
        by = f" (by {author}{f', {at}' if at else ''})" if author else ""
        tx.append(
            incident,
            Draft(
                key=f"pinned.{mark}.{number}",
                kind="note.pinned",
                text=f"📌 {words}{by}",
                actor=actor,
                data={"pin": mark, "text": words, "author": author, "at": at, "link": link},
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
