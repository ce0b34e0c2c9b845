"""What everybody is told when somebody breaks the glass."""

from __future__ import annotations

from collections.abc import Mapping

from bot.approval.count import broken
from bot.approval.roles import Person
from bot.chat.card import Button, Card
from bot.incident.state import Incident, Proposal, ProposalState
from bot.service.glass import outlook


def field(proposal: Proposal, people: Mapping[str, Person] | None = None) -> list[tuple[str, str]]:
    """Return the row of a card about a proposal's broken glass; none if it is whole.

    With ``people`` it says what the glass waits for.
    """
    if not proposal.glass:
        return []
    said = "; ".join(f"{one.name}: {one.reason}" for one in proposal.glass)
    if proposal.glass_opened:
        return [("BREAK-GLASS", f"{proposal.glass_opened} ({said})")]
    glass = broken(proposal, people) if people is not None else None
    if glass is not None and proposal.state is ProposalState.OPEN:
        said += f"; {outlook(proposal, glass)}"
    return [("BREAK-GLASS", said)]


def glass_card(incident: Incident, proposal: Proposal, people: Mapping[str, Person]) -> Card | None:
    """Return the message of its own that tells everybody; None if nobody broke the glass."""
    rows = field(proposal, people)
    if not rows:
        return None
    stops = proposal.state is ProposalState.OPEN
    stop = Button(label="Stop it", line=f"abort {proposal.id}", style="danger")
    return Card(
        title=f"BREAK-GLASS · {incident.id} · {proposal.id}: {proposal.glass[0].name} wants it "
        "started without the usual approvals",
        tone="bad",
        fields=(
            ("Does", str(proposal.content["mitigation"]["title"])),
            ("Hosts", str(len(proposal.hosts))),
            *rows,
        ),
        buttons=(stop, Button(label="Details", line=f"details {proposal.id}"))
        if stops
        else (Button(label="Details", line=f"details {proposal.id}"),),
    )
