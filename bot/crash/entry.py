"""One line of console text as the readers of events and programs see it."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A line without what carried it.

    ``number`` counts from 1 in the text that was handed in, ``text`` is the bare line, ``program``
    is ``kernel`` for kernel lines, empty where nothing tells, else the program (``sshd[812]``).
    """

    number: int
    text: str
    program: str
