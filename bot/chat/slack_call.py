"""Calls of Slack's Web API by its own library, its errors turned into ours."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from slack_bolt.error import BoltError
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.webhook import WebhookClient
from websocket import WebSocketException

from bot.chat.slack_check import Finding
from bot.chat.slack_check import check as look
from bot.chat.slack_fetch import fetch
from bot.chat.slack_web import LostAnswerError, SlackError, ThrottledError, Web
from bot.config import SlackPart
from bot.errors import UnavailableError

log = logging.getLogger(__name__)
SDK = log.getChild("sdk")
SDK.setLevel(logging.CRITICAL)  # what it would say of a failed call is in our error

TIMEOUT = 10
FAILURES = (SlackClientError, BoltError, WebSocketException, OSError, ValueError)
READS = frozenset(
    {
        "conversations.list",
        "conversations.info",
        "conversations.history",
        "conversations.replies",
        "users.info",
        "usergroups.list",
        "usergroups.users.list",
        "chat.getPermalink",
    }
)
"""Methods that are asked by GET: they take no JSON."""


class WebCall:
    """Calls Slack's Web API once: a post whose answer was lost is looked for, not repeated."""

    def __init__(self, config: SlackPart) -> None:
        self._config = config
        self._tls = ssl.create_default_context()  # once: it reads all the world's certificates
        self.client = self.make(config.bot_token)

    def make(self, token: str | None) -> WebClient:
        """Return a client for one of the two tokens."""
        url = self._config.api_url.rstrip("/") + "/"
        return WebClient(
            token=token,
            base_url=url,
            timeout=TIMEOUT,
            ssl=self._tls,
            retry_handlers=[],
            logger=SDK,
        )

    def __call__(self, method: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return Slack's answer to ``method``."""
        with explained():
            if method in READS:
                found = self.client.api_call(method, http_verb="GET", params=dict(args))
            else:
                found = self.client.api_call(method, json=dict(args))
        data = found.data if isinstance(found.data, dict) else {}
        if method == "auth.test":
            scopes = {k.lower(): v for k, v in found.headers.items()}.get("x-oauth-scopes", "")
            return {**data, "scopes": scopes}
        return data

    def respond(self, url: str, args: Mapping[str, Any]) -> None:
        """Post to the URL that came with a command or a click."""
        client = WebhookClient(url, timeout=TIMEOUT, ssl=self._tls, retry_handlers=[], logger=SDK)
        with explained():
            sent = client.send_dict(dict(args))
        if sent.status_code != 200:
            raise UnavailableError(f"Slack says {sent.body[:100]}", next="it is said otherwise")

    def download(self, url: str, most: int) -> bytes:
        """Fetch a file with the bot's token, which no other host than Slack's is shown."""
        return fetch(url, most, token=self._config.bot_token or "", api_url=self._config.api_url)


def check(config: SlackPart, people: Mapping[str, str], groups: Sequence[str]) -> list[Finding]:
    """Look whether Slack lets the bot do what is configured."""
    call = WebCall(config)

    def open_socket() -> None:
        with explained():
            call.make(config.app_token).apps_connections_open(app_token=config.app_token or "")

    return list(look(Web(call=call), config, people, groups, open_socket))


@contextmanager
def explained() -> Iterator[None]:
    """Turn the library's errors into ours."""
    try:
        yield
    except SlackApiError as error:
        code = str(error.response.get("error", "?"))
        if code == "ratelimited" or error.response.status_code == 429:
            raise ThrottledError(float(error.response.headers.get("Retry-After", 30))) from error
        if error.response.status_code >= 500:
            what = f"Slack answers HTTP {error.response.status_code}"
            raise UnavailableError(what, next="it is tried again by itself") from error
        raise SlackError(code) from error
    except FAILURES as error:
        what = str(error).partition("\n")[0][:200]
        kind = UnavailableError if _never_sent(error) else LostAnswerError
        raise kind(
            f"Slack cannot be reached: {what}", next="it is tried again by itself"
        ) from error


def _never_sent(error: BaseException) -> bool:
    """Say whether a failed call certainly did nothing: it found no server to talk to."""
    cause = getattr(error, "reason", error)
    return isinstance(cause, ConnectionRefusedError | socket.gaierror)
