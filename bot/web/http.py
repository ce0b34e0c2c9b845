"""The HTTP surface: intake, health, metrics, commands and one page per incident."""

from __future__ import annotations

import contextlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from bot.alert.alert import Alert
from bot.app import App
from bot.chat.dispatch import ANONYMOUS, dispatch
from bot.chat.grammar import parse, parse_words
from bot.chat.wire import card_json
from bot.errors import BadInputError, HoldfastError, RefusedError, TooLargeError
from bot.incident.fold import fold
from bot.intake import alertmanager, text
from bot.service import progress
from bot.service.receive import receive
from bot.timeline.entry import Actor
from bot.web import page
from bot.web.metrics import exposition
from bot.web.slack import Answering
from bot.web.slack import add as add_slack

LIMIT = 1024 * 1024
READING = threading.Lock()
"""One reader is answered at a time: two would not be answered sooner, and each holds a whole
incident in memory. What changes something does not wait here."""
HTML = {
    "Content-Security-Policy": page.CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Health = Callable[[], Mapping[str, Any]]


def create(app: App, health: Health, slack: Answering | None = None) -> FastAPI:
    """Build the web application over a wired ``App``."""
    api = FastAPI(title="Holdfast", docs_url=None, redoc_url=None)
    _errors(api)
    _intake(api, app)
    _reading(api, app, health)
    _commands(api, app)
    add_slack(api, slack)
    return api


def _problem(error: HoldfastError) -> JSONResponse:
    return JSONResponse(
        {"error": error.as_dict(), "exit_code": error.exit_code}, status_code=error.status
    )


def _errors(api: FastAPI) -> None:
    @api.exception_handler(HoldfastError)
    def known(_request: Request, error: HoldfastError) -> JSONResponse:
        return _problem(error)

    @api.exception_handler(HTTPException)
    def routing(request: Request, error: HTTPException) -> JSONResponse:
        problem = HoldfastError(
            str(error.detail),
            where=f"{request.method} {request.url.path}",
            next="see docs/reference.md for the routes",
        )
        problem.status = error.status_code
        return _problem(problem)


async def _body(request: Request) -> bytes:
    """Read at most the limit; a larger body is refused before it is held in memory."""
    told = request.headers.get("content-length", "0")
    size = int(told) if told.isdigit() else 0
    chunks: list[bytes] = []
    if size <= LIMIT:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > LIMIT:
                break
            chunks.append(chunk)
    if size > LIMIT:
        raise TooLargeError(
            f"the body is larger than {LIMIT} bytes",
            where=request.url.path,
            next="send fewer alerts at once, or cut the text from its headline on; "
            "nothing was recorded",
        )
    return b"".join(chunks)


def _intake(api: FastAPI, app: App) -> None:
    def check(request: Request) -> None:
        """Let the intake's own token in, and every person's."""
        wanted = app.config.intake.token
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not wanted or hmac.compare_digest(wanted.encode(), given.encode()):
            return
        if not given:
            raise RefusedError(
                "this intake needs its token",
                where=request.url.path,
                next="send 'Authorization: Bearer …' with intake.token; nothing was recorded",
            )
        app.identities.by_token(given, "intake")

    def take(alerts: list[Alert], via: str) -> Response:
        actor = Actor(id=via, name=via, via="intake")
        receipt = receive(app.site, alerts, app.sources.known(), actor)
        return JSONResponse(
            {
                "accepted": receipt.accepted,
                "duplicate": receipt.duplicate,
                "incidents": list(receipt.incidents),
            },
            status_code=202,
        )

    @api.post("/intake/alertmanager")
    async def from_alertmanager(request: Request) -> Response:
        await run_in_threadpool(check, request)
        body = await _body(request)
        alerts = alertmanager.read(body, app.config.intake.host_labels)
        return await run_in_threadpool(take, alerts, "alertmanager")

    @api.post("/intake/text")
    async def from_text(request: Request, host: str = "") -> Response:
        await run_in_threadpool(check, request)
        body = await _body(request)
        return await run_in_threadpool(take, [text.read(body, host)], "text")


def _reading(api: FastAPI, app: App, health: Health) -> None:
    @api.get("/healthz")
    def healthz() -> JSONResponse:
        state = health()
        return JSONResponse(dict(state), status_code=200 if state["ok"] else 503)

    @api.get("/metrics")
    def metrics() -> Response:
        with READING:
            body, kind = exposition(app.site)
        return Response(body, headers={"Content-Type": kind})

    @api.get("/")
    @api.get("/incidents")
    def index() -> HTMLResponse:
        with READING:
            rows = [fold(app.site.store.entries(row.id)) for row in app.site.store.incidents()]
            html = page.index_page(rows, app.site.clock.now())
        return HTMLResponse(html, headers=HTML)

    @api.get("/incidents/{name}")
    def incident(name: str) -> HTMLResponse:
        with READING:
            entries = app.site.store.entries(name)
            now, lives = app.site.clock.now(), progress.live(app.site, name)
            html = page.incident_page(fold(entries), entries, app.site.people, now, lives)
        return HTMLResponse(html, headers=HTML)

    @api.get("/incidents/{name}/postmortem.md")
    def postmortem(name: str) -> PlainTextResponse:
        with READING:
            reply = dispatch(app.site, parse_words(["postmortem", name]), ANONYMOUS)
        assert isinstance(reply.data, Mapping)
        return PlainTextResponse(reply.data["markdown"], headers={"Cache-Control": "no-store"})


def _commands(api: FastAPI, app: App) -> None:
    def actor(request: Request) -> Actor:
        header = request.headers.get("authorization", "")
        via = request.headers.get("x-holdfast-via", "cli")
        if not header:
            return ANONYMOUS
        token = header.removeprefix("Bearer ").strip()
        return app.identities.by_token(token, "console" if via == "console" else "cli")

    def carry_out(who: Actor, asked: Mapping[str, Any]) -> Response:
        words, context = asked.get("words"), str(asked.get("context") or "")
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            command = parse_words(words)
        elif isinstance(asked.get("line"), str):
            command = parse(asked["line"])
        else:
            raise BadInputError(
                "a command is {'line': …} or {'words': […]}", where="body", next="see 'help'"
            )
        with contextlib.nullcontext() if command.verb.writes else READING:
            reply = dispatch(app.site, command, who, context)
            return JSONResponse(
                {"card": card_json(reply.card), "data": reply.data, "exit_code": reply.exit_code}
            )

    @api.post("/api/commands")
    async def commands(request: Request) -> Response:
        body = await _body(request)
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            raise BadInputError("the body is not a JSON object", where="body", next="see docs")
        who = await run_in_threadpool(actor, request)
        return await run_in_threadpool(carry_out, who, asked)
