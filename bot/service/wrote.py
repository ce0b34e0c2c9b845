"""How hosts came out of runs that write, and what was read back of them later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.incident.state import Host, Incident, Outcome
from bot.rollout.outcome import (
    Raw,
    Seen,
    applied,
    concerned,
    lanes,
    read_back,
    read_back_undone,
    rolled_back,
)
from bot.service.report import Report, failed, lost_hosts, lost_run
from bot.timeline.entry import Draft


def wave(_incident: Incident, report: Report) -> list[Draft]:
    """Say how every host of a wave came out."""
    run = report.run
    outcomes = {raw.host: _written(report, raw) for raw in report.raws}
    drafts = [failed(report, report.trouble)] if report.trouble else []
    number, attempt = run.spec.get("wave"), run.ident.rpartition(".")[2]
    cut = " (stopped)" if report.state == "cancelled" else ""
    counts, fallbacks = lanes(outcomes)
    drafts.append(
        Draft(
            key=f"wave.{run.spec['proposal']}.{number}.{attempt}.finished",
            kind="wave.finished",
            text=f"wave {number}{cut}: {_count(outcomes.values())}{_lanes(counts, fallbacks)}",
            data={
                "proposal": run.spec["proposal"],
                "digest": run.spec["digest"],
                "wave": number,
                "run": run.ident,
                "lane": f"wave {number}",
                "lanes": counts,
                "fallbacks": fallbacks,
                "purpose": run.spec["purpose"],
                "outcomes": {h: s.as_dict() for h, s in outcomes.items()},
            },
        )
    )
    return drafts


def retry(incident: Incident, report: Report) -> list[Draft]:
    """Say what is new of the hosts that were tried again."""
    outcomes = {raw.host: _written(report, raw) for raw in report.raws}
    changed = {h: s for h, s in outcomes.items() if _news(incident.host(h), s)}
    drafts = _updates(report, changed, str(report.run.spec["purpose"]))
    if report.run.spec["purpose"] == "restore":
        # A check that read the host meanwhile may have told the news already: restored it is still.
        drafts += [
            _restored(report, host, seen)
            for host, seen in outcomes.items()
            if seen.outcome is Outcome.VERIFIED
        ]
    return drafts


def reading(incident: Incident, report: Report) -> list[Draft]:
    """Say what was read back: news, and what drifted."""
    drafts: list[Draft] = []
    changed: dict[str, Seen] = {}
    rollout = incident.proposals.get(str(report.run.spec["proposal"]))
    if rollout is None:
        return []
    planned = frozenset(rollout.content["waves"]["order"])
    judge = read_back_undone if rollout.purpose == "rollback" else read_back
    for raw in report.raws:
        if incident.owner(raw.host) is not rollout:
            continue  # a newer proposal decides about it
        before = incident.host(raw.host)
        seen = judge(raw, before)
        if seen is None:
            continue
        if before.outcome is Outcome.FAILED and seen.outcome is Outcome.OWED:
            # A write failed there, on whatever boot: people see to it.
            seen = replace(seen, outcome=Outcome.FAILED, reason=before.reason)
        if raw.host not in planned:
            seen = concerned(raw, seen, rollout)
        if seen.outcome is Outcome.OWED and before.outcome in {Outcome.VERIFIED, Outcome.APPLIED}:
            drafts.append(_drift(report, before, seen))
        elif _news(before, seen):
            changed[raw.host] = seen
    return drafts + _updates(report, changed, report.run.kind)


def broken_off(_incident: Incident, report: Report) -> list[Draft]:
    """Take what hosts said to the end; the others are read back before anything else."""
    run = report.run
    drafts = [lost_run(run, report.trouble)]
    if not run.spec.get("purpose"):
        return drafts
    outcomes = {raw.host: _written(report, raw) for raw in report.raws}
    known = {h: s for h, s in outcomes.items() if not s.doubt}
    lane = f"wave {run.spec['wave']}" if run.kind == "wave" else str(run.spec["purpose"])
    drafts += _updates(report, known, lane)
    return [*drafts, lost_hosts(run, [h for h in outcomes if h not in known])]


def _written(report: Report, raw: Raw) -> Seen:
    return rolled_back(raw) if report.run.spec["purpose"] == "rollback" else applied(raw)


def _count(seen: Any) -> str:
    counts = Counter(s.outcome.value for s in seen)
    return " · ".join(f"{n} {o.replace('_', ' ')}" for o, n in sorted(counts.items())) or "nobody"


def _lanes(counts: Mapping[str, int], fallbacks: Mapping[str, Sequence[str]]) -> str:
    """Say in words which lanes carried a wave, and why some hosts were not on the bulk lane."""
    shown = " and ".join(f"{lane} lane {n}" for lane, n in sorted(counts.items()))
    why = "; ".join(f"{reason}: {len(hosts)}" for reason, hosts in fallbacks.items())
    return (f" · {shown}" if shown else "") + (f" ({why})" if why else "")


def _restored(report: Report, host: str, seen: Seen) -> Draft:
    return Draft(
        key=f"restored.{report.run.ident}.{host}",
        kind="hold.restored",
        text=f"{host}: restored to {seen.value}, verified",
        data={
            "host": host,
            "value": seen.value,
            "boot_id": seen.boot_id,
            "proposal": report.run.spec["proposal"],
            "digest": report.run.spec["digest"],
        },
    )


def _drift(report: Report, before: Host, seen: Seen) -> Draft:
    same = before.boot_id == seen.boot_id
    how = "changed since it was verified" if same else "lost at a reboot"
    return Draft(
        key=f"drifted.{report.run.ident}.{before.name}",
        kind="hold.drifted",
        text=f"{before.name}: the value {how}: {before.value} became {seen.value}",
        data={
            "host": before.name,
            "value": seen.value,
            "was": before.value,
            "boot_id": seen.boot_id,
            "same_boot": same,
            "proposal": report.run.spec["proposal"],
            "digest": report.run.spec["digest"],
        },
    )


def _news(before: Host, seen: Seen) -> bool:
    """Say whether this is new, so that hours of retries stay readable."""
    if before.outcome is not seen.outcome or before.unreachable != seen.unreachable:
        return True
    if before.doubt is not None and seen.boot_id is not None:
        return True
    if seen.boot_id is None:
        return False
    return (before.boot_id, before.value, before.down) != (seen.boot_id, seen.value, False)


def _updates(report: Report, changed: Mapping[str, Seen], lane: str) -> list[Draft]:
    if not changed:
        return []
    hosts = ", ".join(sorted(changed)[:4]) + (f" and {len(changed) - 4} more" * (len(changed) > 4))
    return [
        Draft(
            key=f"updated.{report.run.ident}",
            kind="hosts.updated",
            text=f"{lane}: {hosts}: {_count(changed.values())}",
            data={
                "proposal": report.run.spec["proposal"],
                "digest": report.run.spec["digest"],
                "run": report.run.ident,
                "lane": lane,
                "purpose": report.run.spec.get("purpose", ""),
                "outcomes": {h: s.as_dict() for h, s in changed.items()},
            },
        )
    ]
