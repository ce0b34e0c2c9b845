"""Who is speaking: a stable id from an authenticated source, never a display name."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from bot.approval.policy import Person
from bot.errors import BadInputError, NotFoundError, RefusedError
from bot.ports import Store
from bot.timeline.entry import Actor

PREFIX = "hf_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """Tokens and Slack user ids, each leading to one person of the configuration."""

    store: Store
    people: Mapping[str, Person]
    slack: Mapping[str, str]

    def create_token(self, person: str) -> str:
        """Make a token for a configured person. It is returned once and stored hashed."""
        if person not in self.people:
            known = ", ".join(sorted(self.people)) or "nobody"
            raise BadInputError(
                f"unknown user {person!r}",
                next=f"add them under 'people' in holdfast.yml (it knows {known})",
            )
        token = PREFIX + secrets.token_urlsafe(32)
        self.store.add_token(_digest(token), person)
        return token

    def revoke_tokens(self, person: str) -> int:
        """Forget all tokens of a person, configured or not; return how many there were."""
        gone = self.store.remove_tokens(person)
        if not gone and person not in self.people:
            raise NotFoundError(
                f"there is no user {person!r} and no token of one", next="see 'holdfast who'"
            )
        return gone

    def by_token(self, token: str, via: str) -> Actor:
        """Return whose token it is; raise ``RefusedError`` for an unknown or orphaned one."""
        person = self.store.token_person(_digest(token))
        if person is None or person not in self.people:
            raise RefusedError(
                "this token is not known",
                next="ask for a new one: holdfast token create YOU; nothing was changed",
            )
        return Actor(id=person, name=self.people[person].name, via=via)

    def by_slack(self, user: str, name: str = "") -> Actor:
        """Return the person of a Slack user id; a stranger keeps the Slack id and has no role."""
        person = self.slack.get(user)
        if person is None:
            return Actor(id=f"slack:{user}", name=name or user, via="slack")
        return Actor(id=person, name=self.people[person].name, via="slack")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
