"""Which incident or proposal is meant when none is named; a question where it is not clear."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from bot.chat.grammar import Command
from bot.errors import NotFoundError, UnclearError
from bot.incident.state import BUSY, Proposal, ProposalState
from bot.service.site import Site, load, locate

S = ProposalState
FITTING = {
    "approve": frozenset({S.OPEN}),
    "break-glass": frozenset({S.OPEN}),
    "reject": frozenset({S.OPEN, S.APPROVED}),
    "pause": frozenset({S.RUNNING}),
    "resume": frozenset({S.PAUSED, S.HALTED}),
    "rollback": frozenset({S.DONE, S.HALTED, S.PAUSED, S.ABORTED}),
    "abort": BUSY,
}
"""The states in which a verb makes sense: only proposals in these can be meant by it."""
LIVE = BUSY | {S.OPEN}


def completed(site: Site, command: Command, context: str) -> Command:
    """Return the command with its subject.

    ``context`` is the incident or proposal of the channel, thread or terminal; '' if there is none.
    Raises ``UnclearError`` with the choices, or ``NotFoundError``.
    """
    wants = command.verb.wants
    if not wants or command.subject or (command.verb.alone and command.rest and not context):
        return command
    if wants == "proposal" and re.fullmatch(r"P-\d+", context):
        return replace(command, subject=context)
    home = locate(site, context) if context.startswith("P-") else context
    names = [home] if home else _open_incidents(site, command.verb.name)
    subject = _incident(command, names) if wants == "incident" else _proposal(site, command, names)
    return replace(command, subject=subject)


def _open_incidents(site: Site, verb: str) -> list[str]:
    """Return the incidents that can be meant: the open ones; to reopen one, the others."""
    return [row.id for row in site.store.incidents() if row.open == (verb != "reopen")]


def _incident(command: Command, names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    if not names:
        kind = "resolved" if command.verb.name == "reopen" else "open"
        raise NotFoundError(f"there is no {kind} incident", next="see 'incidents'")
    raise UnclearError("which incident?", _lines(command, names))


def _proposal(site: Site, command: Command, names: Iterable[str]) -> str:
    """Return the one proposal in a state in which the verb makes sense, else the one live one."""
    known = [p for name in names for p in load(site, name).proposals.values()]
    fitting = FITTING.get(command.verb.name, LIVE)
    found = [p for p in known if p.state in fitting] or [p for p in known if p.state in LIVE]
    if not found and command.verb.name == "details":
        found = known[-1:]
    if len(found) == 1:
        return found[0].id
    if not found:
        raise NotFoundError("there is no open proposal", next="name one (P-1) or see 'status'")
    raise UnclearError("which proposal?", _lines(command, [p.id for p in _newest(found)]))


def _newest(found: list[Proposal]) -> list[Proposal]:
    return sorted(found, key=lambda p: p.made_at, reverse=True)


def _lines(command: Command, names: Iterable[str]) -> list[str]:
    return [replace(command, subject=name).line for name in names]
