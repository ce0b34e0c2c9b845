"""Everybody and their roles: from the configuration, and from user groups of the chat."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.approval.roles import Person
from bot.errors import HoldfastError
from bot.ports import Clock

log = logging.getLogger(__name__)

Reader = Callable[[str], Collection[str]]
"""Returns the chat's user ids that are in a group. Raises the errors of ``bot.errors``."""

FRESH = timedelta(seconds=2)
"""A reading this young is not repeated: several clicks come at once."""
KEPT = timedelta(hours=1)
"""How long a reading counts while the chat cannot be asked. Then its members have no role."""


@dataclass(frozen=True, slots=True)
class _Reading:
    members: frozenset[str]
    at: datetime


class Roster(Mapping[str, Person]):
    """People by stable id. ``reader`` is set by the door of the chat, once there is one.

    Whoever is in a group and not in the configuration is known as ``slack:<user id>``, the id under
    which the door knows them. Nothing is read by looking somebody up, only by ``reread``.
    """

    def __init__(
        self,
        people: Mapping[str, Person],
        slack: Mapping[str, str],
        groups: Mapping[str, Collection[str]],
        clock: Clock,
    ) -> None:
        self.reader: Reader | None = None
        self.trouble = ""
        self._listed = dict(people)
        self._slack = dict(slack)
        self._groups = {role: tuple(names) for role, names in groups.items()}
        self._clock = clock
        self._readings: dict[str, _Reading] = {}
        self._lock = threading.Lock()

    def __getitem__(self, who: str) -> Person:
        return self._all()[who]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Person]:
        found, now = dict(self._listed), self._clock.now()
        for role, groups in self._groups.items():
            for group in groups:
                reading = self._readings.get(group)
                if reading is None or now - reading.at > KEPT:
                    continue
                for user in reading.members:
                    key = self._slack.get(user, f"slack:{user}")
                    one = found.get(key) or Person(id=key, name=user)
                    found[key] = Person(id=key, name=one.name, roles=one.roles | {role})
        return found

    def doubt(self, roles: Collection[str]) -> str:
        """Return why somebody may lack one of the roles: a group was not readable; else ''."""
        return self.trouble if any(self._groups.get(role) for role in roles) else ""

    def reread(self, who: Collection[str], wanted: Collection[str]) -> None:
        """Ask the chat anew if somebody of ``who`` could have one of the roles by a group only.

        Somebody who has it by the configuration is not asked for, so nothing waits for a chat that
        is away. Never raises: what could not be read is ``trouble``.
        """
        roles = [role for role in wanted if self._groups.get(role)]
        sure = all(
            person in self._listed and self._listed[person].roles & set(wanted) for person in who
        )
        if not roles or sure or self.reader is None:
            return
        with self._lock:
            for group in {group for role in roles for group in self._groups[role]}:
                self._read(group, self.reader)

    def _read(self, group: str, reader: Reader) -> None:
        last = self._readings.get(group)
        if last is not None and abs(self._clock.now() - last.at) < FRESH:
            return
        try:
            members = frozenset(reader(group))
        except HoldfastError as error:
            self.trouble = f"user group {group}: {error.what}"
            log.warning("a user group cannot be read", extra={"group": group, "error": str(error)})
            return
        self.trouble = ""
        self._readings = {**self._readings, group: _Reading(members, self._clock.now())}
