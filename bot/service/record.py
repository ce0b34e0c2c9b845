"""A run's report is judged per host and recorded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from bot.decide import spent
from bot.incident.state import Incident, ProposalState
from bot.ports import Run, Transaction
from bot.service import looked, wrote
from bot.service.report import Report, failed, unrun
from bot.service.sightings import sighted, tell_others
from bot.service.site import Site, refold
from bot.timeline.entry import Draft

JUDGES: Mapping[str, Callable[[Incident, Report], list[Draft]]] = MappingProxyType(
    {
        "probe": looked.probe,
        "preview": looked.preview,
        "wave": wrote.wave,
        "retry": wrote.retry,
        "readback": wrote.reading,
        "check": wrote.reading,
        "ask": looked.asked,
        "diagnose": looked.diagnosed,
    }
)


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
                judge = wrote.broken_off if report.state == "lost" else JUDGES[run.kind]
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


def refuse(site: Site, run: Run, why: str) -> None:
    """Record that a run may not or cannot be carried out.

    It has touched nothing. A wave says so too, so that the rollout does not wait for it.
    """
    drafts = [failed(Report(run=run, raws=()), why)]
    if run.kind == "wave":
        drafts.append(unrun(run))
    with site.store.transaction(run.incident) as tx:
        if tx.finish(run.ident, "cancelled"):
            tx.append(run.incident, *drafts)
        tx.wake(run.incident, site.clock.now())


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
        return [failed(report, why)]
    others = [r for r in tx.runs(incident.id) if r.spec.get("proposal") == proposal.id]
    for run in others:
        tx.cancel(run.ident)
    running = proposal.state is ProposalState.RUNNING
    word, kind = ("halted", "rollout.halted") if running else ("aborted", "rollout.aborted")
    return [
        *(unrun(r) for r in others if r.kind == "wave" and r.state == "queued"),
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
