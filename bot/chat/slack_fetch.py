"""Files from Slack's own hosts, and requests that are answered only once."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

import httpx

from bot.errors import RefusedError, TooLargeError, UnavailableError

TIMEOUT = 10.0
KEPT = 600.0
"""Seconds for which a signature is remembered; Slack's own are valid for five minutes."""


def fetch(url: str, most: int, *, token: str, api_url: str) -> bytes:
    """Return a file's bytes; the token is shown to Slack's hosts and the API's host alone.

    Raises ``RefusedError`` for another host, ``TooLargeError`` above ``most`` bytes,
    ``UnavailableError`` when Slack asks for a login or cannot be reached.
    """
    asked, home = urlsplit(url), urlsplit(api_url)
    host = (asked.hostname or "").lower()
    slacks = asked.scheme == "https" and (host == "slack.com" or host.endswith(".slack.com"))
    if not slacks and (asked.scheme, host) != (home.scheme, (home.hostname or "").lower()):
        raise RefusedError(f"the file is at {host}, which is not Slack", next="paste its text")
    try:
        bearer = {"Authorization": f"Bearer {token}"}
        with (
            httpx.Client(timeout=TIMEOUT, trust_env=False, headers=bearer) as client,
            client.stream("GET", url) as answer,
        ):
            kind = answer.headers.get("content-type", "")
            if answer.status_code != 200 or kind.startswith("text/html"):
                raise UnavailableError(
                    f"Slack does not give the file (HTTP {answer.status_code})",
                    next="install the app again: it needs the scope files:read",
                )
            data = bytearray()
            for chunk in answer.iter_bytes():
                data += chunk
                if len(data) > most:
                    raise TooLargeError(
                        f"the file is larger than {most // 1024 // 1024} MB", next="cut it"
                    )
            return bytes(data)
    except httpx.HTTPError as error:
        raise UnavailableError(f"the file cannot be fetched: {error}", next="try again") from error


class Seen:
    """Remembers for a while what it has seen."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}
        self._lock = threading.Lock()

    def first(self, mark: str) -> bool:
        """Say whether this mark was not seen in the last minutes."""
        now = time.monotonic()
        with self._lock:
            if len(self._times) > 10_000 or any(now - at > KEPT for at in self._times.values()):
                self._times = {m: at for m, at in self._times.items() if now - at <= KEPT}
            if mark in self._times:
                return False
            self._times[mark] = now
            return True
