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

    Of a proposal that meets in several keys: one that disagrees, else the first.

    Claims of proposals that are over are forgotten on the way, so only live ones are ever folded.
    """
    names = {person.id: person.name for person in site.people.values()}
    found: dict[str, Claim] = {}
    for key in content.get("knobs", {}):
        for name, proposal in tx.knob_claims(key):
            incident = now if name == now.id else refold(tx, name)
            other = incident.proposals.get(proposal)
            if other is None or not in_force(incident, other):
                tx.drop_knob(proposal)
                continue
            met = claim(content, key, incident, other, names)
            if met and (proposal not in found or not met.agrees):
                found[proposal] = met
    return list(found.values())


def refusal(content: Mapping[str, Any], met: Claim) -> str:
    """Say which proposal is in the way and what to do about it."""
    value = content["knobs"][met.key]
    wish = "take its value back" if value is None else f"set it to {value}"
    return (
        f"{met.key}: {met.sentence}; this one would {wish}. Next: let {met.proposal} end, or "
        f"reject, abort or roll it back, or release {met.incident}; then propose again"
    )
