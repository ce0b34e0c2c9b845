"""Which incident a crash belongs to: one incident a cause."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from bot.crash.report import CrashReport, Kind
from bot.incident.state import Incident

AFTERMATH = timedelta(minutes=5)
VAGUE = frozenset({Kind.PANIC, Kind.OTHER, Kind.RCU_STALL, Kind.SOFT_LOCKUP, Kind.HARD_LOCKUP})


def home(
    report: CrashReport, host: str, incidents: Iterable[Incident], now: datetime
) -> str | None:
    """Return the id of the open incident that this crash belongs to, or None.

    The same guilty function in the same module is the same cause, whichever way it faulted. A
    report without a function, or a bare panic or lockup, belongs to the incident in which the
    same host crashed in the last five minutes: it is the aftermath.
    """
    open_ones = [i for i in incidents if i.state == "open"]
    for incident in open_ones:
        if _same(report, incident):
            return incident.id
    if host and (report.function is None or report.kind in VAGUE or report.corrupted):
        return _aftermath(host, open_ones, now)
    return None


def touched(host: str, incidents: Sequence[Incident]) -> list[str]:
    """Return the open incidents that already concern ``host``, newest first."""
    return [i.id for i in incidents if i.state == "open" and host in i.hosts]


def _same(report: CrashReport, incident: Incident) -> bool:
    signature = incident.signature
    if signature is None:
        return False
    if report.function is None or signature.function is None:
        return report.title == incident.title
    return (report.function, report.module) == (signature.function, signature.module)


def _aftermath(host: str, incidents: Sequence[Incident], now: datetime) -> str | None:
    for incident in incidents:
        if any(c.host == host and c.at > now - AFTERMATH for c in incident.crashes):
            return incident.id
    return None
