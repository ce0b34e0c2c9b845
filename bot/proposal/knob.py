"""Which setting a proposal would change, and whether another proposal stands in its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.incident.state import BUSY, Exposure, Incident, Outcome, Proposal, ProposalState
from bot.runbook.model import Mitigation, Runbook, resolved


def knob_of(runbook: Runbook, mitigation: Mitigation, purpose: str) -> dict[str, Any] | None:
    """Return ``{key, value}`` of what a mitigation sets; None if it sets no knob.

    It sets one if its runbook has a ``knob`` and it has the variable ``value``. The key is the
    variable ``key``, else the knob's name. A rollback wants each host's own prior value: None.
    """
    variables = resolved(mitigation)
    if len(runbook.knob) != 1 or "value" not in variables:
        return None
    key = spelled(str(variables.get("key", runbook.knob[0].name)))
    return {"key": key, "value": None if purpose == "rollback" else str(variables["value"])}


def spelled(key: str) -> str:
    """Write a sysctl key with dots: ``net/ipv4/tcp_sack`` and ``net.ipv4.tcp_sack`` are one."""
    dot, slash = key.find("."), key.find("/")
    swap = slash >= 0 and (dot < 0 or slash < dot)
    return key.translate(str.maketrans("./", "/.")) if swap else key


def in_force(incident: Incident, proposal: Proposal) -> bool:
    """Say whether a proposal still claims its knob.

    It does from when it is made until it is rejected, expired, superseded, aborted, rolled back
    or its hold is released; a rollback until it is done and no host is owed.
    """
    if proposal.state is ProposalState.OPEN or proposal.state in BUSY:
        return True
    if proposal.state is not ProposalState.DONE or proposal.authority_ended:
        return False
    if proposal.purpose != "rollback":
        return True
    left = {Outcome.OWED, Outcome.UNKNOWN}
    return incident.rollout is proposal and any(
        incident.host(name).outcome in left for name in proposal.hosts
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Another proposal that claims the same key on ``hosts``; ``agrees``: to the same value."""

    incident: str
    proposal: str
    value: str | None
    hosts: tuple[str, ...]
    by: str
    agrees: bool

    @property
    def sentence(self) -> str:
        """Name it, what it does and who runs it."""
        does = "takes its value back" if self.value is None else f"sets it to {self.value}"
        shown = ", ".join(self.hosts[:3]) + (", …" if len(self.hosts) > 3 else "")
        return (
            f"{self.proposal} of {self.incident} {does} on {len(self.hosts)} of these hosts "
            f"({shown}), {self.by}"
        )


def claim(
    content: Mapping[str, Any], incident: Incident, proposal: Proposal, names: Mapping[str, str]
) -> Claim | None:
    """Weigh a proposal in force against a new one's content; None if they do not meet.

    ``names`` are people by id. The proposal that a rollback takes back, and one that the new one
    replaces because it was never started, do not stand in its way.
    """
    mine, theirs = content.get("knob"), proposal.content.get("knob")
    if not mine or not theirs or mine["key"] != theirs["key"]:
        return None
    replaced = incident.id == content["incident"] and proposal.started_at is None
    if replaced or content["rollback_of"] == proposal.id:
        return None
    common = tuple(sorted(_touched(content) & _touched(proposal.content)))
    if not common:
        return None
    ids = proposal.approved_by
    people = ", ".join(names.get(one, one) for one in ids)
    asked = names.get(proposal.requester, proposal.requester)
    return Claim(
        incident=incident.id,
        proposal=proposal.id,
        value=theirs["value"],
        hosts=common,
        by=f"run by {people}" if ids else f"not started, requested by {asked}",
        agrees=mine["value"] is not None and mine["value"] == theirs["value"],
    )


def _touched(content: Mapping[str, Any]) -> set[str]:
    hosts = content["hosts"]
    return {h for h in hosts if hosts[h]["exposure"] != Exposure.NOT_APPLICABLE}
