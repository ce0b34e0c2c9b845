"""Whether what somebody says in a channel is meant for the bot."""

from __future__ import annotations

import re


def spoken(text: str, bot_user: str) -> str:
    """Return the command line in ``<@BOT> approve P-1`` or ``!approve P-1``; '' if there is none."""
    if bot_user and (found := re.match(rf"\s*<@{re.escape(bot_user)}(?:\|[^>]*)?>[,:]?\s*", text)):
        return text[found.end() :].strip() or "help"
    return text[1:].strip() if re.match(r"![a-z]", text) else ""
