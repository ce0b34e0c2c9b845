"""Hold a crash against the runbooks as they are now; nothing is recorded."""

from __future__ import annotations

from bot import crash
from bot.crash.report import CrashReport
from bot.crash.show import from_dict
from bot.incident.state import Incident
from bot.runbook.match import Matches
from bot.runbook.match import match as match_report
from bot.service.site import Site


def of_incident(site: Site, incident: Incident) -> tuple[Matches, CrashReport] | None:
    """Match the crash that opened the incident; None if it was declared by hand."""
    if incident.signature is None:
        return None
    opening = site.store.entries(incident.id)
    first = next(e for e in opening if e.kind == "incident.opened")
    alert = next((e.data for e in opening if e.kind == "alert.received"), {})
    report = from_dict(first.data["report"])
    text, labels = str(alert.get("text", "")), alert.get("labels")
    return match_report(site.sources.library(), report, text, labels), report


def of_text(site: Site, text: str) -> tuple[Matches, CrashReport] | None:
    """Match the first crash in a console text; None if there is none."""
    reports = crash.read(text)
    if not reports:
        return None
    return match_report(site.sources.library(), reports[0], text), reports[0]
