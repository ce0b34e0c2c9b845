"""Read crash reports out of console text.

``read`` takes whatever on-call people have: a paste, a log, an alert's annotation. It returns
what crashed, in which function, how sure that is and which lines say so.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bot.crash.report import (
    ALL,
    KERNEL_CRASH,
    CrashReport,
    Evidence,
    Frame,
    Kind,
    Line,
    Skipped,
)

if TYPE_CHECKING:
    from bot.crash.reading import excerpt, read, read_stream
    from bot.crash.similar import Known, Similarity, similar

_LATER = {
    "excerpt": "bot.crash.reading",
    "read": "bot.crash.reading",
    "read_stream": "bot.crash.reading",
    "Known": "bot.crash.similar",
    "Similarity": "bot.crash.similar",
    "similar": "bot.crash.similar",
}
"""What needs the tables: they take a third of a second to load, and most processes, supervisors
above all, only want to know what a report is."""


def __getattr__(name: str) -> object:
    """Load the reader when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


__all__ = [
    "ALL",
    "KERNEL_CRASH",
    "CrashReport",
    "Evidence",
    "Frame",
    "Kind",
    "Known",
    "Line",
    "Similarity",
    "Skipped",
    "excerpt",
    "read",
    "read_stream",
    "similar",
]
