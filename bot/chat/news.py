"""What a terminal knows of the running bot: incidents, what is under way, what is new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.chat.client import Client
from bot.errors import HoldfastError

AWAY = "the bot cannot be reached; it is asked again"
LIVE = frozenset({"open", "approved", "running", "paused", "halted"})


class News:
    """Fetched by one thread, read by another: every fetch replaces whole values."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen: dict[str, int] = {}
        self._first = True
        self.incidents: list[Mapping[str, Any]] = []
        self.status: dict[str, Mapping[str, Any]] = {}
        self.people: list[str] = []
        self.trouble = ""

    def fetch(self) -> list[dict[str, Any]]:
        """Ask the bot; return the entries that are new since the last time."""
        try:
            self.incidents = list(self._client.say(["incidents"]).data)
            if self._first:
                self.people = [p["id"] for p in self._client.say(["who"]).data["people"]]
            fresh = [entry for row in self.incidents for entry in self._entries(row)]
        except HoldfastError:
            self.trouble = AWAY
            return []
        self.trouble, self._first = "", False
        return fresh

    def _entries(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return an incident's new entries. One that is resolved is read once only."""
        name = str(row["id"])
        known = self.status.get(name)
        if known is not None and known["state"] == row["state"] != "open":
            return []
        self.status = {**self.status, name: self._client.say(["status", name]).data}
        entries = list(self._client.say(["timeline", name]).data)
        fresh = entries[self._seen.get(name, 0) :] if not self._first else []
        self._seen[name] = len(entries)
        return fresh

    @property
    def proposals(self) -> list[str]:
        """The names of all proposals, those that are alive first."""
        rows = [p for status in self.status.values() for p in status["proposals"]]
        return [p["id"] for p in sorted(rows, key=lambda p: p["state"] not in LIVE)]

    def line(self, focus: str, width: int) -> str:
        """Return the one line at the bottom: where the incident in focus stands, or how many."""
        if self.trouble:
            return self.trouble[:width]
        status = self.status.get(focus) or self._only()
        if status is None:
            open_ones = sum(1 for row in self.incidents if row["state"] == "open")
            return f"{open_ones} open incidents"
        return _where(status)[:width]

    def _only(self) -> Mapping[str, Any] | None:
        """Return the status of the open incident if there is one only."""
        names = [str(row["id"]) for row in self.incidents if row["state"] == "open"]
        return self.status.get(names[0]) if len(names) == 1 else None


def _where(status: Mapping[str, Any]) -> str:
    """Write ``INC-1 open · P-1 running 7/12 · 5 owed · wave 2: 3 of 5``, what moves first."""
    parts = [f"{status['id']} {status['state']}"]
    for proposal in status["proposals"][-1:]:
        counted, required = len(proposal["counted"]), proposal["required"]
        votes = f" {counted} of {required}" if proposal["state"] == "open" else ""
        parts.append(f"{proposal['id']} {proposal['state']}{votes}")
    parts += [str(one["sentence"]) for one in status["progress"][:1] if "sentence" in one]
    counts = status["hosts"]
    parts += [
        f"{counts[name]} {name.replace('_', ' ')}"
        for name in ("failed", "unknown", "owed", "verified")
        if counts.get(name)
    ]
    if status["hold"]["drift"]:
        parts.append(f"{len(status['hold']['drift'])} drift")
    return " · ".join(parts)
