"""Carry out one command of the grammar for one authenticated person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from bot import postmortem
from bot.approval.policy import VERBS as POLICY
from bot.candidates.rank import LABEL, as_row
from bot.chat import cards, proposal_cards, status, verbs
from bot.chat.card import Card, Reply
from bot.chat.context import completed
from bot.chat.grammar import Command
from bot.clock import stamp
from bot.errors import BadInputError, RefusedError
from bot.incident.state import Incident, Outcome, Proposal
from bot.service import approve, people, progress, request
from bot.service.candidates import candidates
from bot.service.knowledge import find
from bot.service.site import Site, load, locate
from bot.timeline.entry import Actor, Entry

Handler = Callable[[Site, Command, Actor], Reply]

ANONYMOUS = Actor(id="", name="anonymous", via="http")


def dispatch(site: Site, command: Command, actor: Actor, context: str = "") -> Reply:
    """Run the command. ``context`` is the incident or proposal in focus, if there is one."""
    if command.verb.writes and not actor.id:
        raise RefusedError(
            f"{command.verb.name} needs to know who you are",
            next="set HOLDFAST_TOKEN ('holdfast token create YOU' prints one); nothing was changed",
        )
    return HANDLERS[command.verb.name](site, completed(site, command, context), actor)


def _incidents(site: Site, _command: Command, _actor: Actor) -> Reply:
    rows, data = [], []
    for row in site.store.incidents():
        incident = load(site, row.id)
        rows.append(f"{row.id:<8} {incident.state:<9} {incident.title}")
        data.append(
            {
                "id": row.id,
                "state": incident.state,
                "title": incident.title,
                "opened_at": stamp(row.opened_at),
            }
        )
    card = Card(title=f"{len(rows)} incidents", code="\n".join(rows))
    return Reply(card=card, data=data, exit_code=0 if rows else 1)


def _status(site: Site, command: Command, _actor: Actor) -> Reply:
    incident, now = load(site, command.subject), site.clock.now()
    lives = progress.live(site, incident.id)
    return Reply(
        card=cards.headline(incident, now, lives),
        data=status.status_json(incident, site.people, now, lives),
    )


def _hosts(site: Site, command: Command, _actor: Actor) -> Reply:
    incident = load(site, command.subject)
    wanted = command.rest.strip().lower().replace("-", "_").replace(" ", "_")
    known = {o.value for o in Outcome} | {"down", ""}
    if wanted not in known:
        near = get_close_matches(wanted, known - {""}, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"use {', '.join(sorted(known - {''}))}"
        raise BadInputError(f"{wanted!r} is no outcome", next=hint)
    chosen = [
        h
        for h in sorted(incident.hosts.values(), key=lambda h: h.name)
        if not wanted or h.outcome == wanted or (wanted == "down" and h.down)
    ]
    lives = progress.live(site, incident.id)
    rows = progress.rows([status.host_row(incident, h) for h in chosen], lives)
    card = cards.hosts_card(incident, chosen, lives)
    return Reply(card=card, data=rows, exit_code=0 if rows else 1)


def _proposal(site: Site, name: str) -> tuple[Incident, Proposal]:
    incident = load(site, locate(site, name))
    return incident, incident.proposals[name]


def _details(site: Site, command: Command, _actor: Actor) -> Reply:
    incident, proposal = _proposal(site, command.subject)
    card = proposal_cards.proposal_card(incident, proposal, site.people, full=True)
    data = {
        "id": proposal.id,
        "incident": incident.id,
        "state": proposal.state.value,
        "digest": proposal.digest,
        "content": dict(proposal.content),
        "dry_run": proposal_cards.preview(incident, proposal, limit=10_000).splitlines(),
        "output": proposal_cards.outputs(proposal),
    }
    return Reply(card=card, data=data)


def _said(sentence: str, **data: Any) -> Reply:
    return Reply(
        card=Card(title=sentence, tone="good"), data={"ok": True, "text": sentence, **data}
    )


def _about(site: Site, command: Command, sentence: str) -> Reply:
    _, proposal = _proposal(site, command.subject)
    return _said(sentence, proposal=proposal.id, state=proposal.state.value, digest=proposal.digest)


def _approve(site: Site, command: Command, actor: Actor) -> Reply:
    said = approve.approve(site, command.subject, actor, command.options.get("digest", ""))
    return _about(site, command, said)


def _reject(site: Site, command: Command, actor: Actor) -> Reply:
    return _about(site, command, approve.reject(site, command.subject, actor, command.rest))


def _abort(site: Site, command: Command, actor: Actor) -> Reply:
    return _about(site, command, approve.abort(site, command.subject, actor, command.rest))


def _pause(site: Site, command: Command, actor: Actor) -> Reply:
    return _about(site, command, approve.pause(site, command.subject, actor))


def _resume(site: Site, command: Command, actor: Actor) -> Reply:
    return _about(site, command, approve.resume(site, command.subject, actor))


def _rollback(site: Site, command: Command, actor: Actor) -> Reply:
    return _said(request.rollback(site, command.subject, actor))


def _propose(site: Site, command: Command, actor: Actor) -> Reply:
    runbook, _, mitigation = command.rest.partition(" ")
    said = request.request(
        site, command.subject, actor, runbook=runbook, mitigation=mitigation.strip()
    )
    return _said(said, incident=command.subject)


def _hold(site: Site, command: Command, _actor: Actor) -> Reply:
    incident = load(site, command.subject)
    hold = incident.hold
    data = status.status_json(incident, site.people, site.clock.now())["hold"]
    card = Card(title=f"{incident.id} · hold {cards.hold_line(incident)}")
    return Reply(card=card, data=data, exit_code=0 if hold.state == "active" else 1)


def _release(site: Site, command: Command, actor: Actor) -> Reply:
    return _said(approve.release(site, command.subject, actor))


def _note(site: Site, command: Command, actor: Actor) -> Reply:
    return _said(people.note(site, command.subject, command.rest, actor))


def _ack(site: Site, command: Command, actor: Actor) -> Reply:
    return _said(people.ack(site, command.subject, actor))


def _assign(site: Site, command: Command, actor: Actor) -> Reply:
    role, who = command.words
    return _said(people.assign(site, command.subject, role, who, actor))


def _severity(site: Site, command: Command, actor: Actor) -> Reply:
    return _said(people.severity(site, command.subject, command.words[0], actor))


def _resolve(site: Site, command: Command, actor: Actor) -> Reply:
    return _said(people.resolve(site, command.subject, actor))


def _reopen(site: Site, command: Command, actor: Actor) -> Reply:
    return _said(people.reopen(site, command.subject, actor))


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as the published JSON line."""
    return {
        "id": entry.id,
        "incident": entry.incident,
        "seq": entry.seq,
        "at": stamp(entry.at),
        "kind": entry.kind,
        "key": entry.key,
        "actor": {"id": entry.actor.id, "name": entry.actor.name, "via": entry.actor.via},
        "text": entry.text,
        "data": dict(entry.data),
        "prev": entry.prev,
        "hash": entry.hash,
    }


def _timeline(site: Site, command: Command, _actor: Actor) -> Reply:
    entries = site.store.entries(command.subject)
    rows = [f"{stamp(e.at)[11:19]}  {e.kind:<20} {' '.join(e.text.split())}" for e in entries]
    card = Card(title=f"{command.subject} · {len(rows)} entries", code="\n".join(rows))
    return Reply(card=card, data=[entry_json(e) for e in entries])


def _postmortem(site: Site, command: Command, _actor: Actor) -> Reply:
    entries = site.store.entries(command.subject)
    text = postmortem.write(entries, site.clock.now())
    card = Card(title=f"{command.subject} · postmortem", code=text)
    return Reply(card=card, data={"incident": command.subject, "markdown": text})


def _knobs(site: Site, command: Command, _actor: Actor) -> Reply:
    """Show what the matched runbooks know, then what is near the crash. Nothing here is a button."""
    incident = load(site, command.subject)
    library = site.sources.library()
    rows, data = [], []
    for candidate in (incident.match or {}).get("candidates", []):
        runbook = find(library, candidate["runbook"])
        for knob in runbook.knob:
            usual = f" (default {knob.default})" if knob.default is not None else ""
            rows.append(f"{knob.name} = {knob.safe}{usual}, {runbook.id}")
            data.append({"runbook": runbook.id, **knob.model_dump(mode="json")})
        if runbook.no_knob is not None:
            rows.append(f"no knob, {runbook.id}: {runbook.no_knob.reason}")
            data.append({"runbook": runbook.id, "no_knob": runbook.no_knob.reason})
    known = f"{len(rows)} by runbooks" if rows else "no runbook knows a knob for this"
    near = candidates(site, incident)
    if near:
        rows += ["", f"{LABEL} (from shipped facts; no host was asked):"]
        rows += [f"{one.name}: {one.about}; {'; '.join(one.reasons)}" for one in near]
        data += [as_row(one) for one in near]
    card = Card(title=f"{incident.id} · {known}, {len(near)} near the crash", code="\n".join(rows))
    return Reply(card=card, data=data, exit_code=0 if data else 1)


def _who(site: Site, _command: Command, actor: Actor) -> Reply:
    rules = site.policy.sentences(site.clock.now())
    rows = [
        f"{p.id:<16} {p.name:<20} {', '.join(sorted(p.roles)) or 'reads only'}"
        for p in site.people.values()
    ]
    data = {
        "you": actor.id or None,
        "people": [
            {"id": p.id, "name": p.name, "roles": sorted(p.roles)} for p in site.people.values()
        ],
        "verbs": {verb: sorted(roles) for verb, roles in POLICY.items()},
        "policy": rules,
    }
    you = f"you are {actor.name}" if actor.id else "you are not signed in"
    card = Card(title=f"Who may do what ({you})", code="\n".join(rows), lines=tuple(rules))
    return Reply(card=card, data=data)


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "help": verbs.help_,
        "incidents": _incidents,
        "status": _status,
        "hosts": _hosts,
        "match": verbs.match,
        "recall": verbs.recall,
        "declare": verbs.declare,
        "pin": verbs.pin,
        "break-glass": verbs.break_glass,
        "propose": _propose,
        "details": _details,
        "approve": _approve,
        "reject": _reject,
        "abort": _abort,
        "pause": _pause,
        "resume": _resume,
        "rollback": _rollback,
        "hold": _hold,
        "release": _release,
        "note": _note,
        "ack": _ack,
        "assign": _assign,
        "severity": _severity,
        "timeline": _timeline,
        "postmortem": _postmortem,
        "knobs": _knobs,
        "resolve": _resolve,
        "reopen": _reopen,
        "who": _who,
    }
)
