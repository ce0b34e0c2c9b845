"""The gate after a wave: whether the rollout may go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import floor, isfinite
from typing import Any

from bot.incident.state import Answer, Crash, Incident, Outcome, Proposal, Wave
from bot.rollout.outcome import Raw


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


def judge(incident: Incident, proposal: Proposal, runs: Sequence[Wave], left: int = 0) -> Verdict:
    """Weigh what a wave's ``runs`` have done so far against the approved limits.

    Hosts that were down before the wave are not in it and never count. ``left`` is how many of its
    hosts are still to be touched: percentages are of the whole wave.
    """
    ended = [w for w in runs if w.finished_at is not None]
    hosts = tuple(dict.fromkeys(h for w in ended for h in w.hosts))
    coming = {h for w in runs if w.finished_at is None for h in w.hosts} - set(hosts)
    size = len(hosts) + len(coming) + left
    gate = proposal.content["gate"]
    results = {h: word for w in ended for h, word in w.results.items()}
    states = {h: incident.host(h).outcome for h in hosts}
    failed = sorted(h for h, o in states.items() if o in {Outcome.FAILED, Outcome.APPLIED})
    over = not coming and not left
    gone = {Outcome.OWED, None} if over else {Outcome.OWED, Outcome.UNKNOWN, None}
    then = {h: o for h, o in results.items() if o != Outcome.UNKNOWN}  # read back since
    lost = sorted(h for h in hosts if then.get(h, states[h]) in gone)
    max_failed = allowed(gate["max_failed"], size)
    max_lost = allowed(gate["max_lost"], size)
    if len(failed) > max_failed:
        why = "; ".join(f"{h}: {incident.host(h).reason}" for h in failed[:3])
        return Verdict(
            ok=False,
            sentence=f"{len(failed)} of {size} hosts not verified (limit {max_failed}): {why}",
        )
    undecided = sorted(h for h, o in states.items() if o is Outcome.UNKNOWN)
    if undecided and over:
        return Verdict(
            ok=False,
            sentence=f"{len(undecided)} of {size} hosts are unknown: neither the run nor a "
            f"read-back could tell; look at {', '.join(undecided[:5])}",
        )
    broken_off = any(w.lost for w in ended)
    how = "were not reached: the wave's run was lost" if broken_off else "vanished during the wave"
    if len(lost) > max_lost:
        names = ", ".join(lost[:5])
        return Verdict(
            ok=False,
            sentence=f"{len(lost)} of {size} hosts {how} (limit {max_lost}): {names}",
        )
    if hosts and len(lost) == len(hosts) and not proven(incident, proposal):
        return Verdict(ok=False, sentence=f"all hosts of the wave {how}: it proves nothing")
    crashes = _crashes(incident, proposal)
    if not crashes.ok:
        return crashes
    numbers = (
        f"{size} {'host' if size == 1 else 'hosts'}, {len(failed)} not verified (limit {max_failed}), "
        f"{len(lost)} vanished (limit {max_lost})"
    )
    return Verdict(ok=True, sentence=f"{crashes.sentence}: {numbers}")


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


def bounded(answer: Any, rule: Mapping[str, Any]) -> Answer:
    """Weigh Prometheus' answer to an instant query (its decoded JSON) against a check's bounds.

    Every sample has to keep them. Whatever is no number, or no answer, does not pass.
    """
    data = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(data, Mapping) or answer.get("status") != "success":
        error = answer.get("error") if isinstance(answer, Mapping) else None
        return Answer(ok=False, sentence=f"not answered: {error or 'this is no Prometheus API'}")
    samples = _samples(data)
    if not samples:
        return Answer(ok=False, sentence="not answered: the query has no sample")
    low, high = rule.get("min"), rule.get("max")
    wrong = [
        v
        for v in samples
        if not isfinite(v) or (low is not None and v < low) or (high is not None and v > high)
    ]
    limits = " and ".join(
        f"{word} {limit:g}" for word, limit in (("min", low), ("max", high)) if limit is not None
    )
    shown = ", ".join(f"{v:g}" for v in (wrong or samples)[:3])
    more = f" and {len(wrong or samples) - 3} more" if len(wrong or samples) > 3 else ""
    said = f"{shown}{more} ({limits})"
    if wrong:
        return Answer(ok=False, sentence=f"{len(wrong)} of {len(samples)} samples out: {said}")
    return Answer(ok=True, sentence=said)


def _samples(data: Mapping[str, Any]) -> list[float]:
    """Return the values of a vector or a scalar; [] if it is neither."""
    try:
        match data.get("resultType"):
            case "scalar":
                return [float(data["result"][1])]
            case "vector":
                return [float(series["value"][1]) for series in data["result"]]
            case _:
                return []
    except (KeyError, IndexError, TypeError, ValueError):
        return []


def checked(raws: Sequence[Raw]) -> Answer | None:
    """Weigh what the hosts said to a check playbook. None: nobody could be reached.

    A host passes by its word (``phase: check`` with ``ok: true``), never for the absence of an
    error. A host that cannot be reached is no answer and does not count while others answer.
    """
    said = {raw.host: _word(raw) for raw in raws if raw.status != "unreachable"}
    if not said:
        return None
    bad = {host: why for host, why in sorted(said.items()) if why is not None}
    silent = len(raws) - len(said)
    note = f", {silent} could not be reached" if silent else ""
    if bad:
        whys = "; ".join(f"{host}: {why}" for host, why in list(bad.items())[:3])
        return Answer(ok=False, sentence=f"{len(bad)} of {len(said)} say no{note}: {whys}")
    return Answer(ok=True, sentence=f"{len(said)} say yes{note}")


def _word(raw: Raw) -> str | None:
    """Return why a host does not pass, None if it does."""
    fact = next((f for f in reversed(raw.facts) if f.get("phase") == "check"), None)
    if raw.status != "ok" or fact is None:
        return raw.message or "it printed no answer"
    return None if fact.get("ok") is True else str(fact.get("reason") or "not ok")
