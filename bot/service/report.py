"""What a supervisor reports when its run has ended: judged per host, recorded once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from bot.decide import spent
from bot.incident.state import Answer, Exposure, Host, Incident, Outcome, ProposalState
from bot.ports import Processes, Run, Transaction
from bot.rollout.gate import checked
from bot.rollout.outcome import (
    Raw,
    Seen,
    applied,
    exposure,
    lanes,
    read_back,
    read_back_undone,
    rolled_back,
)
from bot.runbook.judge import USUAL
from bot.service.sightings import sighted, tell_others
from bot.service.site import Site, refold
from bot.timeline.chain import canonical
from bot.timeline.entry import Draft

LONGEST = 100
LONGEST_ANSWER = 128 << 10
"""Characters of an answer to a look that an entry holds."""
"""How many lines of a host's dry run are kept."""
UNFINISHED = frozenset({"queued", "running"})
PAUSE = timedelta(seconds=1)
STILL = timedelta(seconds=3)
"""How long an old heartbeat has to stand still while we look: supervisors beat twice a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a run ended: ``state`` is ``finished``, ``cancelled`` or ``lost``.

    Lost is a run whose Ansible was killed: what no host has said to the end is in doubt.
    ``trouble`` is for people. ``strangers`` are hosts that had an event although the run was not on
    them; ``answer`` is what a Prometheus query came to. ``beside`` are the other runs of the same
    probe of a large fleet.
    """

    run: Run
    raws: Sequence[Raw]
    state: str = "finished"
    trouble: str = ""
    strangers: Sequence[str] = ()
    answer: Answer | None = None
    beside: Sequence[Run] = ()


def record(site: Site, report: Report) -> bool:
    """End the run and append what it found, in one transaction, and wake the incident.

    Returns whether there was anything to tell. Runs that decide nothing any more are forgotten.

    A run that was given up as lost meanwhile is noted as late and decides nothing. A report that
    is told twice, because the database's answer did not come back, changes nothing.
    """
    run = report.run
    with site.store.transaction(run.incident) as tx:
        incident = refold(tx, run.incident)
        drafts: list[Draft] = []
        if run.kind == "probe":
            report = replace(report, beside=_beside(run, tx.runs(run.incident)))
        if tx.finish(run.ident, report.state):
            drafts = _breach(tx, incident, report)
            if run.spec.get("proposal") or not drafts:
                judge = _broken_off if report.state == "lost" else JUDGES[run.kind]
                drafts = judge(incident, report) + drafts
            tx.forget_runs(spent(tx.runs(run.incident)))
        elif report.state != "lost" and any(
            r.ident == run.ident and r.state == "lost" for r in tx.runs(run.incident)
        ):
            drafts = [_late(report)]
        tx.append(run.incident, *drafts)
        tx.wake(run.incident, site.clock.now())
    if drafts:
        tell_others(site, run.ident, sighted(run.incident, report.raws))
    return bool(drafts)


def _beside(run: Run, runs: Sequence[Run]) -> list[Run]:
    """Return the other runs of the same probe."""
    same = [(r.spec.get("request"), r.spec.get("round")) for r in (run, *runs)]
    return [
        r
        for r, key in zip(runs, same[1:], strict=True)
        if key == same[0] and key[1] is not None and r.ident != run.ident
    ]


def _breach(tx: Transaction, incident: Incident, report: Report) -> list[Draft]:
    """Stop a rollout one of whose runs left its list of hosts: what else it does is not known."""
    if not report.strangers:
        return []
    names = ", ".join(sorted(report.strangers)[:5])
    why = (
        f"BREACH: run {report.run.ident} reached {len(report.strangers)} hosts "
        f"that are not on its list: {names}"
    )
    proposal = incident.proposals.get(str(report.run.spec.get("proposal", "")))
    if proposal is None:
        return [_failed(report, why)]
    others = [r for r in tx.runs(incident.id) if r.spec.get("proposal") == proposal.id]
    for run in others:
        tx.cancel(run.ident)
    running = proposal.state is ProposalState.RUNNING
    word, kind = ("halted", "rollout.halted") if running else ("aborted", "rollout.aborted")
    return [
        *(_unrun(r) for r in others if r.kind == "wave" and r.state == "queued"),
        Draft(
            key=f"breach.{report.run.ident}",
            kind=kind,
            text=f"{proposal.id} {word}: {why}. Read the playbook before anything else is run",
            data={
                "proposal": proposal.id,
                "digest": proposal.digest,
                "wave": report.run.spec.get("wave"),
                "why": why,
                "strangers": sorted(report.strangers),
            },
        ),
    ]


def _late(report: Report) -> Draft:
    said = {raw.host: raw.status for raw in report.raws}
    return Draft(
        key=f"late.{report.run.ident}",
        kind="wave.late",
        text=f"run {report.run.ident} reported on {len(said)} hosts after it was given up; its word "
        "is not used",
        data={"run": report.run.ident, "hosts": said},
    )


def _failed(report: Report, why: str) -> Draft:
    return Draft(
        key=f"failed.{report.run.ident}",
        kind="run.failed",
        text=f"run {report.run.ident} failed: {why}",
        data={
            "run": report.run.ident,
            "why": why,
            "request": report.run.spec.get("request"),
            "proposal": report.run.spec.get("proposal"),
        },
    )


def _broken_off(_incident: Incident, report: Report) -> list[Draft]:
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


def lost_run(run: Run, why: str) -> Draft:
    """Say that a run was lost."""
    return Draft(
        key=f"lost.{run.ident}",
        kind="run.failed",
        text=f"run {run.ident} was lost: {why}",
        data={"run": run.ident, "why": why, "request": run.spec.get("request")},
    )


def lost_hosts(run: Run, hosts: Sequence[str]) -> Draft:
    """Say which hosts of a lost run are in doubt."""
    names = ", ".join(hosts[:4]) + (f" and {len(hosts) - 4} more" * (len(hosts) > 4))
    return Draft(
        key=f"lost.{run.ident}.hosts",
        kind="wave.lost",
        text=f"{names or 'no host'}: unknown, to be read back before anything else",
        data={
            "run": run.ident,
            "proposal": run.spec["proposal"],
            "wave": run.spec.get("wave"),
            "hosts": list(hosts),
        },
    )


def _silent(report: Report) -> bool:
    """Say whether no host said anything at all: Ansible itself did not get going."""
    return all(raw.status == "missing" for raw in report.raws)


def _probe(incident: Incident, report: Report) -> list[Draft]:
    if _silent(report):
        return [_failed(report, report.trouble or "no host was reached by Ansible")]
    rule = report.run.spec.get("applies_if") or USUAL
    hosts = {raw.host: exposure(raw, rule) for raw in report.raws}
    counts = Counter(seen["exposure"] for seen in hosts.values())
    waiting = counts[Exposure.UNREACHABLE] + counts[Exposure.UNKNOWN]
    text = " · ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in sorted(counts.items()))
    others = Counter(incident.host(h).exposure for r in report.beside for h in r.hosts)
    waiting += others[Exposure.UNREACHABLE] + others[Exposure.UNKNOWN] + others[None]
    exposed = counts[Exposure.EXPOSED] + others[Exposure.EXPOSED]
    part = any(r.state in UNFINISHED for r in report.beside)
    lost = any(r.state not in {*UNFINISHED, "finished"} for r in report.beside)
    usable = not part and not lost and (exposed > 0 or waiting == 0)
    if (
        not usable
        and not part
        and all(incident.host(h).exposure == hosts[h]["exposure"] for h in hosts)
    ):
        return []  # as before: hours of probing a dead fleet stay readable
    data = {
        "request": report.run.spec.get("request"),
        "run": report.run.ident,
        "hosts": hosts,
        "pools": report.run.spec.get("pools", {}),
        "usable": usable,
        **({"part": True} if part else {}),
    }
    return [
        Draft(
            key=f"probed.{report.run.ident}",
            kind="exposure.probed",
            text=f"probed {len(hosts)} hosts: {text}",
            data=data,
        )
    ]


def _preview(_incident: Incident, report: Report) -> list[Draft]:
    hosts = {raw.host: _would(raw) for raw in report.raws}
    answered = {h: w for h, w in hosts.items() if w is not None}
    if not answered:
        whys = "; ".join(dict.fromkeys(r.message for r in report.raws if r.message))
        return [_failed(report, whys or report.trouble or "no host answered the dry run")]
    blind = list(dict.fromkeys(task for raw in report.raws for task in raw.blind))
    value = {"hosts": {h: answered[h] for h in sorted(answered)}, "cannot_preview": blind}
    sha = hashlib.sha256(canonical(value).encode()).hexdigest()
    silent = sorted(set(hosts) - set(answered))
    note = f"; no answer from {', '.join(silent)}" if silent else ""
    return [
        Draft(
            key=f"preview.{report.run.ident}",
            kind="dryrun.recorded",
            text=f"dry run on {len(answered)} hosts{note}{_cannot(blind)}",
            data={
                "request": report.run.spec.get("request"),
                "run": report.run.ident,
                "sha256": sha,
                "silent": silent,
                **value,
            },
        )
    ]


def _cannot(blind: Sequence[str]) -> str:
    return f"; cannot preview: {', '.join(blind)}" if blind else ""


def _would(raw: Raw) -> list[str] | None:
    """Return what the dry run says of a host; None if it says nothing at all."""
    previews = [f for f in raw.facts if f.get("phase") == "preview"]
    lines = list(raw.would)
    if previews:
        last = previews[-1]
        if not last.get("applicable"):
            return [f"nothing: {last.get('reason') or 'not applicable'}"]
        lines = [*(str(line) for line in last.get("would", [])), *lines]
    elif raw.status == "unreachable" or (raw.status != "ok" and not raw.blind):
        return None
    if raw.status == "failed":
        lines.append(f"then it fails in check mode: {raw.message}")
    if not lines:
        return ["nothing that can be previewed" if raw.blind else "nothing: it is so already"]
    if len(lines) > LONGEST:
        lines = [*lines[:LONGEST], f"… and {len(lines) - LONGEST} more lines"]
    return lines


def _wave(_incident: Incident, report: Report) -> list[Draft]:
    run = report.run
    outcomes = {raw.host: _written(report, raw) for raw in report.raws}
    drafts = [_failed(report, report.trouble)] if report.trouble else []
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


def _retry(incident: Incident, report: Report) -> list[Draft]:
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


def _reading(incident: Incident, report: Report) -> list[Draft]:
    drafts: list[Draft] = []
    changed: dict[str, Seen] = {}
    rollout = incident.proposals.get(str(report.run.spec["proposal"]))
    if rollout is None:
        return []
    judge = read_back_undone if rollout.purpose == "rollback" else read_back
    for raw in report.raws:
        if incident.owner(raw.host) is not rollout:
            continue  # a newer proposal decides about it
        before = incident.host(raw.host)
        seen = judge(raw, before)
        if seen is None or (before.outcome is Outcome.FAILED and seen.outcome is Outcome.OWED):
            continue
        if seen.outcome is Outcome.OWED and before.outcome in {Outcome.VERIFIED, Outcome.APPLIED}:
            drafts.append(_drift(report, before, seen))
        elif _news(before, seen):
            changed[raw.host] = seen
    return drafts + _updates(report, changed, report.run.kind)


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


def _diagnosed(_incident: Incident, report: Report) -> list[Draft]:
    """Note what each host said to a look; who said nothing is asked again."""
    spec = report.run.spec
    found = {raw.host: dict(raw.facts[-1]) for raw in report.raws if raw.facts}
    if not found:
        whys = "; ".join(dict.fromkeys(raw.message for raw in report.raws if raw.message))
        why = report.trouble or whys or "no host answered"
        return [_failed(report, f"looked at '{spec['title']}': {why}")]
    kept = {host: _bounded(fact) for host, fact in found.items()}
    said = [f"{host}: {fact.get('reason') or fact.get('value')}" for host, fact in kept.items()]
    shown = [line[:200] for line in said if not line.endswith(": None")][:3]
    silent = sorted(set(report.run.hosts) - set(found))
    note = f"; no answer from {', '.join(silent[:4])}" if silent else ""
    return [
        Draft(
            key=f"diagnosed.{report.run.ident}",
            kind="host.diagnosed",
            text=f"looked at '{spec['title']}' on {len(found)} hosts"
            + "".join(f"; {line}" for line in shown)
            + note,
            data={
                "look": spec["look"],
                "title": spec["title"],
                "run": report.run.ident,
                "hosts": kept,
                "silent": silent,
            },
        )
    ]


def _bounded(fact: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer, or its usual fields if the rest is too long for an entry."""
    if len(canonical(fact)) <= LONGEST_ANSWER:
        return dict(fact)
    usual = ("holdfast", "phase", "applicable", "value", "reason", "boot_id", "kernel")
    return {**{name: fact[name] for name in usual if name in fact}, "cut": True}


def _asked(_incident: Incident, report: Report) -> list[Draft]:
    """Say what a check of the gate answered, or that nobody answered it."""
    spec = report.run.spec
    proposal, wave, attempt, check = spec["asks"]
    answer = report.answer or checked(report.raws)
    if answer is None or report.state == "cancelled" or (_silent(report) and not report.answer):
        return [_failed(report, report.trouble or "no host could be reached to ask it")]
    word = "passes" if answer.ok else "does not pass"
    return [
        Draft(
            key=f"asked.{proposal}.{wave}.{attempt}.{check}",
            kind="gate.checked",
            text=f"check '{spec['title']}' {word}: {answer.sentence}",
            data={
                "proposal": proposal,
                "wave": wave,
                "check": check,
                "title": spec["title"],
                "ok": answer.ok,
                "why": answer.sentence,
                "run": report.run.ident,
            },
        )
    ]


JUDGES: Mapping[str, Callable[[Incident, Report], list[Draft]]] = MappingProxyType(
    {
        "probe": _probe,
        "preview": _preview,
        "wave": _wave,
        "retry": _retry,
        "readback": _reading,
        "check": _reading,
        "ask": _asked,
        "diagnose": _diagnosed,
    }
)


class Watch:
    """Finds runs whose supervisor is gone, and gives them up.

    A supervisor of this machine that is not there any more is gone for sure. Of others, an old heartbeat alone proves nothing: after an outage of the database, or a jump of the clock,
    every heartbeat is old. It also has to stand still while we look.
    """

    def __init__(self, site: Site, processes: Processes) -> None:
        self._site = site
        self._processes = processes
        self._looked: datetime | None = None
        self._still: dict[str, tuple[datetime | None, datetime]] = {}

    def give_up_lost(self) -> list[str]:
        """Mark runs whose heartbeat lapsed as lost; return the incidents to look at."""
        now, before = self._site.clock.now(), self._still
        self._still = {}
        incidents = [run.incident for run in self._orphans(now) if self._give_up(run)]
        for run in self._site.store.lapsed_runs(self._site.heartbeat):
            beat, since = before.get(run.ident, (run.heartbeat, now))
            if beat != run.heartbeat:
                since = now
            self._still[run.ident] = (run.heartbeat, since)
            if now - since >= STILL and self._give_up(run):
                incidents.append(run.incident)
        return incidents

    def _orphans(self, now: datetime) -> list[Run]:
        """Return the running runs whose supervisor is known to be gone; look once a second."""
        if self._looked is not None and abs(now - self._looked) < PAUSE:
            return []
        self._looked = now
        running = [r for r in self._site.store.unfinished_runs() if r.state == "running"]
        return [run for run in running if self._processes.gone(run)]

    def _give_up(self, run: Run) -> bool:
        """Mark the run as lost, once nothing of it is left here that could still write."""
        self._processes.end(run.ident)
        with self._site.store.transaction(run.incident) as tx:
            lost = tx.finish(run.ident, "lost")
            tx.wake(run.incident, self._site.clock.now())
        self._site.store.unlock_hosts(run.ident)
        return lost


def refuse(site: Site, run: Run, why: str) -> None:
    """Record that a run may not or cannot be carried out.

    It has touched nothing. A wave says so too, so that the rollout does not wait for it.
    """
    drafts = [_failed(Report(run=run, raws=()), why)]
    if run.kind == "wave":
        drafts.append(_unrun(run))
    with site.store.transaction(run.incident) as tx:
        if tx.finish(run.ident, "cancelled"):
            tx.append(run.incident, *drafts)
        tx.wake(run.incident, site.clock.now())


def _unrun(run: Run) -> Draft:
    return Draft(
        key=f"unrun.{run.ident}",
        kind="wave.lost",
        text=f"wave {run.spec['wave']} was not carried out and touched none of "
        f"its {len(run.hosts)} hosts",
        data={
            "run": run.ident,
            "proposal": run.spec["proposal"],
            "wave": run.spec["wave"],
            "hosts": [],
        },
    )
