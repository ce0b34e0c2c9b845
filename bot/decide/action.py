"""What may be due, and the times that govern it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from bot.incident.state import (
    Outcome,
)

MAX_ATTEMPTS = 3

LIVE = frozenset({"queued", "running"})

EPOCH = datetime.fromtimestamp(0, UTC)

SETTLED = frozenset({Outcome.VERIFIED, Outcome.APPLIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """The times that govern a look, in seconds."""

    retry_first: float = 5.0
    retry_max: float = 300.0
    look: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that is due. ``verb`` names the row of the worker's table that carries it out.

    A wave may have several runs: ``part`` counts them, ``planned`` (with the first run of an
    ``attempt``) are all hosts that they will share. ``check`` is a check's place in the gate.
    """

    verb: str
    proposal: str = ""
    request: int = 0
    wave: int = 0
    attempt: int = 1
    part: int = 1
    check: int = 0
    hosts: tuple[str, ...] = ()
    owed: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()
    purpose: str = ""
    run: str = ""
    why: str = ""
