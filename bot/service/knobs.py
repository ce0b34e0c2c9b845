"""Claims to knobs: two proposals never set the same key differently on one host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.incident.state import Incident
from bot.ports import Transaction
from bot.proposal.knob import Claim, claim, in_force
from bot.service.site import Site, refold

LOCK = "knobs"
"""Whoever claims a knob holds this lock, so that of two at once one sees the other."""


def others(site: Site, tx: Transaction, now: Incident, content: Mapping[str, Any]) -> list[Claim]:
    """Return the claims of other proposals, of any incident, that meet with this content's.

    Claims of proposals that are over are forgotten on the way, so only live ones are ever folded.
    """
    knob = content.get("knob")
    names = {person.id: person.name for person in site.people.values()}
    found = []
    for name, proposal in tx.knob_claims(knob["key"]) if knob else []:
        incident = now if name == now.id else refold(tx, name)
        other = incident.proposals.get(proposal)
        if other is None or not in_force(incident, other):
            tx.drop_knob(proposal)
        elif (met := claim(content, incident, other, names)) is not None:
            found.append(met)
    return found


def refusal(content: Mapping[str, Any], met: Claim) -> str:
    """Say which proposal is in the way and what to do about it."""
    knob = content["knob"]
    wish = "take its value back" if knob["value"] is None else f"set it to {knob['value']}"
    return (
        f"{knob['key']}: {met.sentence}; this one would {wish}. Next: let {met.proposal} end, or "
        f"reject, abort or roll it back, or release {met.incident}; then propose again"
    )
