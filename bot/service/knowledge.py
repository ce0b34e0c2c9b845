"""Look runbooks up, and see whether what a proposal was made from is still the same."""

from __future__ import annotations

from typing import Any

from bot.approval.rules import facts_of, terms
from bot.errors import NotFoundError
from bot.incident.state import Incident, Proposal
from bot.runbook.model import Library, Mitigation, Runbook, resolved
from bot.service.site import Site


def find(library: Library, runbook: str) -> Runbook:
    """Return a runbook by its id; raise ``NotFoundError``."""
    for one in library.runbooks:
        if one.id == runbook:
            return one
    raise NotFoundError(f"there is no runbook {runbook!r}", next="see 'holdfast runbook list'")


def mitigation_of(runbook: Runbook, name: str) -> Mitigation:
    """Return a mitigation by its id, the first for ''; raise ``NotFoundError``."""
    for one in runbook.mitigations:
        if one.id == name or not name:
            return one
    names = ", ".join(m.id for m in runbook.mitigations) or "none"
    raise NotFoundError(f"runbook {runbook.id} has no mitigation {name!r}", next=f"it has: {names}")


def current_sources(
    site: Site, incident: Incident, proposal: Proposal, *, deep: bool
) -> dict[str, Any]:
    """Return today's value of a proposal's sources; ``deep`` resolves the inventory too."""
    content = proposal.content
    now: dict[str, Any] = {"tree": site.sources.tree()}
    try:
        library = site.sources.library()
        runbook = find(library, content["runbook"]["id"])
        mitigation = mitigation_of(runbook, content["mitigation"]["id"])
        now["runbook"] = {**content["runbook"], "revision": site.sources.revision(runbook.id)}
        now["variables"] = {**resolved(mitigation), "ref": proposal.id}
        facts = facts_of(content, incident.severity)
        now["approval"] = terms(site.policy, facts, mitigation.approvals)
    except NotFoundError:
        now["runbook"] = None
    if deep:
        inventory = site.sources.inventory()
        listed = sorted(content["hosts"])
        gone = [h for h in listed if h not in inventory.hosts]
        if gone:
            now["missing"] = gone
        else:
            now["inventory"] = site.sources.hosts_hash(inventory, listed)
    return now
