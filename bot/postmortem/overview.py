"""The first page: what crashed, what became of it, how large it was, and why it may have been."""

from __future__ import annotations

from collections import Counter

from bot.incident.state import Outcome, Proposal, ProposalState
from bot.postmortem.case import UNSETTLED, Case, many, span, utc
from bot.postmortem.markdown import fence, inline, table

ALWAYS = ("verified", "not_applicable", "owed", "failed")
MAX_EVIDENCE = 20
SERVING = "may be serving unmitigated"

ENDS = {
    ProposalState.OPEN: "waits for approval; nothing was done to the fleet",
    ProposalState.APPROVED: "is approved and not started; nothing was done to the fleet",
    ProposalState.RUNNING: "is being rolled out",
    ProposalState.PAUSED: "is paused in mid-rollout",
    ProposalState.HALTED: "was halted in mid-rollout",
    ProposalState.ABORTED: "was aborted",
    ProposalState.DONE: "was carried out in all its waves",
    ProposalState.EXPIRED: "expired; nothing was done to the fleet",
    ProposalState.REJECTED: "was rejected; nothing was done to the fleet",
    ProposalState.SUPERSEDED: "was superseded; nothing was done to the fleet",
}
"""A proposal whose waves were all carried out is never called done: hosts may be owed."""


def summary(case: Case) -> str:
    """Say in a few lines what happened and where it stands, in exact numbers."""
    incident, cascade = case.incident, case.cascade
    commander = inline(incident.commander) if incident.commander else "nobody"
    rows = [
        f"- **State**: {inline(incident.state)}, severity {inline(incident.severity)}, "
        f"commander {commander}",
        f"- **What crashed**: {inline(incident.title)}: {many(cascade.crashes, 'crash', 'crashes')}"
        f" of {many(cascade.crashed, 'host')}",
        f"- **What was done**: {_done(case)}",
        f"- **Who approved**: {_approvers(case)}",
        f"- **Hosts**: {count_line(case)}",
    ]
    if warning := unsettled_line(case):
        rows.append(f"- **Not finished**: {warning}")
    if missed := [h.name for h in incident.hosts.values() if h.crashes and h.outcome is None]:
        rows.append(f"- **Crashed and not covered**: {len(missed)} ({names(sorted(missed))})")
    return "\n".join(rows)


def count_line(case: Case) -> str:
    """Write the exact counts: ``9 verified · 2 not applicable · 1 owed · 0 failed``."""
    counts = case.counts
    shown = [*ALWAYS, *(name for name in counts if name not in ALWAYS and counts[name])]
    return " · ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in shown)


def unsettled_line(case: Case) -> str:
    """Say which hosts are not protected, or not known to be; '' if there are none."""
    rollout = case.incident.rollout
    back = rollout is not None and rollout.purpose == "rollback"
    meaning = {
        Outcome.OWED: f"owed, {'may still have the value' if back else SERVING}",
        Outcome.FAILED: "failed",
        Outcome.UNKNOWN: "unknown, to be read by a person",
        Outcome.APPLIED: "applied but lost at the next boot",
    }
    found = {outcome: case.hosts(outcome) for outcome in UNSETTLED}
    parts = [
        f"{len(hosts)} {meaning[outcome]} ({names([host.name for host in hosts])})"
        for outcome, hosts in found.items()
        if hosts
    ]
    return "; ".join(parts)


def names(hosts: list[str], limit: int = 20) -> str:
    """List host names, the first ``limit`` of them."""
    shown = ", ".join(inline(host) for host in hosts[:limit])
    return f"{shown} and {len(hosts) - limit} more" if len(hosts) > limit else shown


def _done(case: Case) -> str:
    proposals = case.started or list(case.incident.proposals.values())[-1:]
    if not proposals:
        return "nothing: no proposal was made"
    parts = [f"{p.id} ({_title(p)}) {ENDS[p.state]}" for p in proposals]
    text = "; ".join(parts)
    if not case.started:
        return text
    left = [f"{case.counts[o]} {o.value}" for o in UNSETTLED if case.counts[o]]
    if left:
        return f"{text}; not finished, hosts are left: {', '.join(left)}"
    if case.started[-1].state is not ProposalState.DONE:
        return text
    return f"{text}; no listed host is owed, failed or unknown"


def _title(proposal: Proposal) -> str:
    if proposal.purpose == "rollback":
        return f"rollback of {inline(proposal.content.get('rollback_of'))}"
    return inline(proposal.content["mitigation"]["title"])


def _approvers(case: Case) -> str:
    said = [f"{inline(a.name)} ({p.id})" for p in case.started for a in p.approvals]
    if said:
        return ", ".join(dict.fromkeys(said))
    return "nobody: no rollout was started"


def impact(case: Case) -> str:
    """Count what crashed, how often, where and for how long."""
    incident, cascade = case.incident, case.cascade
    times = [crash.at for crash in incident.crashes]
    length = span(max(times) - min(times)) if times else "-"
    first, last = utc(min(times, default=None)), utc(max(times, default=None))
    after = [crash for p in case.started for crash in p.crashed_after]
    nameless = sum(1 for e in case.of("alert.received") if "crash" in e.data and not e.data["host"])
    cut = sum(int(entry.data.get("cut") or 0) for entry in case.of("alert.received"))
    rows = [
        f"- {many(incident.alerts, 'alert')}, {many(cascade.crashes, 'crash', 'crashes')} "
        f"of {many(cascade.crashed, 'host')}",
        f"- First crash {first}, last crash {last} (UTC): {length}",
        f"- Repeat crashers: {_repeat(case)}",
        f"- Down or not reached at the time of writing: {len(cascade.down)}"
        f"{f' ({names(list(cascade.down))})' if cascade.down else ''}",
        f"- Crashes of hosts that had the value already: {len(after)}"
        f"{f' ({names(sorted({c.host for c in after}))})' if after else ''}",
    ]
    if cascade.strangers:
        strangers = names(list(cascade.strangers))
        rows.append(f"- Not in the inventory: {len(cascade.strangers)} ({strangers})")
    if nameless:
        rows.append(f"- {many(nameless, 'crash report')} named no host and are not counted above")
    if cut:
        rows.append(f"- {many(cut, 'alert')} were left out by the sender: the numbers may be low")
    return "\n".join([*rows, *_pools(case)])


def _repeat(case: Case) -> str:
    count = Counter(crash.host for crash in case.incident.crashes)
    found = [f"{inline(host)} ({count[host]} times)" for host in case.cascade.repeat]
    more = f" and {len(found) - 20} more" if len(found) > 20 else ""
    return f"{len(found)}{': ' if found else ''}{', '.join(found[:20])}{more}"


def _pools(case: Case) -> list[str]:
    if not case.cascade.pools:
        return []
    crashes = Counter(crash.host for crash in case.incident.crashes)
    rows = []
    for pool in case.cascade.pools:
        members = case.incident.pools[pool.name]
        rows.append(
            [
                inline(pool.name),
                str(pool.size),
                str(sum(1 for host in members if crashes[host])),
                str(sum(crashes[host] for host in members)),
                f"{pool.up} of {pool.size}",
            ]
        )
    return ["", table(["Pool", "Hosts", "Crashed", "Crashes", "Up now"], rows)]


def hypothesis(case: Case) -> str:
    """Name the suspected cause and the lines that it rests on; it is never stated as a fact."""
    opened = next(iter(case.of("incident.opened")), None)
    report = (opened.data.get("report") or {}) if opened else {}
    match = case.incident.match or {}
    candidates = match.get("candidates") or []
    rows = ["*A hypothesis from the crash text and the runbooks, not a finding.*", ""]
    rows += _suspect(report)
    for one in candidates:
        reasons = "; ".join(inline(reason) for reason in one["reasons"]) or "-"
        rows.append(f"- Runbook {inline(one['runbook'])} ({inline(one['title'])}) fits: {reasons}")
        if one.get("warning"):
            rows.append(f"- Warning: {inline(one['warning'])}")
    if not candidates:
        rows.append("- No runbook fits this crash" if match else "- No runbook was matched yet")
    if match.get("no_knob"):
        rows.append(f"- Nothing can be turned off: {inline(match['no_knob'])}")
    for near in (match.get("near") or [])[:5]:
        rows.append(f"- Not {inline(near['runbook'])}: {inline(near['why'])}")
    lines = [
        f"line {e['line']}: {e['text']}" for one in candidates[:1] for e in one["evidence"]
    ] or [f"line {e['number']}: {e['text']}" for e in report.get("evidence", [])]
    if lines:
        rows += ["", "Evidence, as it arrived:", "", fence(lines[:MAX_EVIDENCE])]
    return "\n".join(rows)


def _suspect(report: dict[str, object]) -> list[str]:
    if not report:
        return ["- The crash report is not in the record"]
    where = inline(report.get("function") or "unknown")
    module = f" in module {inline(report['module'])}" if report.get("module") else ""
    release = inline(report.get("release") or "unknown")
    rows = [f"- Suspected function: {where}{module}; kernel {release}"]
    if report.get("corrupted"):
        rows.append(f"- The report is damaged: {inline(report.get('corrupted_reason') or '')}")
    return rows
