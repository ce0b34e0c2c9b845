"""The Slack door: Socket Mode in, Web API out. The only place that knows Slack's libraries."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from slack_bolt import App
from slack_bolt.adapter.socket_mode.websocket_client import SocketModeHandler
from slack_bolt.error import BoltError
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode.websocket_client import SocketModeClient
from slack_sdk.webhook import WebhookClient
from websocket import WebSocketException

from bot.chat.identity import Identities
from bot.chat.slack_blocks import Block, Message
from bot.chat.slack_outbox import Outbox, ThrottledError
from bot.chat.slack_talk import Talk
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
RECENT = 200
GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
FAILURES = (SlackClientError, BoltError, WebSocketException, OSError, ValueError)
ADVICE = {
    "not_in_channel": "invite the bot to the channel",
    "channel_not_found": "name a channel that exists under 'slack', and invite the bot to it",
    "is_archived": "name another channel under 'slack'",
    "missing_scope": "install the app again with the manifest of 'holdfast slack manifest'",
    "invalid_auth": "check slack.bot_token and slack.app_token",
    "not_authed": "check slack.bot_token and slack.app_token",
    "account_inactive": "install the app again",
}


class Web:
    """The few calls of Slack's Web API that the bot makes, with our own errors.

    Nothing is sent twice by itself: a post whose answer was lost is looked for first.
    """

    def __init__(self, config: SlackPart) -> None:
        self._config = config
        self._ids: dict[str, str] = {}
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

    def post(self, channel: str, message: Message, thread: str | None) -> tuple[str, str]:
        """Post a message; in a thread it is shown in the channel as well."""
        with _explained():
            sent = self.client.chat_postMessage(
                channel=channel,
                text=message.text,
                blocks=list(message.blocks),
                thread_ts=thread,
                reply_broadcast=True if thread else None,
                parse="none",
                unfurl_links=False,
                unfurl_media=False,
            )
        return str(sent["channel"]), str(sent["ts"])

    def update(self, channel: str, ref: str, message: Message) -> bool:
        """Replace a message, blocks included. False: it cannot be edited any more."""
        try:
            with _explained():
                self.client.chat_update(
                    channel=channel,
                    ts=ref,
                    text=message.text,
                    blocks=list(message.blocks),
                    parse="none",
                )
        except _MissingError:
            return False
        return True

    def find(self, channel: str, mark: str, thread: str | None) -> tuple[str, str] | None:
        """Look for our message among the channel's or the thread's latest."""
        with _explained():
            where = self.channel_id(channel)
            if thread:
                found = self.client.conversations_replies(channel=where, ts=thread, limit=RECENT)
            else:
                found = self.client.conversations_history(channel=where, limit=RECENT)
        for one in found["messages"]:
            if any(block.get("block_id") == mark for block in one.get("blocks") or ()):
                return where, str(one["ts"])
        return None

    def channel_id(self, name: str) -> str:
        """Return the id of a channel that the configuration calls by id or name."""
        plain = name.removeprefix("#")
        if re.fullmatch(r"[CGD][A-Z0-9]{6,}", plain):
            return plain
        if plain not in self._ids:
            with _explained():
                for page in self.client.conversations_list(
                    types="public_channel,private_channel", exclude_archived=True, limit=1000
                ):
                    self._ids |= {c["name"]: c["id"] for c in page["channels"]}
        if plain not in self._ids:
            raise UnavailableError(f"Slack has no channel {name}", next=ADVICE["not_in_channel"])
        return self._ids[plain]

    def respond(self, url: str, message: Message) -> None:
        """Answer a command or click, to its person alone, at the URL that came with it."""
        client = WebhookClient(url, timeout=TIMEOUT, retry_handlers=[], logger=log.getChild("sdk"))
        with _explained():
            sent = client.send(
                text=message.text,
                blocks=list(message.blocks),
                response_type="ephemeral",
                replace_original=False,
            )
        if sent.status_code != 200:
            raise UnavailableError(f"Slack says {sent.body[:100]}", next="it is said otherwise")

    def whisper(self, channel: str, user: str, message: Message) -> None:
        """Tell one person something in a channel."""
        with _explained():
            self.client.chat_postEphemeral(
                channel=channel, user=user, text=message.text, blocks=list(message.blocks)
            )

    def open_modal(self, trigger: str, view: Block) -> None:
        """Open a modal for the person whose click this trigger is."""
        with _explained():
            self.client.views_open(trigger_id=trigger, view=view)


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
        self._web = Web(config)
        self._talk = Talk(
            site=site, identities=identities, config=config, known=known, surface=self._web
        )
        self._stop = threading.Event()
        self._pool: ThreadPoolExecutor | None = None
        self._handler: SocketModeHandler | None = None
        self._trouble = "not connected yet"
        channel = config.channel or next(iter(config.alert_channels), "")
        self._outbox = Outbox(
            site=site, wire=self._web, channel=channel, page_url=page_url, pace=pace
        )
        self._threads = [threading.Thread(target=self._keep_connected, name="slack.link")]
        if channel:
            serve = threading.Thread(
                target=self._outbox.serve, args=(self._stop,), name="slack.outbox"
            )
            self._threads.append(serve)

    def start(self) -> None:
        """Connect in the background, for as long as it takes."""
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
                    if self._handler is None:
                        self._handler = self._build()
                    if not _alive(self._handler.client):
                        self._connect(self._handler.client)
                    delay, self._trouble = FIRST_RETRY, ""
                    self._stop.wait(FIRST_RETRY)
                except (*FAILURES, HoldfastError) as error:
                    self._troubled(_sentence(error))
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
            client=self._web.client,
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
            web_client=self._web.make(self._config.app_token),
            ping_interval=PING,
            concurrency=LISTENERS,
        )
        # This thread reconnects: the library's own way waits long and fills the log meanwhile.
        client = handler.client
        client.default_auto_reconnect_enabled = False
        client.connect_to_new_endpoint = lambda force=False: _hang_up(client)  # type: ignore[method-assign]  # noqa: ARG005, E501 - Slack asked for a new connection
        return handler

    def _connect(self, client: SocketModeClient) -> None:
        with client.connect_operation_lock:
            _hang_up(client)
            opened = client.web_client.apps_connections_open(app_token=client.app_token)
            client.wss_uri = str(opened["url"])
            client.connect()
        for _ in range(int(OPENING / 0.05)):
            if _alive(client) or self._stop.wait(0.05):
                return
        raise UnavailableError("Slack did not open the socket", next="it is tried again by itself")


class _MissingError(UnavailableError):
    """The message is gone or may not be edited any more."""


@contextmanager
def _explained() -> Iterator[None]:
    """Turn the library's errors into ours."""
    try:
        yield
    except SlackApiError as error:
        code = str(error.response.get("error", ""))
        if code == "ratelimited" or error.response.status_code == 429:
            raise ThrottledError(float(error.response.headers.get("Retry-After", 30))) from error
        kind = _MissingError if code in GONE else UnavailableError
        raise kind(_sentence(error), next=ADVICE.get(code, "it is tried again")) from error
    except FAILURES as error:
        raise UnavailableError(_sentence(error), next="it is tried again by itself") from error


def _sentence(error: Exception) -> str:
    if isinstance(error, HoldfastError):
        return str(error)
    if isinstance(error, SlackApiError):
        code = str(error.response.get("error", "?"))
        return f"Slack says {code}" + (f": {ADVICE[code]}" if code in ADVICE else "")
    return f"Slack cannot be reached: {str(error).partition(chr(10))[0][:200]}"


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
        _hang_up(client)
        runner.thread.join(0.2)
    client.close()


def _hang_up(client: SocketModeClient) -> None:
    """End the session so that its reader wakes: the library's own close lets it sleep on."""
    session, client.current_session = client.current_session, None
    if session is None:
        return
    session.keep_running = False
    with suppress(*FAILURES):
        if session.sock is not None:
            session.sock.send_close()
            session.sock.abort()


def _nothing() -> None:
    """Stand for a listener: the work was done before."""
