"""The record: each host, the hold, what is left to do, every entry, and how to check them."""

from __future__ import annotations

from bot.incident.state import Host, Outcome, ProposalState
from bot.postmortem.case import UNSETTLED, Case, many, utc
from bot.postmortem.markdown import code, inline, table
from bot.postmortem.overview import count_line, names, unsettled_line
from bot.timeline.entry import Entry

ORDER: tuple[Outcome | None, ...] = (
    Outcome.FAILED,
    Outcome.UNKNOWN,
    Outcome.OWED,
    Outcome.APPLIED,
    Outcome.ROLLED_BACK,
    Outcome.VERIFIED,
    Outcome.NOT_APPLICABLE,
    None,
)
"""Hosts that need somebody come first."""


def hosts(case: Case) -> str:
    """Write one row a host: its outcome and what was read from it."""
    found = sorted(
        case.incident.hosts.values(), key=lambda host: (ORDER.index(host.outcome), host.name)
    )
    if not found:
        return "No host is known."
    head = ["Host", "Outcome", "Value", "Kernel", "Boot", "Crashes", "Reason", "At (UTC)"]
    return f"{count_line(case)}\n\n{table(head, [_host(host) for host in found])}"


def _host(host: Host) -> list[str]:
    outcome = host.outcome.value.replace("_", " ") if host.outcome else "not covered"
    return [
        inline(host.name),
        outcome,
        inline(host.value if host.value is not None else "-"),
        inline(host.kernel or "-"),
        inline((host.boot_id or "-")[:8]),
        str(host.crashes),
        inline(host.reason or "-", limit=200),
        utc(host.at),
    ]


def hold(case: Case) -> str:
    """Describe the watch over the value: since when, by which rule, each drift and restore."""
    watch = case.incident.hold
    if watch.state == "none":
        return "No hold was started: nobody watches the value."
    rows = [
        f"- State: {watch.state}, for {inline(watch.proposal or '-')}, since {utc(watch.since)} UTC"
    ]
    for entry in case.of("hold.started"):
        rule = entry.data.get("hold") or {}
        rows.append(
            f"- Rule: read every {rule.get('interval_seconds', 0):g} s, on drift "
            f"{inline(rule.get('action', '-'))}, until: {inline(rule.get('exit', '-'), limit=4000)}"
        )
    rows.append(f"- {many(watch.drifts, 'drift')} seen, {watch.restores} restored")
    if now := sorted(h.name for h in case.incident.hosts.values() if h.drifted):
        rows.append(f"- Drifting now: {names(now)}")
    rows += [
        f"- Released at {utc(entry.at)} UTC: {inline(entry.text)}"
        for entry in case.of("hold.released")
    ]
    events = [_hold_event(e) for e in case.of("hold.drifted", "hold.restored")]
    if events:
        rows += ["", table(["When (UTC)", "Host", "What", "Was", "Value"], events)]
    return "\n".join(rows)


def _hold_event(entry: Entry) -> list[str]:
    what = "restored and verified"
    if entry.kind == "hold.drifted":
        same = entry.data.get("same_boot", True)
        what = "drifted: changed under the hold" if same else "drifted: lost at a reboot"
    was, value = entry.data.get("was"), entry.data.get("value")
    return [
        utc(entry.at),
        inline(entry.data["host"]),
        what,
        inline("-" if was is None else was),
        inline("-" if value is None else value),
    ]


def risk(case: Case) -> str:
    """Say what can still go wrong."""
    rows = []
    for proposal in case.started:
        if proposal.purpose == "rollback":
            rows.append(f"- {proposal.id} took the value back: those hosts are exposed again")
            continue
        what = proposal.content["mitigation"]
        residual = inline(what["residual"], limit=4000)
        rows.append(f"- {proposal.id}, risk {inline(what['risk'])}: {residual}")
        if not proposal.content["rollback"]:
            rows.append(f"- {proposal.id} cannot be undone by a playbook")
        elif proposal.authority_ended:
            rows.append(
                f"- The approval of {proposal.id} has ended ({inline(proposal.authority_ended)}): "
                f"the bot writes nothing more under it, and what was set stays until a rollback"
            )
    if not case.started:
        rows.append("- Nothing was changed: every exposed host is as exposed as before")
    if left := unsettled_line(case):
        rows.append(f"- {left}")
    if gone := [h.name for h in case.hosts(Outcome.VERIFIED) if h.down]:
        rows.append(f"- Verified before, not reached since: {names(gone)}")
    if case.started and case.incident.hold.state != "active":
        rows.append("- No hold is active: a value that is changed back will not be noticed")
    rows.append("- The mitigation avoids the fault; it does not repair it")
    return "\n".join(rows)


def follow_ups(case: Case) -> str:
    """List what somebody still has to do, as far as the record shows it."""
    return "\n".join(
        f"- [ ] {item}"
        for item in [
            *_host_items(case),
            *_process_items(case),
            *_runbook_items(case),
            *_review(case),
        ]
    )


def _runbook_items(case: Case) -> list[str]:
    """Return what the runbook of the last proposal asks to be done afterwards."""
    proposal = case.incident.current
    asked = proposal.content["runbook"].get("followups", ()) if proposal else ()
    return [inline(str(item)) for item in asked]


def _host_items(case: Case) -> list[str]:
    words = {
        Outcome.OWED: "Bring back and verify, or drain",
        Outcome.FAILED: "Find out why the write failed on",
        Outcome.UNKNOWN: "Read by hand the value on",
        Outcome.APPLIED: "Make the value survive a reboot on",
    }
    found = {outcome: [h.name for h in case.hosts(outcome)] for outcome in UNSETTLED}
    items = [
        f"{words[o]} {many(len(hosts), 'host')}: {names(hosts)}"
        for o, hosts in found.items()
        if hosts
    ]
    if strangers := case.cascade.strangers:
        items.append(
            f"Add to the inventory, or explain: {names(list(strangers))} "
            f"({many(len(strangers), 'host')} that crashed and could not be treated)"
        )
    return items


def _process_items(case: Case) -> list[str]:
    incident = case.incident
    items = []
    for proposal in incident.proposals.values():
        if proposal.state is ProposalState.HALTED:
            items.append(f"Decide on {proposal.id}, halted: {inline(proposal.why)}")
        elif proposal.state.value in {"open", "approved", "running", "paused"}:
            items.append(f"Bring {proposal.id} to its end; it is {proposal.state}")
    if incident.hold.state == "active":
        items.append("Release the hold when its exit criteria are met; it is still active")
    if incident.hold.drifts:
        items.append("Find out what changed the held value, and put the safe value there")
    if any(proposal.crashed_after for proposal in case.started):
        items.append("Explain the crashes of hosts that had the value already")
    if late := len(case.of("wave.late")):
        items.append(f"Look at {many(late, 'run')} that reported after being given up as lost")
    if incident.state != "resolved":
        items.append("Resolve the incident; it is still open")
    return items


def _review(case: Case) -> list[str]:
    items = ["Confirm or correct the cause hypothesis", "Ship the repair of the fault itself"]
    if not (case.incident.match or {}).get("candidates"):
        items.append("Write a runbook for this signature")
    return items


def timeline(case: Case) -> str:
    """Write every entry in order. Long texts are cut here; the timeline holds them whole."""
    head = ["#", "When (UTC)", "Who", "Kind", "What"]
    return table(head, [_row(entry) for entry in case.entries])


def _row(entry: Entry) -> list[str]:
    who, text = inline(entry.actor.name), inline(entry.text)
    if entry.redacted:
        who, text = "redacted", "*redacted*"
    return [str(entry.seq), utc(entry.at), who, inline(entry.kind), text]


def chain(case: Case) -> str:
    """Give the head of the chain and the command that checks it."""
    last = case.entries[-1]
    rows = [
        f"- Head: {code(f'{last.seq}:{last.hash}')}",
        f"- Check it: {code(f'holdfast timeline verify {last.incident}')}, and compare the head",
        f"- {many(len(case.entries), 'entry', 'entries')}, {case.redacted} redacted",
    ]
    return "\n".join(rows)
