"""The cards of an incident, made from its fold alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.approval.policy import Person, Tally, tally
from bot.chat import alarm
from bot.chat.card import Button, Card
from bot.clock import stamp
from bot.incident.cascade import measure, outcomes
from bot.incident.state import Host, Incident, Outcome, Proposal, ProposalState
from bot.proposal.content import blast_radius
from bot.service.progress import Progress

TONES = {
    ProposalState.OPEN: "warn",
    ProposalState.HALTED: "bad",
    ProposalState.ABORTED: "bad",
    ProposalState.DONE: "good",
    ProposalState.PAUSED: "warn",
}

UNMITIGATED = "may be serving unmitigated"


def headline(incident: Incident, now: datetime, lives: Sequence[Progress] = ()) -> Card:
    """Return the one message of an incident: a latecomer reads it and knows where it stands.

    ``lives`` is what goes on now.
    """
    cascade = measure(incident, now)
    fields = [
        ("Cascade", cascade.sentence),
        ("Commander", incident.commander or "nobody yet: assign commander PERSON"),
        ("Runbook", _runbook(incident)),
    ]
    if incident.cut:
        fields.insert(1, ("Careful", f"the sender left {incident.cut} alerts out: there are more"))
    proposal = incident.current
    if proposal is not None:
        fields.append(("Proposal", f"{proposal.id} {word(incident, proposal)}{_why(proposal)}"))
        fields += alarm.field(proposal)
    if incident.requests and not incident.requests[-1].settled:
        waiting = incident.requests[-1].waiting
        said = f"{waiting}; probing again until a host with the knob answers" if waiting else ""
        fields.append(("Preparing", said or "a proposal: probing the fleet, then a dry run"))
    elif incident.requests and incident.requests[-1].why:
        fields.append(("No proposal", incident.requests[-1].why))
    if lives:
        fields.append(("Now", "; ".join(one.sentence for one in lives)))
    if incident.rollout is not None:
        fields.append(("Hosts", counts(incident)))
    if incident.hold.state != "none":
        fields.append(("Hold", hold_line(incident)))
    severity = "" if incident.severity == "unset" else f" · {incident.severity}"
    tone = "good" if incident.state == "resolved" else "bad" if cascade.down else "warn"
    return Card(
        title=f"{incident.id} · {incident.state}{severity} · {incident.title}",
        tone=tone,
        fields=tuple(fields),
        lines=next_steps(incident),
    )


def next_steps(incident: Incident) -> tuple[str, ...]:
    """Say what a person can do next."""
    proposal = incident.current
    if incident.state != "open":
        return ()
    if incident.requests and incident.requests[-1].why:
        return (f"Next: mend that, then: propose {incident.id}",)
    if proposal is None:
        stuck = incident.match is not None and not incident.requests
        if stuck and (incident.match or {}).get("choice"):
            return (f"Next: propose {incident.id} RUNBOOK ({' or '.join(_equals(incident))})",)
        return (
            ("Next: nothing to propose by itself; read the crash, drain, patch",) if stuck else ()
        )
    steps = {
        ProposalState.OPEN: f"Next: approve {proposal.id} or reject {proposal.id}",
        ProposalState.HALTED: f"Next: resume {proposal.id}, rollback {proposal.id} or abort",
        ProposalState.PAUSED: f"Next: resume {proposal.id} or abort {proposal.id}",
        ProposalState.EXPIRED: f"Next: propose {incident.id}",
        ProposalState.REJECTED: f"Next: propose {incident.id}",
    }
    step = steps.get(proposal.state)
    return (step,) if step else ()


def _runbook(incident: Incident) -> str:
    match = incident.match
    if match is None and incident.signature is None:
        return f"none, it was declared by hand: propose {incident.id} RUNBOOK"
    if match is None:
        return "matching"
    if match.get("no_knob"):
        return f"{match['candidates'][0]['runbook']}: no knob. {match['no_knob']}"
    names = [c["runbook"] for c in match["candidates"]]
    if not names:
        near = [f"; {n['runbook']} just misses: {n['why']}" for n in match["near"][:1]]
        return "none matches this crash" + "".join(near)
    if match.get("choice"):
        return f"choose, they match equally: {' or '.join(_equals(incident))}"
    return f"{names[0]}: {_said(match['candidates'][0])}"


def _equals(incident: Incident) -> list[str]:
    """Return the runbooks of the best score, between which only a person chooses."""
    candidates = (incident.match or {})["candidates"]
    return [c["runbook"] for c in candidates if c["score"] == candidates[0]["score"]]


def _candidate(incident: Incident, proposal: Proposal) -> Mapping[str, Any]:
    """Return what the match said of the proposal's runbook, which need not be the best one."""
    candidates = (incident.match or {}).get("candidates") or []
    chosen = proposal.content["runbook"]["id"]
    by_hand: Mapping[str, Any] = {"reasons": ["chosen by hand"], "evidence": []}
    return next((c for c in candidates if c["runbook"] == chosen), by_hand)


def _said(candidate: Mapping[str, Any]) -> str:
    """Give the reasons of a match, and the doubt in the report if there is one."""
    doubt = candidate.get("warning")
    return "; ".join(candidate["reasons"]) + (f". Careful: {doubt}" if doubt else "")


def word(incident: Incident, proposal: Proposal) -> str:
    """Return the proposal's state; all waves carried out is not done while hosts are owed."""
    owed = sum(1 for h in incident.hosts.values() if h.outcome in {Outcome.OWED, Outcome.UNKNOWN})
    if proposal.state is ProposalState.DONE and owed and incident.rollout is proposal:
        return f"all waves carried out, not finished: {owed} owed"
    return proposal.state.value


def _why(proposal: Proposal) -> str:
    return f": {proposal.why}" if proposal.why else ""


def counts(incident: Incident) -> str:
    """``9 verified · 2 not applicable · 1 owed``: always exact, never rounded."""
    found = outcomes(incident)
    rollout = incident.rollout
    undoing = rollout is not None and rollout.purpose == "rollback"
    owed = "may still have the value" if undoing else UNMITIGATED
    parts = [
        f"{n} {o.replace('_', ' ')}{f' ({owed})' if o == Outcome.OWED else ''}"
        for o, n in found.items()
        if n
    ]
    silent = sum(1 for h in incident.hosts.values() if h.outcome is Outcome.VERIFIED and h.down)
    note = f"; {silent} of the verified do not answer now" if silent else ""
    return (" · ".join(parts) or "none touched") + note


def hold_line(incident: Incident) -> str:
    """Describe the hold in one line."""
    hold = incident.hold
    drifting = sorted(h.name for h in incident.hosts.values() if h.drifted)
    now = f", drifting now: {', '.join(drifting)}" if drifting else ""
    return f"{hold.state} · drift seen {hold.drifts} times, restored {hold.restores} times{now}"


def proposal_card(
    incident: Incident, proposal: Proposal, people: Mapping[str, Person], *, full: bool = False
) -> Card:
    """Show what would be done, to whom, with what risk, and what is still missing."""
    content = proposal.content
    chosen = _candidate(incident, proposal)
    count = tally(proposal, proposal.approvals, people)
    fields = [
        ("Crash", incident.title),
        ("Runbook", f"{content['runbook']['id']}: {_said(chosen)}"),
        ("Does", does(content)),
        ("Hosts", f"{len(content['hosts'])} listed: {listed(content)}"),
        ("Waves", _waves(content)),
        ("Risk", f"{content['mitigation']['risk']}. {content['mitigation']['residual']}".strip()),
        ("Undo", _undo(content)),
        ("Approvals", _approvals(proposal, count)),
        *alarm.field(proposal, people),
        ("Digest", proposal.digest[:12]),
    ]
    if full:
        fields.append(("Who counts", "\n".join(count.lines)))
    if full and proposal.waves:
        fields.append(("Output", f"in the state directory: {', '.join(outputs(proposal))}"))
    if overridden := content["mitigation"]["overridden"]:
        fields.insert(3, ("Site says", f"overrides the runbook's {', '.join(overridden)}"))
    if shared := content.get("shared"):
        fields.insert(3, ("Shared", "; ".join(shared)))
    lines = tuple(f"line {e['line']}: {e['text']}" for e in chosen["evidence"][:2])
    what = "rollback of " + str(content["rollback_of"]) if content["rollback_of"] else ""
    title = what or content["mitigation"]["title"]
    return Card(
        title=f"{proposal.id} · {word(incident, proposal)}{_why(proposal)} · {title}",
        tone=TONES.get(proposal.state, "info"),
        fields=tuple(fields),
        lines=lines,
        code=preview(incident, proposal, limit=200 if full else 6),
        buttons=_buttons(proposal),
        foot=f"expires {stamp(proposal.expires_at)}"
        if proposal.state is ProposalState.OPEN
        else "",
    )


def listed(content: Mapping[str, Any]) -> str:
    """Count the listed hosts by exposure; say of those that are not exposed why."""
    parts = []
    for exposure, number in sorted(blast_radius(content).items()):
        why = Counter(
            str(host["reason"]).rpartition(": ")[2].strip()
            for host in content["hosts"].values()
            if host["exposure"] == exposure and host.get("reason")
        )
        words = [f"{n} {reason}" if len(why) > 1 else reason for reason, n in why.most_common(2)]
        more = [f"{len(why) - 2} other reasons"] if len(why) > 2 else []
        said = f" ({', '.join(words + more)})" if words else ""
        parts.append(f"{number} {exposure.replace('_', ' ')}{said}")
    return " · ".join(parts)


def outputs(proposal: Proposal) -> list[str]:
    """Return where Ansible's whole output of each wave's run lies, below the state directory."""
    return [f"runs/{wave.run}/artifacts/job/stdout" for wave in proposal.waves]


def does(content: Mapping[str, Any]) -> str:
    """Name the playbook and its variables."""
    variables = {k: v for k, v in content["variables"].items() if k != "ref"}
    words = ", ".join(f"{k}={v}" for k, v in sorted(variables.items()))
    return f"{content['playbooks'][0][0]} with {words}"


def _waves(content: Mapping[str, Any]) -> str:
    sizes = content["waves"]["sizes"]
    words = " → ".join(str(s) for s in sizes)
    gate = content["gate"]
    limits = f"halts above {gate['max_failed']} failed or {gate['max_lost']} lost in a wave"
    said = [f"{'canary ' if len(sizes) > 1 else ''}{words} hosts", *_choice(content), limits]
    if gate.get("soak_seconds") and len(sizes) > 1:
        said.append(f"the canary soaks for {gate['soak_seconds']:g} s")
    said += [f"after each wave: {_check(check)}" for check in gate.get("checks", ())]
    return "; ".join(said)


def _choice(content: Mapping[str, Any]) -> list[str]:
    """Say how waves choose their hosts, and how many at once."""
    plan, hosts = content["waves"], content["hosts"]
    said = []
    if plan.get("loaded"):
        loaded = sum(1 for name in plan["order"] if hosts[name].get("loaded"))
        said.append(f"the {loaded} loaded hosts {plan['loaded'].removeprefix('loaded-')}")
    if plan.get("spread"):
        domains = {hosts[name].get("domain") for name in plan["order"]}
        without = sum(1 for name in plan["order"] if hosts[name].get("domain") is None)
        note = f", {without} hosts without one" if without else ""
        said.append(f"in turn over {len(domains - {None})} values of {plan['spread']}{note}")
    if plan.get("max_parallel"):
        said.append(f"at most {plan['max_parallel']} at once")
    if plan.get("pools"):
        said.append(f"at least {plan['min_survivors']} of each pool stay untouched or verified")
    return said


def _check(check: Mapping[str, Any]) -> str:
    """Describe one check of the gate: what is asked, where, and its bounds."""
    if check["playbook"]:
        return f"{check['title']} ({check['playbook']} on {check['where']})"
    asked = check["prometheus"]
    bounds = " and ".join(f"{w} {asked[w]:g}" for w in ("min", "max") if asked[w] is not None)
    return f"{check['title']} ({asked['query']} at {asked['url']}, {bounds})"


def _undo(content: Mapping[str, Any]) -> str:
    return f"yes, {content['rollback']}" if content["rollback"] else "cannot be undone"


def _approvals(proposal: Proposal, count: Tally) -> str:
    by = ", ".join(dict.fromkeys(a.name for a in proposal.approvals))
    return f"{count.sentence}{f' by {by}' if by else ''}; requested by {proposal.requester}"


def preview(incident: Incident, proposal: Proposal, limit: int) -> str:
    """Return the recorded dry run, a line a change."""
    wanted = proposal.content["dry_run"]
    request = next((r for r in incident.requests if r.previewed == wanted), None)
    hosts: Mapping[str, Sequence[str]] = (request.dry_run if request else {}).get("hosts", {})
    blind = request.dry_run.get("cannot_preview", ()) if request else ()
    rows = [f"cannot preview: {task}" for task in blind]
    rows += [f"{host}: {line}" for host, lines in sorted(hosts.items()) for line in lines]
    more = [f"… and {len(rows) - limit} more lines"] if len(rows) > limit else []
    return "\n".join(rows[:limit] + more)


def _buttons(proposal: Proposal) -> tuple[Button, ...]:
    details = Button(label="Details", line=f"details {proposal.id}")
    if proposal.state is ProposalState.OPEN:
        approve = f"approve {proposal.id} --digest {proposal.digest[:12]}"
        return (
            Button(label="Approve", line=approve, style="primary"),
            Button(label="Reject", line=f"reject {proposal.id}", style="danger"),
            details,
        )
    if proposal.state is ProposalState.HALTED:
        undo = Button(label="Roll back", line=f"rollback {proposal.id}")
        return (
            Button(label="Continue", line=f"resume {proposal.id}", style="primary"),
            *((undo,) if proposal.content["rollback"] and proposal.purpose == "mitigate" else ()),
            Button(label="Abort", line=f"abort {proposal.id}", style="danger"),
            details,
        )
    if proposal.state in {ProposalState.RUNNING, ProposalState.PAUSED}:
        return (Button(label="Abort", line=f"abort {proposal.id}", style="danger"), details)
    return (details,)


def host_row(incident: Incident, host: Host) -> dict[str, Any]:
    """Return a host as the published JSON: ``{host,outcome,reason,value,boot_id,at,lane,…}``."""
    return {
        "host": host.name,
        "outcome": host.outcome.value if host.outcome else None,
        "exposure": host.exposure.value if host.exposure else None,
        "reason": why(incident, host),
        "value": host.value,
        "boot_id": host.boot_id,
        "kernel": host.kernel,
        "down": host.down,
        "crashes": host.crashes,
        "at": stamp(host.at) if host.at else None,
        "decided": host.decided,
        "lane": host.lane,
    }


def why(incident: Incident, host: Host) -> str:
    """Return a host's reason; one that is owed a mitigation may be serving without it."""
    rollout = incident.rollout
    owed = host.outcome is Outcome.OWED and rollout is not None and rollout.purpose != "rollback"
    if not owed or UNMITIGATED in host.reason:
        return host.reason
    return f"{host.reason}; {UNMITIGATED}" if host.reason else UNMITIGATED


def hosts_card(incident: Incident, hosts: Sequence[Host], lives: Sequence[Progress] = ()) -> Card:
    """List hosts; ``lives`` is what goes on now, and tells who is out in it."""
    out = {h: f"out for {age:.0f} s in {one.name}" for one in lives for h, age in one.out}
    rows = [
        f"{h.name:<16} {(h.outcome or h.exposure or 'crashed'):<15} "
        f"{(h.value if h.value is not None else '-'):<6} "
        f"{out.get(h.name) or why(incident, h)}".rstrip()
        for h in hosts
    ]
    return Card(title=f"{incident.id} · {counts(incident)}", code="\n".join(rows))


def status_json(
    incident: Incident,
    people: Mapping[str, Person],
    now: datetime,
    lives: Sequence[Progress] = (),
) -> dict[str, Any]:
    """Return the published status object; ``lives`` is what goes on now."""
    signature = incident.signature
    cascade = measure(incident, now)
    return {
        "id": incident.id,
        "state": incident.state,
        "severity": incident.severity,
        "commander": incident.commander,
        "title": incident.title,
        "signature": {
            "kind": signature.kind if signature else None,
            "function": signature.function if signature else None,
            "module": signature.module if signature else None,
        },
        "cascade": {
            "crashed_10m": cascade.recent,
            "crashed": cascade.crashed,
            "crashes": cascade.crashes,
            "down": list(cascade.down),
            "repeat": list(cascade.repeat),
            "unknown_hosts": list(cascade.strangers),
            "pools": {p.name: {"up": p.up, "size": p.size} for p in cascade.pools},
        },
        "runbook": dict(incident.match) if incident.match else None,
        "proposals": [_proposal_json(p, people) for p in incident.proposals.values()],
        "hosts": outcomes(incident),
        "progress": [one.as_dict() for one in lives],
        "waves": [
            {
                "proposal": p.id,
                "wave": w.number,
                "hosts": list(w.hosts),
                "owed": list(w.owed),
                "run": w.run,
                "lost": w.lost,
                "passed": w.passed,
                "started_at": stamp(w.started_at),
                "finished_at": stamp(w.finished_at) if w.finished_at else None,
            }
            for p in incident.proposals.values()
            for w in p.waves
        ],
        "hold": {
            "state": incident.hold.state,
            "drift": sorted(h.name for h in incident.hosts.values() if h.drifted),
            "drifts": incident.hold.drifts,
            "restores": incident.hold.restores,
        },
    }


def _proposal_json(proposal: Proposal, people: Mapping[str, Person]) -> dict[str, Any]:
    count = tally(proposal, proposal.approvals, people)
    return {
        "id": proposal.id,
        "state": proposal.state.value,
        "why": proposal.why,
        "digest": proposal.digest,
        "runbook": proposal.content["runbook"]["id"],
        "purpose": proposal.purpose,
        "requester": proposal.requester,
        "required": count.required,
        "counted": list(count.counted),
        "not_counted": [{"who": u.who, "why": u.why} for u in count.not_counted],
        "expires_at": stamp(proposal.expires_at),
    }
