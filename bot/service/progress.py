"""How far the runs that go on now have come: computed from what their hosts have said so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.ports import Answer, Run
from bot.rollout.outcome import Raw, applied, exposure, rolled_back
from bot.runbook.judge import USUAL
from bot.service.site import Site

STUCK = 5.0
"""A host that is out for so many seconds is named."""
NAMED = 3
QUIET = 10.0
"""While nobody answers for so many seconds, no time is foretold."""
EXPECTED = frozenset({"verified", "rolled_back"})
"""What a wave is for: the sentence counts it as answered and names what went otherwise."""
SHOWN = frozenset({"probe", "preview", "wave", "retry", "readback"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One wave (all its runs), probe or retry that goes on now.

    ``counts`` are final answers by what they mean, ``out`` the hosts that were begun with and have
    not answered, with their seconds, longest first; ``waiting`` is how many were not begun with;
    ``left`` the seconds that it may still take, None if that cannot be told.
    """

    name: str
    proposal: str
    runs: tuple[str, ...]
    total: int
    answered: int
    counts: Mapping[str, int]
    out: tuple[tuple[str, float], ...]
    waiting: int
    left: float | None

    @property
    def sentence(self) -> str:
        """``wave 2: 31 of 50 answered · 2 failed · web-17 out for 41 s · about 20 s left``."""
        parts = [f"{self.answered} of {self.total} answered"]
        told = {word: n for word, n in self.counts.items() if word not in EXPECTED}
        parts += [f"{n} {word.replace('_', ' ')}" for word, n in told.items()]
        stuck = [f"{host} out for {age:.0f} s" for host, age in self.out if age >= STUCK]
        if len(stuck) > NAMED:
            stuck = [*stuck[:NAMED], f"{len(stuck) - NAMED} more hosts out"]
        if self.left is not None:
            stuck.append(f"about {max(1.0, self.left):.0f} s left")
        return f"{self.name}: {' · '.join(parts + stuck)}"

    def as_dict(self) -> dict[str, Any]:
        """Return the published JSON form."""
        return {
            "name": self.name,
            "proposal": self.proposal or None,
            "runs": list(self.runs),
            "hosts": self.total,
            "answered": self.answered,
            "counts": dict(self.counts),
            "out": [{"host": host, "seconds": round(age, 1)} for host, age in self.out],
            "waiting": self.waiting,
            "left_seconds": None if self.left is None else round(self.left, 1),
            "sentence": self.sentence,
        }


def live(site: Site, incident: str) -> list[Progress]:
    """Return what goes on now in an incident, in the order in which it was queued."""
    runs = site.store.unfinished_runs(incident)
    return measure([(r, site.store.answers(r.ident)) for r in runs], site.clock.now())


def measure(runs: Sequence[tuple[Run, Sequence[Answer]]], now: datetime) -> list[Progress]:
    """Compute progress; the runs of one wave are one line."""
    groups: dict[tuple[str, str], list[tuple[Run, Sequence[Answer]]]] = {}
    for run, answers in runs:
        if run.kind in SHOWN and run.state == "running":
            group = (str(run.spec.get("proposal") or ""), _name(run))
            groups.setdefault(group, []).append((run, answers))
    return [_progress(name, proposal, part, now) for (proposal, name), part in groups.items()]


def _name(run: Run) -> str:
    if run.kind == "wave":
        return f"wave {run.spec['wave']}"
    words = {"probe": "probe", "preview": "dry run", "readback": "read back"}
    return words.get(run.kind) or str(run.spec.get("purpose") or run.kind)


def _progress(
    name: str, proposal: str, part: Sequence[tuple[Run, Sequence[Answer]]], now: datetime
) -> Progress:
    answers = [answer for _, said in part for answer in said]
    total = sum(len(run.hosts) for run, _ in part)
    done = [answer for answer in answers if answer.at is not None]
    out = [(a.host, max(0.0, (now - a.began).total_seconds())) for a in answers if a.at is None]
    words = Counter(word for run, said in part for a in said if (word := _word(run, a)))
    return Progress(
        name=name,
        proposal=proposal,
        runs=tuple(run.ident for run, _ in part),
        total=total,
        answered=len(done),
        counts=dict(sorted(words.items())),
        out=tuple(sorted(out, key=lambda one: (-one[1], one[0]))),
        waiting=total - len(answers),
        left=_left(answers, total - len(done), now),
    )


def _word(run: Run, answer: Answer) -> str:
    """Say what a final answer means; '' for what goes as it should."""
    if answer.at is None:
        return ""
    raw = Raw.from_dict(answer.said)
    if run.kind == "probe":
        return str(exposure(raw, run.spec.get("applies_if") or USUAL)["exposure"])
    if run.kind in {"preview", "readback"}:
        return "" if raw.status == "ok" else raw.status
    seen = rolled_back(raw) if run.spec.get("purpose") == "rollback" else applied(raw)
    return "unreachable" if seen.unreachable else seen.outcome.value


def _left(answers: Sequence[Answer], remaining: int, now: datetime) -> float | None:
    """Return how long the rest takes at the mean pace so far, while there is a pace."""
    times = [a.at for a in answers if a.at is not None]
    if not times or not remaining:
        return None
    last, gap = max(times), (max(times) - min(a.began for a in answers)).total_seconds()
    gap /= len(times)
    if (now - last).total_seconds() > max(QUIET, 10 * gap):
        return None
    return remaining * gap


def rows(rows: Sequence[Mapping[str, Any]], lives: Sequence[Progress]) -> list[dict[str, Any]]:
    """Add to the rows of hosts which run they are out in, and since how many seconds."""
    out = {host: (one, age) for one in lives for host, age in one.out}
    return [{**row, "out": _out(*out[row["host"]]) if row["host"] in out else None} for row in rows]


def _out(one: Progress, age: float) -> dict[str, Any]:
    return {"in": one.name, "seconds": round(age, 1)}
