"""What was done, and on whose word: proposals, waves, approvals with their full digests."""

from __future__ import annotations

from typing import Any

from bot.incident.state import Proposal, Wave
from bot.postmortem.case import Case, many, utc
from bot.postmortem.markdown import code, inline, table
from bot.postmortem.overview import ENDS, names
from bot.proposal.content import blast_radius
from bot.timeline.entry import Entry

ANSWERS = {
    "approval.given": "approved",
    "approval.refused": "refused",
    "proposal.rejected": "rejected",
    "glass.broken": "BROKE THE GLASS",
}


def done(case: Case) -> str:
    """Describe every proposal, carried out or not, and its waves."""
    parts = [_proposal(proposal) for proposal in case.incident.proposals.values()]
    failed = [f"- No proposal: {inline(e.data['why'])}" for e in case.of("proposal.failed")]
    if failed:
        parts.append("\n".join(failed))
    return "\n\n".join(parts) or "Nothing: no proposal was made."


def _proposal(proposal: Proposal) -> str:
    content = proposal.content
    why = f" ({inline(proposal.why)})" if proposal.why else ""
    radius = ", ".join(
        f"{n} {inline(e).replace('_', ' ')}" for e, n in sorted(blast_radius(content).items())
    )
    rows = [
        f"### {proposal.id}",
        "",
        f"- State: {ENDS[proposal.state]}{why}",
        f"- Purpose: {_purpose(content)}, asked for by {inline(proposal.requester)}",
        f"- Runbook: {inline(content['runbook']['id'])} ({inline(content['runbook']['title'])}), "
        f"revision {code(content['runbook']['revision'])}",
        f"- Mitigation: {inline(content['mitigation']['title'])}",
        f"- Playbooks: {_playbooks(content)}, from the pinned copy {code(content['tree'])}",
        f"- Variables: {_variables(content)}",
        f"- Site overrides: {_overrides(content)}",
        f"- Hosts: {len(content['hosts'])} listed ({radius or 'none'})",
        f"- Gate: {_gate(content)}",
        f"- Dry run: {code(content['dry_run'])}",
        f"- Digest: {code(proposal.digest)}",
    ]
    if proposal.waves:
        head = ["Wave", "Started", "Ended", "Hosts", "Owed before it", "Result", "Gate"]
        rows += ["", table(head, [_wave(wave) for wave in proposal.waves])]
    return "\n".join(rows)


def _purpose(content: Any) -> str:
    if content.get("rollback_of"):
        return f"rollback of {inline(content['rollback_of'])}"
    return inline(content.get("purpose", "mitigate"))


def _playbooks(content: Any) -> str:
    return ", ".join(
        f"{inline(path)}{f' ({inline(tag)})' if tag else ''}" for path, tag in content["playbooks"]
    )


def _variables(content: Any) -> str:
    pairs = [f"{name}={value}" for name, value in sorted(content["variables"].items())]
    return ", ".join(inline(pair) for pair in pairs) or "none"


def _overrides(content: Any) -> str:
    named = content["mitigation"]["overridden"]
    return ", ".join(inline(name) for name in named) or "none: the runbook's own values"


def _gate(content: Any) -> str:
    gate = content["gate"]
    return (
        f"halts above {inline(gate['max_failed'])} failed or {inline(gate['max_lost'])} lost "
        f"in a wave"
    )


def _wave(wave: Wave) -> list[str]:
    tally: dict[str, int] = {}
    for outcome in wave.results.values():
        tally[outcome] = tally.get(outcome, 0) + 1
    result = " · ".join(f"{n} {inline(o).replace('_', ' ')}" for o, n in sorted(tally.items()))
    if wave.lost:
        result = "its run was lost; the hosts were read back"
    elif wave.finished_at is None:
        result = "not ended"
    return [
        str(wave.number),
        utc(wave.started_at),
        utc(wave.finished_at),
        names(list(wave.hosts)) or "-",
        names(list(wave.owed)) or "-",
        result or "nobody was up",
        "passed" if wave.passed else "not passed",
    ]


def approvals(case: Case) -> str:
    """List every yes and no, the refused ones too, with the whole digest."""
    rows = [_answer(case, entry) for entry in case.entries if entry.kind in ANSWERS]
    if not rows:
        return "Nobody approved, tried to approve, or rejected anything."
    head = ["When (UTC)", "Who", "Through", "Answer", "Proposal", "Digest", "Why"]
    started = [
        f"- {p.id} was started at {utc(p.started_at)} UTC by {_authority(p)}" for p in case.started
    ]
    note = [f"{many(len(rows), 'answer')}, in order:", "", table(head, rows)]
    return "\n".join([*note, *(["", *started] if started else [])])


def _authority(proposal: Proposal) -> str:
    """Say on whose word a proposal was started."""
    if proposal.glass_opened:
        return f"**break-glass**, without the usual approvals: {inline(proposal.glass_opened)}"
    return f"the approval of {', '.join(inline(a.name) for a in proposal.approvals) or 'nobody'}"


def _answer(case: Case, entry: Entry) -> list[str]:
    answer = ANSWERS[entry.kind]
    if entry.redacted:
        return [utc(entry.at), "redacted", "redacted", answer, "redacted", "redacted", "redacted"]
    proposal = case.incident.proposals.get(entry.data.get("proposal", ""))
    digest = entry.data.get("digest") or (proposal.digest if proposal else "")
    return [
        utc(entry.at),
        _who(entry),
        inline(entry.actor.via),
        answer,
        inline(entry.data.get("proposal", "")),
        code(digest),
        inline(entry.data.get("why", "")),
    ]


def _who(entry: Entry) -> str:
    who, name = inline(entry.actor.id), inline(entry.actor.name)
    return who if who == name else f"{name} ({who})"
