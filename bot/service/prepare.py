"""From a crash to a proposal: match, probe, preview, propose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from bot.clock import stamp
from bot.crash.show import from_dict
from bot.decide import Action
from bot.errors import BadInputError, ConflictError, HoldfastError, NotFoundError
from bot.incident.state import Exposure, Incident, Outcome, Proposal, Request
from bot.ports import Run, Transaction
from bot.proposal.content import blast_radius, digest
from bot.rollout.plan import order, sizes
from bot.runbook.match import match
from bot.runbook.model import Library, Mitigation, Runbook, resolved
from bot.service.site import Site, allow, load, refold
from bot.service.step import Commit
from bot.timeline.entry import BOT, Actor, Draft

SAMPLE = 5


def match_crash(site: Site, incident: Incident, _action: Action) -> Commit:
    """Match the incident's first crash against the runbooks, and ask for a proposal."""
    opening = site.store.entries(incident.id)
    first = next(e for e in opening if e.kind == "incident.opened")
    text = next((str(e.data.get("text", "")) for e in opening if e.kind == "alert.received"), "")
    library = site.sources.library()
    matches = match(library, from_dict(first.data["report"]), text)
    data = {
        "candidates": [
            {
                "runbook": c.runbook,
                "title": find(library, c.runbook).title,
                "score": c.score,
                "reasons": list(c.reasons),
                "evidence": [{"line": e.number, "text": e.text} for e in c.evidence],
                "warning": c.warning,
            }
            for c in matches.best
        ],
        "near": [{"runbook": n.runbook, "clause": n.clause, "why": n.why} for n in matches.near],
        "choice": matches.choice,
        "no_knob": None,
    }
    drafts: list[Draft] = []
    text = "no runbook matches this crash"
    if matches.best:
        best = find(library, matches.best[0].runbook)
        text = f"matches runbook {best.id}: {'; '.join(matches.best[0].reasons)}"
        if matches.choice:
            text = "two runbooks match equally: choose with 'propose'"
        elif best.no_knob is not None:
            data["no_knob"] = best.no_knob.reason
            text = f"runbook {best.id}: no knob turns this off. {best.no_knob.reason}"
        elif best.mitigations:
            drafts = [_request(best, best.mitigations[0], BOT, 1)]
    told = Draft(key="matched.1", kind="runbook.matched", text=text, data=data)

    def commit(tx: Transaction, now: Incident) -> None:
        tx.append(now.id, told, *drafts)

    return commit


def find(library: Library, runbook: str) -> Runbook:
    """Return a runbook by its id; raise ``NotFoundError``."""
    for one in library.runbooks:
        if one.id == runbook:
            return one
    raise NotFoundError(f"there is no runbook {runbook!r}", next="see 'holdfast runbook list'")


def _mitigation(runbook: Runbook, name: str) -> Mitigation:
    for one in runbook.mitigations:
        if one.id == name or not name:
            return one
    names = ", ".join(m.id for m in runbook.mitigations) or "none"
    raise NotFoundError(f"runbook {runbook.id} has no mitigation {name!r}", next=f"it has: {names}")


def _request(
    runbook: Runbook,
    mitigation: Mitigation,
    actor: Actor,
    number: int,
    *,
    rollback_of: str | None = None,
) -> Draft:
    purpose = "rollback" if rollback_of else "mitigate"
    what = f"rollback of {rollback_of}" if rollback_of else f"'{mitigation.title}'"
    return Draft(
        key=f"requested.{number}",
        kind="proposal.requested",
        text=f"{actor.name} asks for a proposal: {what}",
        actor=actor,
        data={
            "runbook": runbook.id,
            "mitigation": mitigation.id,
            "requester": actor.id,
            "purpose": purpose,
            "rollback_of": rollback_of,
        },
    )


def request(
    site: Site, incident: str, actor: Actor, *, runbook: str = "", mitigation: str = ""
) -> str:
    """Ask for a fresh proposal; whoever asks is its requester and cannot approve it."""
    allow(site, actor, "propose")
    now = load(site, incident)
    candidates = (now.match or {}).get("candidates", [])
    if not runbook and len(candidates) != 1 and (now.match or {}).get("choice", True):
        names = ", ".join(c["runbook"] for c in candidates) or "see 'holdfast runbook list'"
        raise BadInputError("say which runbook", next=f"propose {incident} RUNBOOK ({names})")
    chosen = find(site.sources.library(), runbook or candidates[0]["runbook"])
    if chosen.no_knob is not None:
        raise ConflictError(
            f"runbook {chosen.id} has no mitigation to propose: {chosen.no_knob.reason}",
            next="drain or patch as it says",
        )
    action = _mitigation(chosen, mitigation)
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        _free(now)
        tx.append(incident, _request(chosen, action, actor, len(now.requests) + 1))
        tx.wake(incident, site.clock.now())
    return f"{incident}: preparing a proposal of '{action.title}' (probe, then dry run)"


def rollback(site: Site, name: str, actor: Actor) -> str:
    """Ask for a rollback: a proposal of its own, approved like any other."""
    allow(site, actor, "rollback")
    incident = next(
        (r.id for r in site.store.incidents() if name in load(site, r.id).proposals), None
    )
    if incident is None:
        raise NotFoundError(f"there is no proposal {name}", next="see 'status'")
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        old = now.proposals[name]
        if old.purpose == "rollback" or old.started_at is None:
            raise ConflictError(f"{name} was not carried out, so nothing can be rolled back")
        if not old.content["rollback"]:
            raise ConflictError(
                f"{name} has no rollback: its runbook says that it cannot be undone",
                next="see the runbook's residual risk",
            )
        _free(now)
        runbook = find(site.sources.library(), old.content["runbook"]["id"])
        action = _mitigation(runbook, old.content["mitigation"]["id"])
        number = len(now.requests) + 1
        tx.append(incident, _request(runbook, action, actor, number, rollback_of=name))
        tx.wake(incident, site.clock.now())
    return f"{incident}: preparing the rollback of {name}; it needs its own approval"


def _free(now: Incident) -> None:
    if now.state != "open":
        raise ConflictError(f"{now.id} is {now.state}", next=f"reopen {now.id} first")
    busy = next((p for p in now.proposals.values() if p.state.value in _BUSY), None)
    if busy is not None:
        raise ConflictError(
            f"{busy.id} is {busy.state}", next=f"let it end or abort {busy.id} first"
        )


_BUSY = {"approved", "running", "paused", "halted"}


def probe(site: Site, incident: Incident, action: Action) -> Commit:
    """Queue the read-only probe of the whole target list."""
    asked = _asked(incident, action.request)
    inventory = site.sources.inventory()
    runbook = find(site.sources.library(), asked.runbook)
    mitigation = _mitigation(runbook, asked.mitigation)
    hosts = _targets(incident, asked, mitigation, sorted(inventory.hosts), inventory.pools)
    if not hosts:
        why = f"no host is a target (targets: {mitigation.targets})"
        return _no_proposal(asked, why)
    reader = (runbook.applies_if.probe if runbook.applies_if else None) or mitigation.verify
    spec = {
        "request": asked.number,
        "tree": site.sources.pin(),
        "inventory": site.sources.pin_hosts(inventory, hosts),
        "playbooks": [[reader, "probe"]],
        "variables": resolved(mitigation),
        "pools": {p: list(m) for p, m in inventory.pools.items()},
    }
    return _queue("probe", action, tuple(hosts), spec)


def _targets(
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
    crashed = {c.host for c in incident.crashes}
    if mitigation.targets == "crashed":
        return [h for h in names if h in crashed]
    if mitigation.targets == "pool":
        return [h for h in names if any(h in m and crashed & set(m) for m in pools.values())]
    return list(names)


def preview(site: Site, incident: Incident, action: Action) -> Commit:
    """Queue the dry run on the canary and a sample, or say why there is nothing to do."""
    asked = _asked(incident, action.request)
    runbook = find(site.sources.library(), asked.runbook)
    mitigation = _mitigation(runbook, asked.mitigation)
    inventory = site.sources.inventory()
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
    return _queue("preview", action, tuple(sample), spec)


def _queue(kind: str, action: Action, hosts: tuple[str, ...], spec: Mapping[str, Any]) -> Commit:
    def commit(tx: Transaction, now: Incident) -> None:
        ident = f"{now.id}.{kind}.{action.request}.{action.attempt}"
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
        name = f"P-{tx.number('proposal')}"
        whole = {**content, "proposal": name, "variables": {**content["variables"], "ref": name}}
        radius = blast_radius(whole)
        numbers = ", ".join(f"{n} {e.replace('_', ' ')}" for e, n in sorted(radius.items()))
        title = whole["mitigation"]["title"]
        what = f"rollback of {asked.rollback_of}" if asked.rollback_of else title
        tx.append(
            now.id,
            Draft(
                key=f"proposal.made.{asked.number}",
                kind="proposal.made",
                text=f"{name} proposed: {what} on {len(whole['hosts'])} hosts ({numbers})",
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
    mitigation = _mitigation(runbook, asked.mitigation)
    inventory = site.sources.inventory()
    listed = _listed(incident, asked, mitigation, sorted(inventory.hosts), inventory.pools)
    queue = order(listed)
    rolling_back = asked.rollback_of is not None
    write = mitigation.rollback if rolling_back else mitigation.playbook
    return {
        "incident": incident.id,
        "requester": asked.requester,
        "purpose": asked.purpose,
        "rollback_of": asked.rollback_of,
        "runbook": {
            "id": runbook.id,
            "title": runbook.title,
            "revision": site.sources.revision(runbook.id),
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
        "tree": site.sources.pin(),
        "inventory": site.sources.pin_hosts(inventory, sorted(listed)),
        "variables": resolved(mitigation),
        "hosts": listed,
        "waves": {
            "order": queue,
            "sizes": sizes(mitigation.waves, len(queue)),
            "rule": list(mitigation.waves),
        },
        "gate": _gate(mitigation),
        "rollback": mitigation.rollback if mitigation.reversible else None,
        "hold": {} if rolling_back else _hold(site, runbook),
        "dry_run": asked.previewed,
        "approvals": max(site.required, mitigation.approvals),
        "expires_at": stamp(site.clock.now() + timedelta(seconds=site.expiry)),
    }


def _listed(
    incident: Incident,
    asked: Request,
    mitigation: Mitigation,
    names: Sequence[str],
    pools: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, Any]]:
    """Return the explicit host list, each with the exposure that the probe found."""
    listed = {}
    for name in _targets(incident, asked, mitigation, names, pools):
        host = incident.host(name)
        listed[name] = {
            "exposure": (host.exposure or Exposure.UNKNOWN).value,
            "value": host.value,
            "kernel": host.kernel,
            "reason": host.reason if host.exposure is Exposure.NOT_APPLICABLE else "",
        }
    return listed


def _gate(mitigation: Mitigation) -> dict[str, Any]:
    gate = mitigation.gate
    return {
        "max_failed": gate.max_failed,
        "max_lost": gate.max_lost,
        "crash_after_apply": {
            "limit": gate.crash_after_apply.limit,
            "settle_seconds": gate.crash_after_apply.settle,
        },
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


def current_sources(site: Site, proposal: Proposal, *, deep: bool) -> dict[str, Any]:
    """Return today's value of a proposal's sources; ``deep`` resolves the inventory too."""
    content = proposal.content
    now: dict[str, Any] = {"tree": site.sources.tree()}
    try:
        library = site.sources.library()
        runbook = find(library, content["runbook"]["id"])
        mitigation = _mitigation(runbook, content["mitigation"]["id"])
        now["runbook"] = {**content["runbook"], "revision": site.sources.revision(runbook.id)}
        now["variables"] = {**resolved(mitigation), "ref": proposal.id}
    except NotFoundError:
        now["runbook"] = None
    if deep:
        inventory = site.sources.inventory()
        listed = sorted(content["hosts"])
        gone = [h for h in listed if h not in inventory.hosts]
        if gone:
            now["missing"] = gone
        else:
            now["inventory"] = site.sources.hosts_hash(inventory, listed)
    return now
