"""A proxy before a Slack-compatible server: it notes every call, and does what Slack does to it.

It slows down, asks to slow down, fails, loses answers and refuses as a test has planned, and it
answers ``usergroups.*``, which the servers do not know.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Fault:
    """What happens to one call.

    ``ratelimited`` (Retry-After ``seconds``), ``status`` (HTTP ``code``), ``delay`` (``seconds``,
    then it goes on), ``lost`` (carried out, no answer), ``refused`` (Slack's ``word``).
    """

    kind: str
    seconds: float = 0.0
    code: int = 500
    word: str = ""


@dataclass(frozen=True)
class Call:
    """One call of the Web API that the bot made."""

    method: str
    args: dict[str, Any]
    at: float


class FaultProxy:
    """Listens on a port of its own; ``api_url`` is what the bot is told."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.calls: list[Call] = []
        self.groups: dict[str, tuple[str, list[str]]] = {}
        self.scopes = ""
        self.away = False
        self._plans: dict[str, list[Fault]] = defaultdict(list)
        self._always: dict[str, Fault] = {}
        self._done: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                outer._serve(self)

            do_POST = do_GET  # noqa: N815 - the library's name

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.api_url = f"http://127.0.0.1:{self.port}/api/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reset(self) -> None:
        """Forget plans and calls."""
        with self._lock:
            self.calls, self._plans, self._always = [], defaultdict(list), {}
            self._done = defaultdict(int)
            self.groups, self.scopes, self.away = {}, "", False

    def plan(self, method: str, *faults: Fault) -> None:
        """Let the next calls of a method go so, one a fault."""
        with self._lock:
            self._plans[method] += faults

    def always(self, method: str, fault: Fault) -> None:
        """Let every call of a method go so; ``*`` is every method."""
        with self._lock:
            self._always[method] = fault

    def made(self, method: str) -> list[dict[str, Any]]:
        """Return the arguments of every call of a method, oldest first."""
        with self._lock:
            return [call.args for call in self.calls if call.method == method]

    def done(self, method: str) -> int:
        """Return how many calls of a method have been answered."""
        with self._lock:
            return self._done[method]

    def _serve(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("content-length") or 0))
        method = urlsplit(asked.path).path.rpartition("/")[2]
        if self.away:
            asked.close_connection = True
            return
        args = _args(asked, body)
        with self._lock:
            self.calls.append(Call(method, args, time.monotonic()))
            planned = self._plans[method]
            fault = planned.pop(0) if planned else self._always.get(method, self._always.get("*"))
        if fault is not None and fault.kind == "delay":
            time.sleep(fault.seconds)
            fault = None
        if fault is not None and fault.kind in {"ratelimited", "status", "refused"}:
            self._fail(asked, fault)
        elif method.startswith("usergroups."):
            _say(asked, self._group(method, args))
        else:
            self._pass(asked, body, lost=fault is not None)
        with self._lock:
            self._done[method] += 1

    def _fail(self, asked: BaseHTTPRequestHandler, fault: Fault) -> None:
        if fault.kind == "ratelimited":
            wait = {"Retry-After": f"{fault.seconds:g}"}
            _say(asked, {"ok": False, "error": "ratelimited"}, 429, wait)
        elif fault.kind == "status":
            _say(asked, {}, fault.code)
        else:
            _say(asked, {"ok": False, "error": fault.word})

    def _group(self, method: str, args: dict[str, Any]) -> dict[str, Any]:
        if method == "usergroups.list":
            rows = [{"id": ident, "handle": handle} for ident, (handle, _) in self.groups.items()]
            return {"ok": True, "usergroups": rows}
        if args.get("usergroup") in self.groups:
            return {"ok": True, "users": self.groups[args["usergroup"]][1]}
        return {"ok": False, "error": "no_such_subteam"}

    def _pass(self, asked: BaseHTTPRequestHandler, body: bytes, *, lost: bool) -> None:
        there = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=20)
        try:
            kept = {k: v for k, v in asked.headers.items() if k.lower() not in HOP}
            there.request(asked.command, asked.path, body=body or None, headers=kept)
            answer = there.getresponse()
            data = answer.read()
        except OSError:
            asked.close_connection = True
            return
        finally:
            there.close()
        if lost:
            asked.close_connection = True
            return
        asked.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                asked.send_header(name, value)
        if self.scopes:
            asked.send_header("X-OAuth-Scopes", self.scopes)
        asked.send_header("Content-Length", str(len(data)))
        asked.end_headers()
        asked.wfile.write(data)


HOP = {"connection", "content-length", "host", "transfer-encoding", "keep-alive"}


def _args(asked: BaseHTTPRequestHandler, body: bytes) -> dict[str, Any]:
    args: dict[str, Any] = dict(parse_qsl(urlsplit(asked.path).query))
    kind = asked.headers.get("content-type") or ""
    if "json" in kind and body:
        found = json.loads(body)
        args.update(found if isinstance(found, dict) else {})
    elif body and "form-urlencoded" in kind:
        args.update(dict(parse_qsl(body.decode())))
    return args


def _say(
    asked: BaseHTTPRequestHandler,
    value: dict[str, Any],
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> None:
    data = json.dumps(value).encode()
    asked.send_response(status)
    for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
        asked.send_header(name, text)
    asked.send_header("Content-Length", str(len(data)))
    asked.end_headers()
    asked.wfile.write(data)
