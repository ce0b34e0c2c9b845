"""A real Slack-compatible server for tests, and a relay that hands over what it cannot make.

The server speaks the Web API, Socket Mode, slash commands, buttons and modals. It lets nobody
post an event with attachments, deliver one twice or drop a connection: that is the relay, which
stands between it and the bot's WebSocket and adds frames of its own.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import yaml
from websocket import create_connection

from tests.machine import PATIENCE, free_port

T = TypeVar("T")
PACKAGE = "local-slack-linux-x64"
VERSION = "0.1.8"
ROOT = Path(__file__).resolve().parents[1]
BINARY = ROOT / ".cache/npm/node_modules" / PACKAGE / "bin/local-slack"

BOT, BOT_USER, ALERT_USER = "xoxb-bot", "U0BOT", "U0ALERT"
ALERT_BOT = "xoxb-alert"
ONCALL, COMMANDER, STRANGER = "U01ONCALL", "U02COMMANDER", "U03STRANGER"
ALERTS, OTHER = "C01ALERTS", "C02OTHER"
WORKSPACE: dict[str, Any] = {
    "workspace": {"name": "Acme", "domain": "acme", "teamId": "T01TEST"},
    "apps": [
        {
            "appId": "A01APP",
            "botUserId": BOT_USER,
            "botName": "holdfast",
            "botToken": BOT,
            "appToken": "xapp-bot",
            "signingSecret": "s3cr3t",
            "mode": "socket",
        },
        {
            "appId": "A02ALERT",
            "botUserId": "U0PROM",
            "botName": "prom",
            "botToken": ALERT_BOT,
            "appToken": "xapp-alert",
            "signingSecret": "other",
            "mode": "socket",
        },
    ],
    "users": [
        {"id": ONCALL, "name": "oncall", "real_name": "On-call engineer"},
        {"id": COMMANDER, "name": "commander", "real_name": "Incident commander"},
        {"id": STRANGER, "name": "commander2", "real_name": "Incident commander"},
        {"id": ALERT_USER, "name": "alertmanager", "real_name": "Alertmanager"},
    ],
    "channels": [
        {"id": ALERTS, "name": "alerts", "members": [ONCALL, COMMANDER, STRANGER, BOT_USER]},
        {"id": OTHER, "name": "other", "members": [ONCALL, COMMANDER, BOT_USER]},
    ],
}


def binary() -> Path:
    """Return the server's program; skip (in CI fail) where it is not to be had."""
    if not BINARY.exists():
        missing(f"needs npm's {PACKAGE}@{VERSION}: run .ci/npm-install")
    return BINARY


def missing(reason: str) -> None:
    """Skip with one line; in CI nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def until(look: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """Return the first truthy answer of ``look``.

    ``seconds`` is for a machine of one's own; where tests share one, it lasts longer.
    """
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


class SlackServer:
    """The server's process, and the hand on its controls."""

    def __init__(self, folder: Path, events_url: str = "") -> None:
        """Start in Socket Mode, or post events to ``events_url``."""
        self.port = free_port()
        self.relay = Relay(self.port)
        self.api_url = f"http://127.0.0.1:{self.port}/api/"
        self._config = folder / "workspace.yml"
        workspace = copy.deepcopy(WORKSPACE)
        if events_url:
            workspace["apps"][0] |= {"mode": "events", "requestUrl": events_url}
        self._config.write_text(yaml.safe_dump(workspace))
        self._files = folder / "files"
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20 * PATIENCE)

    def start(self) -> None:
        # The server puts the host that it is told before its own port: so the relay's address
        # is in the URL of the WebSocket, and its path begins with the relay's word.
        self._process = subprocess.Popen(
            [
                str(binary()),
                *("--config", str(self._config), "--port", str(self.port)),
                *("--base-host", f"127.0.0.1:{self.relay.port}{RELAYED}"),
                *("--files-dir", str(self._files)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, "the Slack server starts", 15)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.relay.drop()

    def close(self) -> None:
        self.stop()
        self.relay.close()
        self._http.close()

    def _answers(self) -> bool:
        try:
            return self._http.get("/_control/state").status_code == 200
        except httpx.TransportError:
            return False

    def control(self, call: str, /, **body: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._http.post(f"/_control/{call}", json=body).json()
        return found

    def say(self, user: str, text: str, channel: str = ALERTS) -> str:
        """Post as a person (or as a bot without attachments); return the message's ts."""
        said = self.control("message", channel=channel, user=user, text=text)
        return str(said["message"]["ts"])

    def upload(self, user: str, name: str, text: str, channel: str = ALERTS) -> None:
        """Share a file as a person."""
        file = {"file": (name, text.encode(), "text/plain")}
        data = {"channel": channel, "user": user}
        answer = self._http.post("/_control/upload", data=data, files=file)
        assert answer.status_code == 200, answer.text

    def command(self, user: str, text: str, channel: str = ALERTS) -> None:
        self.control("command", channel=channel, user=user, command="/incident", text=text)

    def click(self, user: str, message: dict[str, Any], label: str) -> float:
        """Press the button of that label; return the seconds until it was acknowledged."""
        button = next(b for b in buttons(message) if b["text"]["text"] == label)
        action = {key: button[key] for key in ("action_id", "value")}
        began = time.monotonic()
        self.control("interact", channel=ALERTS, messageTs=message["ts"], user=user, action=action)
        return time.monotonic() - began

    def submit(self, user: str, typed: str = "") -> Any:
        """Send the open modal off, as the server's page does; return what it shows next."""
        values = {"typed": {"typed": {"type": "plain_text_input", "value": typed}}}
        ws = create_connection(f"ws://127.0.0.1:{self.port}/ui", timeout=10)
        try:
            sent = {"t": "view_submit", "user": user, "values": values if typed else {}}
            ws.send(json.dumps(sent))
            while True:
                frame = json.loads(ws.recv())
                if frame["t"] in {"view", "view_errors"}:
                    return frame
        finally:
            ws.close()

    def messages(self, channel: str = ALERTS) -> list[dict[str, Any]]:
        found = self._http.get(f"/_control/messages/{channel}").json()["messages"]
        return [m for m in found if m.get("subtype") != "ephemeral"]

    def whispers(self, user: str) -> list[str]:
        """Return what only this person was shown, as text."""
        found = self._http.get(f"/_control/messages/{ALERTS}").json()["messages"]
        return [
            words(m)
            for m in found
            if m.get("subtype") == "ephemeral" and m.get("ephemeral_to") == user
        ]

    def sent(self) -> list[dict[str, Any]]:
        """Return the Web API requests that the bot made: ``summary`` and ``detail``."""
        return [e for e in self._http.get("/_control/log").json()["log"] if e["kind"] == "web_api"]

    def message_with(self, text: str) -> dict[str, Any]:
        """Wait for the bot's message that says this."""

        def look() -> dict[str, Any] | None:
            ours = [m for m in self.messages() if m.get("user") == BOT_USER]
            return next((m for m in ours if text in words(m)), None)

        found = until(look, f"a message with {text!r}")
        assert found is not None
        return found


def words(message: dict[str, Any]) -> str:
    blocks = json.dumps(message.get("blocks", []), ensure_ascii=False)
    return blocks + str(message.get("text", ""))


def buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    actions = [b for b in message.get("blocks", []) if b["type"] == "actions"]
    return [button for block in actions for button in block["elements"]]


def envelope(event: dict[str, Any], *, retry: int | None = None) -> dict[str, Any]:
    """Wrap an event as Socket Mode does; with ``retry`` as one that was delivered before."""
    again = {} if retry is None else {"retry_attempt": retry, "retry_reason": "timeout"}
    return {
        "envelope_id": str(uuid.uuid4()),
        "type": "events_api",
        "accepts_response_payload": False,
        **again,
        "payload": {
            "type": "event_callback",
            "token": "t",
            "team_id": "T01TEST",
            "api_app_id": "A01APP",
            "event_id": f"Ev{uuid.uuid4().hex[:8]}",
            "event_time": int(time.time()),
            "authorizations": [{"team_id": "T01TEST", "user_id": BOT_USER, "is_bot": True}],
            "event": event,
        },
    }


RELAYED = "/relay"


class Relay:
    """Passes a WebSocket through, frame by frame, and adds frames to the bot's side."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._bots: dict[socket.socket, threading.Lock] = {}
        self._threads: list[threading.Thread] = []
        self.acknowledged: set[str] = set()
        self._run(self._accept)

    def deliver(self, body: dict[str, Any], *, wait: bool = True) -> float:
        """Send an envelope to every connected bot; return the seconds until the first ack."""
        frame = _frame(json.dumps(body).encode())
        until(lambda: self._bots, "a bot is connected")
        began = time.monotonic()
        for bot, lock in list(self._bots.items()):
            with lock:
                bot.sendall(frame)
        if wait:
            until(lambda: body["envelope_id"] in self.acknowledged, "the envelope is acknowledged")
        return time.monotonic() - began

    def drop(self) -> None:
        """Cut every connection."""
        for bot in list(self._bots):
            with contextlib.suppress(OSError):
                bot.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.drop()
        for thread in self._threads:
            thread.join()

    def _run(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                bot, _ = self._door.accept()
            except OSError:
                return
            self._run(self._serve, bot)

    def _serve(self, bot: socket.socket) -> None:
        with bot, contextlib.suppress(OSError, EOFError):
            head = _head(bot).replace(f"{RELAYED}:{self._upstream}".encode(), b"", 1)
            with socket.create_connection(("127.0.0.1", self._upstream)) as server:
                server.sendall(head)
                if b"upgrade: websocket" not in head.lower():
                    _pass(bot, server)  # an answer to a response_url
                    return
                bot.sendall(_head(server))
                lock = self._bots.setdefault(bot, threading.Lock())
                upward = threading.Thread(target=self._up, args=(bot, server))
                upward.start()
                with contextlib.suppress(OSError, EOFError):
                    for whole, _ in _frames(server):
                        with lock:
                            bot.sendall(whole)
                self._bots.pop(bot)
                with contextlib.suppress(OSError):
                    bot.shutdown(socket.SHUT_RDWR)
                upward.join()

    def _up(self, bot: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            for whole, text in _frames(bot):
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    self.acknowledged.add(json.loads(text)["envelope_id"])
                server.sendall(whole)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def _pass(bot: socket.socket, server: socket.socket) -> None:
    """Pass the body of one HTTP request on, and the whole response back."""

    def body() -> None:
        with contextlib.suppress(OSError):
            while data := bot.recv(65536):
                server.sendall(data)

    upward = threading.Thread(target=body)
    upward.start()
    while data := server.recv(65536):
        bot.sendall(data)
    bot.shutdown(socket.SHUT_RDWR)
    upward.join()


def _head(sock: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _exactly(sock, 1)
    return head


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (part := sock.recv(size - len(data))):
            raise EOFError
        data += part
    return data


def _frames(sock: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Yield each frame, and its payload unmasked."""
    while True:
        head = _exactly(sock, 2)
        length, masked = head[1] & 0x7F, head[1] & 0x80
        more = _exactly(sock, {126: 2, 127: 8}.get(length, 0))
        mask = _exactly(sock, 4) if masked else b""
        payload = _exactly(sock, int.from_bytes(more, "big") if more else length)
        plain = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if mask else payload
        yield head + more + mask + payload, plain


def _frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([0x81, size]) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
