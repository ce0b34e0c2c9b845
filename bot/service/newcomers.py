"""Hosts that become targets while a mitigation is under way: proposed, never silently included."""

from __future__ import annotations

from bot.decide import Action
from bot.incident.state import Incident, Request
from bot.ports import Transaction
from bot.service.knowledge import find, mitigation_of
from bot.service.prepare import targets
from bot.service.request import request_draft
from bot.service.site import Site
from bot.service.step import Commit
from bot.timeline.entry import BOT, Draft


def propose(site: Site, incident: Incident, action: Action) -> Commit | None:
    """Ask, once, for a proposal for exactly the targets that no proposal or request has covered."""
    inventory = site.sources.known()
    if inventory is None:
        return None
    rollout = incident.proposals[action.proposal]
    content = rollout.content
    runbook = find(site.sources.library(), content["runbook"]["id"])
    mitigation = mitigation_of(runbook, content["mitigation"]["id"])
    wish = Request(
        number=0,
        runbook=runbook.id,
        mitigation=mitigation.id,
        purpose=rollout.purpose,
        requester=BOT.id,
    )
    covered = {h for p in incident.proposals.values() for h in p.content["hosts"]}
    covered |= {h for r in incident.requests for h in r.hosts}
    found = targets(incident, wish, mitigation, sorted(inventory.hosts), inventory.pools)
    fresh = [h for h in found if h not in covered]
    if not fresh:
        return None
    shown = ", ".join(fresh[:4]) + (f" and {len(fresh) - 4} more" * (len(fresh) > 4))

    def commit(tx: Transaction, now: Incident) -> None:
        number = len(now.requests) + 1
        asked = request_draft(runbook, mitigation, BOT, number, hosts=fresh)
        told = Draft(
            key=f"joined.{number}",
            kind="hosts.joined",
            text=f"{len(fresh)} became targets after {rollout.id} was made: {shown}; "
            "nothing touches them before a proposal of their own is approved",
            data={"proposal": rollout.id, "hosts": fresh},
        )
        tx.append(now.id, told, asked)

    return commit
