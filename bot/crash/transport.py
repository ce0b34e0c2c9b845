"""The clean-up step: whatever carried the console text, give back plain kernel lines.

Every transport that on-call people meet (syslog, journal, dmesg, netconsole, container logs,
chat, mail, JSON) changes characters (``spelling``), cuts lines (``halves``), puts several into one
(``wrapping``) or writes something in front of them (``prefixes``). All of that is undone, so that
the reader knows one form only. Line numbers stay those of the text that was handed in.
"""

from __future__ import annotations

from bot.crash.halves import Item, cut_up, whole
from bot.crash.prefixes import FOREIGN, MAX_LINE, STAMPED, bare, is_stamp, of_tag
from bot.crash.spelling import clean, decode
from bot.crash.wrapping import pieces, run_on, single, wrapped

__all__ = [
    "FOREIGN",
    "MAX_LINE",
    "STAMPED",
    "Item",
    "bare",
    "clean",
    "cut_up",
    "decode",
    "is_stamp",
    "of_tag",
    "pieces",
    "run_on",
    "single",
    "whole",
    "wrapped",
]
