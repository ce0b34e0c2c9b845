"""Who may do what, and what an approval lets the bot write. Every answer has its sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.incident.state import Approval, Proposal, ProposalState

RESPONDER, APPROVER, COMMANDER = "responder", "approver", "commander"

VERBS: Mapping[str, frozenset[str]] = {
    "read": frozenset({"anyone"}),
    **dict.fromkeys(
        ("propose", "note", "ack", "abort", "pause", "assign", "severity", "resolve", "reopen"),
        frozenset({RESPONDER, APPROVER, COMMANDER}),
    ),
    **dict.fromkeys(
        ("approve", "reject", "resume", "rollback", "release"),
        frozenset({APPROVER, COMMANDER}),
    ),
    "continue": frozenset({COMMANDER}),
}
"""Who may do what. To ``continue`` is to ``resume`` after a gate has halted the rollout."""


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
    need = " or ".join(sorted(wanted)) or "nobody"
    have = ", ".join(sorted(person.roles)) or "no role"
    return Decision(ok=False, sentence=f"{verb} needs the role {need}; {person.name} has {have}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncounted:
    """An approval that does not count, and why."""

    who: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How far the approvals of a proposal have come."""

    required: int
    counted: tuple[str, ...]
    not_counted: tuple[Uncounted, ...]

    @property
    def complete(self) -> bool:
        """True when enough people said yes."""
        return len(self.counted) >= self.required

    @property
    def sentence(self) -> str:
        """``0/1 approvals, 1 not counted: the requester cannot approve``."""
        text = f"{len(self.counted)}/{self.required} approvals"
        if self.not_counted:
            whys = "; ".join(dict.fromkeys(f"{u.who}: {u.why}" for u in self.not_counted))
            text += f", {len(self.not_counted)} not counted ({whys})"
        return text


def tally(proposal: Proposal, approvals: Sequence[Approval], people: Mapping[str, Person]) -> Tally:
    """Count distinct people who may approve, never the requester, only for this digest."""
    counted: list[str] = []
    refused: list[Uncounted] = []
    for approval in approvals:
        why = _why_not(proposal, approval, people)
        if why:
            refused.append(Uncounted(who=approval.name, why=why))
        elif approval.person not in counted:
            counted.append(approval.person)
    required = max(1, int(proposal.content["approvals"]))
    return Tally(required=required, counted=tuple(counted), not_counted=tuple(refused))


def _why_not(proposal: Proposal, approval: Approval, people: Mapping[str, Person]) -> str:
    person = people.get(approval.person)
    if approval.digest != proposal.digest:
        return "it was given for other content"
    if approval.person == proposal.requester:
        return "the requester cannot approve"
    if person is None:
        return "unknown person"
    return "" if may(person, "approve").ok else may(person, "approve").sentence


PURPOSES: Mapping[str, frozenset[ProposalState]] = {
    "first": frozenset({ProposalState.RUNNING}),
    "retry": frozenset({ProposalState.RUNNING, ProposalState.DONE}),
    "reboot": frozenset({ProposalState.RUNNING, ProposalState.DONE}),
    "restore": frozenset({ProposalState.RUNNING, ProposalState.DONE}),
    "rollback": frozenset({ProposalState.RUNNING, ProposalState.DONE}),
}
"""In which states of its proposal a write for this purpose is legal."""


def may_write(proposal: Proposal, host: str, purpose: str) -> Decision:
    """Say whether the approvals of ``proposal`` let the bot write to ``host`` for ``purpose``.

    Expiry, single use and the counting of people govern the start, which has its own check
    (``may_start``); so time does not appear here. A started approval lasts until abort, rollback
    or release. Nothing reaches a host without this yes.
    """
    allowed = PURPOSES.get(purpose)
    if allowed is None:
        return Decision(ok=False, sentence=f"unknown purpose {purpose!r}")
    if proposal.started_at is None or not proposal.approved_by:
        return Decision(ok=False, sentence=f"{proposal.id} was never started by an approval")
    if proposal.authority_ended:
        return Decision(
            ok=False, sentence=f"{proposal.id} was {proposal.authority_ended}: no more writes"
        )
    if proposal.state not in allowed:
        return Decision(
            ok=False, sentence=f"{proposal.id} is {proposal.state}: no {purpose} writes"
        )
    if (purpose == "rollback") != (proposal.purpose == "rollback"):
        return Decision(ok=False, sentence=f"{proposal.id} does not approve a {purpose}")
    if host not in proposal.content["hosts"]:
        return Decision(ok=False, sentence=f"{host} is not on the approved list of {proposal.id}")
    if purpose == "restore" and proposal.content["hold"].get("action") != "restore":
        return Decision(ok=False, sentence=f"{proposal.id} does not approve restores")
    return Decision(ok=True, sentence=f"{proposal.id} approves the {purpose} on {host}")


def may_start(proposal: Proposal, people: Mapping[str, Person], now: datetime) -> Decision:
    """Say whether the rollout may start: approved, complete, in time, not used before."""
    if proposal.state is not ProposalState.APPROVED or proposal.started_at is not None:
        return Decision(ok=False, sentence=f"{proposal.id} is {proposal.state}, not approved")
    if now >= proposal.expires_at:
        return Decision(ok=False, sentence=f"{proposal.id} expired")
    count = tally(proposal, proposal.approvals, people)
    return Decision(ok=count.complete, sentence=f"{proposal.id}: {count.sentence}")
