"""What people say about an incident: notes, roles, severity, the end."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from bot.errors import BadInputError, ConflictError
from bot.incident.state import BUSY, Incident, Proposal, ProposalState
from bot.service.site import Site, allow, refold
from bot.timeline.entry import Actor, Draft

ROLES = ("commander", "ops", "scribe")
SEVERITIES = ("sev1", "sev2", "sev3", "sev4")


def note(site: Site, incident: str, text: str, actor: Actor) -> str:
    """Add a note to the timeline."""
    allow(site, actor, "note")
    if not text.strip():
        raise BadInputError("the note is empty", next="note INC-1 what you saw")
    _append(site, incident, "note.added", text.strip(), actor, {})
    return f"noted in {incident}"


def assign(site: Site, incident: str, role: str, who: str, actor: Actor) -> str:
    """Give a role to a person of the configuration; ``me`` is whoever says it.

    Role and person may be said in either order.
    """
    allow(site, actor, "assign")
    if role.lower() not in ROLES and who.lower() in ROLES:
        role, who = who, role
    role = role.lower()
    if role not in ROLES:
        raise BadInputError(f"there is no role {role!r}", next=_close(role, ROLES))
    key = actor.id if who.lower() == "me" else who.removeprefix("@")
    if key not in site.people:
        names = [*site.people, "me"]
        raise BadInputError(
            f"unknown person {who!r}", next=f"{_close(key, names)}; 'people' in the config has them"
        )
    text = f"{site.people[key].name} is {role}"
    _append(site, incident, "incident.assigned", text, actor, {"role": role, "person": key})
    return f"{incident}: {text}"


def ack(site: Site, incident: str, actor: Actor) -> str:
    """Say that somebody is on it."""
    allow(site, actor, "ack")
    text = f"{actor.name} is on it"
    _append(site, incident, "incident.assigned", text, actor, {"role": "ops", "person": actor.id})
    return f"{incident}: {text}"


def severity(site: Site, incident: str, level: str, actor: Actor) -> str:
    """Set the severity."""
    allow(site, actor, "severity")
    level = severity_of(level)
    _append(site, incident, "incident.severity", f"severity {level}", actor, {"severity": level})
    return f"{incident} is {level}"


def severity_of(word: str) -> str:
    """Read ``sev1``, ``SEV1`` or ``1``; raise ``BadInputError``."""
    level = word.strip().lower()
    level = f"sev{level}" if level.isdigit() else level
    if level not in SEVERITIES:
        raise BadInputError(f"{word!r} is no severity", next=f"use {', '.join(SEVERITIES)}")
    return level


def _close(word: str, known: Sequence[str]) -> str:
    """Return the nearest known word as a question, or all of them."""
    near = get_close_matches(word.lower(), known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"use {', '.join(known)}"


def resolve(site: Site, incident: str, actor: Actor) -> str:
    """Close the incident. A hold goes on until it is released."""
    allow(site, actor, "resolve")
    with site.store.transaction(incident, "intake") as tx:
        now = refold(tx, incident)
        if now.state != "open":
            raise ConflictError(f"{incident} is {now.state} already", next="reopen it to go on")
        busy = next((p for p in now.proposals.values() if p.state in BUSY), None)
        if busy is not None:
            raise ConflictError(
                f"{busy.id} is {busy.state}",
                next=f"let it end, or abort {busy.id} first; {incident} stays open",
            )
        for proposal in now.proposals.values():
            if proposal.state is ProposalState.OPEN:
                tx.append(incident, _left(proposal, actor))
        text = f"resolved by {actor.name}"
        tx.append(incident, _draft(now, "incident.resolved", text, actor))
        tx.close(incident)
    held = " The hold goes on until it is released." if now.hold.state == "active" else ""
    return f"{incident} resolved.{held}"


def _left(proposal: Proposal, actor: Actor) -> Draft:
    why = "the incident was resolved"
    return Draft(
        key=f"superseded.{proposal.id}",
        kind="proposal.superseded",
        text=f"{proposal.id} superseded: {why}",
        actor=actor,
        data={"proposal": proposal.id, "digest": proposal.digest, "why": why},
    )


def reopen(site: Site, incident: str, actor: Actor) -> str:
    """Open a resolved incident again."""
    allow(site, actor, "reopen")
    with site.store.transaction(incident, "intake") as tx:
        now = refold(tx, incident)
        if now.state == "open":
            raise ConflictError(f"{incident} is open already", next="see 'status'")
        tx.append(incident, _draft(now, "incident.reopened", f"reopened by {actor.name}", actor))
        tx.close(incident, open=True)
        tx.wake(incident, site.clock.now())
    return f"{incident} is open again"


def _append(
    site: Site, incident: str, kind: str, text: str, actor: Actor, data: dict[str, str]
) -> None:
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        key = f"{kind}.{now.seq + 1}"
        tx.append(incident, Draft(key=key, kind=kind, text=text, actor=actor, data=data))


def _draft(now: Incident, kind: str, text: str, actor: Actor) -> Draft:
    return Draft(key=f"{kind}.{now.seq + 1}", kind=kind, text=text, actor=actor)
