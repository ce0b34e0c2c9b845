"""Where Slack posts its events, commands and clicks when it comes by HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from bot.errors import NotFoundError, TooLargeError

LIMIT = 4 * 1024 * 1024
Answering = Callable[[bytes, Mapping[str, str]], tuple[int, Mapping[str, str], str]]
"""Takes a request's body and headers, returns status, headers and body."""


def add(api: FastAPI, answering: Answering | None) -> None:
    """Add the route. Without a door of Slack's it says so."""

    @api.post("/slack/events")
    async def events(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LIMIT:
                raise TooLargeError("the body is too large", where="/slack/events", next="nothing")
        if answering is None:
            raise NotFoundError("Slack is not set up here", next="see 'holdfast slack manifest'")
        status, headers, text = await run_in_threadpool(
            answering, bytes(body), dict(request.headers)
        )
        return Response(text, status_code=status, headers=dict(headers))
