"""What a row of the tables of events can say: the columns, no reading."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.crash.report import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line by which the kernel tells of an event or takes notice of something.

    ``hint`` is what the line holds (the cheap test), ``pattern`` the whole shape, from the start
    of the line; its named groups become details. ``func`` is no detail but the function that the
    line names; ``function`` is the one that prints the line, where it names none. ``title`` is a
    template over the details; ``{in_func}`` is `` in f`` or nothing.

    Lines of one ``family`` belong to one event while the details named in ``same`` are equal.
    A row that ``opens`` always begins a new event; one that does not ``close`` its event waits for
    lines that complete it, at most ``reach`` lines away; one that ``replaces`` may name another
    victim than the lines before (a child is killed instead). Of the rows of one event the one with the
    highest ``rank`` gives title, function and module.

    ``body`` are patterns of the lines that follow, for more details; ``traced`` says that a call
    trace follows, and ``blames`` that its first frame that no rule skips is the function.
    ``needs`` is a family of ``silent`` rows that must have been seen with equal ``same``.
    ``stamped`` rows are believed only where the line is known to be the kernel's. ``evidence``
    is what the line is evidence of in front of a crash, where its kind does not say so. ``facts`` are
    details that the line means without printing them; ``broken`` says why such a line alone
    cannot be trusted.
    """

    hint: str
    pattern: re.Pattern[str]
    title: str
    kind: Kind
    function: str | None = None
    module: str | None = None
    alts: tuple[str, ...] = ()
    family: str = ""
    same: tuple[str, ...] = ("device",)
    opens: bool = False
    closes: bool = True
    replaces: bool = False
    rank: int = 0
    reach: int = 32
    body: tuple[re.Pattern[str], ...] = ()
    traced: bool = False
    blames: bool = False
    plumbing: str = ""
    needs: str = ""
    silent: bool = False
    stamped: bool = False
    evidence: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    broken: str | None = None


def row(hint: str, pattern: str, title: str, kind: Kind, **more: Any) -> Row:
    """Make a row from its four first columns and more of them by name.

    Patterns are strings; ``family`` is the title where none is given.
    """
    more.setdefault("family", title)
    more["body"] = tuple(re.compile(each, re.ASCII) for each in more.get("body", ()))
    return Row(hint=hint, pattern=re.compile(pattern, re.ASCII), title=title, kind=kind, **more)


CARRIER = r"[\w-]{1,24} [0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]"
"""How a driver for PCI begins its line."""
