"""Wishes for a proposal: by the bot after a match, by a person, for a rollback."""

from __future__ import annotations

from collections.abc import Sequence

from bot.decide import Action
from bot.errors import BadInputError, ConflictError
from bot.incident.state import BUSY, Incident, ProposalState
from bot.ports import Transaction
from bot.runbook.model import Mitigation, Runbook
from bot.runbook.variable import resolved as values
from bot.service.knowledge import find, mitigation_of
from bot.service.matching import of_incident
from bot.service.site import Site, allow, load, locate, refold
from bot.service.step import Commit
from bot.timeline.entry import BOT, Actor, Draft


def match_crash(site: Site, incident: Incident, _action: Action) -> Commit:
    """Match the incident's first crash against the runbooks, and ask for a proposal."""
    library = site.sources.library()
    looked = of_incident(site, incident)
    assert looked is not None, "only an incident with a signature is matched"
    matches = looked[0]
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
        "advice": [],
        "diagnose": [],
        "left_out": [str(problem) for problem in library.problems if not problem.warning],
    }
    drafts: list[Draft] = []
    text = "no runbook matches this crash"
    if matches.choice:
        names = " or ".join(matches.equals)
        text = f"{len(matches.equals)} runbooks match equally, nothing is proposed: "
        text += f"propose {incident.id} RUNBOOK ({names})"
    elif matches.best:
        best = find(library, matches.best[0].runbook)
        data["no_knob"] = best.no_knob.reason if best.no_knob else None
        data["diagnose"] = [
            {**look.model_dump(), "variables": values(look.variables)} for look in best.diagnose
        ]
        data["advice"] = [one.model_dump() for one in best.advice]
        text = _answer(best, matches.best[0].reasons)
        drafts = [request_draft(best, m, BOT, 1) for m in best.mitigations[:1]]
    if out := len({problem.file for problem in library.problems}):
        text += f"; {out} runbook files are left out for their errors: {library.problems[0]}"
    told = Draft(key="matched.1", kind="runbook.matched", text=text, data=data)

    def commit(tx: Transaction, now: Incident) -> None:
        tx.append(now.id, told, *drafts)

    return commit


def _answer(runbook: Runbook, reasons: Sequence[str]) -> str:
    """Say what the one best runbook has to offer."""
    text = f"matches runbook {runbook.id}: {'; '.join(reasons)}"
    if runbook.no_knob is not None:
        text = f"runbook {runbook.id}: no knob turns this off. {runbook.no_knob.reason}"
    if runbook.advice:
        titles = "; ".join(one.title for one in runbook.advice)
        text += f"; for people: {titles}" if runbook.mitigations else f". For people only: {titles}"
    return text


def request_draft(
    runbook: Runbook,
    mitigation: Mitigation,
    actor: Actor,
    number: int,
    *,
    rollback_of: str | None = None,
    hosts: Sequence[str] = (),
) -> Draft:
    """Return the entry that asks for a proposal."""
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
            "hosts": list(hosts),
        },
    )


def request(
    site: Site, incident: str, actor: Actor, *, runbook: str = "", mitigation: str = ""
) -> str:
    """Ask for a fresh proposal; whoever asks is its requester and cannot approve it."""
    allow(site, actor, "propose")
    now = load(site, incident)
    candidates = (now.match or {}).get("candidates", [])
    if not runbook and (not candidates or (now.match or {}).get("choice", True)):
        names = ", ".join(c["runbook"] for c in candidates) or "see 'holdfast runbook list'"
        raise BadInputError("say which runbook", next=f"propose {incident} RUNBOOK ({names})")
    chosen = find(site.sources.library(), runbook or candidates[0]["runbook"])
    if chosen.no_knob is not None:
        raise ConflictError(
            f"runbook {chosen.id} has no mitigation to propose: {chosen.no_knob.reason}",
            next="drain or patch as it says",
        )
    if not chosen.mitigations:
        titles = "; ".join(one.title for one in chosen.advice)
        raise ConflictError(
            f"runbook {chosen.id} has no mitigation to propose, only advice: {titles}",
            next=f"read it: holdfast runbook show {chosen.id}",
        )
    action = mitigation_of(chosen, mitigation)
    with site.store.transaction(incident) as tx:
        now = refold(tx, incident)
        _free(now)
        tx.append(incident, request_draft(chosen, action, actor, len(now.requests) + 1))
        tx.wake(incident, site.clock.now())
    return f"{incident}: preparing a proposal of '{action.title}' (probe, then dry run)"


def rollback(site: Site, name: str, actor: Actor) -> str:
    """Ask for a rollback: a proposal of its own, approved like any other."""
    allow(site, actor, "rollback")
    incident = locate(site, name)
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
        _free(now, undone=name)
        runbook = find(site.sources.library(), old.content["runbook"]["id"])
        action = mitigation_of(runbook, old.content["mitigation"]["id"])
        number = len(now.requests) + 1
        tx.append(incident, request_draft(runbook, action, actor, number, rollback_of=name))
        tx.wake(incident, site.clock.now())
    return f"{incident}: preparing the rollback of {name}; it needs its own approval"


def _free(now: Incident, undone: str = "") -> None:
    """Refuse while a proposal stands in the way; one that halted or paused may be undone."""
    if now.state != "open":
        raise ConflictError(f"{now.id} is {now.state}", next=f"reopen {now.id} first")
    waits = {ProposalState.HALTED, ProposalState.PAUSED}
    busy = next(
        (
            p
            for p in now.proposals.values()
            if p.state in BUSY and not (p.id == undone and p.state in waits)
        ),
        None,
    )
    if busy is not None:
        raise ConflictError(
            f"{busy.id} is {busy.state}", next=f"let it end or abort {busy.id} first"
        )
