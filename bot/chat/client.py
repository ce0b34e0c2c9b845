"""What the command line and the console speak to a running bot: HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx

from bot.errors import HoldfastError, UnavailableError, UnclearError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply from the bot: the card and the data, as JSON."""

    card: Mapping[str, Any]
    data: Any
    exit_code: int


class Client:
    """A connection to a bot. Without a token it can only read."""

    def __init__(self, url: str, token: str = "", *, via: str = "cli") -> None:
        headers = {"X-Holdfast-Via": via}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._url = url
        # Whom TLS trusts takes 50 ms to read; plain HTTP, as on loopback, does without.
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            timeout=30.0,
            trust_env=False,
            verify=not url.lower().startswith("http:"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def say(self, words: Sequence[str], context: str = "") -> Answer:
        """Carry out one command, given as words."""
        return self._command({"words": list(words), "context": context})

    def line(self, line: str, context: str = "") -> Answer:
        """Carry out one command, given as a line."""
        return self._command({"line": line, "context": context})

    def text(self, body: bytes, host: str) -> Mapping[str, Any]:
        """Send console text to the intake."""
        answer: Mapping[str, Any] = self._post("/intake/text", content=body, params={"host": host})
        return answer

    def _command(self, asked: Mapping[str, Any]) -> Answer:
        return Answer(**self._post("/api/commands", json=asked))

    def _post(self, path: str, **body: Any) -> Any:
        try:
            response = self._http.post(path, **body)
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"the bot cannot be reached: {error}",
                where=self._url,
                next="is 'holdfast serve' running? HOLDFAST_URL says where",
            ) from error
        try:
            value = response.json()
        except ValueError:
            value = {"error": {"what": f"HTTP {response.status_code}", "where": path, "next": ""}}
        if response.is_success:
            return value
        problem = value.get("error", {})
        refused = HoldfastError(
            str(problem.get("what", f"HTTP {response.status_code}")),
            where=str(problem.get("where", "")),
            next=str(problem.get("next", "")),
        )
        if choices := problem.get("choices"):
            raise UnclearError(refused.what, [str(one) for one in choices])
        refused.exit_code = int(value.get("exit_code", 1))
        raise refused
