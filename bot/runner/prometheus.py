"""One instant query to Prometheus, for a check of a gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from bot.incident.state import Answer
from bot.rollout.gate import bounded

TIMEOUT = 10.0


def ask(rule: Mapping[str, Any]) -> Answer:
    """Ask ``url`` for ``query`` and weigh the answer against ``max`` and ``min``.

    Whatever goes wrong is an answer that does not pass, and says why.
    """
    try:
        reply = httpx.get(
            f"{rule['url']}/api/v1/query", params={"query": rule["query"]}, timeout=TIMEOUT
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        return Answer(ok=False, sentence=f"not answered: {rule['url']}: {why}")
    try:
        answer = reply.json()
    except ValueError:
        why = f"HTTP {reply.status_code} without JSON"
        return Answer(ok=False, sentence=f"not answered: {rule['url']}: {why}")
    return bounded(answer, rule)
