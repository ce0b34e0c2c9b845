"""Messages of the chat that people put into the timeline, and take back."""

from __future__ import annotations

from bot.service.site import Site, allow
from bot.timeline.entry import Actor, Draft


def pin(  # noqa: PLR0913 - what a message is
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
    """Put a message into the timeline, once a key until it is struck."""
    allow(site, actor, "note")
    with site.store.transaction(incident) as tx:
        entries = tx.entries(incident)
        last = [e for e in entries if e.kind in {"note.pinned", "note.struck"}]
        mine = [e for e in last if e.data.get("key") == key]
        if key and mine and mine[-1].kind == "note.pinned":
            return f"it is in the timeline of {incident} already"
        data = {"key": key, "author": author, "at": at, "link": link}
        draft = Draft(
            key=f"pinned.{key}.{len(entries) + 1}",
            kind="note.pinned",
            text=text,
            actor=actor,
            data=data,
        )
        tx.append(incident, draft)
    return f"pinned to the timeline of {incident}"


def unpin(site: Site, incident: str, key: str, actor: Actor, why: str = "") -> str:
    """Strike a pinned message; the entry stays."""
    allow(site, actor, "note")
    with site.store.transaction(incident) as tx:
        entries = tx.entries(incident)
        mine = [e for e in entries if e.data.get("key") == key]
        if not mine or mine[-1].kind != "note.pinned":
            return f"it is not in the timeline of {incident}"
        draft = Draft(
            key=f"struck.{key}.{len(entries) + 1}",
            kind="note.struck",
            text=f"struck: {mine[-1].text}",
            actor=actor,
            data={"key": key, "why": why},
        )
        tx.append(incident, draft)
    return f"struck from the timeline of {incident}"
