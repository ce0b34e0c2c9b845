"""Which settings a proposal would change, and whether another proposal stands in its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.incident.state import BUSY, Exposure, Incident, Outcome, Proposal, ProposalState
from bot.runbook.model import Mitigation, Runbook, resolved


def knobs_of(runbook: Runbook, mitigation: Mitigation, purpose: str) -> dict[str, str | None]:
    """Return what a mitigation sets: values by key; empty if it sets no knob.

    Each ``key=value`` of its ``sysctl_settings`` is one, and each ``module`` (which is blocked). So
    is its variable ``value``, if the runbook has one ``knob``: the key is the variable ``key``, else
    the knob's name. A rollback wants each host's own prior value: None.
    """
    variables = resolved(mitigation)
    found: dict[str, str] = {}
    for name, variable in mitigation.variables.items():
        given = variables[name]
        if variable.type == "sysctl_settings" and isinstance(given, list):
            pairs = (setting.partition("=") for setting in given)
            found |= {spelled(key.strip()): value.strip() for key, _, value in pairs}
        elif variable.type == "module":
            found[f"module {given}".replace("-", "_")] = "blocked"
    if len(runbook.knob) == 1 and "value" in variables:
        key = spelled(str(variables.get("key", runbook.knob[0].name)))
        found[key] = str(variables["value"])
    return {key: None if purpose == "rollback" else value for key, value in found.items()}


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
    """Another proposal that claims the same ``key`` on ``hosts``; ``agrees``: to the same value."""

    incident: str
    proposal: str
    key: str
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
    content: Mapping[str, Any],
    key: str,
    incident: Incident,
    proposal: Proposal,
    names: Mapping[str, str],
) -> Claim | None:
    """Weigh a proposal in force against a new one's content; None if they do not meet in ``key``.

    ``names`` are people by id. The proposal that a rollback takes back, and one that the new one
    replaces because it was never started, do not stand in its way.
    """
    mine, theirs = content.get("knobs", {}), proposal.content.get("knobs", {})
    if key not in mine or key not in theirs:
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
        key=key,
        value=theirs[key],
        hosts=common,
        by=f"run by {people}" if ids else f"not started, requested by {asked}",
        agrees=mine[key] is not None and mine[key] == theirs[key],
    )


def _touched(content: Mapping[str, Any]) -> set[str]:
    hosts = content["hosts"]
    return {h for h in hosts if hosts[h]["exposure"] != Exposure.NOT_APPLICABLE}
