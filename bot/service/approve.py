"""People's yes and no to one digest."""

from __future__ import annotations

from bot.approval.policy import VERBS, Tally, tally
from bot.approval.rules import facts_of, frozen
from bot.errors import BadInputError, ConflictError, RefusedError
from bot.incident.cascade import outcomes, tallied
from bot.incident.state import Approval, Incident, Proposal, ProposalState, may_move
from bot.ports import Transaction
from bot.service.site import Site, allow, locate, person, refold, reread
from bot.timeline.entry import Actor, Draft


def approve(site: Site, name: str, actor: Actor, digest: str = "") -> str:
    """Count a person's yes to the digest; start nothing here: the worker does.

    ``digest`` may be a prefix; if it is given it must fit. Every refusal is recorded.
    """
    incident = locate(site, name)
    reread(site, [actor.id], VERBS["approve"])
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        proposal = now.proposals[name]
        uncounted = _uncounted(site, proposal, actor)
        refusal = misread(proposal, digest) or uncounted or _refusal(site, now, proposal, actor)
        count = None if refusal else _count(site, tx, now, proposal, actor)
        if refusal:
            refuse(tx, now, proposal, actor, refusal, uncounted=refusal == uncounted)
        tx.wake(incident, site.clock.now())
    if count is None:
        raise _refused(site, name, refusal, uncounted)
    if count.complete:
        return f"{name} approved ({count.sentence}); the rollout starts with the canary"
    return f"{name}: {count.sentence}; still needed: {count.missing}"


def ask(site: Site, name: str, actor: Actor, digest: str = "") -> Proposal:
    """Return the proposal if this person's yes to it would be taken now; approve nothing.

    A refusal is recorded and raised as ``approve`` would.
    """
    incident = locate(site, name)
    reread(site, [actor.id], VERBS["approve"])
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        proposal = now.proposals[name]
        uncounted = _uncounted(site, proposal, actor)
        refusal = misread(proposal, digest) or uncounted or _refusal(site, now, proposal, actor)
        if refusal:
            refuse(tx, now, proposal, actor, refusal, uncounted=refusal == uncounted)
    if refusal:
        raise _refused(site, name, refusal, uncounted)
    return proposal


def _refused(site: Site, name: str, refusal: str, uncounted: str) -> RefusedError:
    """Return the refusal; who does not count is told if the groups could not be read."""
    trouble = getattr(site.people, "trouble", "") if uncounted else ""
    return RefusedError(
        f"{refusal}; {trouble}" if trouble else refusal,
        where=name,
        next=f"see 'details {name}'; the fleet was not touched",
    )


def misread(proposal: Proposal, digest: str) -> str:
    """Return why a digest that a person named is not this proposal's; '' if it is, or none was."""
    if digest and not proposal.digest.startswith(digest.removeprefix("sha256:").lower()):
        return f"the digest {digest!r} is not this proposal's ({proposal.digest[:12]})"
    if digest and len(digest) < 4:
        return "a digest prefix needs at least 4 characters"
    return ""


def _uncounted(site: Site, proposal: Proposal, actor: Actor) -> str:
    """Return why this person's yes counts for nothing, whenever it comes; '' if it counts."""
    counted = tally(proposal, [word(site, proposal, actor)], site.people)
    mine = [one for one in counted.not_counted if actor.id not in counted.counted]
    return mine[-1].why if mine and not counted.counted else ""


def _refusal(site: Site, now: Incident, proposal: Proposal, actor: Actor) -> str:
    """Return why a yes that counts cannot be taken now; '' if it can."""
    if late := too_late(site, now, proposal):
        return late
    facts = facts_of(proposal.content, now.severity)
    if stop := frozen(site.policy, facts, site.clock.now()):
        door = f"; in an emergency: break-glass {proposal.id} WHY"
        return stop + (door if site.policy.glass else "")
    if any(a.person == actor.id for a in proposal.approvals):
        return "you approved it already"
    return ""


def too_late(site: Site, now: Incident, proposal: Proposal) -> str:
    """Return why nobody's yes can be taken any more; '' if it can."""
    if now.state != "open":
        return f"{now.id} is resolved; reopen it first"
    if proposal.state is not ProposalState.OPEN:
        words = proposal.glass if proposal.glass_opened else proposal.approvals
        by = ", ".join(dict.fromkeys(a.name for a in words))
        how = "break-glass" if proposal.glass_opened else "approved"
        note = f" ({how} by {by})" if by else f" ({proposal.why})" if proposal.why else ""
        return f"{proposal.id} is {proposal.state} already{note}"
    if site.clock.now() >= proposal.expires_at:
        return f"{proposal.id} expired; propose again"
    return ""


def word(site: Site, proposal: Proposal, actor: Actor, reason: str = "") -> Approval:
    """Return a person's word on the proposal's digest, said now."""
    return Approval(
        person=actor.id,
        name=actor.name,
        via=actor.via,
        digest=proposal.digest,
        at=site.clock.now(),
        reason=reason,
    )


def _count(site: Site, tx: Transaction, now: Incident, proposal: Proposal, actor: Actor) -> Tally:
    count = tally(proposal, [*proposal.approvals, word(site, proposal, actor)], site.people)
    tx.append(
        now.id,
        Draft(
            key=f"approved.{proposal.id}.by.{actor.id}",
            kind="approval.given",
            text=f"{actor.name} approved {proposal.id} ({count.sentence})",
            actor=actor,
            data={
                "proposal": proposal.id,
                "digest": proposal.digest,
                "complete": count.complete,
                "roles": sorted(person(site, actor).roles),
            },
        ),
    )
    return count


def refuse(
    tx: Transaction,
    now: Incident,
    proposal: Proposal,
    actor: Actor,
    why: str,
    *,
    uncounted: bool = False,
    what: str = "approval",
) -> None:
    """Record a refused yes. ``uncounted``: whoever gave it does not count, whenever they say it."""
    tx.append(
        now.id,
        Draft(
            key=f"refused.{proposal.id}.by.{actor.id}.{now.seq + 1}",
            kind="approval.refused",
            text=f"{actor.name}'s {what} of {proposal.id} was refused: {why}",
            actor=actor,
            data={
                "proposal": proposal.id,
                "digest": proposal.digest,
                "why": why,
                "uncounted": uncounted,
            },
        ),
    )


def reject(site: Site, name: str, actor: Actor, why: str = "") -> str:
    """Say no: nothing starts any more from this proposal."""
    allow(site, actor, "reject")
    said = f": {why}" if why else ""
    _move(site, name, actor, "rejected", ProposalState.REJECTED, f"rejected by {actor.name}{said}")
    return f"{name} rejected; nothing was run"


def abort(site: Site, name: str, actor: Actor, why: str = "") -> str:
    """End a rollout now: stop its runs, and let nobody write under it any more.

    Of a proposal whose glass was broken and that has not started, it is a no that anybody may say.
    """
    allow(site, actor, "abort")
    incident = locate(site, name)
    said = f": {why}" if why else ""
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        proposal = now.proposals[name]
        if proposal.glass and proposal.state is ProposalState.OPEN:
            no = f"stopped by {actor.name} before the glass opened{said}"
            _append_move(site, tx, now, proposal, actor, "rejected", no)
            return f"{name} rejected; nothing was run"
        if not may_move(proposal.state, ProposalState.ABORTED):
            raise ConflictError(
                f"{name} is {proposal.state}: there is nothing to abort", next="see 'status'"
            )
        _stop_runs(tx, incident, name)
        tx.append(
            incident,
            Draft(
                key=f"aborted.{name}",
                kind="rollout.aborted",
                text=f"{name} aborted by {actor.name}{said}; so far {tallied(now)}",
                actor=actor,
                data={
                    "proposal": name,
                    "digest": proposal.digest,
                    "why": why,
                    "outcomes": outcomes(now),
                },
            ),
        )
        tx.wake(incident, site.clock.now())
    return f"{name} aborted: its runs are being stopped and the hosts in flight are read back"


def _stop_runs(tx: Transaction, incident: str, proposal: str) -> None:
    """Ask every live run of a proposal to stop."""
    for run in tx.runs(incident):
        if run.state in {"queued", "running"} and run.spec.get("proposal") == proposal:
            tx.cancel(run.ident)


def pause(site: Site, name: str, actor: Actor) -> str:
    """Start no further wave until resumed; a wave in flight runs to its end."""
    allow(site, actor, "pause")
    _move(site, name, actor, "paused", ProposalState.PAUSED, f"paused by {actor.name}")
    return f"{name} paused: the wave in flight ends, no other starts"


def resume(site: Site, name: str, actor: Actor) -> str:
    """Go on after a pause, or as a commander after a halt, under the same digest."""
    allow(site, actor, "resume")
    text = f"resumed by {actor.name} under the same digest"
    _move(site, name, actor, "resumed", ProposalState.RUNNING, text)
    return f"{name} goes on under the same digest"


def release(site: Site, incident: str, actor: Actor) -> str:
    """End the hold: nothing is watched or restored any more."""
    allow(site, actor, "release")
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        if not now.hold.proposals:
            raise ConflictError(f"{incident} has no active hold", next="see 'status'")
        owed = sorted(h.name for h in now.hosts.values() if h.outcome == "owed")
        note = f"; still owed and now left alone: {', '.join(owed)}" if owed else ""
        for held in now.hold.proposals:
            _stop_runs(tx, incident, held)
            tx.append(
                incident,
                Draft(
                    key=f"released.{held}",
                    kind="hold.released",
                    text=f"hold released by {actor.name}: {tallied(now)}{note}",
                    actor=actor,
                    data={"proposal": held, "owed": owed, "outcomes": outcomes(now)},
                ),
            )
    return (
        f"{incident}: hold released. The value and its file stay on the hosts until a "
        f"rollback{note}"
    )


def _by(proposal: Proposal) -> str:
    """Say who approved a proposal, or why it is in its state: the loser of a race wants to know."""
    names = ", ".join(dict.fromkeys(a.name for a in proposal.approvals))
    if proposal.why:
        return f" ({proposal.why})"
    return f" (approved by {names})" if names else ""


def _move(site: Site, name: str, actor: Actor, said: str, to: ProposalState, why: str) -> None:
    incident = locate(site, name)
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        proposal = now.proposals[name]
        if not may_move(proposal.state, to):
            raise ConflictError(
                f"{name} is {proposal.state} and cannot be {said}{_by(proposal)}",
                next="see 'status'",
            )
        if said == "resumed" and proposal.state is ProposalState.APPROVED:
            raise BadInputError(f"{name} was not started yet", next="it starts by itself")
        if said == "resumed" and proposal.state is ProposalState.HALTED:
            allow(site, actor, "continue")
        _append_move(site, tx, now, proposal, actor, said, why)


def _append_move(
    site: Site,
    tx: Transaction,
    now: Incident,
    proposal: Proposal,
    actor: Actor,
    said: str,
    why: str,
) -> None:
    tx.append(
        now.id,
        Draft(
            key=f"{said}.{proposal.id}.{now.seq + 1}",
            kind="proposal.rejected" if said == "rejected" else f"rollout.{said}",
            text=f"{proposal.id} {why}",
            actor=actor,
            data={"proposal": proposal.id, "digest": proposal.digest, "why": why},
        ),
    )
    tx.wake(now.id, site.clock.now())
