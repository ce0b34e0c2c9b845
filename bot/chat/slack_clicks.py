"""Buttons and modals: what is pressed, what is asked back, and what is sent off."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.chat import slack_modals as modals
from bot.chat.card import Card, sorry
from bot.chat.grammar import Command, parse
from bot.chat.slack_blocks import Block
from bot.chat.slack_pins import Pins
from bot.chat.slack_talk import BUTTON, Ack, Event, Talk, press, say
from bot.errors import BadInputError, HoldfastError, NotFoundError
from bot.incident.state import Incident, Proposal
from bot.service import approve
from bot.service.site import load, locate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clicks:
    """The listeners of buttons and modals."""

    talk: Talk
    pins: Pins

    def click(self, ack: Callable[..., Any], body: Event) -> None:
        """Carry out the line of a pressed button; ask before an approval, show details."""
        action, user = body["actions"][0], str(body["user"]["id"])
        name, line = str(action.get("action_id")), str(action.get("value") or "")
        name = name.partition(".")[0]  # of several buttons with one verb each has a number
        told = Ack(ack)
        try:
            if name in {f"{BUTTON}approve", f"{BUTTON}details"}:
                told.now()  # nothing is changed yet, and the trigger lives for three seconds
                card = self._open(name, line, user, body)
            else:
                card = press(self.talk.site, name, line, self.talk.identities.by_slack(user))
        finally:
            told.now()
        if card is not None:
            self.talk.tell(card, body, _channel(body) or user, user)

    def _open(self, name: str, line: str, user: str, body: Event) -> Card | None:
        """Open the modal of a button; return what is to be said instead if it does not open."""
        try:
            command = _own(name, line)
            if command.verb.name == "details":
                view = self._details(command)
            else:
                view = self._confirm(command, line, user, body)
        except HoldfastError as error:
            return sorry(error)
        try:
            self.talk.surface.open_modal(str(body.get("trigger_id") or ""), view)
        except HoldfastError as error:
            log.warning("a modal could not be opened", extra={"error": str(error)})
            if command.verb.name == "details":
                return press(self.talk.site, name, line, self.talk.identities.by_slack(user))
            return Card(
                title="Slack did not open the question; nothing was approved",
                tone="bad",
                lines=(f"Next: press the button again, or say /incident {line}",),
            )
        return None

    def _details(self, command: Command) -> Block:
        incident, proposal = self._proposal(command.subject)
        playbooks = []
        for name in dict.fromkeys(str(one[0]) for one in proposal.content["playbooks"]):
            try:
                text = self.talk.site.sources.pinned(str(proposal.content["tree"]), name)
            except HoldfastError as error:
                text = str(error)
            playbooks.append((name, text))
        return modals.details(incident, proposal, self.talk.site.people, playbooks)

    def _confirm(self, command: Command, line: str, user: str, body: Event) -> Block:
        """Ask before an approval, if this person's yes would count; a refusal is recorded."""
        actor = self.talk.identities.by_slack(user)
        proposal = approve.ask(
            self.talk.site, command.subject, actor, command.options.get("digest", "")
        )
        asked = modals.question(proposal, self.talk.config.typed_above)
        return modals.confirm(proposal, asked, line, {"channel": _channel(body)})

    def _proposal(self, name: str) -> tuple[Incident, Proposal]:
        incident = load(self.talk.site, locate(self.talk.site, name))
        return incident, incident.proposals[name]

    def submit(self, ack: Callable[..., Any], body: Event, view: Event) -> None:
        """Carry out what a modal was sent off with. All that counts is checked again."""
        user = str(body["user"]["id"])
        kept, told = modals.kept(view), Ack(ack)
        try:
            if view.get("callback_id") == modals.APPROVE:
                wrong, card = self._approve(kept, view, user)
                if wrong:
                    told.now(response_action="errors", errors={modals.TYPED: wrong})
                    return
            elif view.get("callback_id") == modals.TIMELINE:
                card = self.pins.chosen(kept, modals.answered(view, modals.CHOSEN), user)
            else:
                card = _unknown()
            shown = told.now(response_action="update", view=modals.answer(card))
        finally:
            told.now()
        if not shown:
            self.talk.tell(card, {}, str(kept.get("channel") or user), user)

    def _approve(self, kept: Mapping[str, Any], view: Event, user: str) -> tuple[str, Card]:
        """Approve, unless the number that was asked for is not the one that was typed."""
        line = str(kept.get("line") or "")
        try:
            command = _own(f"{BUTTON}approve", line)
            _, proposal = self._proposal(command.subject)
        except HoldfastError as error:
            return "", sorry(error)
        asked = modals.question(proposal, self.talk.config.typed_above)
        if wrong := modals.misread(asked, modals.answered(view, modals.TYPED)):
            return wrong, _unknown()
        return "", say(self.talk.site, line, self.talk.identities.by_slack(user))


def _own(name: str, line: str) -> Command:
    """Read the line of one of the bot's own buttons."""
    command = parse(line)
    if name != f"{BUTTON}{command.verb.name}" or not command.subject:
        raise BadInputError(
            "this button is not known here; nothing was done",
            next="it may be from an older version: use the slash command",
        )
    return command


def _unknown() -> Card:
    return sorry(NotFoundError("this form is not known here; nothing was done", next="say 'help'"))


def _channel(body: Event) -> str:
    return str((body.get("channel") or {}).get("id") or "")
