"""Which incident or proposal a channel or thread is about."""

from __future__ import annotations

from bot.chat.slack_rooms import OWN, ROOM
from bot.ports import Store


def in_focus(store: Store, channel: str, thread: str | None) -> str:
    """Return ``INC-1`` or ``P-1`` whose message this thread, or whose channel this is; else ''."""
    found = store.posted_in(channel)
    for incident, slot, ref in found:
        if thread and ref == thread:
            return slot.removeprefix("proposal.") if slot.startswith("proposal.") else incident
    return next((incident for incident, slot, ref in found if (slot, ref) == (ROOM, OWN)), "")
