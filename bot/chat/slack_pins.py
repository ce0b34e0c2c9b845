"""Messages that people put into the timeline, and crashes that they ask to be read."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bot import crash
from bot.chat import slack_files
from bot.chat import slack_modals as modals
from bot.chat.card import Card, sorry
from bot.chat.focus import in_focus
from bot.chat.slack_talk import ANSWER, Ack, Context, Event, Talk
from bot.chat.slack_text import message_text
from bot.clock import stamp
from bot.crash.show import lines
from bot.errors import BadInputError, HoldfastError, NotFoundError
from bot.service import pins
from bot.service.site import load, locate
from bot.timeline.entry import Actor

log = logging.getLogger(__name__)

ADD, READ = "holdfast:add", "holdfast:read"
"""The bot's message shortcuts."""
STORED = "white_check_mark"
"""The emoji by which the bot says that a message is in the timeline."""
LONGEST = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """The listeners of emoji and message shortcuts."""

    talk: Talk
    _names: dict[str, str] = field(default_factory=dict)

    def react(self, event: Event, context: Context, next: Callable[[], Any]) -> None:  # noqa: A002 - Bolt's name
        """Pin or strike a message. As middleware this ends before Slack is told."""
        item = event.get("item") or {}
        if event.get("reaction") == self.talk.config.pin_emoji and item.get("type") == "message":
            user, channel = str(event.get("user") or ""), str(item.get("channel") or "")
            try:
                on = event.get("type") == "reaction_added"
                (self._pin if on else self._strike)(channel, str(item.get("ts") or ""), user)
            except HoldfastError as error:
                context[ANSWER] = partial(self.talk.tell, sorry(error), {}, channel, user)
        next()

    def _pin(self, channel: str, ref: str, user: str) -> None:
        said = self._message(channel, ref)
        incident = self._about(channel, said)
        self.add(incident, channel, said, self.talk.identities.by_slack(user))

    def _strike(self, channel: str, ref: str, user: str) -> None:
        """Strike a pin once nobody's emoji is left on the message."""
        said = self.talk.surface.message_at(channel, ref) or {}
        left = {one.get("name") for one in said.get("reactions") or () if one.get("users")}
        incident = self._pinned(_key(channel, ref))
        if self.talk.config.pin_emoji in left or not incident:
            return
        actor = self.talk.identities.by_slack(user)
        pins.unpin(self.talk.site, incident, _key(channel, ref), actor)
        self._mark(channel, ref, on=False)

    def _message(self, channel: str, ref: str) -> Mapping[str, Any]:
        found = self.talk.surface.message_at(channel, ref)
        if found is None:
            raise NotFoundError("that message is gone", next="add what it said with 'note'")
        return found

    def _about(self, channel: str, said: Mapping[str, Any]) -> str:
        """Return the incident that a message belongs to: its place, else the only open one."""
        thread = str(said.get("thread_ts") or said.get("ts") or "")
        if about := in_focus(self.talk.site.store, channel, thread or None):
            return about if about.startswith("INC-") else locate(self.talk.site, about)
        names = [row.id for row in self.talk.site.store.incidents() if row.open]
        if not names:
            raise NotFoundError("there is no open incident to add this to", next="see 'incidents'")
        if len(names) > 1:
            raise BadInputError(
                f"which incident? {', '.join(names)} are open",
                next="use the message's shortcut 'Add to timeline': it asks",
            )
        return names[0]

    def _pinned(self, key: str) -> str:
        """Return the incident in whose timeline a message is; '' if it is in none."""
        for row in self.talk.site.store.incidents():
            for entry in self.talk.site.store.entries(row.id):
                if entry.kind == "note.pinned" and entry.data.get("key") == key:
                    return row.id
        return ""

    def add(self, incident: str, channel: str, said: Mapping[str, Any], actor: Actor) -> str:
        """Put a message into the timeline with its author, time and address."""
        ref = str(said["ts"])
        text = message_text(said)[:LONGEST].strip() or "(a message without text)"
        sentence = pins.pin(
            self.talk.site,
            incident,
            text,
            actor,
            key=_key(channel, ref),
            author=self._author(said),
            at=stamp(datetime.fromtimestamp(float(ref), UTC)),
            link=self._link(channel, ref),
        )
        self._mark(channel, ref, on=True)
        return sentence

    def _mark(self, channel: str, ref: str, *, on: bool) -> None:
        """Show on the message whether it is in the timeline; that it is does not depend on it."""
        try:
            self.talk.surface.react(channel, ref, STORED, on=on)
        except HoldfastError as error:
            log.info("a message cannot be marked", extra={"error": str(error)})

    def _link(self, channel: str, ref: str) -> str:
        try:
            return self.talk.surface.permalink(channel, ref)
        except HoldfastError as error:
            log.info("a message has no link", extra={"error": str(error)})
            return ""

    def _author(self, said: Mapping[str, Any]) -> str:
        """Return who said it: a known person's name and id, else Slack's name for the id."""
        user = str(said.get("user") or said.get("bot_id") or "")
        if key := self.talk.identities.slack.get(user):
            return f"{self.talk.site.people[key].name} ({user})"
        if said.get("username"):
            return f"{said['username']} ({user})"
        if user and user not in self._names:
            try:
                found = self.talk.surface.person(user)
                self._names[user] = str(found.get("real_name") or found.get("name") or "")
            except HoldfastError as error:
                log.info("a person's name is not known", extra={"error": str(error)})
        name = self._names.get(user, "")
        return f"{name} ({user})" if name else user or "unknown"

    def shortcut(self, ack: Callable[..., Any], shortcut: Event) -> None:
        """Carry out a message's shortcut."""
        Ack(ack).now()  # nothing is changed yet, or nothing that is asked twice
        user = str(shortcut["user"]["id"])
        channel = str((shortcut.get("channel") or {}).get("id") or "")
        said = shortcut.get("message") or {}
        try:
            if shortcut.get("callback_id") == ADD:
                card = self._add(shortcut, channel, said, user)
            elif shortcut.get("callback_id") == READ:
                card = self._read(shortcut, said)
            else:
                card = sorry(BadInputError("this shortcut is not known here", next="say 'help'"))
        except HoldfastError as error:
            card = sorry(error)
        if card is not None:
            self.talk.tell(card, shortcut, channel or user, user)

    def _add(self, asked: Event, channel: str, said: Mapping[str, Any], user: str) -> Card | None:
        rows = [row.id for row in self.talk.site.store.incidents() if row.open]
        focus = in_focus(self.talk.site.store, channel, str(said.get("thread_ts") or "") or None)
        if len(rows) > 1 and not focus:
            titles = [(name, load(self.talk.site, name).title) for name in rows]
            view = modals.choose(titles, {"channel": channel, "ref": said.get("ts")})
            self.talk.surface.open_modal(str(asked.get("trigger_id") or ""), view)
            return None
        incident = self._about(channel, said)
        return Card(title=self.add(incident, channel, said, self.talk.identities.by_slack(user)))

    def chosen(self, kept: Mapping[str, Any], incident: str, user: str) -> Card:
        """Add the message for which somebody chose an incident."""
        channel, ref = str(kept.get("channel") or ""), str(kept.get("ref") or "")
        try:
            said, actor = self._message(channel, ref), self.talk.identities.by_slack(user)
            return Card(title=self.add(incident, channel, said, actor))
        except HoldfastError as error:
            return sorry(error)

    def _read(self, asked: Event, said: Mapping[str, Any]) -> Card | None:
        """Read the crashes in a message and its files into a modal, opened before the reading."""
        wait = modals.answer(Card(title="Reading …"), "Read this crash")
        trigger = str(asked.get("trigger_id") or "")
        try:
            opened = self.talk.surface.open_modal(trigger, wait)
        except HoldfastError as error:
            log.warning("a modal could not be opened", extra={"error": str(error)})
            return self.reading(said)
        try:
            self.talk.surface.fill_modal(opened, modals.answer(self.reading(said)))
        except HoldfastError as error:
            log.warning("a modal could not be filled", extra={"error": str(error)})
            return self.reading(said)
        return None

    def reading(self, said: Mapping[str, Any]) -> Card:
        """Return what can be read of crashes in a message and its files."""
        bare = {key: value for key, value in said.items() if key != "files"}
        parts: list[tuple[str, str | None]] = [("the message", message_text(bare))]
        try:
            parts += slack_files.texts(said, self.talk.surface)
        except HoldfastError as error:
            return sorry(error)
        rows, found = [], 0
        for name, text in parts:
            if text is None:
                rows.append(f"{name}: no text, or larger than 10 MB: not read")
                continue
            for report in crash.read_stream(io.StringIO(text), kinds=crash.ALL):
                found += 1
                rows += [f"{name}:", *(line for _, line in lines(report)), ""]
        title = f"{found} crash{'' if found == 1 else 'es'} read"
        if not found:
            rows.append("no crash was found in this text")
        return Card(title=title, tone="warn" if found else "info", code="\n".join(rows))


def _key(channel: str, ref: str) -> str:
    return f"{channel}/{ref}"
