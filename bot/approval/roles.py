"""Who may say what: people, their roles, and the roles that each verb needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

RESPONDER, APPROVER, COMMANDER = "responder", "approver", "commander"
ROLES = (RESPONDER, APPROVER, COMMANDER)

VERBS: Mapping[str, frozenset[str]] = {
    "read": frozenset({"anyone"}),
    **dict.fromkeys(
        (
            "declare", "propose", "note", "pin", "ack", "abort", "pause", "assign", "severity",
            "resolve", "reopen",
            "break-glass",  # which of them is the site's word: ``approvals.break_glass.roles``
        ),
        frozenset(ROLES),
    ),
    **dict.fromkeys(
        ("approve", "reject", "resume", "rollback", "release"),
        frozenset({APPROVER, COMMANDER}),
    ),
    "continue": frozenset({COMMANDER}),  # to resume after a gate has halted the rollout
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody known by a stable id. ``roles`` are ``responder approver commander``."""

    id: str
    name: str
    roles: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Yes or no, and why."""

    ok: bool
    sentence: str


def may(person: Person, verb: str) -> Decision:
    """Say whether this person's roles allow the verb."""
    wanted = VERBS.get(verb, frozenset())
    if "anyone" in wanted or wanted & person.roles:
        return Decision(ok=True, sentence=f"{person.name} may {verb}")
    return Decision(ok=False, sentence=lacks(person, verb, wanted))


def lacks(person: Person, verb: str, wanted: Collection[str]) -> str:
    """Say which roles the verb needs and which ones the person has."""
    have = ", ".join(sorted(person.roles)) or "no role"
    return f"{verb} needs the role {either(sorted(wanted))}; {person.name} has {have}"


def either(words: Iterable[str]) -> str:
    """Write alternatives: ``approver or commander``; ``nobody`` for none."""
    return " or ".join(words) or "nobody"
