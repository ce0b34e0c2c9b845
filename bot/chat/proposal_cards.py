"""The card of a proposal: what would be done, to whom, with what risk, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bot.approval.policy import Person, Tally, may, tally
from bot.chat import alarm
from bot.chat.card import Button, Card
from bot.clock import stamp
from bot.incident.state import Exposure, Incident, Outcome, Proposal, ProposalState
from bot.proposal.content import blast_radius

TONES = {
    ProposalState.OPEN: "warn",
    ProposalState.HALTED: "bad",
    ProposalState.ABORTED: "bad",
    ProposalState.DONE: "good",
    ProposalState.PAUSED: "warn",
}

NAMED = 4
"""How many people are named who may approve."""


def proposal_card(
    incident: Incident, proposal: Proposal, people: Mapping[str, Person], *, full: bool = False
) -> Card:
    """Show what would be done, to whom, with what risk, and what is still missing."""
    content = proposal.content
    chosen = _candidate(incident, proposal)
    count = tally(proposal, proposal.approvals, people)
    fields = [
        ("Crash", incident.title),
        ("Runbook", f"{content['runbook']['id']}: {said(chosen)}"),
        ("Does", does(content)),
        ("Hosts", f"{len(content['hosts'])} listed: {listed(content)}"),
        ("To each", effects(content)),
        ("Waves", _waves(content)),
        ("Risk", f"{content['mitigation']['risk']}. {content['mitigation']['residual']}".strip()),
        ("Undo", undo(content)),
        ("Approvals", _approvals(proposal, count)),
        *_may_approve(proposal, count, people),
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
        title=f"{proposal.id} · {word(incident, proposal)}{why_of(proposal)} · {title}",
        tone=TONES.get(proposal.state, "info"),
        fields=tuple(fields),
        lines=lines,
        code=preview(incident, proposal, limit=200 if full else 6),
        buttons=_buttons(proposal),
        foot=f"expires {stamp(proposal.expires_at)[:16].replace('T', ' ')} UTC"
        if proposal.state is ProposalState.OPEN
        else "",
    )


def word(incident: Incident, proposal: Proposal) -> str:
    """Return the proposal's state; all waves carried out is not done while hosts are owed."""
    owed = sum(1 for h in incident.hosts.values() if h.outcome in {Outcome.OWED, Outcome.UNKNOWN})
    if proposal.state is ProposalState.DONE and owed and incident.rollout is proposal:
        return f"all waves carried out, not finished: {owed} owed"
    return proposal.state.value


def why_of(proposal: Proposal) -> str:
    """Return a proposal's reason for its state, to stand after the state's word."""
    return f": {proposal.why}" if proposal.why else ""


def _candidate(incident: Incident, proposal: Proposal) -> Mapping[str, Any]:
    """Return what the match said of the proposal's runbook, which need not be the best one."""
    candidates = (incident.match or {}).get("candidates") or []
    chosen = proposal.content["runbook"]["id"]
    by_hand: Mapping[str, Any] = {"reasons": ["chosen by hand"], "evidence": []}
    return next((c for c in candidates if c["runbook"] == chosen), by_hand)


def said(candidate: Mapping[str, Any]) -> str:
    """Give the reasons of a match, and the doubt in the report if there is one."""
    doubt = candidate.get("warning")
    return "; ".join(candidate["reasons"]) + (f". Careful: {doubt}" if doubt else "")


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


def effects(content: Mapping[str, Any]) -> str:
    """Say what is done to the hosts of each exposure: ``7 exposed: 127 becomes 0``."""
    radius = blast_radius(content)
    wanted = "its earlier value" if content["rollback_of"] else content["variables"].get("value")
    value = "the playbook runs" if wanted is None else f"set to {wanted}"
    now = {
        str(host.get("value"))
        for host in content["hosts"].values()
        if host["exposure"] == Exposure.EXPOSED and host.get("value") is not None
    }
    was = f" (now {', '.join(sorted(now)[:3])}{', …' if len(now) > 3 else ''})" if now else ""
    said = {
        Exposure.EXPOSED: f"{value}{was}, in the waves below",
        Exposure.UNREACHABLE: "owed, the same as soon as they answer",
        Exposure.UNKNOWN: "owed, read first, then the same if they have the knob",
        Exposure.NOT_APPLICABLE: "left alone",
    }
    parts = [f"{radius[kind]} {_words(kind)}: {said[kind]}" for kind in said if radius.get(kind)]
    return "; ".join(parts) or "nothing"


def _words(exposure: str) -> str:
    return str(exposure).replace("_", " ")


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


def undo(content: Mapping[str, Any]) -> str:
    """Say whether it can be taken back, and how."""
    return f"yes, {content['rollback']}" if content["rollback"] else "cannot be undone"


def _approvals(proposal: Proposal, count: Tally) -> str:
    by = ", ".join(dict.fromkeys(a.name for a in proposal.approvals))
    return f"{count.sentence}{f' by {by}' if by else ''}; requested by {proposal.requester}"


def _may_approve(
    proposal: Proposal, count: Tally, people: Mapping[str, Person]
) -> list[tuple[str, str]]:
    """Name who can give what is missing, while something is."""
    if proposal.state is not ProposalState.OPEN or count.complete:
        return []
    names = [
        person.name
        for person in people.values()
        if may(person, "approve").ok
        and person.id != proposal.requester
        and person.id not in count.counted
    ]
    missing = count.required - len(count.counted)
    if len(names) < missing:
        told = ", ".join(names) or "nobody"
        return [("Missing", f"{missing} more, and only {told} may give it: see 'who'")]
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" * (len(names) > NAMED))
    return [("Missing", f"{missing} more, of {shown}")]


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
    abort = Button(label="Abort", line=f"abort {proposal.id}", style="danger")
    if proposal.state is ProposalState.OPEN:
        approve = f"approve {proposal.id} --digest {proposal.digest[:12]}"
        return (
            Button(label="Approve", line=approve, style="primary"),
            Button(label="Reject", line=f"reject {proposal.id}", style="danger"),
            details,
        )
    if proposal.state is ProposalState.HALTED:
        undo = Button(label="Roll back", line=f"rollback {proposal.id}")
        # Three buttons are few enough to choose from at night; the details are a command away.
        third = undo if proposal.content["rollback"] and proposal.purpose == "mitigate" else details
        return (
            Button(label="Continue", line=f"resume {proposal.id}", style="primary"),
            third,
            abort,
        )
    if proposal.state is ProposalState.RUNNING:
        return (Button(label="Pause", line=f"pause {proposal.id}"), abort, details)
    if proposal.state is ProposalState.PAUSED:
        resume = Button(label="Resume", line=f"resume {proposal.id}", style="primary")
        return (resume, abort, details)
    return (details,)
