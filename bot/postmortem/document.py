"""Put the sections together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from bot.postmortem import action, overview, record
from bot.postmortem.case import Case, gather, many, utc
from bot.postmortem.moments import moments_table
from bot.timeline.entry import Entry

SECTIONS: Sequence[tuple[str, Callable[[Case], str]]] = (
    ("Summary", overview.summary),
    ("Impact", overview.impact),
    ("Moments", moments_table),
    ("Cause hypothesis", overview.hypothesis),
    ("What was done", action.done),
    ("Approvals", action.approvals),
    ("Hosts", record.hosts),
    ("Hold", record.hold),
    ("Residual risk", record.risk),
    ("Follow-ups", record.follow_ups),
    ("Timeline", record.timeline),
    ("Chain", record.chain),
)


def write(entries: Sequence[Entry], now: datetime) -> str:
    """Write the postmortem of one incident in Markdown, as things stand at ``now``.

    It is pure: the same entries give the same text. Text that came from outside is shown in a
    form that no Markdown renderer takes for markup. Numbers are those of the fold, so what was
    redacted is not in them; the document says how much that is.
    """
    if not entries:
        return "# Postmortem\n\nThere are no entries.\n"
    case = gather(entries, now)
    parts = [f"# Postmortem of {case.entries[-1].incident}", _preface(case)]
    parts += [f"## {title}\n\n{section(case)}" for title, section in SECTIONS]
    return "\n\n".join(parts) + "\n"


def _preface(case: Case) -> str:
    text = (
        f"A draft from the timeline's {many(len(case.entries), 'entry', 'entries')}, "
        f"written at {utc(case.now)} UTC. All times are UTC."
    )
    if case.redacted:
        verb = "is" if case.redacted == 1 else "are"
        text += f" {case.redacted} of them {verb} redacted: what they held is in no number here."
    return text
