"""What a run's raw result says about one host: nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bot.incident.state import Exposure, Host, Outcome, Proposal
from bot.runbook.judge import USUAL, Rule, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """What the runner saw of one host.

    ``status`` is ``ok failed unreachable broken missing``; ``facts`` are the JSON lines that the
    playbook printed, in order; ``message`` is Ansible's own; ``at`` is when the host last
    answered (RFC 3339), which may be long before the run ended. ``would`` are the lines of a dry
    run, ``blind`` its tasks (``name (module)``) that have no check mode. ``untouched``: no
    connection to it came about, so nothing was done there; ``changed``: a task has changed the
    host, by Ansible's word. ``lane`` is ``bulk``, ``ordinary`` or ``ordinary: <why not bulk>``, and
    '' for a host that no task reached.
    """

    host: str
    status: str
    facts: tuple[Mapping[str, Any], ...] = ()
    message: str = ""
    at: str | None = None
    would: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()
    untouched: bool = False
    lane: str = ""
    changed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form that is kept while the run goes on."""
        return {**asdict(self), "facts": [dict(fact) for fact in self.facts]}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Raw:
        """Read what ``as_dict`` wrote."""
        lists = {name: tuple(said.get(name, ())) for name in ("facts", "would", "blind")}
        return cls(**{**said, **lists})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One host's outcome with the value read back.

    ``doubt``: the write may have been done, or may still be going on there. ``partly``: a task
    failed after the host was changed, or while it was.
    """

    outcome: Outcome
    reason: str = ""
    value: str | None = None
    boot_id: str | None = None
    kernel: str | None = None
    unreachable: bool = False
    seen_at: str | None = None
    doubt: bool = False
    lane: str = ""
    partly: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form that entries hold."""
        return {
            "outcome": self.outcome.value,
            "reason": self.reason,
            "value": self.value,
            "boot_id": self.boot_id,
            "kernel": self.kernel,
            "unreachable": self.unreachable,
            "seen_at": self.seen_at,
            "doubt": self.doubt,
            "lane": self.lane,
            "partly": self.partly,
        }


def exposure(raw: Raw, rule: Rule = USUAL) -> dict[str, Any]:
    """Read a probe: ``{exposure, reason, value, boot_id, kernel, safe, unreachable}``.

    ``rule`` is the runbook's, which says what an answer means.
    """
    fact = _last(raw.facts, "probe", "verify", "preview")
    if fact is None:
        gone = raw.status == "unreachable"
        kind = Exposure.UNREACHABLE if gone else Exposure.UNKNOWN
        reason = raw.message or "the host gave no answer"
        return {"exposure": kind.value, "reason": reason, "unreachable": gone}
    verdict, reason = judge(rule, fact)
    return {
        "exposure": verdict,
        "reason": reason,
        "safe": bool(fact.get("safe") and fact.get("persisted")),
        "seen_at": raw.at,
        **_truth(fact),
    }


def applied(raw: Raw) -> Seen:
    """Judge a host after a run that wrote: only a separate read-back makes it *verified*."""
    seen = _applied(raw)
    doubt = seen.outcome is Outcome.UNKNOWN or (seen.unreachable and not raw.untouched)
    return replace(seen, seen_at=raw.at, doubt=doubt, lane=raw.lane)


def _applied(raw: Raw) -> Seen:
    wrote = _last(raw.facts, "apply")
    verify = _last(raw.facts, "verify")
    fact = verify or wrote
    if fact is not None and not fact.get("applicable"):
        reason = str(fact.get("reason") or "the knob does not exist")
        return Seen(outcome=Outcome.NOT_APPLICABLE, reason=reason, **_truth(fact))
    if verify is not None and raw.status == "ok":
        return _verified(verify)
    partly = raw.changed or bool(wrote and wrote.get("changed"))
    if raw.status == "failed" and partly:
        reason = f"partly applied, to be read back: {raw.message or 'a task failed'}"
        return Seen(outcome=Outcome.UNKNOWN, reason=reason, partly=True, **_truth(fact))
    if raw.status == "failed":
        return Seen(outcome=Outcome.FAILED, reason=raw.message or "task failed", **_truth(fact))
    if wrote is not None or partly:
        reason = "it answered the write, not the read-back: to be read back"
        return Seen(outcome=Outcome.UNKNOWN, reason=reason, **_truth(wrote))
    if raw.status == "unreachable":
        return Seen(outcome=Outcome.OWED, reason=raw.message or "unreachable", unreachable=True)
    return Seen(outcome=Outcome.UNKNOWN, reason=raw.message or "no answer in this run")


def lanes(seen: Mapping[str, Seen]) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Count hosts by lane, and list the hosts of each reason why it was not the bulk lane."""
    counts: dict[str, int] = {}
    fallbacks: dict[str, list[str]] = {}
    for host, one in sorted(seen.items()):
        lane, _, why = one.lane.partition(": ")
        if lane:
            counts[lane] = counts.get(lane, 0) + 1
        if why:
            fallbacks.setdefault(why, []).append(host)
    return counts, fallbacks


def rolled_back(raw: Raw) -> Seen:
    """Judge a host after a rollback run."""
    fact = _last(raw.facts, "rollback")
    if fact is not None and raw.status == "ok":
        reason = str(fact.get("reason") or "")
        seen = Seen(outcome=Outcome.ROLLED_BACK, reason=reason, seen_at=raw.at, **_truth(fact))
        return replace(seen, lane=raw.lane)
    return applied(raw)


def read_back(raw: Raw, before: Host) -> Seen | None:
    """Judge a host after a run that only read. None: nothing is known that was not known before.

    A verified host that does not answer keeps its outcome and is shown as down; a host whose
    fate was unknown and that does not answer is owed.
    """
    fact = _last(raw.facts, "verify", "probe")
    if fact is None:
        return _silent(raw, before)
    if not fact.get("applicable"):
        reason = str(fact.get("reason") or "the knob does not exist")
        seen = Seen(outcome=Outcome.NOT_APPLICABLE, reason=reason, **_truth(fact))
    elif fact.get("safe"):
        seen = _verified(fact)
    else:
        reason = f"the value is {fact.get('value')}, not {fact.get('wanted')}"
        outcome = Outcome.OWED
        if before.partly:
            outcome, reason = Outcome.FAILED, f"{before.reason}; {reason}"
        seen = Seen(outcome=outcome, reason=reason, **_truth(fact))
    return replace(seen, seen_at=raw.at, lane=raw.lane)


def concerned(raw: Raw, seen: Seen, rollout: Proposal) -> Seen:
    """Judge a host after a read that was not concerned when ``rollout`` was made: it may be now.

    It is owed then, and no wave and no retry takes it: what people approved does not count it.
    """
    fact, rule = _last(raw.facts, "verify"), rollout.content.get("concerned")
    if fact is None or seen.outcome is not Outcome.OWED:
        return seen
    word, why = judge(rule, fact) if rule else (Exposure.NOT_APPLICABLE.value, "")
    if word == Exposure.NOT_APPLICABLE:
        return replace(seen, outcome=Outcome.NOT_APPLICABLE, reason=why)
    reason = f"{seen.reason}; it was not concerned when {rollout.id} was made: propose again"
    return replace(seen, reason=reason)


def _silent(raw: Raw, before: Host) -> Seen | None:
    if raw.status != "unreachable" or before.outcome is None:
        return None
    if before.outcome is Outcome.UNKNOWN:
        reason = "could not be read back: unreachable, may be serving unmitigated"
        return Seen(outcome=Outcome.OWED, reason=reason, unreachable=True)
    if before.outcome in {Outcome.VERIFIED, Outcome.APPLIED}:
        reason = "does not answer; to be verified again when it is back"
        return Seen(outcome=before.outcome, reason=reason, unreachable=True)
    return None


def read_back_undone(raw: Raw, before: Host) -> Seen | None:
    """Judge a host after a read that follows a rollback: the value is to be gone, at the next boot too.

    A host whose rollback failed half-way, and that is not rid of it, has failed.
    """
    seen = read_back(raw, before)
    if seen is None or seen.outcome is Outcome.NOT_APPLICABLE:
        return seen
    if seen.unreachable:
        return replace(seen, outcome=Outcome.OWED, reason="could not be read back: unreachable")
    fact = _last(raw.facts, "verify", "probe") or {}
    if not fact.get("safe") and not fact.get("persisted"):
        return replace(seen, outcome=Outcome.ROLLED_BACK, reason="")
    reason = "it still has the value"
    if not fact.get("safe"):
        reason = "the value is gone, and comes back at the next boot: it is still persisted"
    if before.partly:
        return replace(seen, outcome=Outcome.FAILED, reason=f"{before.reason}; {reason}")
    return replace(seen, outcome=Outcome.OWED, reason=reason)


def _verified(fact: Mapping[str, Any]) -> Seen:
    if fact.get("safe") and fact.get("persisted"):
        return Seen(outcome=Outcome.VERIFIED, **_truth(fact))
    if fact.get("safe"):
        why = str(fact.get("reason") or "it is not persisted")
        return Seen(
            outcome=Outcome.APPLIED,
            reason=f"live value set, lost at the next boot: {why}",
            **_truth(fact),
        )
    reason = f"read back {fact.get('value')}, wanted {fact.get('wanted')}"
    return Seen(outcome=Outcome.FAILED, reason=reason, **_truth(fact))


def _truth(fact: Mapping[str, Any] | None) -> dict[str, Any]:
    fact = fact or {}
    return {key: fact.get(key) for key in ("value", "boot_id", "kernel")}


def _last(facts: Sequence[Mapping[str, Any]], *phases: str) -> Mapping[str, Any] | None:
    return next((f for f in reversed(facts) if f.get("phase") in phases), None)
