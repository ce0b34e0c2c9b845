"""What might turn an incident's crash off: from shipped facts, for people to look at."""

from __future__ import annotations

from bot.candidates.rank import Candidate, rank
from bot.candidates.table import shipped
from bot.crash.show import from_dict
from bot.incident.state import Incident
from bot.service.site import Site


def candidates(site: Site, incident: Incident) -> list[Candidate]:
    """Rank settings and modules for the incident's first crash. No host is asked."""
    opening = next(e for e in site.store.entries(incident.id) if e.kind == "incident.opened")
    return rank(shipped(), from_dict(opening.data["report"]))
