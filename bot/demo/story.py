"""The night, played: hosts crash, the bot is asked, a commander approves, the fleet settles."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
from rich.console import Console

from bot.chat.client import Client
from bot.chat.terminal import show
from bot.chat.wire import read_card
from bot.demo import oops
from bot.errors import HoldfastError, UnavailableError

SACK_KNOB = "net.ipv4.tcp_sack"
DOWN_FOR = 4.0
UPTIME = 8.0


class Hosts(Protocol):
    """The fleet, real or simulated."""

    @property
    def hosts(self) -> Mapping[str, Any]:
        """Return the hosts by name."""

    def crash(self, *names: str) -> None:
        """Cut the power."""

    def boot(self, *names: str) -> None:
        """Switch it on again."""

    def alive(self, name: str) -> bool:
        """Say whether the host is up."""

    def read(self, name: str, key: str) -> str | None:
        """Return the host's own value; None without the knob."""

    def write(self, name: str, key: str, value: str) -> None:
        """Set the host's own value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the story is played on. ``ask`` returns what the person typed."""

    fleet: Hosts
    knob: str
    url: str
    tokens: Mapping[str, str]
    console: Console
    ask: Callable[[str], str]
    simulated: bool = False


@dataclass(slots=True)
class Night:
    """Crashes hosts whose feature is still on, and boots them again, in the background."""

    stage: Stage
    chance: random.Random = field(default_factory=lambda: random.Random(20260101))  # noqa: S311 - a story, no secret
    stop: threading.Event = field(default_factory=threading.Event)
    crashes: int = 0
    booted: dict[str, float] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)

    def strike(self, host: str, shape: str, *, down_for: float | None = DOWN_FOR) -> str:
        """Take a host down for real; its console text and 'host down' reach the intake.

        It boots after ``down_for`` seconds; with None it stays down until ``revive``. Returns
        when it went down.
        """
        self.stage.fleet.crash(host)
        self.crashes += 1
        now = _now()
        release = self.stage.fleet.hosts[host].release
        text = oops.console(shape, release, self.chance)
        self._post(oops.crashed(host, text, now), oops.down(host, now))
        stays = "" if down_for else ", and stays down"
        self.stage.console.print(f"  [red]✗ {host}[/red] panics{stays}", highlight=False)
        if down_for:
            thread = threading.Thread(target=self._reboot, args=(host, down_for, now), daemon=True)
            thread.start()
            self._threads.append(thread)
        return now

    def _reboot(self, host: str, down_for: float, since: str) -> None:
        time.sleep(down_for)
        self.revive(host, since)

    def revive(self, host: str, since: str) -> None:
        """Boot a host and let the alerting say that it answers again."""
        self.stage.fleet.boot(host)
        self.booted[host] = time.monotonic()
        self._post(oops.down(host, since, _now()))
        self.stage.console.print(f"  [green]↑ {host}[/green] is back", highlight=False)

    def _post(self, *alerts: Mapping[str, Any]) -> None:
        answer = httpx.post(
            f"{self.stage.url}/intake/alertmanager", json=oops.webhook(*alerts), timeout=10
        )
        answer.raise_for_status()

    def rage(self, spared: set[str], pause: float = 2.5) -> None:
        """Crash one vulnerable host after the other until none is left or ``stop`` is set.

        A host takes traffic, and so can crash again, ``UPTIME`` seconds after its boot.
        """
        while not self.stop.wait(pause):
            prey = [
                name
                for name in self.stage.fleet.hosts
                if name not in spared
                and time.monotonic() - self.booted.get(name, 0.0) > UPTIME
                and self.stage.fleet.alive(name)
                and self.stage.fleet.read(name, self.stage.knob) == "1"
            ]
            if prey:
                self.strike(self.chance.choice(prey), oops.ESTATS)

    def settle(self) -> None:
        """Stop crashing and wait for the reboots."""
        self.stop.set()
        for thread in self._threads:
            thread.join(timeout=30)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def play(stage: Stage) -> dict[str, Any]:
    """Play the whole night and return what the summary shows."""
    with (
        Client(stage.url, stage.tokens["dana"]) as dana,
        Client(stage.url, stage.tokens["sam"]) as sam,
    ):
        night = Night(stage)
        _say(stage, "23:52  Hosts begin to panic. Each dead one pushes its load onto the next.")
        names = [n for n in sorted(stage.fleet.hosts) if stage.fleet.hosts[n].patched]
        late = names[-1]
        night.strike(names[-2], oops.ESTATS)
        night.strike(names[-3], oops.ESTATS)
        rage = threading.Thread(target=night.rage, args=({names[0], late},), daemon=True)
        rage.start()
        first = _proposal(stage, dana, "INC-1")
        show(stage.console, read_card(dana.say(["status", "INC-1"]).card))
        show(stage.console, read_card(dana.say(["details", first]).card))
        _refused(stage, sam, first)
        since = night.strike(late, oops.ESTATS, down_for=None)
        _approve(stage, dana, first)
        _carry_through(stage, dana, "INC-1", first)
        _say(stage, f"{late} was down through all of this and is owed. It boots now.")
        night.revive(late, since)
        _wait(stage, lambda: _owed(dana, "INC-1") == 0, "every owed host to be back", 60)
        night.settle()
        _wait(stage, lambda: _owed(dana, "INC-1") == 0, "every owed host to be verified", 60)
        second = _second(stage, dana, night)
        drift = _drift(stage, dana, names[1])
        return _end(stage, dana, (first, second), drift, night.crashes)


def _say(stage: Stage, text: str) -> None:
    stage.console.print(f"\n[bold]{text}[/bold]", highlight=False)


def _status(client: Client, incident: str) -> dict[str, Any]:
    data = client.say(["status", incident]).data
    assert isinstance(data, dict)
    return data


def _owed(client: Client, incident: str) -> int:
    hosts = _status(client, incident)["hosts"]
    return int(hosts["owed"]) + int(hosts["unknown"])


def _wait(stage: Stage, ready: Callable[[], bool], what: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if ready():
                return
        except HoldfastError:
            pass
        time.sleep(0.3)
    raise UnavailableError(
        f"the story waited {seconds:.0f} s for {what}", next=f"look at {stage.url}/incidents"
    )


def _proposal(stage: Stage, client: Client, incident: str) -> str:
    """Wait for the incident's open proposal and return its id."""
    found: list[str] = []

    def ready() -> bool:
        found[:] = [p["id"] for p in _status(client, incident)["proposals"] if p["state"] == "open"]
        return bool(found)

    _wait(stage, ready, f"a proposal for {incident}", 60)
    return found[-1]


def _refused(stage: Stage, sam: Client, proposal: str) -> None:
    _say(stage, "Sam, a responder, tries to approve:")
    try:
        sam.say(["approve", proposal])
    except HoldfastError as error:
        stage.console.print(f"  refused: {error.what}", highlight=False)


def _approve(stage: Stage, dana: Client, proposal: str) -> None:
    digest = dana.say(["details", proposal]).data["digest"][:12]
    _say(stage, f"Dana, the incident commander, decides on {proposal} (digest {digest}).")
    if stage.ask(f"approve {proposal} as the commander? [y/N] ").strip().lower() not in {
        "y",
        "yes",
    }:
        dana.say(["reject", proposal, "not tonight"])
        raise HoldfastError(
            f"{proposal} was rejected, so the fleet was not touched",
            next="make demo plays it again",
        )
    answer = dana.say(["approve", proposal, "--digest", digest])
    stage.console.print(f"  {answer.card['title']}", highlight=False)


def _carry_through(stage: Stage, dana: Client, incident: str, proposal: str) -> None:
    """Follow a rollout to its end; a gate that halts it is the commander's to decide on."""
    while _follow(stage, dana, incident, proposal, {"done", "halted"}) == "halted":
        _say(stage, "A gate halted the rollout. Dana lets it go on under the same digest.")
        dana.say(["resume", proposal])


def _follow(stage: Stage, client: Client, incident: str, proposal: str, until: set[str]) -> str:
    """Print the timeline as it grows until the proposal has reached one of the states."""
    seen = len(client.say(["timeline", incident]).data)
    end = time.monotonic() + 90
    while time.monotonic() < end:
        entries = client.say(["timeline", incident]).data
        for entry in entries[seen:]:
            if not entry["kind"].startswith("alert."):
                stage.console.print(f"  · {entry['text']}", highlight=False, markup=False)
        seen = len(entries)
        states = {p["id"]: p["state"] for p in _status(client, incident)["proposals"]}
        if states[proposal] in until:
            return str(states[proposal])
        time.sleep(0.3)
    raise UnavailableError(f"{proposal} did not end", next=f"look at {stage.url}")


def _second(stage: Stage, dana: Client, night: Night) -> str:
    _say(stage, "00:31  Another crash, another cause: the SACK panic. Its knob is real as it is.")
    night.strike(max(stage.fleet.hosts), oops.SACK, down_for=3)
    second = _proposal(stage, dana, "INC-2")
    show(stage.console, read_card(dana.say(["details", second]).card))
    _approve(stage, dana, second)
    _carry_through(stage, dana, "INC-2", second)
    _wait(stage, lambda: _owed(dana, "INC-2") == 0, "the last host to be verified", 60)
    return second


def _drift(stage: Stage, dana: Client, host: str) -> float:
    """Play config management: flip the value back, and measure how long it stays so."""
    _say(stage, f"01:10  Config management flips {stage.knob} back to 1 on {host}.")
    before = _status(dana, "INC-1")["hold"]["restores"]
    stage.fleet.write(host, stage.knob, "1")
    began = time.monotonic()

    def restored() -> bool:
        return bool(_status(dana, "INC-1")["hold"]["restores"] > before)

    _wait(stage, restored, "the hold to restore", 45)
    seconds = time.monotonic() - began
    value = stage.fleet.read(host, stage.knob)
    stage.console.print(
        f"  the hold noticed and restored it after {seconds:.1f} s; {host} itself says {value}",
        highlight=False,
    )
    return seconds


def _end(
    stage: Stage, dana: Client, proposals: tuple[str, str], drift: float, crashes: int
) -> dict[str, Any]:
    """Compare what the bot claims with what every host says itself."""
    keys = {"INC-1": stage.knob, "INC-2": SACK_KNOB}
    claims: dict[str, Any] = {}
    for incident, key in keys.items():
        rows = dana.say(["hosts", incident]).data
        wrong = [row["host"] for row in rows if not _true(stage, row, key)]
        claims[incident] = {"hosts": _status(dana, incident)["hosts"], "wrong": wrong}
    dana.say(["note", "INC-1", "patched kernel is being built; the hold stays until then"])
    approvals = {p: dana.say(["details", p]).data for p in proposals}
    return {
        "claims": claims,
        "crashes": crashes,
        "drift": drift,
        "proposals": approvals,
        "status": {i: _status(dana, i) for i in keys},
    }


def _true(stage: Stage, row: Mapping[str, Any], key: str) -> bool:
    """Say whether the host itself agrees with the bot's word."""
    value = stage.fleet.read(row["host"], key)
    if row["outcome"] == "verified":
        return value == "0"
    if row["outcome"] == "not_applicable":
        return value is None
    return False
