"""The gate after a wave: whether the rollout may go on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import floor

from bot.incident.state import Crash, Incident, Outcome, Proposal, Wave


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The gate's answer and its sentence."""

    ok: bool
    sentence: str


def allowed(limit: int | str, size: int) -> int:
    """Return how many of ``size`` hosts a limit permits; a percentage permits at least 1."""
    if isinstance(limit, str):
        return max(1, floor(size * float(limit.rstrip("%")) / 100))
    return limit


def judge(incident: Incident, proposal: Proposal, wave: Wave) -> Verdict:
    """Weigh a finished wave against the approved limits.

    Hosts that were down before the wave are not in it and never count.
    """
    gate = proposal.content["gate"]
    states = {h: incident.host(h).outcome for h in wave.hosts}
    failed = sorted(h for h, o in states.items() if o in {Outcome.FAILED, Outcome.APPLIED})
    gone = {Outcome.OWED, None}
    then = {h: o for h, o in wave.results.items() if o != Outcome.UNKNOWN}  # read back since
    lost = sorted(h for h in wave.hosts if then.get(h, states[h]) in gone)
    max_failed = allowed(gate["max_failed"], len(wave.hosts))
    max_lost = allowed(gate["max_lost"], len(wave.hosts))
    if len(failed) > max_failed:
        why = "; ".join(f"{h}: {incident.host(h).reason}" for h in failed[:3])
        return Verdict(
            ok=False,
            sentence=f"{len(failed)} of {len(wave.hosts)} hosts not verified "
            f"(limit {max_failed}): {why}",
        )
    undecided = sorted(h for h, o in states.items() if o is Outcome.UNKNOWN)
    if undecided:
        return Verdict(
            ok=False,
            sentence=f"{len(undecided)} of {len(wave.hosts)} hosts are unknown: neither the run nor "
            f"a read-back could tell; look at {', '.join(undecided[:5])}",
        )
    how = "were not reached: the wave's run was lost" if wave.lost else "vanished during the wave"
    if len(lost) > max_lost:
        names = ", ".join(lost[:5])
        return Verdict(
            ok=False,
            sentence=f"{len(lost)} of {len(wave.hosts)} hosts {how} (limit {max_lost}): {names}",
        )
    if wave.hosts and len(lost) == len(wave.hosts) and not proven(incident, proposal):
        return Verdict(ok=False, sentence=f"all hosts of the wave {how}: it proves nothing")
    return _crashes(incident, proposal)


def proven(incident: Incident, proposal: Proposal) -> bool:
    """Say whether the action was seen to work on any host of this rollout."""
    since = proposal.started_at
    times = [incident.host(h).applied_at for h in proposal.hosts]
    return any(at is not None and since is not None and at >= since for at in times)


def _crashes(incident: Incident, proposal: Proposal) -> Verdict:
    rule = proposal.content["gate"]["crash_after_apply"]
    since = proposal.resumed_at or proposal.started_at
    crashes = [c for c in proposal.crashed_after if since is None or c.at > since]
    settle = timedelta(seconds=float(rule["settle_seconds"]))
    settled: list[Crash] = []
    early: list[Crash] = []
    for crash in crashes:
        late = crash.applied_at is None or crash.at - crash.applied_at > settle
        (settled if late else early).append(crash)
    if len(settled) > rule["limit"]:
        hosts = ", ".join(sorted({c.host for c in settled}))
        return Verdict(
            ok=False,
            sentence=f"{len(settled)} crashes on hosts that already had the value "
            f"(limit {rule['limit']}): {hosts}",
        )
    return _rates(incident, proposal, len(early))


def _rates(incident: Incident, proposal: Proposal, early: int) -> Verdict:
    """Compare crashes within the settle time with those of the untreated hosts."""
    treated = [h for h in proposal.hosts if incident.host(h).applied_at is not None]
    others = [h for h in proposal.hosts if h not in set(treated)]
    start = proposal.started_at
    untreated = sum(1 for c in incident.crashes if c.host in others and start and c.at > start)
    if early and early * len(others) > untreated * len(treated):
        return Verdict(
            ok=False,
            sentence=f"treated hosts crash more often ({early} on {len(treated)} hosts) than "
            f"untreated ones ({untreated} on {len(others)})",
        )
    note = f", {early} crashed while settling" if early else ""
    return Verdict(ok=True, sentence=f"within its limits{note}")
