"""The Slack door: Socket Mode or signed HTTP in; with ``slack_call`` all that knows Slack's libraries."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl

from slack_bolt import App
from slack_bolt.adapter.socket_mode.websocket_client import SocketModeHandler
from slack_bolt.request import BoltRequest
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.socket_mode.websocket_client import SocketModeClient
from websocket import WebSocketApp, setdefaulttimeout

from bot.chat.identity import Identities
from bot.chat.slack_call import FAILURES, TIMEOUT, WebCall, explained
from bot.chat.slack_clicks import Clicks
from bot.chat.slack_fetch import Seen
from bot.chat.slack_lines import Intake, Lines
from bot.chat.slack_outbox import Outbox
from bot.chat.slack_pins import Pins
from bot.chat.slack_replay import replay
from bot.chat.slack_talk import Ack, Talk
from bot.chat.slack_web import Web
from bot.config import SlackPart
from bot.errors import HoldfastError, NotFoundError, RefusedError, UnavailableError
from bot.fleet.inventory import Inventory
from bot.service.site import Site

log = logging.getLogger(__name__)

LISTENERS = 24
SWITCH = 0.001
"""Seconds after which the interpreter looks at another thread: acknowledging is short work."""
PATIENCE = 2.5
"""Seconds for which Slack's own request is kept waiting for an acknowledgement."""
OPENING = 3.0
PING = 2.0
SILENT = 5.0
FIRST_RETRY, LAST_RETRY = 0.25, 1.0
ASK = 5.0
"""Seconds between two looks whether Slack answers, where it comes by HTTP."""


class SlackDoor:
    """Connects while the bot serves. Slack being away changes nothing but its health."""

    def __init__(
        self,
        site: Site,
        identities: Identities,
        config: SlackPart,
        *,
        known: Callable[[], Inventory | None],
        page_url: str,
        pace: float = 1.0,
    ) -> None:
        self._config = config
        self._call = WebCall(config)
        self._web = web = Web(call=self._call)
        self._talk = Talk(site=site, identities=identities, config=config, known=known, surface=web)
        self._stop, self._taken_in = threading.Event(), threading.Event()
        self._pool: ThreadPoolExecutor | None = None
        self._intake = Intake()
        self._lines: Lines | None = None
        self._app: App | None = None
        self._handler: SocketModeHandler | None = None
        self._seen = Seen()
        self._own: tuple[str, ...] = ()
        self._caught_up = False
        self._trouble = "not connected yet"
        people = {person: user for user, person in identities.slack.items()}
        self._outbox = Outbox(
            site=site, wire=web, config=config, people=people, page_url=page_url, pace=pace
        )
        self._outbox.back = self._is_back
        self._link = threading.Thread(target=self._keep_connected, name="slack.link")
        self._sender = threading.Thread(
            target=self._outbox.serve, args=(self._taken_in,), name="slack.outbox"
        )

    @property
    def mode(self) -> str:
        """``socket`` with an app token, else ``http``."""
        return "socket" if self._config.app_token else "http"

    def start(self) -> None:
        """Connect in the background, for as long as it takes."""
        setdefaulttimeout(TIMEOUT)  # opening a socket must end; the library has no other place
        sys.setswitchinterval(SWITCH)
        self._pool = ThreadPoolExecutor(LISTENERS, thread_name_prefix="slack.listener")
        self._lines = Lines()
        self._link.start()
        if self._outbox.channel:
            self._sender.start()

    def stop(self) -> None:
        """Take nothing in any more, end what was begun and say its answers, disconnect."""
        self._stop.set()
        if self._handler is not None:
            self._handler.client.socket_mode_request_listeners.clear()
        self._intake.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        if self._lines is not None:
            self._lines.close()
        self._taken_in.set()
        for thread in (self._link, self._sender):
            if thread.ident is not None:
                thread.join()

    def health(self) -> Mapping[str, Any]:
        """Say whether Slack is connected, and what is wrong with what is sent."""
        connected = self._connected()
        said = {self.mode: "" if connected else self._trouble, "messages": self._outbox.trouble}
        if not self._outbox.channel:
            said["messages"] = "no slack.channel and no slack.alert_channels: nothing is posted"
        if connected and not self._caught_up:
            said["history"] = self._trouble or "missed alerts are being read"
        return {
            "name": "slack",
            "mode": self.mode,
            "connected": connected,
            "trouble": {part: text for part, text in said.items() if text},
        }

    def group_members(self, group: str) -> frozenset[str]:
        """Return the Slack user ids of a user group; raises ``UnavailableError``."""
        return self._web.group_members(group)

    def http(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], str]:
        """Answer a signed request of Slack's; forged, stale and replayed ones are refused."""
        with self._intake.one() as taken:
            return self._answer(body, headers, taken=taken)

    def _answer(
        self, body: bytes, headers: Mapping[str, str], *, taken: bool
    ) -> tuple[int, Mapping[str, str], str]:
        app = self._app
        if not self._config.signing_secret:
            raise NotFoundError("Slack does not come by HTTP here", next="set slack.signing_secret")
        if app is None or not taken:
            raise UnavailableError("the bot cannot answer Slack yet", next="Slack tries again")
        lower = {name.lower(): value for name, value in headers.items()}
        verifier = SignatureVerifier(self._config.signing_secret)
        if not verifier.is_valid_request(body, lower):
            raise RefusedError("this request is not signed by Slack, or is old", next="nothing")
        text = body.decode("utf-8", "replace")
        form = dict(parse_qsl(text)) if "urlencoded" in lower.get("content-type", "") else {}
        if not self._first(lower["x-slack-signature"], form):
            raise RefusedError("this request came before", next="nothing was done again")
        if "command" in form:
            done = threading.Event()
            self._command(form, lambda **_: done.set())
            done.wait(PATIENCE)
            return 200, {}, ""
        asked = BoltRequest(body=text, headers={k: [v] for k, v in lower.items()})
        answer = app.dispatch(asked)
        said = {name: values[0] for name, values in answer.headers.items()}
        return answer.status, said, answer.body

    def _first(self, mark: str, form: Mapping[str, Any]) -> bool:
        """Say whether a request is new: to this bot, and if it may change things, to all.

        ``mark`` is its signature or its envelope's id, ``form`` a command or a ``payload``.
        """
        if not self._seen.first(mark):
            return False
        changes = "payload" in form or self._talk.writes(str(form.get("text") or ""))
        try:
            return not changes or self._talk.first(f"slack-request/{mark}")
        except HoldfastError:
            return True  # without the store nothing can be changed, and the answer will say so

    def _command(self, command: Mapping[str, Any], ack: Callable[..., Any]) -> None:
        """Let a slash command be carried out; a question is acknowledged before."""
        told = Ack(ack)
        writes = self._talk.writes(str(command.get("text") or ""))
        if not writes:
            told.now()  # nothing has to be durable
        if self._lines is not None:
            self._lines.put(partial(self._talk.command, told, command), writes=writes)

    def _receive(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        """Take what comes by the socket; what comes too late is not acknowledged."""
        with self._intake.one() as taken:
            if taken:
                self._take(client, request)

    def _take(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        """Carry out commands at once, the rest by way of Bolt."""
        command = request.type == "slash_commands"
        response = SocketModeResponse(envelope_id=request.envelope_id)
        form = request.payload if command else {"payload": request.payload}
        if request.type in {"slash_commands", "interactive"} and not self._first(
            request.envelope_id, form
        ):
            _sent(partial(client.send_socket_mode_response, response))  # else it comes once more
        elif command:
            ack = partial(_sent, partial(client.send_socket_mode_response, response))
            self._command(request.payload, lambda **_: ack())
        elif self._handler is not None:
            _sent(partial(self._handler.handle, cast("SocketModeClient", client), request))

    def _connected(self) -> bool:
        if self.mode == "http":
            return self._app is not None and not self._trouble
        return self._handler is not None and _alive(self._handler.client)

    def _keep_connected(self) -> None:
        delay = FIRST_RETRY
        try:
            while not self._stop.is_set():
                try:
                    with explained():
                        self._connect_once()
                    if not self._caught_up:
                        replay(self._talk, self._web, self._own)
                        self._caught_up = True
                    delay, self._trouble = FIRST_RETRY, ""
                    self._stop.wait(FIRST_RETRY if self.mode == "socket" else ASK)
                except HoldfastError as error:
                    self._troubled(str(error))
                    self._stop.wait(max(delay, getattr(error, "after", 0.0)))
                    delay = min(delay * 2, LAST_RETRY)
                except Exception as error:  # the thread must live: nothing else would reconnect
                    log.exception("the connection to Slack failed")
                    self._troubled(f"{type(error).__name__}: {error}")
                    self._stop.wait(LAST_RETRY)
        finally:
            self._taken_in.wait()  # what was begun is still acknowledged
            if self._handler is not None:
                _close(self._handler)

    def _connect_once(self) -> None:
        """Wire the listeners and open the socket, as far as that is not done."""
        if self._app is None:
            told = self._web.whoami()
            self._own = tuple(str(told[k]) for k in ("bot_id", "user_id") if told.get(k))
            self._app = self._wire()
        elif self.mode == "http":
            self._web.whoami()
        if self.mode == "http":
            self._caught_up = self._caught_up and not self._trouble
            return
        if self._handler is None:
            self._handler = self._build(self._app)
        if not _alive(self._handler.client):
            self._caught_up = False
            self._connect(self._handler.client)

    def _is_back(self, away: float) -> None:
        """Slack answers again: whatever came meanwhile is read."""
        log.info("Slack answers again", extra={"away": round(away, 1)})
        self._caught_up = False

    def _troubled(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("Slack is away", extra={"error": trouble})
        self._trouble = trouble

    def _wire(self) -> App:
        """Check the bot's token and wire the listeners; nothing is connected yet."""
        app = App(
            name="holdfast",
            client=self._call.client,
            logger=log.getChild("bolt"),
            signing_secret=self._config.signing_secret,
            request_verification_enabled=False,  # ``http`` has verified, and refuses repeats
            listener_executor=self._pool,
        )
        anything = re.compile(".*", re.DOTALL)
        pins = Pins(talk=self._talk)
        clicks = Clicks(talk=self._talk, pins=pins)
        app.event("message", middleware=[self._talk.hear])(self._talk.answer)
        for kind in ("reaction_added", "reaction_removed"):
            app.event(kind, middleware=[pins.react])(self._talk.answer)
        app.event(anything)(_nothing)
        app.action(anything)(clicks.click)
        app.view(anything)(clicks.submit)
        app.shortcut(anything)(pins.shortcut)
        return app

    def _build(self, app: App) -> SocketModeHandler:
        handler = SocketModeHandler(
            app,
            self._config.app_token or "",
            web_client=self._call.make(self._config.app_token),
            ping_interval=PING,
            concurrency=LISTENERS,
        )
        # This thread reconnects: the library's own way waits long and fills the log meanwhile.
        client = handler.client
        client.socket_mode_request_listeners[:] = [self._receive]
        client.default_auto_reconnect_enabled = False
        client.connect_to_new_endpoint = self._renew  # type: ignore[method-assign]
        return handler

    def _renew(self, force: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the library's signature
        """Slack asked for another connection: hang up, and this thread's loop connects."""
        if self._handler is not None:
            _hang_up(self._handler.client.current_session)

    def _connect(self, client: SocketModeClient) -> None:
        with client.connect_operation_lock:
            old, client.current_session = client.current_session, None
            _hang_up(old)
            opened = client.web_client.apps_connections_open(app_token=client.app_token)
            client.wss_uri = str(opened["url"])
            client.connect()
        for _ in range(int(OPENING / 0.05)):
            if _alive(client) or self._stop.wait(0.05):
                return
        raise UnavailableError("Slack did not open the socket", next="it is tried again by itself")


def _alive(client: SocketModeClient) -> bool:
    """Say whether the socket is open and answers pings."""
    session = client.current_session
    if session is None or session.sock is None or not session.sock.connected:
        return False
    return not (session.last_pong_tm and session.last_ping_tm - session.last_pong_tm > SILENT)


def _close(handler: SocketModeHandler) -> None:
    """Close for good. The library may be about to open once more, so see that it ended."""
    client, runner = handler.client, handler.client.current_session_runner
    client.closed = True
    client.message_queue.put(None)  # wakes the thread that would wait a second for the next one
    runner.event.set()
    while runner.is_alive():
        _hang_up(client.current_session)
        runner.thread.join(0.2)
    client.close()


def _hang_up(session: WebSocketApp | None) -> None:
    """End a session so that its reader wakes: the library's own close lets it sleep on."""
    sock = session.sock if session is not None else None
    if session is not None and (sock is None or not sock.connected):
        session.keep_running = False  # it may be about to open
    elif sock is not None:
        sock.abort()  # type: ignore[no-untyped-call]


def _sent(acknowledge: Callable[[], Any]) -> None:
    """Acknowledge by a socket that may be gone: what was asked is carried out, and comes no more."""
    try:
        acknowledge()
    except (*FAILURES, AttributeError) as error:  # the library's own, where it would warn
        log.info("an acknowledgement was lost", extra={"error": f"{type(error).__name__}: {error}"})


def _nothing() -> None:
    """Stand for a listener: there is nothing to do."""
