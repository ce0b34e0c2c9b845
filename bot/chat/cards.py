"""The cards of an incident, made from its fold alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.chat import alarm
from bot.chat.card import Button, Card
from bot.chat.proposal_cards import said, why_of, word
from bot.incident.cascade import measure, outcomes
from bot.incident.state import Host, Incident, Outcome, ProposalState
from bot.service.progress import Progress

UNMITIGATED = "may be serving unmitigated"


def headline(
    incident: Incident, now: datetime, lives: Sequence[Progress] = (), last: str = ""
) -> Card:
    """Return the one message of an incident: a latecomer reads it and knows where it stands.

    ``lives`` is what goes on now, ``last`` the last word of a person.
    """
    cascade = measure(incident, now)
    fields = [
        ("Cascade", cascade.sentence),
        ("Commander", incident.commander or "nobody yet: assign commander PERSON"),
        ("Runbook", _runbook(incident)),
    ]
    if incident.cut:
        fields.insert(1, ("Careful", f"the sender left {incident.cut} alerts out: there are more"))
    proposal = incident.current
    if proposal is not None:
        fields.append(("Proposal", f"{proposal.id} {word(incident, proposal)}{why_of(proposal)}"))
        fields += alarm.field(proposal)
    if incident.requests and not incident.requests[-1].settled:
        waiting = incident.requests[-1].waiting
        said = f"{waiting}; probing again until a host with the knob answers" if waiting else ""
        fields.append(("Preparing", said or "a proposal: probing the fleet, then a dry run"))
    elif incident.requests and incident.requests[-1].why:
        fields.append(("No proposal", incident.requests[-1].why))
    if lives:
        fields.append(("Now", "; ".join(one.sentence for one in lives)))
    if incident.rollout is not None:
        fields.append(("Hosts", counts(incident)))
    if incident.hold.state != "none":
        fields.append(("Hold", hold_line(incident)))
    if last:
        fields.append(("Last word", last))
    severity = "" if incident.severity == "unset" else f" · {incident.severity}"
    tone = "good" if incident.state == "resolved" else "bad" if cascade.down else "warn"
    return Card(
        title=f"{incident.id} · {incident.state}{severity} · {incident.title}",
        tone=tone,
        fields=tuple(fields),
        lines=next_steps(incident),
        buttons=_unknown(incident),
    )


def _unknown(incident: Incident) -> tuple[Button, ...]:
    """Offer a look at what is near the crash, where no runbook offers to do anything."""
    settled = incident.match is not None and not incident.requests
    if incident.state != "open" or not settled or incident.current is not None:
        return ()
    return (Button(label="What could turn this off?", line=f"knobs {incident.id}"),)


def next_steps(incident: Incident) -> tuple[str, ...]:
    """Say what a person can do next."""
    proposal = incident.current
    if incident.state != "open":
        return ()
    if incident.requests and incident.requests[-1].why:
        return (f"Next: mend that, then: propose {incident.id}",)
    if proposal is None:
        stuck = incident.match is not None and not incident.requests
        if stuck and (incident.match or {}).get("choice"):
            return (f"Next: propose {incident.id} RUNBOOK ({' or '.join(_equals(incident))})",)
        return (
            ("Next: nothing to propose by itself; read the crash, drain, patch",) if stuck else ()
        )
    steps = {
        ProposalState.OPEN: f"Next: approve {proposal.id} or reject {proposal.id}",
        ProposalState.HALTED: f"Next: resume {proposal.id} (a commander), rollback {proposal.id} or abort",
        ProposalState.PAUSED: f"Next: resume {proposal.id} or abort {proposal.id}",
        ProposalState.EXPIRED: f"Next: propose {incident.id}",
        ProposalState.REJECTED: f"Next: propose {incident.id}",
    }
    step = steps.get(proposal.state)
    return (step,) if step else ()


def _runbook(incident: Incident) -> str:
    match = incident.match
    if match is None and incident.signature is None:
        return f"none, it was declared by hand: propose {incident.id} RUNBOOK"
    if match is None:
        return "matching"
    out = match.get("left_out")
    return _matched(incident, match) + (f". Left out for its errors: {out[0]}" if out else "")


def _matched(incident: Incident, match: Mapping[str, Any]) -> str:
    if match.get("no_knob"):
        return f"{match['candidates'][0]['runbook']}: no knob. {match['no_knob']}"
    names = [c["runbook"] for c in match["candidates"]]
    if not names:
        near = [f"; {n['runbook']} just misses: {n['why']}" for n in match["near"][:1]]
        return "none matches this crash" + "".join(near)
    if match.get("choice"):
        return f"choose, they match equally: {' or '.join(_equals(incident))}"
    advice = "; ".join(one["title"] for one in match.get("advice", []))
    best = f"{names[0]}: {said(match['candidates'][0])}"
    return f"{best}. Advice: {advice}" if advice else best


def _equals(incident: Incident) -> list[str]:
    """Return the runbooks of the best score, between which only a person chooses."""
    candidates = (incident.match or {})["candidates"]
    return [c["runbook"] for c in candidates if c["score"] == candidates[0]["score"]]


def counts(incident: Incident) -> str:
    """``9 verified · 2 not applicable · 1 owed``: always exact, never rounded."""
    found = outcomes(incident)
    rollout = incident.rollout
    undoing = rollout is not None and rollout.purpose == "rollback"
    owed = "may still have the value" if undoing else UNMITIGATED
    parts = [
        f"{n} {o.replace('_', ' ')}{f' ({owed})' if o == Outcome.OWED else ''}"
        for o, n in found.items()
        if n
    ]
    silent = sum(1 for h in incident.hosts.values() if h.outcome is Outcome.VERIFIED and h.down)
    note = f"; {silent} of the verified do not answer now" if silent else ""
    return (" · ".join(parts) or "none touched") + note


def hold_line(incident: Incident) -> str:
    """Describe the hold in one line."""
    hold = incident.hold
    drifting = sorted(h.name for h in incident.hosts.values() if h.drifted)
    now = f", drifting now: {', '.join(drifting)}" if drifting else ""
    return f"{hold.state} · drift seen {hold.drifts} times, restored {hold.restores} times{now}"


def hosts_card(incident: Incident, hosts: Sequence[Host], lives: Sequence[Progress] = ()) -> Card:
    """List hosts; ``lives`` is what goes on now, and tells who is out in it."""
    out = {h: f"out for {age:.0f} s in {one.name}" for one in lives for h, age in one.out}
    rows = [
        f"{h.name:<16} {(h.outcome or h.exposure or 'crashed'):<15} "
        f"{(h.value if h.value is not None else '-'):<6} "
        f"{out.get(h.name) or why(incident, h)}".rstrip()
        for h in hosts
    ]
    return Card(title=f"{incident.id} · {counts(incident)}", code="\n".join(rows))


def why(incident: Incident, host: Host) -> str:
    """Return a host's reason; one that is owed a mitigation may be serving without it."""
    rollout = incident.rollout
    owed = host.outcome is Outcome.OWED and rollout is not None and rollout.purpose != "rollback"
    if not owed or UNMITIGATED in host.reason:
        return host.reason
    return f"{host.reason}; {UNMITIGATED}" if host.reason else UNMITIGATED
