"""Slack's Web API in a few lines: messages, channels and refusals, for tests of what is sent."""

from __future__ import annotations

import json
from typing import Any

from bot.chat.slack_web import SlackError


class FakeSlack:
    """Answers calls. ``fails`` are raised one a call, ``fails_of`` one a call of a method (None:
    not this one), ``refuse`` at every call of a method; all before anything is done.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.messages: dict[str, dict[str, Any]] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self.whispers: list[tuple[str, str]] = []
        self.fails: list[Exception] = []
        self.fails_of: dict[str, list[Exception | None]] = {}
        self.refuse: dict[str, str] = {}
        self.add_channel("alerts", ident="C01ALERTS", creator="U0SOMEBODY")

    def add_channel(self, name: str, *, creator: str, ident: str = "") -> str:
        made = ident or f"C0ROOM{len(self.channels):03d}"
        room = {"id": made, "name": name, "creator": creator, "archived": False}
        self.channels[made] = {**room, "members": [], "pins": [], "topic": "", "purpose": ""}
        return made

    def __call__(self, method: str, args: Any) -> dict[str, Any]:
        self.calls.append(method)
        if self.fails:
            raise self.fails.pop(0)
        if (planned := self.fails_of.get(method)) and (error := planned.pop(0)):
            raise error
        if method in self.refuse:
            raise SlackError(self.refuse[method])
        answer = getattr(self, "_" + method.replace(".", "_").lower(), None)
        return dict(answer(args)) if answer else {}

    def _room(self, args: Any) -> dict[str, Any]:
        wanted = str(args["channel"]).removeprefix("#")
        for room in self.channels.values():
            if wanted in {room["id"], room["name"]}:
                if room["archived"]:
                    raise SlackError("is_archived")
                return room
        raise SlackError("channel_not_found")

    def _auth_test(self, args: Any) -> dict[str, Any]:
        return {"user_id": "U0BOT", "bot_id": "B0BOT"}

    def _chat_postmessage(self, args: Any) -> dict[str, Any]:
        room, ts = self._room(args), f"17000000{len(self.messages):02d}.0"
        self.messages[ts] = {**args, "ts": ts, "channel": room["id"]}
        return {"channel": room["id"], "ts": ts}

    def _chat_update(self, args: Any) -> dict[str, Any]:
        self._room(args)
        if args["ts"] not in self.messages:
            raise SlackError("message_not_found")
        self.messages[args["ts"]].update(args)
        return {}

    def _chat_postephemeral(self, args: Any) -> dict[str, Any]:
        self.whispers.append((args["user"], json.dumps(args["blocks"], ensure_ascii=False)))
        return {}

    def _conversations_list(self, args: Any) -> dict[str, Any]:
        rows = [{**c, "purpose": {"value": c["purpose"]}} for c in self.channels.values()]
        return {"channels": [{**r, "is_archived": r["archived"]} for r in rows]}

    def _conversations_create(self, args: Any) -> dict[str, Any]:
        if any(c["name"] == args["name"] for c in self.channels.values()):
            raise SlackError("name_taken")
        return {"channel": {"id": self.add_channel(args["name"], creator="U0BOT")}}

    def _conversations_invite(self, args: Any) -> dict[str, Any]:
        self._room(args)["members"] += args["users"].split(",")
        return {}

    def _conversations_settopic(self, args: Any) -> dict[str, Any]:
        self._room(args)["topic"] = args["topic"]
        return {}

    def _conversations_setpurpose(self, args: Any) -> dict[str, Any]:
        self._room(args)["purpose"] = args["purpose"]
        return {}

    def _pins_add(self, args: Any) -> dict[str, Any]:
        self._room(args)["pins"].append(args["timestamp"])
        return {}

    def _conversations_history(self, args: Any) -> dict[str, Any]:
        room = self._room(args)
        return {"messages": [m for m in self.messages.values() if m["channel"] == room["id"]]}

    _conversations_replies = _conversations_history

    def respond(self, url: str, args: Any) -> None:
        raise NotImplementedError

    def download(self, url: str, most: int) -> bytes:
        raise NotImplementedError

    def titles(self) -> list[str]:
        return [m["blocks"][0]["text"]["text"] for m in self.messages.values()]
