"""Carry out what was approved: start, waves, gates, owed hosts, the hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from bot.approval.policy import VERBS, may_start, may_write
from bot.approval.rules import facts_of, frozen
from bot.clock import stamp
from bot.decide import Action, following
from bot.errors import HoldfastError, UnavailableError
from bot.incident.cascade import outcomes, tallied
from bot.incident.state import Incident, Outcome, Proposal
from bot.ports import Run, Transaction
from bot.proposal.content import changes, digest
from bot.rollout.outcome import Raw, applied, rolled_back
from bot.service.knowledge import current_sources
from bot.service.report import lost_run
from bot.service.site import Site, reread
from bot.service.step import Commit
from bot.timeline.entry import Draft


def expire(_site: Site, _incident: Incident, action: Action) -> Commit:
    """Record that nobody started the proposal in time."""
    return _say(
        f"expired.{action.proposal}",
        "proposal.expired",
        f"{action.proposal} expired without being started",
        {"proposal": action.proposal, "why": "not started in time"},
    )


def review(site: Site, incident: Incident, action: Action) -> Commit | None:
    """Supersede an open proposal when a file that it was made from has changed."""
    proposal = incident.proposals[action.proposal]
    change = changes(proposal.content, current_sources(site, incident, proposal, deep=False))
    return _supersede(proposal, change) if change else None


def start(site: Site, incident: Incident, action: Action) -> Commit | None:
    """Use the approval: the last look at every source, then the one start."""
    proposal = incident.proposals[action.proposal]
    if change := _changed(site, incident, proposal):
        return _supersede(proposal, change)
    said = [*proposal.approvals, *proposal.glass]
    reread(site, [one.person for one in said], VERBS["approve"])
    now = site.clock.now()
    stop = frozen(site.policy, facts_of(proposal.content, incident.severity), now)
    decision = may_start(proposal, site.people, now, stop)
    if not decision.ok and (trouble := getattr(site.people, "trouble", "")):
        raise UnavailableError(
            f"{decision.sentence}; {trouble}", next="it is tried again by itself"
        )
    if not decision.ok:
        return _supersede(proposal, f"it may not start: {decision.sentence}")
    yes = proposal.glass if proposal.glass_opened else proposal.approvals
    started = Draft(
        key=f"started.{proposal.id}",
        kind="rollout.started",
        text=f"{proposal.id} started: {decision.sentence}",
        data={
            "proposal": proposal.id,
            "digest": proposal.digest,
            "approved_by": list(dict.fromkeys(a.person for a in yes)),
            "break_glass": proposal.glass_opened or None,
            "hosts": len(proposal.hosts),
        },
    )

    def commit(tx: Transaction, now: Incident) -> None:
        if now.severity != incident.severity:
            return  # what has to be approved may depend on it: look again
        for run in tx.runs(now.id):
            if run.spec.get("proposal") == proposal.content["rollback_of"] is not None:
                tx.cancel(run.ident)
        tx.append(now.id, *_released(now, proposal), started)

    return commit


def _changed(site: Site, incident: Incident, proposal: Proposal) -> str:
    """Say what is not as it was approved; '' if all is."""
    if digest(proposal.content) != proposal.digest:
        return "its recorded content no longer has its digest"
    try:
        current = current_sources(site, incident, proposal, deep=True)
        change = changes(proposal.content, current)
        if current.get("inventory", proposal.content["inventory"]) != proposal.content["inventory"]:
            which = site.sources.changed(proposal.content["inventory"], proposal.hosts)
            change += f" ({which})" if which else ""
    except HoldfastError as error:
        return f"what it was made from cannot be read any more ({error.what})"
    return change


def _released(now: Incident, proposal: Proposal) -> list[Draft]:
    """End the hold of earlier proposals for the same hosts, aloud: the new one is watched."""
    return [
        Draft(
            key=f"released.{held}",
            kind="hold.released",
            text=f"the hold of {held} ends: {proposal.id} takes its place",
            data={"proposal": held, "owed": []},
        )
        for held in now.hold.proposals
        if not set(now.proposals[held].hosts).isdisjoint(proposal.hosts)
    ]


def _supersede(proposal: Proposal, change: str) -> Commit:
    approved = " Its approvals start nothing." if proposal.approvals else ""

    def commit(tx: Transaction, now: Incident) -> None:
        tx.append(
            now.id,
            Draft(
                key=f"superseded.{proposal.id}",
                kind="proposal.superseded",
                text=f"{proposal.id} superseded: {change}.{approved}",
                data={"proposal": proposal.id, "digest": proposal.digest, "why": change},
            ),
            Draft(
                key=f"requested.{len(now.requests) + 1}",
                kind="proposal.requested",
                text=f"a new proposal is prepared in place of {proposal.id}",
                data={
                    "runbook": proposal.content["runbook"]["id"],
                    "mitigation": proposal.content["mitigation"]["id"],
                    "purpose": proposal.purpose,
                    "rollback_of": proposal.content["rollback_of"],
                    "requester": proposal.requester,
                    "hosts": list(proposal.hosts) if proposal.content.get("joined") else [],
                },
            ),
        )

    return commit


def wave(_site: Site, incident: Incident, action: Action) -> Commit:
    """Start one run of a wave, on exactly its hosts; a wave of few hosts has only one."""
    proposal = incident.proposals[action.proposal]
    purpose = "rollback" if proposal.purpose == "rollback" else "first"
    ident = f"{incident.id}.{proposal.id}.wave.{action.wave}.{action.part}"
    spec = {**_spec(proposal, purpose), "wave": action.wave}
    data = {
        "proposal": proposal.id,
        "digest": proposal.digest,
        "wave": action.wave,
        "attempt": action.attempt,
        "run": ident,
        "hosts": list(action.hosts),
        "planned": list(action.planned) if action.planned != action.hosts else [],
        "owed": list(action.owed),
        "purpose": purpose,
    }

    def commit(tx: Transaction, now: Incident) -> None:
        refusals = _refusals(now.proposals[proposal.id], action.hosts, purpose)
        if refusals:
            _halt(tx, now, proposal, action.wave, refusals)
            return
        key = f"wave.{proposal.id}.{action.wave}.{action.part}"
        text = _wave_text(now.proposals[proposal.id], action)
        drafts = [Draft(key=f"{key}.started", kind="wave.started", text=text, data=data)]
        if action.hosts:
            tx.queue(Run(ident=ident, incident=now.id, kind="wave", hosts=action.hosts, spec=spec))
        else:
            drafts.append(_empty_wave(f"{key}.finished", data))
        tx.append(now.id, *drafts)

    return commit


def _wave_text(proposal: Proposal, action: Action) -> str:
    """Say which hosts a run of a wave takes, and how it belongs to the wave."""
    canary = action.wave == 1 and len(proposal.content["waves"]["sizes"]) > 1
    name = "canary" if canary else f"wave {action.wave}"
    if not action.planned and action.hosts:
        return f"{name} goes on with {_hosts(action.hosts)}, run {action.part}"
    again = f", attempt {action.attempt}" if action.attempt > 1 else ""
    part = len(action.hosts) < len(action.planned)
    of = f", the first {len(action.hosts)} of {len(action.planned)} hosts" if part else ""
    owed = f"; {len(action.owed)} down and owed" if action.owed else ""
    return f"{name} started on {_hosts(action.hosts)}{of}{again}{owed}"


def _empty_wave(key: str, data: Mapping[str, Any]) -> Draft:
    return Draft(
        key=key,
        kind="wave.finished",
        text="nobody in this wave is up: all are owed",
        data={**data, "outcomes": {}},
    )


def _refusals(proposal: Proposal, hosts: Sequence[str], purpose: str) -> str:
    answers = [may_write(proposal, host, purpose) for host in hosts]
    return "; ".join(dict.fromkeys(a.sentence for a in answers if not a.ok))


def _spec(proposal: Proposal, purpose: str) -> dict[str, Any]:
    content = proposal.content
    return {
        "proposal": proposal.id,
        "digest": proposal.digest,
        "purpose": purpose,
        "tree": content["tree"],
        "inventory": content["inventory"],
        "playbooks": content["playbooks"],
        "variables": content["variables"],
        "pools": {},
    }


def _hosts(hosts: Sequence[str]) -> str:
    shown = ", ".join(hosts[:4])
    return shown if len(hosts) <= 4 else f"{shown} and {len(hosts) - 4} more"


def soak(site: Site, incident: Incident, action: Action) -> Commit:
    """Record that the canary kept its limits and is watched for a while before its gate."""
    proposal = incident.proposals[action.proposal]
    seconds = float(proposal.content["gate"]["soak_seconds"])
    until = stamp(site.clock.now() + timedelta(seconds=seconds))
    return _say(
        f"soaking.{proposal.id}.{action.wave}.{action.attempt}",
        "gate.soaking",
        f"canary {action.why}; watched for {seconds:g} s, until {until}",
        {
            "proposal": proposal.id,
            "wave": action.wave,
            "seconds": seconds,
            "until": until,
            "why": action.why,
        },
    )


def ask(_site: Site, incident: Incident, action: Action) -> Commit:
    """Queue one check of the gate: a read-only playbook, or a Prometheus query."""
    proposal = incident.proposals[action.proposal]
    check = proposal.content["gate"]["checks"][action.check]
    place = [proposal.id, action.wave, action.attempt, action.check]
    ident = f"{incident.id}.{proposal.id}.ask.{'.'.join(map(str, place[1:]))}.{action.part}"
    spec = {
        **_spec(proposal, ""),
        "playbooks": [[check["playbook"], "check"]] if check["playbook"] else [],
        "prometheus": check["prometheus"],
        "title": check["title"],
        "asks": place,
    }

    def commit(tx: Transaction, now: Incident) -> None:
        tx.queue(Run(ident=ident, incident=now.id, kind="ask", hosts=action.hosts, spec=spec))

    return commit


def pass_gate(_site: Site, incident: Incident, action: Action) -> Commit:
    """Record that the gate let the rollout go on."""
    proposal = incident.proposals[action.proposal]
    return _say(
        f"gate.{proposal.id}.{action.wave}.{len(proposal.waves)}",
        "gate.passed",
        f"gate after wave {action.wave}: {action.why}",
        {"proposal": proposal.id, "wave": action.wave, "why": action.why},
    )


def halt(_site: Site, incident: Incident, action: Action) -> Commit:
    """Stop the rollout and say why."""
    proposal = incident.proposals[action.proposal]

    def commit(tx: Transaction, now: Incident) -> None:
        _halt(tx, now, proposal, action.wave, action.why)

    return commit


def _halt(tx: Transaction, now: Incident, proposal: Proposal, number: int, why: str) -> None:
    tx.append(
        now.id,
        Draft(
            key=f"halted.{proposal.id}.{now.seq + 1}",
            kind="rollout.halted",
            text=f"{proposal.id} halted after wave {number}: {why}. "
            f"Next: resume {proposal.id} (a commander), rollback {proposal.id} "
            f"or abort {proposal.id}",
            data={"proposal": proposal.id, "digest": proposal.digest, "wave": number, "why": why},
        ),
    )


def finish(_site: Site, incident: Incident, action: Action) -> Commit:
    """Record that every wave was carried out; owed hosts stay owed and are said."""
    return _say(
        f"done.{action.proposal}",
        "rollout.done",
        f"{action.proposal}: all waves carried out: {tallied(incident)}",
        {"proposal": action.proposal, "outcomes": outcomes(incident)},
    )


def retry(_site: Site, incident: Incident, action: Action) -> Commit:
    """Try owed hosts again, or write the value again, under the same approval."""
    proposal = incident.proposals[action.proposal]

    def commit(tx: Transaction, now: Incident) -> None:
        current = now.proposals[proposal.id]
        hosts = tuple(h for h in action.hosts if may_write(current, h, action.purpose).ok)
        if hosts:
            number = following(r for r in tx.runs(now.id) if r.kind == "retry")
            ident = f"{now.id}.{proposal.id}.{action.purpose}.{number}"
            spec = _spec(proposal, action.purpose)
            tx.queue(Run(ident=ident, incident=now.id, kind="retry", hosts=hosts, spec=spec))

    return commit


def read_back(_site: Site, incident: Incident, action: Action) -> Commit:
    """Read hosts whose fate is unknown; it writes nothing."""
    return _reading("readback", incident, action)


def check(_site: Site, incident: Incident, action: Action) -> Commit:
    """Read every held host."""
    return _reading("check", incident, action)


def _reading(kind: str, incident: Incident, action: Action) -> Commit:
    proposal = incident.proposals[action.proposal]
    spec = {
        **_spec(proposal, ""),
        "playbooks": proposal.content["read"],
        "variables": proposal.content["variables"],
    }

    def commit(tx: Transaction, now: Incident) -> None:
        number = following(r for r in tx.runs(now.id) if r.kind == kind)
        ident = f"{now.id}.{proposal.id}.{kind}.{number}"
        tx.queue(Run(ident=ident, incident=now.id, kind=kind, hosts=action.hosts, spec=spec))

    return commit


def hold(_site: Site, incident: Incident, action: Action) -> Commit:
    """Begin to watch the value."""
    content = incident.proposals[action.proposal].content
    rule = content["hold"]
    held = sum(1 for h in incident.hosts.values() if h.outcome is Outcome.VERIFIED)
    return _say(
        f"hold.{action.proposal}",
        "hold.started",
        f"hold: {held} hosts are read every {rule['interval_seconds']:g} s, on drift "
        f"{rule['action']}, until: {rule['exit']}",
        {"proposal": action.proposal, "hold": rule},
    )


def lost(site: Site, incident: Incident, action: Action) -> Commit:
    """Say that a run's supervisor is gone; whatever it touched is unknown until read back."""
    run = site.store.run(action.run)
    drafts = [lost_run(run, "its supervisor stopped reporting")]
    proposal = str(run.spec.get("proposal", ""))
    if run.spec.get("purpose") and proposal in incident.proposals:
        drafts.append(_in_doubt(site, run, proposal))

    def commit(tx: Transaction, now: Incident) -> None:
        tx.append(now.id, *drafts)
        tx.drop_answers(run.ident)

    return commit


def _in_doubt(site: Site, run: Run, proposal: str) -> Draft:
    """Say what a lost run had told of its hosts, and that the others are unknown."""
    told = [a for a in site.store.answers(run.ident) if a.at is not None]
    judge = rolled_back if run.spec["purpose"] == "rollback" else applied
    seen = {a.host: judge(Raw.from_dict(a.said)) for a in told}
    known = {
        h: s.as_dict() for h, s in seen.items() if s.outcome is not Outcome.UNKNOWN and not s.doubt
    }
    unknown = [h for h in run.hosts if h not in known]
    counts = Counter(outcome["outcome"] for outcome in known.values())
    parts = [f"{n} {word.replace('_', ' ')} before it was lost" for word, n in counts.items()]
    if unknown:
        parts.append(f"{_hosts(unknown)}: unknown, to be read back before anything else")
    wave = run.spec.get("wave")
    return Draft(
        key=f"lost.{run.ident}.hosts",
        kind="wave.lost",
        text=f"of {len(run.hosts)} hosts {'; '.join(parts)}",
        data={
            "run": run.ident,
            "proposal": proposal,
            "wave": wave,
            "hosts": unknown,
            "outcomes": known,
            "lane": f"wave {wave}" if wave else str(run.spec["purpose"]),
        },
    )


def _say(key: str, kind: str, text: str, data: Mapping[str, Any]) -> Commit:
    def commit(tx: Transaction, now: Incident) -> None:
        tx.append(now.id, Draft(key=key, kind=kind, text=text, data=data))

    return commit
