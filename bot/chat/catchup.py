"""What everybody missed while the chat was away: one card for the whole outage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from bot.chat.card import Card
from bot.chat.outage import Gap
from bot.incident.fold import fold
from bot.incident.state import Incident, ProposalState
from bot.timeline.entry import Entry

TOLD = frozenset(
    {
        "incident.opened", "incident.resolved", "incident.reopened", "incident.severity",
        "proposal.made", "proposal.superseded", "proposal.rejected", "proposal.expired",
        "proposal.failed", "approval.given", "glass.broken", "glass.opened", "rollout.started",
        "rollout.halted", "rollout.paused", "rollout.resumed", "rollout.aborted", "rollout.done",
        "hold.drifted", "hold.released", "wave.lost",
    }
)  # fmt: skip
"""What is worth a line. Alerts, waves and hosts are only counted."""
LINES = 4
"""Lines of one incident: the newest; more are counted."""
INCIDENTS = 8


def summary(histories: Sequence[Sequence[Entry]], gap: Gap, back: datetime) -> Card | None:
    """Return the one card for an outage that ended at ``back``; None if nothing happened.

    ``histories`` are the whole timelines of the incidents, of which some may have nothing new.
    What waits for people now comes first: that is why somebody reads it.
    """
    news = [
        (fold(entries), missed)
        for entries in histories
        if (missed := [e for e in entries if gap.since < e.at <= back and not e.redacted])
    ]
    if not news:
        return None
    waiting = [line for incident, _ in news for line in _waits(incident, back)]
    rows = [row for incident, missed in news[:INCIDENTS] for row in _rows(incident, missed)]
    if len(news) > INCIDENTS:
        rows.append(f"… and {len(news) - INCIDENTS} more incidents: see 'incidents'")
    many = f"{len(news)} incident{'s' * (len(news) != 1)}"
    return Card(
        title=f"The chat was away for {_span(back - gap.away)}; the bot was not: news of {many}",
        tone="warn" if waiting else "info",
        lines=tuple(waiting),
        code="\n".join(rows),
        foot=f"from {gap.away:%H:%M} to {back:%H:%M} UTC; 'timeline INC-1' has every entry",
    )


def _waits(incident: Incident, now: datetime) -> Iterator[str]:
    """Yield what only people can decide."""
    for proposal in incident.proposals.values():
        if proposal.state is ProposalState.OPEN and proposal.expires_at > now:
            word = " (its glass is broken)" if proposal.glass else ""
            yield (
                f"{proposal.id} of {incident.id} waits for approval{word}, "
                f"until {proposal.expires_at:%H:%M} UTC"
            )
        if proposal.state in {ProposalState.HALTED, ProposalState.PAUSED}:
            yield f"{proposal.id} of {incident.id} is {proposal.state}: {proposal.why or 'resume?'}"


def _rows(incident: Incident, missed: Sequence[Entry]) -> Iterator[str]:
    yield f"{incident.id} · {incident.state} · {incident.title}"
    told = [e for e in missed if e.kind in TOLD]
    counts = [
        f"{sum(1 for e in missed if e.kind in kinds)} {word}"
        for kinds, word in (
            ({"alert.received"}, "alerts"),
            ({"wave.finished"}, "waves ended"),
            ({"note.added", "note.pinned"}, "notes"),
        )
        if any(e.kind in kinds for e in missed)
    ]
    if counts:
        yield f"  {', '.join(counts)}"
    if len(told) > LINES:
        yield f"  … {len(told) - LINES} earlier entries"
    for entry in told[-LINES:]:
        via = f" (by {entry.actor.via})" if entry.actor.via in {"cli", "console"} else ""
        yield f"  {entry.at:%H:%M} {' '.join(entry.text.split())[:160]}{via}"


def _span(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02d} min" if hours else f"{minutes} min"
