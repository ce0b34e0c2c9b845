"""Earlier incidents that are like this one, and what was done then."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bot.incident.cascade import outcomes
from bot.incident.state import Incident, Proposal

FUNCTION, MODULE, KIND, WORD = 100, 30, 10, 4
LEAST = 14
"""A lower score is chance: the same kind of crash and one word."""
MOST = 5
NOBODY = Incident(id="")
PLAIN = frozenset({"at", "in", "on", "the", "of", "to", "for", "is", "a", "bug", "kernel", "and"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """An earlier incident, why it is like this one, and what became of it."""

    incident: Incident
    score: int
    why: tuple[str, ...]
    done: str


def recall(this: Incident | None, others: Iterable[Incident], words: str = "") -> list[Recalled]:
    """Return the incidents most like ``this`` (or like ``words``, if given), best first.

    The same guilty function says most, on whatever kernel and at whatever site; then its module,
    the kind of crash, and words of the title.
    """
    found = []
    for other in others:
        if this is not None and other.id == this.id:
            continue
        score, why = _alike(this or NOBODY, other, words)
        if score >= LEAST:
            found.append(Recalled(incident=other, score=score, why=why, done=done(other)))
    return sorted(found, key=lambda one: (-one.score, one.incident.id))[:MOST]


def _alike(this: Incident, other: Incident, words: str) -> tuple[int, tuple[str, ...]]:
    score, why = 0, []
    mine, theirs = this.signature, other.signature
    if mine and theirs and not words:
        for value, same, points in (
            ("function", theirs.function, FUNCTION),
            ("module", theirs.module, MODULE),
            ("kind", theirs.kind, KIND),
        ):
            if same is not None and getattr(mine, value) == same:
                score += points
                why.append(f"{value} {same}")
    shared = sorted(_words(words or this.title) & _words(f"{other.title} {_function(other)}"))
    if shared:
        score += WORD * min(len(shared), 4) * (4 if words else 1)
        why.append(f"words {', '.join(shared[:4])}")
    return score, tuple(why)


def _function(incident: Incident) -> str:
    return (incident.signature.function or "") if incident.signature else ""


def _words(text: str) -> set[str]:
    found = set(re.findall(r"[a-z][a-z0-9_]{2,}", text.lower()))
    return found - PLAIN


def done(incident: Incident) -> str:
    """Say in one line what was done about an incident and how it ended."""
    started = [p for p in incident.proposals.values() if p.started_at is not None]
    parts = [_carried_out(p) for p in started] or ["nothing was changed on the fleet"]
    counts = [f"{n} {o.replace('_', ' ')}" for o, n in outcomes(incident).items() if n]
    if started and counts:
        parts.append(", ".join(counts))
    parts.append(incident.state)
    return "; ".join(parts)


def _carried_out(proposal: Proposal) -> str:
    content = proposal.content
    what = "rollback" if proposal.purpose == "rollback" else content["mitigation"]["title"]
    return f"{content['runbook']['id']}: {what} ({proposal.state})"
