"""Sets the demo up: the enclave, the fleet, the site directory, the bot; then plays the story."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import httpx
import yaml
from rich.console import Console

from bot.app import build
from bot.chat.client import Client
from bot.config import load
from bot.demo import enclave
from bot.demo.fleet import KNOB, Fleet, HostSpec
from bot.demo.selftest import selftest
from bot.demo.story import Stage
from bot.demo.story import play as play_story
from bot.errors import HoldfastError, UnavailableError
from bot.layout import lay_out

PORT = 8420
SPECS = (
    *(HostSpec(name=f"web-0{n}", pool="web", rack=f"r{n % 3 + 1}") for n in range(1, 7)),
    *(HostSpec(name=f"db-0{n}", pool="db", rack=f"r{n}") for n in range(1, 3)),
    HostSpec(name="lb-01", pool="lb", rack="r1", patched=False, release="6.1.119-fleet"),
    HostSpec(name="lb-02", pool="lb", rack="r2", patched=False, release="6.1.119-fleet"),
)


def play(out: Path, *, auto: bool, simulated: bool = False) -> int:
    """Play the demo; outside the enclave, first go inside. Returns the exit code."""
    console = Console(highlight=False)
    auto = auto or not sys.stdin.isatty()
    if os.environ.get("HOLDFAST_DEMO_INSIDE"):
        return _inside(console, out, auto=auto)
    if simulated:
        console.print("As you asked: the fleet below is SIMULATED.")
        return _simulated(console, out, auto=auto)
    support = enclave.support()
    if support.missing:
        raise UnavailableError(
            f"the demo needs {', '.join(support.missing)}", next=f"run: {enclave.INSTALL}"
        )
    if support.mode == "none":
        console.print(f"No namespaces here ({support.reason}): the fleet below is SIMULATED.")
        return _simulated(console, out, auto=auto)
    return _go_inside(out, auto=auto)


def _go_inside(out: Path, *, auto: bool) -> NoReturn:
    door = _door()
    os.environ["HOLDFAST_DEMO_INSIDE"] = str(door.fileno())
    words = ["demo", "--out", str(out.resolve())] + (["--auto"] if auto else [])
    enclave.enter([sys.executable, "-m", "bot", *words], pass_fds=(door.fileno(),))


def _door() -> socket.socket:
    """Open the web page's port on the machine's own loopback, before going inside."""
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(("127.0.0.1", PORT))
    except OSError:
        door.bind(("127.0.0.1", 0))
    return door


def _site(out: Path, knob: str) -> Path:
    """Lay out a site directory for the demo and return it."""
    site = out / "site"
    shutil.rmtree(site, ignore_errors=True)
    lay_out(site)
    override = {"key": knob}
    config = {
        "fleet": {
            "inventory": "inventory.ini",
            "pools": ["web", "db", "lb"],
            "ssh_options": [
                "ControlMaster=no",
                "ServerAliveInterval=2",
                "ServerAliveCountMax=3",
                "KexAlgorithms=curve25519-sha256",
            ],
            "connect_timeout": 3,
        },
        "people": {
            "dana": {"name": "Dana", "roles": ["commander"]},
            "sam": {"name": "Sam", "roles": ["responder"]},
        },
        "retry": {"first": "2s", "max": "10s"},
        "hold": {"interval": "3s"},
        "overrides": {"tcp-estats-update-mss": {"disable-estats": override}},
    }
    (site / "holdfast.yml").write_text(yaml.safe_dump(config, sort_keys=False))
    return site


def _inside(console: Console, out: Path, *, auto: bool) -> int:
    door = socket.socket(fileno=int(os.environ["HOLDFAST_DEMO_INSIDE"]))
    out.mkdir(parents=True, exist_ok=True)
    root = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    try:
        with Fleet(root / "fleet", SPECS) as fleet:
            if not _proven(console, fleet):
                return 1
            site = _site(out, KNOB)
            fleet.write_inventory(site / "inventory.ini")
            tokens = _tokens(site)
            bot = _serve(site, door)
            try:
                url = f"http://127.0.0.1:{door.getsockname()[1]}"
                return _perform(
                    console, out, site, _stage(console, fleet, tokens, auto=auto), url, auto=auto
                )
            finally:
                bot.terminate()
                bot.wait(timeout=20)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _stage(console: Console, fleet: Fleet, tokens: dict[str, str], *, auto: bool) -> Stage:
    return Stage(
        fleet=fleet,
        knob=KNOB,
        url=f"http://127.0.0.1:{PORT}",
        tokens=tokens,
        console=console,
        ask=_asker(console, auto=auto),
    )


def _asker(console: Console, *, auto: bool) -> Callable[[str], str]:
    def ask(question: str) -> str:
        if auto:
            console.print(f"  {question}y  (AUTO)", markup=False)
            return "y"
        return console.input(f"  {question}", markup=False)

    return ask


def _proven(console: Console, fleet: Fleet) -> bool:
    """Run the fleet's self-test: a fleet that cannot fail proves nothing."""
    checks = selftest(fleet)
    bad = [check for check in checks if not check.ok]
    console.print(
        f"{len(fleet.hosts)} real sshd hosts in namespaces ({fleet.mode}); "
        f"self-test {len(checks) - len(bad)}/{len(checks)}"
    )
    for check in bad:
        console.print(f"  FAILED {check.name}: {check.detail}", style="red", markup=False)
    return not bad


def _tokens(site: Path) -> dict[str, str]:
    app = build(load(site / "holdfast.yml"))
    try:
        return {person: app.identities.create_token(person) for person in ("dana", "sam")}
    finally:
        app.close()


def _serve(site: Path, door: socket.socket) -> subprocess.Popen[bytes]:
    door.set_inheritable(True)
    command = [sys.executable, "-m", "bot", "--config", str(site / "holdfast.yml"), "serve"]
    command += ["--listen", f"127.0.0.1:{PORT}", "--fd", str(door.fileno())]
    with (site / "serve.log").open("wb") as log:
        bot = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=(door.fileno(),))
    _healthy(f"http://127.0.0.1:{PORT}", bot, site)
    return bot


def _healthy(url: str, bot: subprocess.Popen[bytes] | None, site: Path) -> None:
    for _ in range(150):
        try:
            httpx.get(f"{url}/healthz", timeout=2)
        except httpx.HTTPError:
            if bot is not None and bot.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    raise UnavailableError("the bot did not start", where=str(site / "serve.log"), next="read it")


def _perform(console: Console, out: Path, site: Path, stage: Stage, url: str, *, auto: bool) -> int:
    console.print(f"The bot serves {url}/incidents: open it in a browser", soft_wrap=True)
    console.print(f"Its site directory is {site}", soft_wrap=True)
    console.print(
        f"Stand-in: stock kernels have no net.ipv4.tcp_estats, so a site override sets the "
        f"runbook's variable to {stage.knob}, which only the hosts 'with the patch' have."
    )
    began = time.monotonic()
    result = play_story(stage)
    seconds = time.monotonic() - began
    paths = _postmortems(out, stage)
    intact = _verified(site)
    wrong = _summary(console, stage, result, seconds, paths, intact)
    if not auto:
        console.input(f"\nThe bot still serves {url}/incidents/INC-1. Enter ends the demo. ")
    return 1 if wrong or not all(intact.values()) else 0


def _postmortems(out: Path, stage: Stage) -> list[Path]:
    paths = []
    with Client(stage.url) as client:
        for incident in ("INC-1", "INC-2"):
            path = out / f"postmortem-{incident}.md"
            path.write_text(client.say(["postmortem", incident]).data["markdown"])
            paths.append(path)
    return paths


def _verified(site: Path) -> dict[str, bool]:
    command = [sys.executable, "-m", "bot", "--config", str(site / "holdfast.yml")]
    return {
        incident: subprocess.run(
            [*command, "timeline", "verify", incident], stdout=subprocess.DEVNULL, check=False
        ).returncode
        == 0
        for incident in ("INC-1", "INC-2")
    }


def _summary(
    console: Console,
    stage: Stage,
    result: dict[str, Any],
    seconds: float,
    paths: list[Path],
    intact: dict[str, bool],
) -> int:
    """Print the one screen that remains, and return how many claims were wrong."""
    wrong = 0
    label = "SIMULATED FLEET" if stage.simulated else "real fleet"
    console.rule(f"The night in {seconds:.0f} s ({label})")
    for incident, status in result["status"].items():
        claim = result["claims"][incident]
        wrong += len(claim["wrong"])
        proposal = status["proposals"][-1]
        counts = " · ".join(
            f"{claim['hosts'][o]} {o.replace('_', ' ')}"
            for o in ("verified", "not_applicable", "owed", "failed", "unknown")
            if claim["hosts"][o] or o in {"verified", "not_applicable", "owed"}
        )
        content = result["proposals"][proposal["id"]]["content"]
        variables = content["variables"]
        cascade = status["cascade"]
        crashed = f"{_many(cascade['crashes'], 'crash')} of {_many(cascade['crashed'], 'host')}"
        again = f", {len(cascade['repeat'])} of them repeatedly" if cascade["repeat"] else ""
        console.print(f"[bold]{incident}[/bold]  {status['title']}")
        console.print(f"  crashed    {crashed}{again}")
        console.print(
            f"  done       {proposal['id']} {proposal['state']}: "
            f"{variables['key']} = {variables['value']} ({content['runbook']['id']})"
        )
        digest = proposal["digest"][:12]
        console.print(f"  approved   by {', '.join(proposal['counted'])}, digest {digest}")
        told = "every host agrees" if not claim["wrong"] else f"WRONG on {claim['wrong']}"
        console.print(f"  hosts      {counts}; asked one by one: {told}")
        chain = "intact" if intact[incident] else "BROKEN"
        console.print(f"  hold       {status['hold']['state']}; timeline chain {chain}")
    console.print(f"drift on one host was restored after {result['drift']:.1f} s")
    for path in paths:
        console.print(f"postmortem  {path}", soft_wrap=True)
    return wrong


def _many(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("sh") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def _simulated(console: Console, out: Path, *, auto: bool) -> int:
    from bot.demo.simulated import SimulatedFleet, SimulatedLauncher  # noqa: PLC0415 - fallback only
    from bot.web.serve import listen, serve  # noqa: PLC0415 - served in this process, here only

    fleet = SimulatedFleet(SPECS, KNOB)
    site = _site(out, KNOB)
    fleet.write_inventory(site / "inventory.ini")
    tokens = _tokens(site)
    app = build(load(site / "holdfast.yml"))
    door = listen("127.0.0.1:0")
    stop = threading.Event()
    bot = threading.Thread(
        target=serve,
        args=(app, [door], []),
        kwargs={"launcher": SimulatedLauncher(app.site, fleet), "stop": stop},
    )
    bot.start()
    try:
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        _healthy(url, None, site)
        stage = Stage(
            fleet=fleet,
            knob=KNOB,
            url=url,
            tokens=tokens,
            console=console,
            ask=_asker(console, auto=auto),
            simulated=True,
        )
        return _perform(console, out, site, stage, url, auto=auto)
    except HoldfastError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    finally:
        stop.set()
        bot.join(timeout=20)
        app.close()
