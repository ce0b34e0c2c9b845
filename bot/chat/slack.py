"""The Slack door: Socket Mode in, Web API out. The only place that knows Slack's libraries."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from slack_bolt import App
from slack_bolt.adapter.socket_mode.websocket_client import SocketModeHandler
from slack_bolt.error import BoltError
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode.websocket_client import SocketModeClient
from slack_sdk.webhook import WebhookClient
from websocket import WebSocketApp, WebSocketException, setdefaulttimeout

from bot.chat.identity import Identities
from bot.chat.slack_outbox import Outbox
from bot.chat.slack_talk import Talk
from bot.chat.slack_web import SlackError, ThrottledError, Web
from bot.config import SlackPart
from bot.errors import HoldfastError, UnavailableError
from bot.fleet.inventory import Inventory
from bot.service.site import Site

log = logging.getLogger(__name__)

LISTENERS = 24
TIMEOUT = 10
OPENING = 5.0
PING = 5.0
SILENT = 15.0
FIRST_RETRY, LAST_RETRY = 0.5, 5.0
FAILURES = (SlackClientError, BoltError, WebSocketException, OSError, ValueError)


class WebCall:
    """Calls Slack's Web API once: a post whose answer was lost is looked for, not repeated."""

    def __init__(self, config: SlackPart) -> None:
        self._config = config
        self.client = self.make(config.bot_token)

    def make(self, token: str | None) -> WebClient:
        """Return a client for one of the two tokens."""
        url = self._config.api_url.rstrip("/") + "/"
        return WebClient(
            token=token,
            base_url=url,
            timeout=TIMEOUT,
            retry_handlers=[],
            logger=log.getChild("sdk"),
        )

    def __call__(self, method: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return Slack's answer to ``method``."""
        with _explained():
            if method.startswith("conversations."):
                found = self.client.api_call(method, http_verb="GET", params=dict(args))
            else:
                found = self.client.api_call(method, json=dict(args))
        return found.data if isinstance(found.data, dict) else {}

    def respond(self, url: str, args: Mapping[str, Any]) -> None:
        """Post to the URL that came with a command or a click."""
        client = WebhookClient(url, timeout=TIMEOUT, retry_handlers=[], logger=log.getChild("sdk"))
        with _explained():
            sent = client.send_dict(dict(args))
        if sent.status_code != 200:
            raise UnavailableError(f"Slack says {sent.body[:100]}", next="it is said otherwise")


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
        web = Web(call=self._call)
        self._talk = Talk(site=site, identities=identities, config=config, known=known, surface=web)
        self._stop = threading.Event()
        self._pool: ThreadPoolExecutor | None = None
        self._handler: SocketModeHandler | None = None
        self._trouble = "not connected yet"
        channel = config.channel or next(iter(config.alert_channels), "")
        self._outbox = Outbox(site=site, wire=web, channel=channel, page_url=page_url, pace=pace)
        self._threads = [threading.Thread(target=self._keep_connected, name="slack.link")]
        if channel:
            serve = threading.Thread(
                target=self._outbox.serve, args=(self._stop,), name="slack.outbox"
            )
            self._threads.append(serve)

    def start(self) -> None:
        """Connect in the background, for as long as it takes."""
        setdefaulttimeout(TIMEOUT)  # opening a socket must end; the library has no other place
        self._pool = ThreadPoolExecutor(LISTENERS, thread_name_prefix="slack.listener")
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take nothing in any more, end what was begun, disconnect."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def health(self) -> Mapping[str, Any]:
        """Say whether the socket is open, and what is wrong with what is sent."""
        handler = self._handler
        connected = handler is not None and _alive(handler.client)
        said = {"socket": "" if connected else self._trouble, "messages": self._outbox.trouble}
        if not self._outbox.channel:
            said["messages"] = "no slack.channel and no slack.alert_channels: nothing is posted"
        return {
            "name": "slack",
            "connected": connected,
            "trouble": {part: text for part, text in said.items() if text},
        }

    def _keep_connected(self) -> None:
        delay = FIRST_RETRY
        try:
            while not self._stop.is_set():
                try:
                    with _explained():
                        if self._handler is None:
                            self._handler = self._build()
                        if not _alive(self._handler.client):
                            self._connect(self._handler.client)
                    delay, self._trouble = FIRST_RETRY, ""
                    self._stop.wait(FIRST_RETRY)
                except HoldfastError as error:
                    self._troubled(str(error))
                    self._stop.wait(delay)
                    delay = min(delay * 2, LAST_RETRY)
        finally:
            if self._handler is not None:
                _close(self._handler)

    def _troubled(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("Slack is away", extra={"error": trouble})
        self._trouble = trouble

    def _build(self) -> SocketModeHandler:
        """Check the bot's token and wire the listeners; nothing is connected yet."""
        app = App(
            name="holdfast",
            client=self._call.client,
            logger=log.getChild("bolt"),
            request_verification_enabled=False,
            listener_executor=self._pool,
        )
        app.event("message", middleware=[self._talk.hear])(_nothing)
        app.command(re.compile(".*"))(self._talk.command)
        app.action(re.compile(".*", re.DOTALL))(self._talk.click)
        handler = SocketModeHandler(
            app,
            self._config.app_token or "",
            web_client=self._call.make(self._config.app_token),
            ping_interval=PING,
            concurrency=LISTENERS,
        )
        # This thread reconnects: the library's own way waits long and fills the log meanwhile.
        client = handler.client
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


@contextmanager
def _explained() -> Iterator[None]:
    """Turn the library's errors into ours."""
    try:
        yield
    except SlackApiError as error:
        code = str(error.response.get("error", "?"))
        if code == "ratelimited" or error.response.status_code == 429:
            raise ThrottledError(float(error.response.headers.get("Retry-After", 30))) from error
        raise SlackError(code) from error
    except FAILURES as error:
        what = str(error).partition("\n")[0][:200]
        raise UnavailableError(
            f"Slack cannot be reached: {what}", next="it is tried again by itself"
        ) from error


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


def _nothing() -> None:
    """Stand for a listener: the work was done before."""
