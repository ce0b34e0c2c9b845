"""The shape of a step that the worker carries out."""

from __future__ import annotations

from collections.abc import Callable

from bot.incident.state import Incident
from bot.ports import Transaction

Commit = Callable[[Transaction, Incident], None]
"""The second half of a step: it records, inside a transaction, what the first half found out.

The first half may read the disk or the inventory. Between the two the worker makes sure that the
action is still due."""
