"""The one error tree. Every message is text for a person: what happened, where, what next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class HoldfastError(Exception):
    """Something that a person can act on.

    ``what`` happened, ``where`` (a file and line, a URL, a host; may be empty) and ``next``, the
    thing to do about it. ``exit_code`` is what the command line returns: 1 refused or nothing
    found, 2 bad input, 3 the bot cannot be reached. ``status`` is the HTTP status.
    """

    exit_code = 1
    status = 409

    def __init__(self, what: str, *, where: str = "", next: str = "") -> None:  # noqa: A002 - the published field name
        super().__init__(what)
        self.what = what
        self.where = where
        self.next = next

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        stop = "" if text.endswith(("?", "!", ".")) else "."
        return f"{text}{stop} Next: {self.next}" if self.next else text

    def as_dict(self) -> dict[str, Any]:
        """Return the published error shape ``{"what", "where", "next"}``."""
        return {"what": self.what, "where": self.where, "next": self.next}


class BadInputError(HoldfastError):
    """What was given cannot be read: usage, configuration, a payload, a runbook."""

    exit_code = 2
    status = 400


class UnclearError(BadInputError):
    """It is not clear which one is meant. ``choices`` are the whole commands it could have been."""

    def __init__(self, what: str, choices: Sequence[str]) -> None:
        super().__init__(what, next=f"say one of: {', '.join(choices[:6])}")
        self.choices = tuple(choices)

    def as_dict(self) -> dict[str, Any]:
        """Return the published error shape, with the choices."""
        return {**super().as_dict(), "choices": list(self.choices)}


class NotFoundError(HoldfastError):
    """The named thing does not exist."""

    status = 404


class RefusedError(HoldfastError):
    """The request is understood and not allowed: role, state, digest, expiry."""

    status = 403


class ConflictError(HoldfastError):
    """Somebody or something else changed the state first."""


class TooLargeError(BadInputError):
    """A body above the size limit."""

    status = 413


class UnavailableError(HoldfastError):
    """A part that is needed is away (database, bot, inventory)."""

    exit_code = 3
    status = 503
