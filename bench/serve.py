"""How much memory ``holdfast serve`` holds: ``python bench/serve.py [HOSTS...]``.

For each size (0: nothing has happened yet) a fresh site gets an incident with a whole rollout on
so many hosts. The entries are made here, as the services write them: no host exists, and none is
asked. Then the real process is started, its pages, commands and metrics are read over and over,
four readers at a time, and its resident memory is read from the kernel.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.app import build
from bot.config import load
from bot.layout import lay_out
from bot.proposal.content import digest
from bot.timeline.entry import Draft

SIZES = (0, 10, 200, 1000)
ROUNDS = 15
READERS = 4
LIMIT, GROWTH = 150.0, 20.0
PATHS = ("/incidents", "/incidents/INC-1", "/incidents/INC-1/postmortem.md", "/metrics")
LINES = ("status INC-1", "hosts INC-1", "timeline INC-1", "details P-1")


def boot(host: str) -> str:
    return hashlib.md5(host.encode(), usedforsecurity=False).hexdigest()


def seen(host: str) -> dict[str, Any]:
    truth = {"value": "0", "boot_id": boot(host), "kernel": "6.12.9-fleet"}
    more = {"outcome": "verified", "reason": "", "unreachable": False, "partly": False}
    return {**truth, **more, "seen_at": "2026-01-01T00:00:00+00:00"}


def content(hosts: list[str], sizes: list[int]) -> dict[str, Any]:
    one = {"exposure": "exposed", "value": "1", "kernel": "6.12.9-fleet", "reason": ""}
    crash = {"limit": 0, "settle_seconds": 600.0}
    runbook = {"id": "tcp-estats-update-mss", "title": "t", "revision": "0" * 64, "followups": []}
    mitigation = {
        "id": "disable-estats",
        "title": "Switch extended TCP statistics off",
        "risk": "low",
        "residual": "Only sockets made after it are safe.",
        "reversible": True,
        "overridden": [],
    }
    return {
        "incident": "INC-1",
        "proposal": "P-1",
        "requester": "holdfast",
        "purpose": "mitigate",
        "rollback_of": None,
        "runbook": runbook,
        "mitigation": mitigation,
        "playbooks": [["sysctl-set.yml", None], ["sysctl-read.yml", "verify"]],
        "read": [["sysctl-read.yml", "verify"]],
        "tree": "0" * 64,
        "inventory": "0" * 64,
        "dry_run": "0" * 64,
        "rollback": None,
        "variables": {"key": "net.ipv4.tcp_estats", "value": "0", "ref": "P-1"},
        "knobs": {"net.ipv4.tcp_estats": "0"},
        "hosts": dict.fromkeys(hosts, one),
        "waves": {"order": hosts, "sizes": sizes, "rule": [1, "10%", "100%"]},
        "gate": {"max_failed": 0, "max_lost": "10%", "crash_after_apply": crash},
        "hold": {},
        "approvals": 1,
        "expires_at": "2036-01-01T00:00:00.000Z",
    }


def night(count: int) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield kind, text and data of a rollout on so many hosts, with a cascade of a tenth."""
    hosts = [f"host-{n:05d}" for n in range(count)]
    title = "BUG: unable to handle kernel NULL pointer dereference in tcp_estats_update_mss"
    signature = {"kind": "null-deref", "function": "tcp_estats_update_mss", "module": None}
    yield "incident.opened", title, {"title": title, "signature": signature}
    for host in hosts[: max(1, count // 10)]:
        crash = {"title": title, "signature": signature, "lines": ["x" * 80] * 20}
        text = "[81234.118702] BUG: unable to handle\n" * 60
        data = {"host": host, "known": True, "crash": crash, "text": text}
        yield "alert.received", f"{host}: {title}", data
    reasons = ["kind null-deref", "function tcp_estats_update_mss"]
    best = {"runbook": "tcp-estats-update-mss", "title": "t", "score": 1100, "reasons": reasons}
    candidates = [{**best, "evidence": [], "warning": ""}]
    match = {"candidates": candidates, "near": [], "choice": False, "no_knob": None}
    yield "runbook.matched", "matches", match
    asked = {"runbook": "tcp-estats-update-mss", "mitigation": "disable-estats"}
    asked |= {"requester": "holdfast", "purpose": "mitigate"}
    yield "proposal.requested", "asked", asked
    probed = {h: {**seen(h), "exposure": "exposed", "value": "1"} for h in hosts}
    yield "exposure.probed", "probed", {"request": 1, "run": "p", "hosts": probed, "pools": {}}
    sizes = [1, max(1, count // 10), max(1, count - 1 - count // 10)]
    whole = content(hosts, sizes)
    made = {"proposal": "P-1", "digest": digest(whole), "content": whole, "request": 1}
    yield "proposal.made", "made", made
    about = {"proposal": "P-1", "digest": digest(whole)}
    yield "approval.given", "approved", {**about, "complete": True, "roles": ["commander"]}
    yield "rollout.started", "started", {**about, "approved_by": ["dana"], "hosts": count}
    start = 0
    for number, size in enumerate(sizes, 1):
        part, start = hosts[start : start + size], start + size
        facts = {**about, "wave": number, "run": f"w{number}", "lane": f"wave {number}"}
        yield "wave.started", f"wave {number} started", {**facts, "hosts": part, "owed": []}
        outcomes = {h: seen(h) for h in part}
        yield "wave.finished", f"wave {number}: {size} verified", {**facts, "outcomes": outcomes}
        yield "gate.passed", "gate: within its limits", {**facts, "why": "within its limits"}
    yield "rollout.done", "done", {**about, "outcomes": {"verified": count}}


def fill(site: Path, count: int) -> None:
    """Make a site whose store holds the incident."""
    lay_out(site)
    (site / "inventory").mkdir(exist_ok=True)
    names = "\n".join(f"host-{n:05d} ansible_host=192.0.2.1" for n in range(max(1, count)))
    (site / "inventory" / "hosts").write_text(f"[web]\n{names}\n")
    config = {"fleet": {"inventory": "inventory/hosts", "pools": ["web"]}}
    config["people"] = {"dana": {"name": "Dana", "roles": ["commander"]}}  # type: ignore[dict-item]
    (site / "holdfast.yml").write_text(json.dumps(config))
    app = build(load(site / "holdfast.yml"))
    try:
        if not count:
            return
        with app.site.store.transaction("intake") as tx:
            name = tx.open("null-deref/tcp_estats_update_mss")
            for number, (kind, text, data) in enumerate(night(count)):
                tx.append(name, Draft(key=f"{number}", kind=kind, text=text, data=data))
    finally:
        app.close()


def port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def measure(count: int) -> tuple[float, float, float]:
    """Return MB resident after the start, after all was read, and at most."""
    with tempfile.TemporaryDirectory(dir=".") as place:
        site = Path(place).resolve() / "site"
        fill(site, count)
        url = f"http://127.0.0.1:{port()}"
        command = [sys.executable, "-m", "bot", "--config", str(site / "holdfast.yml")]
        serve = [*command, "serve", "--listen", url.removeprefix("http://")]
        with subprocess.Popen(serve, env=dict(os.environ)) as process:
            try:
                return _read(psutil.Process(process.pid), url, count)
            finally:
                process.terminate()


def _read(process: psutil.Process, url: str, count: int) -> tuple[float, float, float]:
    with httpx.Client(base_url=url, timeout=120) as client:
        for _ in range(600):
            try:
                client.get("/healthz")
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        time.sleep(2)
        began = _resident(process)
        asked = [(path, "") for path in (PATHS if count else PATHS[:1])]
        asked += [("", line) for line in (LINES if count else ("incidents",))]

        def ask(what: tuple[str, str]) -> int:
            path, line = what
            answer = client.get(path) if path else client.post("/api/commands", json={"line": line})
            return answer.raise_for_status().status_code

        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(ask, asked * ROUNDS))
        time.sleep(1)
        return began, _resident(process), _peak(process)


def _resident(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def _peak(process: psutil.Process) -> float:
    text = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    """Print one line a size and whether the promises hold."""
    sizes = [int(word) for word in sys.argv[1:]] or list(SIZES)
    after = {}
    print("hosts  MB started  MB after reading  MB at most")
    for size in sizes:
        began, read, peak = measure(size)
        after[size] = read
        print(f"{size:5}  {began:10.1f}  {read:16.1f}  {peak:10.1f}", flush=True)
    most = max(after.values())
    print(f"at most {LIMIT:.0f} MB: {'yes' if most <= LIMIT else 'no'} ({most:.1f})")
    if 10 in after and 1000 in after:
        grown = after[1000] - after[10]
        word = "yes" if grown <= GROWTH else "no"
        print(f"at most {GROWTH:.0f} MB more from 10 to 1,000 hosts: {word} ({grown:.1f})")


if __name__ == "__main__":
    main()
