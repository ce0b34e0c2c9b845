"""From a wish to a proposal: probe, preview, propose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from bot.approval.rules import facts_of, terms
from bot.clock import stamp
from bot.decide import Action
from bot.errors import BadInputError, HoldfastError
from bot.incident.state import Exposure, Incident, Outcome, Request
from bot.ports import Run, Transaction
from bot.proposal.content import blast_radius, digest
from bot.proposal.knob import knobs_of
from bot.rollout.plan import SHARD, order, shards, sizes, survivors_needed
from bot.runbook.judge import USUAL, Rule
from bot.runbook.model import Mitigation, Prometheus, Rollout, Runbook, resolved
from bot.runbook.targets import chosen
from bot.runbook.variable import resolved as values
from bot.service.knobs import others, refusal
from bot.service.knowledge import find, mitigation_of
from bot.service.site import Site
from bot.service.step import Commit
from bot.timeline.entry import Draft

SAMPLE = 5
AGE = 30.0
"""Seconds for which one reading of the inventory serves a preparation; the start reads it anew."""


def probe(site: Site, incident: Incident, action: Action) -> Commit:
    """Queue the read-only probe of the whole target list."""
    asked = _asked(incident, action.request)
    inventory = site.sources.inventory(AGE)
    runbook = find(site.sources.library(), asked.runbook)
    mitigation = mitigation_of(runbook, asked.mitigation)
    hosts = targets(incident, asked, mitigation, sorted(inventory.hosts), inventory.pools)
    if not hosts:
        why = f"no host is a target (targets: {mitigation.targets})"
        return _no_proposal(asked, why)
    if missing := _missing(site, runbook, mitigation):
        return _no_proposal(asked, missing)
    rule = runbook.applies_if
    reader = rule.probe if rule else mitigation.verify
    own = mitigation.variables if rule is None or rule.variables is None else rule.variables
    write = mitigation.rollback if asked.rollback_of else mitigation.playbook
    spec = {
        "request": asked.number,
        "tree": site.sources.pin(),
        "inventory": site.sources.pin_hosts(inventory, hosts),
        "playbooks": [[reader, "probe"]],
        "variables": values(own),
        "applies_if": rule.rule if rule else USUAL,
        "pools": {p: list(m) for p, m in inventory.pools.items()},
    }
    used = dict.fromkeys((reader, str(write), mitigation.verify))
    all_of = {
        "playbooks": [[playbook, None] for playbook in used],
        "variables": {**resolved(mitigation), **values(own)},
    }
    if idle := site.sources.idle_plays({**spec, **all_of}, hosts):
        return _no_proposal(asked, f"no target is in {'; '.join(idle)}")
    return _queue("probe", action, shards(hosts), {**spec, "round": action.attempt})


def _missing(site: Site, runbook: Runbook, mitigation: Mitigation) -> str:
    """Name the playbooks of the runbook that do not exist; '' if all do."""
    probe = runbook.applies_if.probe if runbook.applies_if else None
    checks = {check.playbook for check in mitigation.gate.checks}
    named = {probe, mitigation.playbook, mitigation.verify, mitigation.rollback, *checks} - {None}
    gone = sorted(str(name) for name in named - site.sources.playbooks())
    if gone:
        return f"runbook {runbook.id} names playbooks that do not exist: {', '.join(gone)}"
    if asked := site.sources.prompting([str(name) for name in named]):
        return (
            f"a playbook waits for a person to type (vars_prompt): {', '.join(asked)}; "
            "make it a variable of the runbook"
        )
    return _rushing(site, mitigation)


def _rushing(site: Site, mitigation: Mitigation) -> str:
    """Name a strategy of a playbook that writes, other than linear; '' if there is none."""
    writing = [n for n in (mitigation.playbook, mitigation.rollback) if n]
    if other := site.sources.other_strategies(writing):
        return f"a mitigation runs on linear only, and these plays do not: {', '.join(other)}"
    return ""


def targets(
    incident: Incident,
    asked: Request,
    mitigation: Mitigation,
    names: Sequence[str],
    pools: Mapping[str, Sequence[str]],
) -> list[str]:
    """Turn the runbook's word into names; nothing from outside becomes a pattern."""
    if asked.rollback_of:
        old = incident.proposals[asked.rollback_of]
        waved = {h for wave in old.waves for h in wave.hosts}
        skipped = {Outcome.NOT_APPLICABLE, Outcome.ROLLED_BACK}
        return [
            h
            for h in old.hosts
            if (h in waved or incident.host(h).applied_at)
            and incident.host(h).outcome not in skipped
        ]
    if asked.hosts:
        return [h for h in names if h in set(asked.hosts)]
    return chosen(mitigation.targets, names, {c.host for c in incident.crashes}, pools)


def preview(site: Site, incident: Incident, action: Action) -> Commit:
    """Queue the dry run on the canary and a sample, or say why there is nothing to do."""
    asked = _asked(incident, action.request)
    runbook = find(site.sources.library(), asked.runbook)
    mitigation = mitigation_of(runbook, asked.mitigation)
    inventory = site.sources.inventory(AGE)
    listed = _listed(incident, asked, mitigation, sorted(inventory.hosts), inventory.pools)
    exposed = [h for h in order(listed) if listed[h]["exposure"] == Exposure.EXPOSED]
    if not exposed:
        return _no_proposal(asked, "no host has this knob: there is nothing to turn off")
    sample = [h for h in exposed if not incident.host(h).down][:SAMPLE] or exposed[:SAMPLE]
    playbook = mitigation.rollback if asked.rollback_of else mitigation.playbook
    spec = {
        "request": asked.number,
        "tree": site.sources.pin(),
        "inventory": site.sources.pin_hosts(inventory, sample),
        "playbooks": [[playbook, None]],
        "variables": {**resolved(mitigation), "ref": f"{incident.id}-preview"},
        "check": True,
        "pools": {},
    }
    return _queue("preview", action, [tuple(sample)], spec)


def _queue(
    kind: str, action: Action, pieces: Sequence[tuple[str, ...]], spec: Mapping[str, Any]
) -> Commit:
    """Queue a run for each list of hosts."""

    def commit(tx: Transaction, now: Incident) -> None:
        for number, hosts in enumerate(pieces, action.attempt):
            ident = f"{now.id}.{kind}.{action.request}.{number}"
            tx.queue(Run(ident=ident, incident=now.id, kind=kind, hosts=hosts, spec=spec))

    return commit


def _asked(incident: Incident, number: int) -> Request:
    return next(r for r in incident.requests if r.number == number)


def _no_proposal(asked: Request, why: str) -> Commit:
    def commit(tx: Transaction, now: Incident) -> None:
        tx.append(
            now.id,
            Draft(
                key=f"proposal.failed.{asked.number}",
                kind="proposal.failed",
                text=f"no proposal: {why}",
                data={"request": asked.number, "why": why},
            ),
        )

    return commit


def give_up(_site: Site, incident: Incident, action: Action) -> Commit:
    """End a request that cannot be met."""
    return _no_proposal(_asked(incident, action.request), action.why)


def propose(site: Site, incident: Incident, action: Action) -> Commit:
    """Build the proposal: every part that the digest covers."""
    asked = _asked(incident, action.request)
    try:
        content = _content(site, incident, asked)
    except HoldfastError as error:
        return _no_proposal(asked, str(error))

    def commit(tx: Transaction, now: Incident) -> None:
        met = others(site, tx, now, content)
        if against := [one for one in met if not one.agrees]:
            _no_proposal(asked, refusal(content, against[0]))(tx, now)
            return
        name = f"P-{tx.number('proposal')}"
        whole = {
            **content,
            "proposal": name,
            "variables": {**content["variables"], "ref": name},
            "shared": [one.sentence for one in met],
        }
        for key in whole["knobs"]:
            tx.claim_knob(key, now.id, name)
        radius = blast_radius(whole)
        numbers = ", ".join(f"{n} {e.replace('_', ' ')}" for e, n in sorted(radius.items()))
        title = whole["mitigation"]["title"]
        what = f"rollback of {asked.rollback_of}" if asked.rollback_of else title
        tx.append(
            now.id,
            Draft(
                key=f"proposal.made.{asked.number}",
                kind="proposal.made",
                text=f"{name} proposed: {what} on {len(whole['hosts'])} hosts ({numbers})"
                + "".join(f"; {one.sentence}, too" for one in met),
                data={
                    "proposal": name,
                    "request": asked.number,
                    "digest": digest(whole),
                    "content": whole,
                },
            ),
        )

    return commit


def _content(site: Site, incident: Incident, asked: Request) -> dict[str, Any]:
    runbook = find(site.sources.library(), asked.runbook)
    mitigation = mitigation_of(runbook, asked.mitigation)
    inventory = site.sources.inventory(AGE)
    listed = _listed(incident, asked, mitigation, sorted(inventory.hosts), inventory.pools)
    rule = mitigation.rollout
    if unsteady := site.sources.unsteady(sorted(listed)):
        raise BadInputError(
            f"the inventory says something else at every reading: {unsteady}. "
            "Each reading would supersede the proposal",
            where="fleet.inventory",
            next="make the source say the same, or list the variable in fleet.ignore_variables",
        )
    listed = {h: {**row, **_place(rule, h, inventory.hosts[h])} for h, row in listed.items()}
    if rule.spread and listed and all(row["domain"] is None for row in listed.values()):
        raise BadInputError(
            f"no listed host has the variable {rule.spread!r} that the rollout is spread over",
            where=f"runbook {runbook.id}",
            next="set it in the inventory, on hosts or groups, or mend spread",
        )
    queue = order(listed, rule.order)
    _spared(rule, queue, inventory.pools)
    rolling_back = asked.rollback_of is not None
    write = mitigation.rollback if rolling_back else mitigation.playbook
    content: dict[str, Any] = {
        "incident": incident.id,
        "requester": asked.requester,
        "purpose": asked.purpose,
        "rollback_of": asked.rollback_of,
        "joined": bool(asked.hosts),
        "runbook": {
            "id": runbook.id,
            "title": runbook.title,
            "revision": site.sources.revision(runbook.id),
            "library": site.sources.library_revision(),
            "followups": list(runbook.followups),
        },
        "mitigation": {
            "id": mitigation.id,
            "title": mitigation.title,
            "risk": str(mitigation.risk),
            "residual": mitigation.residual,
            "reversible": mitigation.reversible,
            "overridden": sorted(n for n, v in mitigation.variables.items() if v.overridden),
        },
        "playbooks": [[write, None]]
        if rolling_back
        else [[mitigation.playbook, None], [mitigation.verify, "verify"]],
        "read": [[mitigation.verify, "verify"]],
        "concerned": None if rolling_back else _concerned(runbook, mitigation),
        "tree": site.sources.pin(),
        "inventory": site.sources.pin_hosts(inventory, sorted(listed)),
        "variables": resolved(mitigation),
        "knobs": knobs_of(runbook, mitigation, asked.purpose),
        "hosts": listed,
        "waves": {
            "order": queue,
            "sizes": sizes(mitigation.waves, len(queue)),
            "rule": list(mitigation.waves),
            "loaded": rule.order,
            "spread": rule.spread,
            "max_parallel": rule.max_parallel,
            "min_survivors": rule.min_survivors,
            "pools": {
                pool: list(members)
                for pool, members in inventory.pools.items()
                if rule.min_survivors not in (0, "0%")
            },
            "shard": SHARD,
        },
        "gate": _gate(site, mitigation),
        "rollback": mitigation.rollback if mitigation.reversible else None,
        "hold": {} if rolling_back else _hold(site, runbook),
        "dry_run": asked.previewed,
        "expires_at": stamp(site.clock.now() + timedelta(seconds=site.expiry)),
    }
    approval = terms(site.policy, facts_of(content, incident.severity), mitigation.approvals)
    most = max(need["required"] for need in approval["needs"])
    return {**content, "approvals": most, "approval": approval}


def _concerned(runbook: Runbook, mitigation: Mitigation) -> Rule | None:
    """Return the rule by which an answer of ``verify`` tells who is concerned; None: it cannot tell.

    It can where the probe asks the same playbook with the same variables.
    """
    rule = runbook.applies_if
    if rule is None:
        return USUAL
    alike = rule.probe == mitigation.verify and rule.variables is None
    return rule.rule if alike else None


def _listed(
    incident: Incident,
    asked: Request,
    mitigation: Mitigation,
    names: Sequence[str],
    pools: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, Any]]:
    """Return the explicit host list, each with the exposure that the probe found."""
    listed = {}
    for name in targets(incident, asked, mitigation, names, pools):
        host = incident.host(name)
        listed[name] = {
            "exposure": (host.exposure or Exposure.UNKNOWN).value,
            "value": host.value,
            "kernel": host.kernel,
            "reason": "" if host.exposure is Exposure.EXPOSED else host.reason,
        }
    return listed


TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _place(rule: Rollout, name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the inventory says of a host's load and failure domain, where it is asked for.

    Only these two variables enter the proposal: others may be secrets.
    """
    place: dict[str, Any] = {}
    if rule.order is not None:
        said = str(variables.get("loaded", False)).lower()
        if said not in TRUTHS:
            raise BadInputError(
                "its variable 'loaded' is neither true nor false",
                where=name,
                next="mend it in the inventory",
            )
        place["loaded"] = TRUTHS[said]
    if rule.spread is not None:
        domain = variables.get(rule.spread)
        if isinstance(domain, dict | list) or len(str(domain)) > 64:
            raise BadInputError(
                f"its variable {rule.spread!r} is no short text that could name a failure domain",
                where=name,
                next="mend it in the inventory",
            )
        place["domain"] = None if domain is None else str(domain)
    return place


def _spared(rule: Rollout, queue: Sequence[str], pools: Mapping[str, Sequence[str]]) -> None:
    """Refuse a number of survivors that a pool does not have to spare, before anybody approves."""
    for pool, members in pools.items():
        needed = survivors_needed(rule.min_survivors, len(members))
        if needed >= len(members) and set(members) & set(queue):
            raise BadInputError(
                f"min_survivors is {rule.min_survivors}, and the pool has {len(members)} hosts: "
                "none of them could ever be touched",
                where=f"pool {pool}",
                next="lower it in the runbook, or give a percentage",
            )


def _gate(site: Site, mitigation: Mitigation) -> dict[str, Any]:
    gate = mitigation.gate
    return {
        "max_failed": gate.max_failed,
        "max_lost": gate.max_lost,
        "crash_after_apply": {
            "limit": gate.crash_after_apply.limit,
            "settle_seconds": gate.crash_after_apply.settle,
        },
        "soak_seconds": gate.soak,
        "checks": [
            {
                "title": check.title,
                "playbook": check.playbook,
                "where": check.where,
                "prometheus": _query(site, check.prometheus) if check.prometheus else None,
            }
            for check in gate.checks
        ],
    }


def _query(site: Site, query: Prometheus) -> dict[str, Any]:
    """Return what is asked, of whom, and the bounds: all of it is approved."""
    if site.prometheus_url is None:
        raise BadInputError(
            "the gate asks Prometheus, and no server is configured",
            where="gate.prometheus_url in holdfast.yml",
            next="set it, or take the check out of the runbook",
        )
    return {
        "url": site.prometheus_url,
        "query": query.query,
        "max": query.max,
        "min": query.min,
    }


def _hold(site: Site, runbook: Runbook) -> dict[str, Any]:
    if runbook.hold is None:
        return {}
    interval = site.hold_interval or runbook.hold.interval
    return {
        "action": str(runbook.hold.action),
        "interval_seconds": interval,
        "watch": runbook.hold.watch,
        "exit": runbook.hold.exit,
    }
