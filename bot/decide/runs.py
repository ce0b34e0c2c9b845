"""What the runs of an incident say: which count, when a host is tried or read next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from bot.decide.action import EPOCH, LIVE, Action, Tempo
from bot.incident.state import (
    QUIET,
    Host,
    Proposal,
)
from bot.ports import Run
from bot.rollout.plan import SHARD, Traffic, shards

KEPT = 12
"""So many tries of a host govern its back-off: doubled as often, any pause is at its longest."""


def following(runs: Iterable[Run]) -> int:
    """Return the number of the next run of a sort: older ones may have been forgotten."""
    return 1 + max((int(r.ident.rpartition(".")[2]) for r in runs), default=0)


def spent(runs: Sequence[Run]) -> list[str]:
    """Return the ended runs that decide nothing any more, so that hours of them stay bounded.

    A retry or readback counts while it is among the last ``KEPT`` of one of its hosts, a probe (of
    its request) or a check of its first host. Waves, dry runs and lost runs stay.
    """
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for run in reversed(runs):
        marks = _marks(run)
        if marks and run.state in {"finished", "cancelled"}:
            if all(seen[mark] >= KEPT for mark in marks):
                found.append(run.ident)
            seen.update(marks)
    return found


def _marks(run: Run) -> list[tuple[str, str]]:
    """Return in which rows of runs one stands: of each host, of its request, or of its kind."""
    if run.kind in {"retry", "readback"}:
        return [("host", host) for host in run.hosts]
    if run.kind == "probe":
        return [(f"request {run.spec.get('request')}", run.hosts[0])]
    return [("check", run.hosts[0])] if run.kind == "check" else []


def retried_now(runs: Sequence[Run]) -> set[str]:
    """Return the hosts of retries that have not ended."""
    return {h for r in runs if r.state in LIVE and r.kind == "retry" for h in r.hosts}


def traffic_of(proposal: Proposal, runs: Sequence[Run], going: Collection[str] = ()) -> Traffic:
    """Return where runs write; ``going`` are hosts of runs that are started at this very look."""
    writes = [r for r in runs if r.spec.get("purpose")]
    ours = [r for r in writes if r.spec.get("proposal") == proposal.id]
    return Traffic(
        flying=frozenset(going) | {h for r in writes if r.state in LIVE for h in r.hosts},
        written=frozenset(going) | {h for r in ours for h in r.hosts},
    )


def shard(proposal: Proposal) -> int:
    """Return how many hosts a run of this rollout has at most."""
    return int(proposal.content["waves"].get("shard", SHARD))


def quiet_at(host: Host) -> datetime:
    """Return when a reading can tell whether a write that broke off was done."""
    return EPOCH if host.doubt is None else host.doubt + QUIET


def reads_back(run: Run) -> bool:
    """Say whether a run read hosts back, or still does. One that was lost has read nothing."""
    return run.kind == "readback" and run.state != "lost"


def ended_since(run: Run, at: datetime | None) -> bool:
    """Say whether a run ended after ``at`` or has not ended."""
    return run.finished_at is None or at is None or run.finished_at >= at


def read_back(rollout: Proposal, hosts: Sequence[str]) -> list[Action]:
    """Return the reads of these hosts, which write nothing."""
    pieces = shards(hosts, shard(rollout))
    return [Action(verb="readback", proposal=rollout.id, hosts=piece) for piece in pieces]


def retry_at(host: Host, runs: Sequence[Run], tempo: Tempo) -> datetime:
    """Return when an owed host is tried next: backing off, at once when it was seen again.

    A word about it (an alert that ends, a crash of a later boot) begins the back-off anew.
    """
    since = max((t for t in (host.at, host.hint_at) if t is not None), default=None)
    tries = [
        r.finished_at
        for r in runs
        if r.kind in {"retry", "readback"} and r.finished_at is not None and host.name in r.hosts
    ]
    recent = [t for t in tries if since is None or t >= since]
    if not tries:
        return since or EPOCH
    last = max(tries)
    if host.doubt is None and host.seen_at is not None and _answered(host, runs):
        return host.seen_at
    hints = [t for t in (host.seen_at, host.hint_at) if t is not None and t > last]
    if hints:
        return max(hints)
    wait = min(tempo.retry_max, tempo.retry_first * 2 ** min(KEPT, max(0, len(recent) - 1)))
    return last + timedelta(seconds=wait)


def _answered(host: Host, runs: Sequence[Run]) -> bool:
    """Say whether the last run for a host only read it, and the host answered."""
    mine = (r for r in reversed(runs) if r.kind in {"retry", "readback"} and host.name in r.hosts)
    last = next(mine, None)
    return (
        last is not None
        and last.kind == "readback"
        and last.queued_at is not None
        and host.seen_at is not None
        and host.seen_at >= last.queued_at
    )
