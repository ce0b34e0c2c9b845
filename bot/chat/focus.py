"""Which incident or proposal a channel or thread is about."""

from __future__ import annotations

from bot.ports import Store


def in_focus(store: Store, channel: str, thread: str | None) -> str:
    """Return ``INC-1`` or ``P-1`` whose message this thread, or whose channel this is; else ''."""
    for row in store.incidents():
        for slot, at in store.posted(row.id).items():
            if at.channel != channel:
                continue
            if thread and at.ref == thread:
                return slot.removeprefix("proposal.") if slot.startswith("proposal.") else row.id
            if slot == "channel" and at.ref == "own":
                return row.id
    return ""
