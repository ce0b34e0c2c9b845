"""Modals: a proposal in full, the last question before an approval, and short answers.

A modal holds 100 blocks. What is cut says so, and where the rest is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.approval.policy import Person
from bot.chat.card import Card
from bot.chat.proposal_cards import does, listed, proposal_card, undo
from bot.chat.slack_blocks import Block, blocks, fenced, plain_text, section
from bot.incident.state import Incident, Proposal

APPROVE, TIMELINE = "holdfast:approve", "holdfast:timeline"
"""What the bot's own modals are called when they come back."""
TYPED, CHOSEN = "typed", "chosen"
"""The blocks of a modal in which somebody answers."""
HOSTS_ROOM, DIFF_ROOM, BOOK_ROOM = 6000, 3000, 6000
"""How many characters of each part of a proposal a modal shows."""
CHOICES = 100
TITLE = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked before an approval: ``hosts`` is how many it is about.

    ``typed``: the number has to be typed, because ``why``.
    """

    hosts: int
    typed: bool
    why: str = ""


def question(proposal: Proposal, typed_above: int) -> Question:
    """Say whether approving a proposal takes more than a click."""
    hosts = len(proposal.hosts)
    if not proposal.content["rollback"]:
        return Question(hosts=hosts, typed=True, why="this cannot be undone")
    if hosts > typed_above:
        why = f"this is about more than {typed_above} hosts"
        return Question(hosts=hosts, typed=True, why=why)
    return Question(hosts=hosts, typed=False)


def confirm(proposal: Proposal, asked: Question, line: str, where: Mapping[str, str]) -> Block:
    """Ask whether a proposal is really approved. ``line`` is the command, ``where`` it was said."""
    content = proposal.content
    sizes = content["waves"]["sizes"]
    canary = f"{sizes[0]} host first" if len(sizes) > 1 else "no canary: all at once"
    soak = content["gate"].get("soak_seconds")
    waits = f", then {soak:g} s of watching" if soak and len(sizes) > 1 else ""
    card = Card(
        title=f"{proposal.id} · {content['mitigation']['title']}",
        tone="warn",
        fields=(
            ("Hosts", f"{asked.hosts}: {listed(content)}"),
            ("Canary", f"{canary}{waits}; waves of {', '.join(map(str, sizes))}"),
            ("Roll back", undo(content)),
            ("Does", does(content)),
            ("Digest", proposal.digest[:12]),
        ),
        lines=("The rollout begins as soon as enough people have approved.",),
    )
    found = [*blocks(card)]
    if asked.typed:
        found.append(_number(asked))
    return {
        **_frame("Approve?", found),
        "callback_id": APPROVE,
        "submit": plain_text("Approve", TITLE),
        "close": plain_text("Cancel", TITLE),
        "private_metadata": json.dumps({"line": line, **where}),
    }


def _number(asked: Question) -> Block:
    return {
        "type": "input",
        "block_id": TYPED,
        "label": plain_text(f"Type the number of hosts: {asked.why}", 150),
        "element": {
            "type": "plain_text_input",
            "action_id": TYPED,
            "max_length": 12,
            "placeholder": plain_text("how many hosts", 40),
        },
    }


def misread(asked: Question, typed: str) -> str:
    """Say what is wrong with a typed number; '' if it is right."""
    if not asked.typed or typed.strip() == str(asked.hosts):
        return ""
    return f"It is {asked.hosts} hosts. Type that number if you mean all of them"


def details(
    incident: Incident,
    proposal: Proposal,
    people: Mapping[str, Person],
    playbooks: Sequence[tuple[str, str]],
) -> Block:
    """Show a proposal in full: hosts, diff, playbooks as they were pinned, near misses."""
    card = replace(proposal_card(incident, proposal, people, full=True), buttons=(), foot="")
    found = blocks(replace(card, code=""))
    found += _part("Every host", _hosts(proposal), HOSTS_ROOM)
    found += _part("Dry run", card.code or "nothing was recorded", DIFF_ROOM)
    for name, text in playbooks:
        tree = str(proposal.content["tree"])[:12]
        found += _part(f"{name} as pinned in {tree}", text, BOOK_ROOM // len(playbooks))
    if near := _near(incident):
        found += _part("Runbooks that just miss", near, 1500)
    rest = f"In full: holdfast details {proposal.id} --json"
    found.append({"type": "context", "elements": [plain_text(rest, 200)]})
    return _frame(f"{proposal.id} in full", found)


def _part(title: str, text: str, room: int) -> list[Block]:
    return [{"type": "divider"}, section(title), *fenced(text, room)]


def _hosts(proposal: Proposal) -> str:
    """List every host with what is known of it and what would be done."""
    waves = {name: n for n, part in enumerate(_waves(proposal.content), 1) for name in part}
    rows = []
    for name, host in proposal.content["hosts"].items():
        wave = f"wave {waves[name]}" if name in waves else "not in a wave"
        value = "" if host.get("value") is None else f" now {host['value']}"
        why = f" ({host['reason']})" if host.get("reason") else ""
        rows.append(f"{name} · {host['exposure'].replace('_', ' ')}{value} · {wave}{why}")
    return "\n".join(rows)


def _waves(content: Mapping[str, Any]) -> list[list[str]]:
    order, found = list(content["waves"]["order"]), []
    for size in content["waves"]["sizes"]:
        found.append(order[:size])
        order = order[size:]
    return found


def _near(incident: Incident) -> str:
    near = (incident.match or {}).get("near") or []
    return "\n".join(f"{one['runbook']}: {one['why']}" for one in near)


def answer(card: Card, title: str = "Holdfast") -> Block:
    """Write a card as a modal that is only read."""
    return _frame(title, blocks(replace(card, buttons=())))


def choose(incidents: Sequence[tuple[str, str]], keep: Mapping[str, Any]) -> Block:
    """Ask which incident a message belongs to; ``incidents`` are (id, title), newest first."""
    options = [
        {"text": plain_text(f"{name} · {title}", 75), "value": name}
        for name, title in incidents[:CHOICES]
    ]
    element = {
        "type": "static_select",
        "action_id": CHOSEN,
        "options": options,
        "initial_option": options[0],
    }
    label = plain_text("Which incident?", 150)
    asked = {"type": "input", "block_id": CHOSEN, "label": label, "element": element}
    return {
        **_frame("Add to timeline", [asked]),
        "callback_id": TIMELINE,
        "submit": plain_text("Add", TITLE),
        "close": plain_text("Cancel", TITLE),
        "private_metadata": json.dumps(keep),
    }


def answered(view: Mapping[str, Any], block: str) -> str:
    """Return what somebody typed or chose in a block of a submitted modal."""
    values = (view.get("state") or {}).get("values") or {}
    given = (values.get(block) or {}).get(block) or {}
    chosen = given.get("selected_option") or {}
    return str(given.get("value") or chosen.get("value") or "")


def kept(view: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a modal was told to remember."""
    try:
        found = json.loads(str(view.get("private_metadata") or "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _frame(title: str, found: Sequence[Block]) -> Block:
    shown = list(found)
    if len(shown) > 99:
        shown = [*shown[:98], section(f"… and {len(found) - 98} more parts")]
    return {
        "type": "modal",
        "title": plain_text(title, TITLE),
        "close": plain_text("Close", TITLE),
        "blocks": shown,
    }
