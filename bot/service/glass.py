"""Break-glass: an emergency start without the usual approvals, in the open.

It goes past who has to approve and past freezes. It does not go past the digest, expiry, single use or
anything that governs the writes afterwards.
"""

from __future__ import annotations

from bot.approval.count import Glass, broken, glass_why_not
from bot.approval.rules import glass_of
from bot.clock import stamp
from bot.decide import Action
from bot.errors import BadInputError, RefusedError
from bot.incident.state import Incident, Proposal
from bot.ports import Transaction
from bot.service.approve import misread, refuse, too_late, word
from bot.service.site import Site, allow, locate, refold, reread
from bot.service.step import Commit
from bot.timeline.entry import Actor, Draft


def break_glass(site: Site, name: str, actor: Actor, reason: str, digest: str = "") -> str:
    """Take one person's word that the proposal has to start now; its reason is on record.

    Enough people open the door at once; one alone opens it after the delay, which the worker sees.
    """
    if not reason.strip():
        raise BadInputError("break-glass needs a reason", next=f"break-glass {name} WHY")
    allow(site, actor, "break-glass")
    incident = locate(site, name)
    rule = site.policy.glass
    reread(site, [actor.id], rule.roles if rule else ())
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        proposal = now.proposals[name]
        refusal = _refusal(site, now, proposal, actor, digest)
        said = ""
        if refusal:
            refuse(tx, now, proposal, actor, refusal, what="break-glass")
        else:
            said = _take(site, tx, now, proposal, actor, reason.strip())
        tx.wake(incident, site.clock.now())
    if refusal:
        raise RefusedError(
            refusal, where=name, next=f"see 'details {name}'; the fleet was not touched"
        )
    return said


def _refusal(site: Site, now: Incident, proposal: Proposal, actor: Actor, digest: str) -> str:
    mine = word(site, proposal, actor)
    refusal = (
        misread(proposal, digest)
        or glass_why_not(proposal, mine, site.people)
        or too_late(site, now, proposal)
    )
    if refusal:
        return refusal
    if any(one.person == actor.id for one in proposal.glass):
        return "you broke the glass already"
    return ""


def _take(
    site: Site, tx: Transaction, now: Incident, proposal: Proposal, actor: Actor, reason: str
) -> str:
    text = f"BREAK-GLASS: {actor.name} wants {proposal.id} started without the usual approvals"
    tx.append(
        now.id,
        Draft(
            key=f"glass.{proposal.id}.by.{actor.id}",
            kind="glass.broken",
            text=f"{text}: {reason}",
            actor=actor,
            data={"proposal": proposal.id, "digest": proposal.digest, "why": reason},
        ),
    )
    after = refold(tx, now.id).proposals[proposal.id]
    glass = broken(after, site.people)
    assert glass is not None
    if why := glass.opens(site.clock.now()):
        tx.append(now.id, _opened(after, glass, why))
        return f"{proposal.id}: {why}; the rollout starts with the canary"
    return f"{proposal.id}: {outlook(after, glass)}"


def outlook(proposal: Proposal, glass: Glass) -> str:
    """Say what a broken glass waits for: another person, or its delay."""
    rule = glass_of(proposal.content)
    assert rule is not None
    more = rule.people - len(glass.counted)
    other = (
        f"{more} more {'person' if more == 1 else 'people'} with 'break-glass {proposal.id} WHY'"
    )
    if glass.due is None or glass.due >= proposal.expires_at:
        return f"starts at once with {other}; it expires before one person alone is enough"
    return (
        f"starts at {stamp(glass.due)}, or at once with {other}; "
        f"'reject {proposal.id}' or 'abort {proposal.id}' stops it"
    )


def open_door(site: Site, incident: Incident, action: Action) -> Commit | None:
    """Let one person's word be enough, now that the delay is over."""
    proposal = incident.proposals[action.proposal]
    glass = broken(proposal, site.people)
    why = glass.opens(site.clock.now()) if glass else ""
    if glass is None or not why:
        return None

    def commit(tx: Transaction, now: Incident) -> None:
        tx.append(now.id, _opened(now.proposals[proposal.id], glass, why))

    return commit


def _opened(proposal: Proposal, glass: Glass, why: str) -> Draft:
    who = " and ".join(one.name for one in proposal.glass if one.person in glass.counted)
    return Draft(
        key=f"glass.{proposal.id}.opened",
        kind="glass.opened",
        text=f"BREAK-GLASS: {proposal.id} is started without the usual approvals: {why} "
        f"({glass.said})",
        data={
            "proposal": proposal.id,
            "digest": proposal.digest,
            "why": f"{who}: {why}",
            "people": list(glass.counted),
        },
    )
