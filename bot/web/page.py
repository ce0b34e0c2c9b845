"""One read-only page per incident, for somebody who is tired and has a phone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bot.approval.policy import Person
from bot.chat import cards, proposal_cards
from bot.clock import stamp
from bot.incident.cascade import Cascade, measure, outcomes
from bot.incident.state import Exposure, Host, Incident, Outcome, Proposal, ProposalState
from bot.postmortem.markdown import visible
from bot.postmortem.record import ORDER
from bot.service.progress import Progress
from bot.timeline.entry import Entry

HOSTS_SHOWN = 1000
ENTRIES_SHOWN = 300

WORDS: Mapping[str, str] = {
    Outcome.FAILED: "bad",
    Outcome.UNKNOWN: "bad",
    Outcome.OWED: "warn",
    Outcome.APPLIED: "warn",
    Outcome.ROLLED_BACK: "info",
    Outcome.VERIFIED: "good",
    Outcome.NOT_APPLICABLE: "mute",
    Exposure.EXPOSED: "warn",
    Exposure.UNREACHABLE: "bad",
}
"""The colour of an outcome or exposure; the word itself always stands beside it."""

STANDS: Mapping[ProposalState, tuple[str, str]] = {
    ProposalState.OPEN: ("warn", "{} waits for approval"),
    ProposalState.APPROVED: ("info", "{} is approved and about to start"),
    ProposalState.RUNNING: ("info", "{} is being rolled out"),
    ProposalState.PAUSED: ("warn", "{} is paused"),
    ProposalState.HALTED: ("bad", "{} halted and needs a decision"),
    ProposalState.ABORTED: ("bad", "{} was aborted"),
    ProposalState.DONE: ("good", "{}: all waves carried out"),
    ProposalState.EXPIRED: ("bad", "{} expired: propose again"),
    ProposalState.REJECTED: ("warn", "{} was rejected"),
    ProposalState.SUPERSEDED: ("warn", "{} was superseded"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where an incident stands, in one short sentence. ``tone`` is ``good info warn bad``."""

    tone: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """How many hosts have one outcome."""

    count: int
    word: str
    tone: str
    note: str = ""


def _finalize(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value


def _at(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _short(at: datetime, now: datetime) -> str:
    """Leave the date out if it is today's."""
    same = at.astimezone(UTC).date() == now.astimezone(UTC).date()
    return f"{at.astimezone(UTC):%H:%M:%S}" if same else f"{at.astimezone(UTC):%m-%d %H:%M:%S}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bot.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["at"] = _at
    environment.filters["short"] = _short
    environment.filters["stamp"] = stamp
    source, _, _ = PackageLoader("bot.web").get_source(environment, "page.css")
    environment.globals["css"] = Markup(source)  # noqa: S704 - our own file, nothing from outside
    return environment


PAGES = _environment()
_STYLE = base64.b64encode(hashlib.sha256(str(PAGES.globals["css"]).encode()).digest()).decode()
CSP = (
    f"default-src 'none'; style-src 'sha256-{_STYLE}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy of every page here: nothing but its one style sheet, by hash."""


def standing(incident: Incident) -> Stand:
    """Say where the incident stands: what a person has to know first."""
    left = _left(incident)
    if incident.state != "open":
        held = "; the hold goes on" if incident.hold.state == "active" else ""
        tone = "warn" if left else "good"
        return Stand(tone=tone, sentence=f"{incident.state.capitalize()}{left}{held}")
    proposal = incident.current
    if proposal is None:
        return _before(incident)
    tone, sentence = STANDS[proposal.state]
    text = sentence.format(proposal.id)
    if proposal.state is not ProposalState.DONE:
        return Stand(tone=tone, sentence=text)
    drifting = sum(1 for host in incident.hosts.values() if host.drifted)
    note = f" ({drifting} of them by drift)" if drifting else ""
    return Stand(
        tone="warn" if left else tone, sentence=f"{text}{left or ', no host is owed'}{note}"
    )


def _left(incident: Incident) -> str:
    counts = outcomes(incident)
    words = (Outcome.OWED, Outcome.FAILED, Outcome.UNKNOWN, Outcome.APPLIED)
    found = [f"{counts[word]} {word.value}" for word in words if counts[word]]
    return f", but {' and '.join(found)}" if found else ""


def _before(incident: Incident) -> Stand:
    if incident.requests and not incident.requests[-1].settled:
        return Stand(tone="warn", sentence="A proposal is being prepared")
    if incident.match is None:
        return Stand(tone="warn", sentence="Runbooks are being matched")
    return Stand(tone="bad", sentence="There is no proposal: a person has to act")


def incident_page(
    incident: Incident,
    entries: Sequence[Entry],
    people: Mapping[str, Person],
    now: datetime,
    lives: Sequence[Progress] = (),
) -> str:
    """Return the page of one incident as HTML. It reloads by itself while the incident is open.

    ``lives`` is what goes on now.
    """
    proposal = incident.current
    hosts = sorted(incident.hosts.values(), key=lambda h: (ORDER.index(h.outcome), h.name))
    cascade = measure(incident, now)
    last = entries[-1] if entries else None
    return PAGES.get_template("incident.html").render(
        live=incident.state == "open",
        now=now,
        incident=incident,
        severity="severity not set" if incident.severity == "unset" else incident.severity,
        stand=standing(incident),
        headline=cards.headline(incident, now, lives),
        tiles=_tiles(incident),
        cascade=cascade,
        crowd=_crowd(cascade),
        proposal=_card(incident, proposal, people) if proposal else None,
        approvals=proposal.approvals if proposal else [],
        older=[_older(p) for p in incident.proposals.values() if p is not proposal],
        counts=cards.counts(incident),
        hosts=[_host(incident, host, cascade.strangers) for host in hosts[:HOSTS_SHOWN]],
        hosts_left=max(0, len(hosts) - HOSTS_SHOWN),
        hold=_hold(incident),
        timeline=[_entry(entry) for entry in reversed(entries[-ENTRIES_SHOWN:])],
        entries_left=max(0, len(entries) - ENTRIES_SHOWN),
        head=f"{last.seq}:{last.hash}" if last else "-",
    )


def index_page(rows: Sequence[Incident], now: datetime) -> str:
    """Return the list of incidents as HTML, in the order given."""
    live = sum(1 for incident in rows if incident.state == "open")
    return PAGES.get_template("index.html").render(
        live=live > 0,
        now=now,
        title=f"{live} open incident{'' if live == 1 else 's'}",
        rows=[
            {
                "incident": incident,
                "card": cards.headline(incident, now),
                "stand": standing(incident),
                "cascade": measure(incident, now).sentence,
                "hosts": cards.counts(incident) if incident.rollout else "",
            }
            for incident in rows
        ],
    )


def _tiles(incident: Incident) -> list[Tile]:
    if incident.rollout is None:
        return []
    counts = outcomes(incident)
    always = {Outcome.VERIFIED, Outcome.OWED}
    back = incident.rollout.purpose == "rollback"
    tiles = []
    for outcome in (o for o in ORDER if o is not None):
        count = counts[outcome]
        owed = outcome is Outcome.OWED and count and not back
        if count or outcome in always:
            tiles.append(
                Tile(
                    count=count,
                    word=outcome.value.replace("_", " "),
                    tone=WORDS[outcome] if count else "mute",
                    note="may be serving unmitigated" if owed else "",
                )
            )
    return tiles


def _crowd(cascade: Cascade) -> list[tuple[str, str]]:
    rows = (
        ("Down", cascade.down),
        ("Repeat crashers", cascade.repeat),
        ("Not in the inventory", cascade.strangers),
    )
    return [(name, ", ".join(hosts)) for name, hosts in rows if hosts]


def _card(incident: Incident, proposal: Proposal, people: Mapping[str, Person]) -> dict[str, Any]:
    card = proposal_cards.proposal_card(incident, proposal, people, full=True)
    fields = [(name, proposal.digest if name == "Digest" else value) for name, value in card.fields]
    return {
        "title": card.title,
        "fields": fields,
        "lines": card.lines,
        "code": card.code,
        "buttons": card.buttons,
        "foot": card.foot,
    }


def _older(proposal: Proposal) -> tuple[str, str]:
    why = f": {proposal.why}" if proposal.why else ""
    return proposal.id, f"{proposal.state}{why}"


def _host(incident: Incident, host: Host, strangers: Sequence[str]) -> dict[str, Any]:
    stranger = "not in the inventory" if host.name in strangers else "-"
    word = (host.outcome or host.exposure or "crashed").replace("_", " ")
    return {
        "name": host.name,
        "down": host.down,
        "crashes": host.crashes,
        "word": word,
        "tone": WORDS.get(host.outcome or host.exposure or "", "bad"),
        "at": host.at,
        "value": "-" if host.value is None else host.value,
        "reason": cards.why(incident, host) or stranger,
        "kernel": host.kernel,
        "boot": (host.boot_id or "")[:8],
    }


def _hold(incident: Incident) -> list[tuple[str, str]]:
    if incident.hold.state == "none":
        return [("State", "none: nobody watches the value")]
    proposal = incident.proposals.get(incident.hold.proposal or "")
    rule = proposal.content["hold"] if proposal else {}
    rows = [("State", cards.hold_line(incident))]
    if rule:
        rows.append(("Rule", f"read every {rule['interval_seconds']:g} s, then {rule['action']}"))
        rows.append(("Until", str(rule["exit"])))
    return rows


def _entry(entry: Entry) -> dict[str, Any]:
    who = f"{entry.actor.name} through {entry.actor.via}"
    return {
        "at": entry.at,
        "seq": entry.seq,
        "kind": entry.kind,
        "text": "redacted" if entry.redacted else entry.text,
        "who": "" if entry.redacted else who,
    }
