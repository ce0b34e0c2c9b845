"""Who may do what, and what an approval lets the bot write. Every answer has its sentence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bot.approval.count import Glass, Part, Tally, Uncounted, broken, tally
from bot.approval.roles import APPROVER, COMMANDER, RESPONDER, VERBS, Decision, Person, may
from bot.approval.rules import BreakGlass, Policy
from bot.incident.state import Proposal, ProposalState

__all__ = [
    "APPROVER",
    "COMMANDER",
    "PURPOSES",
    "RESPONDER",
    "VERBS",
    "BreakGlass",
    "Decision",
    "Glass",
    "Part",
    "Person",
    "Policy",
    "Tally",
    "Uncounted",
    "broken",
    "may",
    "may_start",
    "may_write",
    "tally",
]

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


def may_start(
    proposal: Proposal, people: Mapping[str, Person], now: datetime, frozen: str = ""
) -> Decision:
    """Say whether the rollout may start: approved, complete, in time, not used before.

    ``frozen`` is why nothing may start now. A glass that was broken goes past it, and past the
    counting of approvals; not past expiry, single use and the digest.
    """
    if proposal.state is not ProposalState.APPROVED or proposal.started_at is not None:
        return Decision(ok=False, sentence=f"{proposal.id} is {proposal.state}, not approved")
    if now >= proposal.expires_at:
        return Decision(ok=False, sentence=f"{proposal.id} expired")
    if proposal.glass_opened:
        glass = broken(proposal, people)
        ok = glass is not None and bool(glass.counted)
        said = f"BREAK-GLASS: {proposal.glass_opened}" if ok else "who broke the glass may not"
        return Decision(ok=ok, sentence=f"{proposal.id}: {said}")
    if frozen:
        return Decision(ok=False, sentence=f"{proposal.id}: {frozen}")
    count = tally(proposal, proposal.approvals, people)
    return Decision(ok=count.complete, sentence=f"{proposal.id}: {count.sentence}")
