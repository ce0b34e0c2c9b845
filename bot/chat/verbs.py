"""Answers to the verbs that open, find and remember: help, declare, match, recall, pin, break-glass."""

from __future__ import annotations

import textwrap
from typing import Any

from bot.approval.roles import VERBS as POLICY
from bot.approval.roles import either
from bot.chat.card import Card, Reply
from bot.chat.grammar import GROUPS, VERBS, Command, Verb, verb_of
from bot.crash.show import as_dict
from bot.errors import BadInputError
from bot.incident.recall import recall as recalled
from bot.runbook.match import Matches
from bot.service import declare as declaring
from bot.service import glass, matching, pins
from bot.service.knowledge import find
from bot.service.site import Site, load
from bot.timeline.entry import Actor

PHONE = 40
"""Columns that a phone shows of preformatted text."""


def help_(site: Site, command: Command, _actor: Actor) -> Reply:
    """List all verbs so that it fits a phone, or say all about one."""
    if command.rest:
        return _about(site, verb_of(command.rest.split()[0]))
    rows = []
    for group in GROUPS:
        names = " ".join(verb.name for verb in VERBS.values() if verb.group == group)
        rows += textwrap.wrap(
            names,
            PHONE,
            initial_indent=f"{group:<8}",
            subsequent_indent=" " * 8,
            break_on_hyphens=False,
        )
    rows += ["", "help VERB says more. INC-1 and P-1 may", "be left out where it is clear."]
    data = [{"verb": v.name, "usage": v.usage, "help": v.help} for v in VERBS.values()]
    return Reply(card=Card(title="What can be said", code="\n".join(rows)), data=data)


def _about(site: Site, verb: Verb) -> Reply:
    roles: set[str] = set(POLICY.get(verb.name, ()))
    if verb.name == "break-glass":
        roles = set(site.policy.glass.roles) if site.policy.glass else set()
    who = either(sorted(roles)) if verb.writes else "anybody"
    fields = [("Does", verb.help), ("Write", verb.usage), ("Who", who)]
    if verb.example:
        fields.append(("Such as", verb.example))
    data = {"verb": verb.name, "usage": verb.usage, "help": verb.help, "who": sorted(roles)}
    return Reply(card=Card(title=verb.name, fields=tuple(fields)), data=data)


def declare(site: Site, command: Command, actor: Actor) -> Reply:
    """Open an incident by hand."""
    severity = command.options.get("severity", "")
    name = declaring.declare(site, command.rest, actor, severity)
    lines = (f"Next: assign {name} commander me; note {name} what you see",)
    card = Card(title=f"{name} is open: {' '.join(command.rest.split())}", lines=lines)
    return Reply(card=card, data={"ok": True, "text": card.title, "incident": name})


def pin(site: Site, command: Command, actor: Actor) -> Reply:
    """Put words into the timeline as a pin."""
    said = pins.pin(site, command.subject, command.rest, actor)
    return Reply(card=Card(title=said, tone="good"), data={"ok": True, "text": said})


def break_glass(site: Site, command: Command, actor: Actor) -> Reply:
    """Start without the usual approvals, in the open."""
    digest = command.options.get("digest", "")
    said = glass.break_glass(site, command.subject, actor, command.rest, digest)
    data = {"ok": True, "text": said, "proposal": command.subject}
    return Reply(card=Card(title=said, tone="bad"), data=data)


def match(site: Site, command: Command, _actor: Actor) -> Reply:
    """Say which runbooks fit the incident's crash, or the text that was given."""
    looked = (
        matching.of_text(site, command.rest)
        if command.rest
        else matching.of_incident(site, load(site, command.subject))
    )
    if looked is None:
        raise BadInputError(
            "no crash is known here" if not command.rest else "no crash was found in this text",
            next="give the console text: match TEXT, or 'holdfast runbook match FILE'",
        )
    found, report = looked
    rows = []
    for one in found.best:
        rows.append(f"{one.runbook}: {'; '.join(one.reasons)}")
        rows += [f"  line {e.number}: {e.text}" for e in one.evidence[:2]]
    rows += [f"just misses: {near.runbook}: {near.why}" for near in found.near[:3]]
    if found.choice:
        rows.append("they match equally: a person has to choose")
    data = {"report": as_dict(report), **_match_json(site, found)}
    title = f"{len(found.best)} runbooks fit {report.title}"
    return Reply(
        card=Card(title=title, code="\n".join(rows)), data=data, exit_code=0 if found.best else 1
    )


def _match_json(site: Site, found: Matches) -> dict[str, Any]:
    library = site.sources.library()
    return {
        "matches": [
            {
                "runbook": one.runbook,
                "title": find(library, one.runbook).title,
                "score": one.score,
                "evidence": [{"line": e.number, "text": e.text} for e in one.evidence],
            }
            for one in found.best
        ],
        "near": [{"runbook": n.runbook, "clause": n.clause, "why": n.why} for n in found.near],
    }


def recall(site: Site, command: Command, _actor: Actor) -> Reply:
    """Find earlier incidents that are like this one, or like the words."""
    everything = [load(site, row.id) for row in site.store.incidents()]
    this = next((i for i in everything if i.id == command.subject), None)
    found = recalled(this, everything, command.rest)
    rows, data = [], []
    for one in found:
        opened = f"{one.incident.opened_at:%Y-%m-%d}" if one.incident.opened_at else ""
        rows += [
            f"{one.incident.id} {opened} {one.incident.title}",
            f"  alike: {'; '.join(one.why)}",
            f"  then: {one.done}",
        ]
        data.append(
            {
                "incident": one.incident.id,
                "title": one.incident.title,
                "score": one.score,
                "why": list(one.why),
                "done": one.done,
            }
        )
    title = f"{len(found)} earlier incidents are like this" if found else "nothing like it is known"
    return Reply(
        card=Card(title=title, code="\n".join(rows)), data=data, exit_code=0 if found else 1
    )
