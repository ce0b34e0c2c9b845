"""What is done with what Slack's users and alerting bots say: the listeners, without Slack."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from bot.chat.card import Card
from bot.chat.dispatch import dispatch
from bot.chat.grammar import parse
from bot.chat.identity import Identities
from bot.chat.slack_blocks import Block, Message, message, modal
from bot.chat.slack_text import alert, command_line, is_alert
from bot.config import SlackPart
from bot.errors import BadInputError, HoldfastError
from bot.fleet.inventory import Inventory
from bot.service.receive import receive
from bot.service.site import Site
from bot.timeline.entry import Actor

log = logging.getLogger(__name__)

BUTTON = "holdfast:"
ACK_WITHIN = 2.0
"""Seconds after which a click is acknowledged although it is not carried out yet."""

Event = Mapping[str, Any]


class Surface(Protocol):
    """What a conversation needs of Slack. Raises the errors of ``bot.errors``."""

    def channel_id(self, name: str) -> str:
        """Return the id of a channel that the configuration calls by id or name."""

    def respond(self, url: str, message: Message) -> None:
        """Answer a command or click, to its person alone, at the URL that came with it."""

    def whisper(self, channel: str, user: str, message: Message) -> None:
        """Tell one person something in a channel."""

    def open_modal(self, trigger: str, view: Block) -> None:
        """Open a modal for the person whose click this trigger is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """The listeners. Their parameters bear the names by which Bolt hands things over."""

    site: Site
    identities: Identities
    config: SlackPart
    known: Callable[[], Inventory | None]
    surface: Surface

    def hear(self, event: Event, context: Event, next: Callable[[], Any]) -> None:  # noqa: A002 - Bolt's name
        """Take an alert in. As middleware this ends before Slack is told that it arrived."""
        own = {context.get("bot_id"), context.get("bot_user_id")} - {None}
        if not own & {event.get("bot_id"), event.get("user")} and self._is_alert(event):
            sender = str(event.get("bot_id") or event.get("user") or "bot")
            name = str(event.get("username") or sender)
            actor = Actor(id=f"slack:{sender}", name=name, via="slack")
            found = alert(event, self.site.host_labels)
            receipt = receive(self.site, [found], self.known(), actor)
            log.info("an alert came by Slack", extra={"incidents": list(receipt.incidents)})
        next()

    def _is_alert(self, event: Event) -> bool:
        """Ask for the ids of named channels only when the sender is one that counts."""
        anywhere = {str(event.get("channel"))}
        if not is_alert(event, anywhere, self.config.alert_bots):
            return False
        channels = {self.surface.channel_id(name) for name in self.config.alert_channels}
        return is_alert(event, channels, self.config.alert_bots)

    def command(self, ack: Callable[[], Any], command: Event) -> None:
        """Carry out a slash command."""
        user = str(command["user_id"])
        with _acknowledged(ack):
            line = command_line(str(command.get("text") or ""), self.identities.slack.get)
            card = say(self.site, line, self.identities.by_slack(user))
        self._answer(card, command, str(command.get("channel_id") or user), user)

    def click(self, ack: Callable[[], Any], body: Event) -> None:
        """Carry out the line of a pressed button."""
        action, user = body["actions"][0], str(body["user"]["id"])
        name, line = str(action.get("action_id")), str(action.get("value") or "")
        with _acknowledged(ack):
            card = press(self.site, name, line, self.identities.by_slack(user))
            if name == f"{BUTTON}details" and self._show(card, str(body.get("trigger_id"))):
                return
        channel = (body.get("channel") or {}).get("id") or user
        self._answer(card, body, str(channel), user)

    def _show(self, card: Card, trigger: str) -> bool:
        try:
            self.surface.open_modal(trigger, modal(card))
        except HoldfastError as error:
            log.warning("a modal could not be opened", extra={"error": str(error)})
            return False
        return True

    def _answer(self, card: Card, asked: Event, channel: str, user: str) -> None:
        """Tell one person. If one way fails there is another; if both do, the log has it."""
        said = message(card)
        try:
            if url := asked.get("response_url"):
                self.surface.respond(str(url), said)
                return
        except HoldfastError as error:
            log.info("an answer takes the other way", extra={"error": str(error)})
        try:
            self.surface.whisper(channel, user, said)
        except HoldfastError as error:
            log.warning("an answer was lost", extra={"error": str(error)})


def say(site: Site, line: str, actor: Actor) -> Card:
    """Carry out a typed line and return the answer; a refusal says why and what next."""
    try:
        return dispatch(site, parse(line), actor).card
    except HoldfastError as error:
        return sorry(error)
    except Exception:  # the top of the chat: the person must be told something
        log.exception("a command failed", extra={"actor": actor.id})
        return Card(
            title="the bot failed at this; it is not known whether anything was changed",
            tone="bad",
            lines=("Next: see 'status', then try again; the bot's log has the cause",),
        )


def press(site: Site, action: str, line: str, actor: Actor) -> Card:
    """Carry out the line of a pressed button, if it is one of the bot's own."""
    verb = line.partition(" ")[0]
    if not verb or action != f"{BUTTON}{verb}":
        return sorry(
            BadInputError(
                "this button is not known here; nothing was done",
                next="it may be from an older version: use the slash command",
            )
        )
    return say(site, line, actor)


def sorry(error: HoldfastError) -> Card:
    """Return an error as a card."""
    where = f"{error.where}: " if error.where else ""
    lines = (f"Next: {error.next}",) if error.next else ()
    return Card(title=f"{where}{error.what}", tone="bad", lines=lines)


@contextmanager
def _acknowledged(ack: Callable[[], Any]) -> Iterator[None]:
    """Acknowledge when the work is done and durable, but never later than Slack waits."""
    timer = threading.Timer(ACK_WITHIN, ack)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        ack()
