"""What is done with what Slack's users and alerting bots say: the listeners, without Slack."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from bot.chat import slack_files
from bot.chat.address import spoken
from bot.chat.card import Card, sorry
from bot.chat.dispatch import dispatch
from bot.chat.focus import in_focus
from bot.chat.grammar import may_write, parse
from bot.chat.identity import Identities
from bot.chat.slack_blocks import Block, Message, message
from bot.chat.slack_text import SHOWN, alert, command_line, is_alert
from bot.chat.slack_web import LostAnswerError, SlackError
from bot.config import SlackPart
from bot.errors import BadInputError, HoldfastError
from bot.fleet.inventory import Inventory
from bot.service.receive import Receipt, receive
from bot.service.site import Site
from bot.timeline.entry import Actor

log = logging.getLogger(__name__)

BUTTON = "holdfast:"
ACK_WITHIN = 0.8
"""Seconds after which a click is acknowledged although it is not carried out yet."""

ANSWER = "holdfast.answer"
"""Where a middleware leaves the answer that is given once Slack is told."""
TRIES, PAUSE, PATIENCE = 3, 1.0, 10.0
"""How often an answer is tried that has one way only, and seconds between: at least, at most."""

Event = Mapping[str, Any]
Context = MutableMapping[str, Any]


class Surface(Protocol):
    """What a conversation needs of Slack. Raises the errors of ``bot.errors``."""

    def channel_id(self, name: str) -> str:
        """Return the id of a channel that the configuration calls by id or name."""

    def respond(self, url: str, message: Message) -> None:
        """Answer a command or click, to its person alone, at the URL that came with it."""

    def whisper(self, channel: str, user: str, message: Message, thread: str | None = None) -> None:
        """Tell one person something in a channel or thread."""

    def open_modal(self, trigger: str, view: Block) -> str:
        """Open a modal for the person whose click this trigger is; return its id."""

    def fill_modal(self, ident: str, view: Block) -> None:
        """Replace what an open modal shows."""

    def message_at(self, channel: str, ref: str) -> Mapping[str, Any] | None:
        """Return one message; None if it is gone."""

    def permalink(self, channel: str, ref: str) -> str:
        """Return the address of a message."""

    def react(self, channel: str, ref: str, emoji: str, *, on: bool = True) -> None:
        """Put an emoji on a message, or take it away."""

    def person(self, user: str) -> Mapping[str, Any]:
        """Return Slack's user object of an id."""

    def download(self, url: str, most: int) -> bytes:
        """Fetch a file that somebody shared, at most so many bytes."""


class Ack:
    """Acknowledges once: when it is told to, and otherwise before Slack's patience ends."""

    def __init__(self, ack: Callable[..., Any]) -> None:
        self._ack = ack
        self._lock = threading.Lock()
        self._timer = threading.Timer(ACK_WITHIN, self.now)
        self._timer.daemon = True
        self._timer.start()
        self.done = False

    def now(self, **said: Any) -> bool:
        """Acknowledge, with what Slack shall do. False: it was done already."""
        self._timer.cancel()
        with self._lock:
            if self.done:
                return False
            self.done = True
            self._ack(**said)
            return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """The listeners. Their parameters bear the names by which Bolt hands things over."""

    site: Site
    identities: Identities
    config: SlackPart
    known: Callable[[], Inventory | None]
    surface: Surface

    def hear(self, event: Event, context: Context, next: Callable[[], Any]) -> None:  # noqa: A002 - Bolt's name
        """Take a message in. As middleware this ends before Slack is told that it arrived."""
        own = {context.get("bot_id"), context.get("bot_user_id")} - {None}
        if not own & {event.get("bot_id"), event.get("user")}:
            if self._is_alert(event):
                self.take(event)
            else:
                context[ANSWER] = self._listen(event, str(context.get("bot_user_id") or ""))
        next()

    def answer(self, context: Context) -> None:
        """Answer what a middleware heard: Slack does not wait for it."""
        if (answer := context.get(ANSWER)) is not None:
            answer()

    def take(self, event: Event) -> Receipt:
        """Record an alert that is a message, with the snippets that came with it."""
        sender = str(event.get("bot_id") or event.get("user") or "bot")
        name = str(event.get("username") or sender)
        actor = Actor(id=f"slack:{sender}", name=name, via="slack")
        whole = slack_files.filled(event, self.surface)
        found = alert(whole, self.site.host_labels)
        receipt = receive(self.site, [found], self.known(), actor)
        log.info("an alert came by Slack", extra={"incidents": list(receipt.incidents)})
        return receipt

    def _is_alert(self, event: Event) -> bool:
        """Ask for the ids of named channels only when the sender is one that counts."""
        anywhere = {str(event.get("channel"))}
        if not is_alert(event, anywhere, self.config.alert_bots):
            return False
        channels = {self.surface.channel_id(name) for name in self.config.alert_channels}
        return is_alert(event, channels, self.config.alert_bots)

    def _listen(self, event: Event, bot_user: str) -> Callable[[], None] | None:
        """Carry out what a person says to the bot in a channel or thread, once; return the answer."""
        user, channel = str(event.get("user") or ""), str(event.get("channel") or "")
        shown = SHOWN | {"thread_broadcast"}
        if not user or event.get("bot_id") or event.get("subtype") not in shown:
            return None
        said = spoken(str(event.get("text") or ""), bot_user)
        if not said or not self.first(f"slack-said/{channel}/{event.get('ts')}"):
            return None
        thread = str(event.get("thread_ts") or "") or None
        card = self.say(said, user, channel, thread)
        return partial(self.tell, card, {}, channel, user, thread)

    def first(self, key: str) -> bool:
        """Say whether this is the first that any of the bots hears of something."""
        with self.site.store.transaction("intake") as tx:
            return tx.alert(key, None) is None

    def command(self, told: Ack, command: Event) -> None:
        """Carry out a slash command; it is acknowledged when what it changes is durable."""
        user, channel = str(command["user_id"]), str(command.get("channel_id") or "")
        try:
            card = self.say(str(command.get("text") or ""), user, channel, None)
        finally:
            told.now()
        self.tell(card, command, channel or user, user)

    def writes(self, line: str) -> bool:
        """Say whether a typed line may change anything."""
        return may_write(command_line(line, self.identities.slack.get))

    def say(self, text: str, user: str, channel: str, thread: str | None) -> Card:
        """Carry out a typed line where it was typed, and return the answer."""
        line = command_line(text, self.identities.slack.get)
        about = in_focus(self.site.store, channel, thread)
        return say(self.site, line, self.identities.by_slack(user), about)

    def tell(
        self, card: Card, asked: Event, channel: str, user: str, thread: str | None = None
    ) -> None:
        """Tell one person. If one way fails there is another; if both do, the log has it."""
        said = message(card)
        try:
            if url := asked.get("response_url"):
                self.surface.respond(str(url), said)
                return
        except HoldfastError as error:
            log.info("an answer takes the other way", extra={"error": str(error)})
        for more in reversed(range(1 if asked.get("response_url") else TRIES)):
            try:
                self.surface.whisper(channel, user, said, thread)
            except HoldfastError as error:
                wait = max(PAUSE, float(getattr(error, "after", 0.0)))
                final = isinstance(error, SlackError | LostAnswerError) or wait > PATIENCE
                if final or not more:
                    log.warning("an answer was lost", extra={"error": str(error)})
                    return
                time.sleep(wait)
            else:
                return


def say(site: Site, line: str, actor: Actor, about: str = "") -> Card:
    """Carry out a typed line and return the answer; a refusal says why and what next."""
    try:
        return dispatch(site, parse(line), actor, about).card
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
    if not verb or action.partition(".")[0] != f"{BUTTON}{verb}":
        return sorry(
            BadInputError(
                "this button is not known here; nothing was done",
                next="it may be from an older version: use the slash command",
            )
        )
    return say(site, line, actor)
