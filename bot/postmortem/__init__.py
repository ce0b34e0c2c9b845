"""The postmortem: written from an incident's entries alone, by nobody's memory."""

from __future__ import annotations

from bot.postmortem.document import write

__all__ = ["write"]
