"""The golden cards: every state of a proposal, the headline and the modals, as Slack gets them.

``python -m tests.unit.chat.card_golden`` writes them anew, and ``PICTURES=DIR`` beside it also as
pictures, by Chromium. Whoever changes a card looks at them.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.chat import slack_modals as modals
from bot.chat.cards import headline
from bot.chat.proposal_cards import proposal_card
from bot.chat.slack_blocks import message
from bot.chat.slack_notices import last_word, notices
from bot.incident.fold import fold
from bot.incident.state import Incident, Proposal, ProposalState
from bot.layout import bundled
from tests.unit.events import KIM, PEOPLE, ROBIN, Log, opening

HERE = Path(__file__).parent / "golden"
LINK = "http://127.0.0.1:8420/incidents/INC-1"


def _approved(log: Log) -> None:
    log.about("approval.given", "P-1", "Kim Larsen approved P-1", KIM, complete=True, roles=[])


def _running(log: Log) -> None:
    log.approve("P-1")
    log.wave("P-1", 1, {"db-01": "verified"})


def _paused(log: Log) -> None:
    _running(log)
    log.about("rollout.paused", "P-1", "P-1 paused by Robin Oduya", ROBIN, why="a look at db-02")


def _halted(log: Log) -> None:
    _running(log)
    outcomes = {"db-02": "failed", "db-03": "unknown", "web-03": "applied", "web-04": "verified"}
    log.wave("P-1", 2, outcomes, owed=("web-01",), passes=False)
    why = "1 of 4 hosts not verified (limit 0): db-02: read back 127, wanted 0"
    log.about("rollout.halted", "P-1", f"P-1 halted after wave 2: {why}", wave=2, why=why)


def _aborted(log: Log) -> None:
    _halted(log)
    log.about("rollout.aborted", "P-1", "P-1 aborted by Robin Oduya", ROBIN, why="wrong knob")


def _done(log: Log) -> None:
    _running(log)
    rest = ("db-02", "db-03", "web-03", "web-04", "web-05", "web-06")
    log.wave("P-1", 2, dict.fromkeys(rest, "verified"), owed=("web-01", "web-02"))
    log.about("rollout.done", "P-1", "P-1: all waves carried out", outcomes={"verified": 7})
    log.update("P-1", "retry", web_01="verified", web_02="verified")
    log.add("note.added", "mail gateway drained by hand, customers see nothing", actor=ROBIN)


def _over(kind: str, why: str) -> Callable[[Log], None]:
    return lambda log: log.about(kind, "P-1", f"P-1 {why}", KIM, why=why)


STATES: Mapping[ProposalState, Callable[[Log], None]] = {
    ProposalState.OPEN: lambda _: None,
    ProposalState.APPROVED: _approved,
    ProposalState.RUNNING: _running,
    ProposalState.PAUSED: _paused,
    ProposalState.HALTED: _halted,
    ProposalState.ABORTED: _aborted,
    ProposalState.DONE: _done,
    ProposalState.EXPIRED: _over("proposal.expired", "not approved in time"),
    ProposalState.REJECTED: _over("proposal.rejected", "wrong time"),
    ProposalState.SUPERSEDED: _over(
        "proposal.superseded", "a playbook changed since the proposal was made"
    ),
}
"""The design's ten states, each with how it comes about."""


def story(state: ProposalState) -> tuple[Log, Incident, Proposal]:
    """Return an incident whose proposal is in this state."""
    log = Log()
    opening(log)
    STATES[state](log)
    incident = fold(log.entries)
    proposal = incident.proposals["P-1"]
    assert proposal.state is state
    return log, incident, proposal


def cards() -> dict[str, dict[str, Any]]:
    """Return every golden message and modal by its name."""
    found: dict[str, dict[str, Any]] = {}
    for state in STATES:
        log, incident, proposal = story(state)
        made = message(proposal_card(incident, proposal, PEOPLE), mark="m", link=LINK)
        found[f"proposal-{state}"] = {"text": made.text, "blocks": list(made.blocks)}
        top = message(
            headline(incident, log.at + timedelta(seconds=9), last=last_word(log.entries)),
            link=LINK,
        )
        found[f"headline-{state}"] = {"text": top.text, "blocks": list(top.blocks)}
    log, incident, proposal = story(ProposalState.OPEN)
    where = {"channel": "C1"}
    line = f"approve P-1 --digest {proposal.digest[:12]}"
    few, many = modals.question(proposal, 100), modals.question(proposal, 3)
    found["modal-approve"] = modals.confirm(proposal, few, line, where)
    found["modal-approve-typed"] = modals.confirm(proposal, many, line, where)
    book = (bundled("playbooks") / "sysctl-set.yml").read_text()
    found["modal-details"] = modals.details(incident, proposal, PEOPLE, [("sysctl-set.yml", book)])
    found["modal-choose"] = modals.choose([("INC-2", "x" * 90), ("INC-1", incident.title)], {})
    for notice in notices(incident, log.entries, {}, log.at + timedelta(minutes=40), 1800.0):
        made = message(notice.card)
        found[f"private-{notice.slot}"] = {"text": made.text, "blocks": list(made.blocks)}
    return found


def as_text(card: Mapping[str, Any]) -> str:
    """Return a golden file's text."""
    return json.dumps(card, indent=1, ensure_ascii=False) + "\n"


PAGE = """<!doctype html><meta charset=utf-8><style>
body{font:15px/1.45 Lato,Arial,sans-serif;width:560px;margin:16px;color:#1d1c1d}
h3{font-size:17px;margin:4px 0} section{margin:8px 0;white-space:pre-wrap}
.f{display:grid;grid-template-columns:1fr 1fr;gap:4px 12px}
pre{background:#f8f8f8;border:1px solid #ddd;padding:8px;font-size:12px;white-space:pre-wrap}
button{border:1px solid #bbb;background:#fff;border-radius:4px;padding:6px 12px;font-weight:bold;
margin-right:8px}.primary{background:#007a5a;color:#fff}.danger{background:#e01e5a;color:#fff}
small{color:#616061} input{width:100%;padding:6px}
</style>"""


def page(card: Mapping[str, Any]) -> str:
    """Draw a message or modal about as Slack does."""
    parts = [PAGE]
    if "title" in card:
        parts.append(f"<h3>[ {_drawn(card['title'])} ]</h3>")
    parts += [_block(block) for block in card["blocks"]]
    for name, style in (("close", ""), ("submit", "primary")):
        if name in card:
            parts.append(f"<button class='{style}'>{_drawn(card[name])}</button>")
    return "\n".join(parts)


def _block(block: Mapping[str, Any]) -> str:
    kind = block["type"]
    if kind == "header":
        return f"<h3>{_drawn(block['text'])}</h3>"
    if kind == "divider":
        return "<hr>"
    if kind == "actions":
        drawn = [
            f"<button class='{e.get('style', '')}'>{_drawn(e['text'])}</button>"
            for e in block["elements"]
        ]
        return "".join(drawn)
    if kind == "context":
        return "".join(f"<div><small>{_drawn(e)}</small></div>" for e in block["elements"])
    if kind == "input":
        return f"<section><b>{_drawn(block['label'])}</b><br><input></section>"
    cells = "".join(f"<div>{_drawn(one)}</div>" for one in block.get("fields", ()))
    text = f"<div>{_drawn(block['text'])}</div>" if "text" in block else ""
    return f"<section>{text}</section>" if text else f"<section class=f>{cells}</section>"


def _drawn(text: Mapping[str, Any]) -> str:
    shown = html.escape(html.unescape(str(text["text"])))
    if text["type"] == "mrkdwn":
        shown = re.sub(r"```\n?(.*?)\n?```", r"<pre>\1</pre>", shown, flags=re.DOTALL)
        shown = re.sub(r"&lt;http[^|]+\|(.+?)&gt;", r"<u>\1</u>", shown)
        shown = re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", shown)
    return shown


def draw(folder: Path) -> None:
    """Write every card as a page and, where there is Chromium, as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    browser = shutil.which("chromium")
    for name, card in cards().items():
        file = folder / f"{name}.html"
        file.write_text(page(card))
        if browser:
            height = 2200 if name == "modal-details" else 900
            shot = [f"--screenshot={folder / name}.png", f"--window-size=600,{height}"]
            subprocess.run(
                [browser, "--headless", "--no-sandbox", *shot, file.as_uri()],
                check=True,
                capture_output=True,
            )


def write() -> None:
    """Write the golden files anew."""
    HERE.mkdir(exist_ok=True)
    for file in HERE.glob("*.json"):
        file.unlink()
    for name, card in cards().items():
        (HERE / f"{name}.json").write_text(as_text(card))


if __name__ == "__main__":
    write()
    if where := os.environ.get("PICTURES"):
        draw(Path(where))
