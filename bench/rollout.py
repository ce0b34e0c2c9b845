"""What a rollout costs, side by side over a real local fleet: ``python -m bench.rollout [SIZE…]``.

Each size is a fleet of real sshd hosts in namespaces. Measured for one sysctl, set, persisted and
read back on every host:

- ours: a supervisor as ``serve`` starts it, forked from the fork server, up to the recorded
  outcomes (supervisor, ansible-runner, bulk lane; the write and its separate read-back). What the
  fork server itself does for it counts; its own start, once in the life of the bot, is said apart
- program: the same by ``holdfast run``, which is what happens without a fork server
- bare: the same two payloads over asyncssh, nothing else: the limit
- plain: ``ansible-playbook`` with its default settings and the module-based equivalent
- raw: one ``raw`` payload over Ansible's ordinary lane with our settings
- probe and check: the exposure probe, and the module-based playbook in check mode
- user and runner: an ordinary playbook of modules by ``ansible-playbook`` and through us

The variants take turns, so that they see the same machine; medians of ``--rounds``. CPU is that of
the whole controller process tree, not of the hosts. Every run wants the other value than the one
before, so each of them really writes, and what the hosts have afterwards is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bot.app import build
from bot.config import load
from bot.demo import enclave
from bot.demo.fleet import KNOB, Fleet, plan
from bot.layout import lay_out
from bot.ports import Run
from bot.runner import trace
from bot.runner.ansible import scrubbed
from bot.runner.forked import ForkServer
from bot.runner.launch import Launcher

ROOT = Path(__file__).resolve().parents[1]
SHELL = ROOT / "playbooks/files/sysctl.sh"
SLOW_LIMIT = 200  # plain Ansible is not run on larger fleets
MODULES = """\
- hosts: all
  tasks:
    - name: Persist the value
      ansible.builtin.lineinfile:
        path: /etc/sysctl.d/99-zz-bench.conf
        regexp: "^{{ key }} *="
        line: "{{ key }} = {{ value }}"
        create: true
        mode: "0644"
    - name: Load it
      ansible.builtin.command: sysctl -p /etc/sysctl.d/99-zz-bench.conf
      register: loaded
    - name: Compare what the kernel says
      ansible.builtin.assert:
        that: (key ~ ' = ' ~ value) in loaded.stdout
      when: not ansible_check_mode
"""
ORDINARY = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.command: uname -r
      changed_when: false
    - ansible.builtin.stat:
        path: /etc/sysctl.d
    - ansible.builtin.lineinfile:
        path: /etc/bench.conf
        line: "value = {{ value }}"
        create: true
        mode: "0644"
"""
BARE = """\
import asyncio, json, sys
import asyncssh
job = json.load(open(sys.argv[1]))
key = asyncssh.read_private_key(job["key"])
slots = asyncio.Semaphore(job["forks"])
async def one(address):
    async with slots:
        async with asyncssh.connect(
            address, username=job["user"], client_keys=[key], known_hosts=job["known"],
            config=None, agent_path=None, connect_timeout=30, kex_algs=["curve25519-sha256"],
        ) as connection:
            for command in job["commands"]:
                done = await connection.run(command)
            return '"safe":true' in done.stdout
async def main():
    said = await asyncio.gather(*map(one, job["addresses"]))
    assert all(said), said.count(False)
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run took: seconds, and MB at the peak of its first process."""

    wall: float
    cpu: float
    rss: float


@dataclass(slots=True)
class Place:
    """A fleet with a site beside it."""

    fleet: Fleet
    site: Path
    size: int
    value: int = 1
    runs: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    server: ForkServer | None = None

    @property
    def inventory(self) -> Path:
        return self.site / "inventory.ini"

    def next(self) -> str:
        self.value = 1 - self.value
        return str(self.value)


def measure(
    command: list[str], env: Mapping[str, str], cwd: Path, stdin: int | None = None
) -> Cost:
    """Run a command and return what it and all its children took; fail if it fails."""
    began = time.perf_counter()
    with (cwd / "bench.log").open("wb") as log:
        child = subprocess.Popen(command, env=env, cwd=cwd, stdin=stdin, stdout=log, stderr=log)
        peak = 0
        while True:
            peak = max(peak, _rss(child.pid))
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.02)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command[:3]} failed:\n{(cwd / 'bench.log').read_text()[-3000:]}")
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, rss=peak / 1024)


def _rss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(s.split()[1]) for s in text.splitlines() if s.startswith("VmHWM")), 0)


def payload(phase: str, value: str) -> str:
    head = [f"phase={phase}", f"key={KNOB}", f"wanted={value}", "ref=bench", "root="]
    return f"/bin/sh -c {shlex.quote(chr(10).join([*head, SHELL.read_text()]))}"


def ours(place: Place) -> Cost:
    return written(place, forked)


def program(place: Place) -> Cost:
    return written(place, started)


Way = Callable[[Place, list[str], Mapping[str, str], int], Cost]


def forked(place: Place, command: list[str], env: Mapping[str, str], stdin: int) -> Cost:
    """Carry a supervisor's command out by the fork server, as the bot does."""
    if place.server is None:
        place.server = served(place)
    server = place.server
    before, began, peak = _spent(server.pid), time.perf_counter(), 0
    log = os.open(place.site / "bench.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        child = server.fork(command, env, stdin, log)
        if child is None:
            sys.exit("there is no fork server")
        while (code := child.poll()) is None:
            peak = max(peak, _rss(child.pid))
            time.sleep(0.02)
    finally:
        os.close(log)
    wall = time.perf_counter() - began
    if code:
        sys.exit(f"{command[:3]} failed:\n{(place.site / 'bench.log').read_text()[-3000:]}")
    cpu = server.costs[child.pid] + _spent(server.pid) - before
    return Cost(wall=wall, cpu=cpu, rss=peak / 1024)


def started(place: Place, command: list[str], env: Mapping[str, str], stdin: int) -> Cost:
    """Carry a supervisor's command out as a program of its own."""
    return measure(command, env, place.site, stdin)


def served(place: Place) -> ForkServer:
    """Start the fork server; say what that costs."""
    began = time.perf_counter()
    server = ForkServer(place.site / "forkserver.log")
    while not server.ready:
        if not server.listen(60):
            sys.exit(f"no fork server:\n{(place.site / 'forkserver.log').read_text()[-3000:]}")
    place.notes["server"] = (
        time.perf_counter() - began,
        _spent(server.pid),
        _rss(server.pid) / 1024,
    )
    return server


def _spent(pid: int) -> float:
    """Return the CPU seconds of a process so far, without those of the children it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def written(place: Place, way: Way) -> Cost:
    value = place.next()
    writing = [["sysctl-set.yml", None], ["sysctl-read.yml", "verify"]]
    cost = supervised(place, writing, {"key": KNOB, "value": value, "ref": "bench"}, way)
    seen = place.notes["last"]
    safe = sum(bool(one.get("safe")) for one in seen.values())
    if safe != place.size:
        sys.exit(f"ours: {safe} of {place.size} hosts have the value: {list(seen.items())[:2]}")
    return cost


def probe(place: Place) -> Cost:
    reading = [["sysctl-read.yml", "probe"]]
    return supervised(place, reading, {"key": KNOB, "value": str(place.value)})


def runner(place: Place) -> Cost:
    return supervised(place, [["ordinary.yml", None]], {"value": place.next()})


def supervised(
    place: Place, playbooks: list[Any], variables: dict[str, Any], way: Way = forked
) -> Cost:
    """Queue a run and carry it out as the bot does: by a supervisor of its own."""
    place.runs += 1
    app = build(load(place.site / "holdfast.yml"))
    try:
        inventory = app.sources.known() or app.sources.inventory()
        hosts = tuple(place.fleet.hosts)
        with app.site.store.transaction("intake") as tx:
            incident = tx.open("bench")
        ident = f"{incident}.probe.1.{place.runs}"
        spec = {
            "request": 1,
            "tree": app.sources.pin(),
            "inventory": app.sources.pin_hosts(inventory, hosts),
            "playbooks": playbooks,
            "variables": variables,
            "pools": {},
        }
        run = Run(ident=ident, incident=incident, kind="probe", hosts=hosts, spec=spec)
        with app.site.store.transaction(incident) as tx:
            tx.queue(run)
        state = place.site / "state"
        command = Launcher(place.site / "holdfast.yml", state).command(ident)
        mark = {trace.MARK: str(state / "runs" / ident)}
        memory = os.memfd_create("inventory")
        try:
            os.write(memory, app.sources.hand_over(run))
            os.lseek(memory, 0, os.SEEK_SET)
            cost = way(place, command, {**os.environ, "PYTHONPATH": str(ROOT), **mark}, memory)
        finally:
            os.close(memory)
        entries = app.site.store.entries(incident)
        probed = [e for e in entries if e.kind == "exposure.probed"]
        place.notes["last"] = probed[-1].data["hosts"] if probed else {}
        left = place.site / "state/runs" / ident
        place.notes["disk"] = sum(f.stat().st_blocks * 512 for f in left.rglob("*") if f.is_file())
    finally:
        app.close()
    return cost


def bare(place: Place) -> Cost:
    value = place.next()
    job = {
        "key": str(place.fleet.key),
        "known": str(place.fleet.known_hosts),
        "user": place.fleet.user,
        "forks": 50,
        "addresses": [place.fleet.address(name) for name in place.fleet.hosts],
        "commands": [payload("apply", value), payload("verify", value)],
    }
    (place.site / "job.json").write_text(json.dumps(job))
    (place.site / "bare.py").write_text(BARE)
    return measure([sys.executable, "bare.py", "job.json"], dict(os.environ), place.site)


def playbook(place: Place, name: str, *words: str, env: Mapping[str, str] | None = None) -> Cost:
    program = str(Path(sys.executable).parent / "ansible-playbook")
    variables = ["-e", f"key={KNOB}", "-e", f"value={place.next()}"]
    command = [program, "-i", str(place.inventory), name, *variables, *words]
    plain = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(place.site / "tmp")}
    return measure(command, {**plain, **(env or {})}, place.site)


def plain(place: Place) -> Cost:
    return playbook(place, "modules.yml")


def check(place: Place) -> Cost:
    return playbook(place, "modules.yml", "--check")


def settings(place: Place) -> dict[str, str]:
    """Return our settings for Ansible, over its ordinary lane."""
    fleet = load(place.site / "holdfast.yml").fleet
    ours = {k: v for k, v in scrubbed(fleet).items() if "INVENTORY" not in k}  # that is the run's
    return {**ours, "ANSIBLE_STRATEGY": "linear"}


def raw(place: Place) -> Cost:
    return playbook(place, "playbooks/sysctl-set.yml", env=settings(place))


def user(place: Place) -> Cost:
    return playbook(place, "playbooks/ordinary.yml", env=settings(place))


Variant = Callable[[Place], Cost]
PAIRS: tuple[tuple[str, Variant, Variant, str, float, float], ...] = (
    ("plain / ours", plain, ours, "at least", 15.0, 15.0),
    ("ours / bare", ours, bare, "at most", 2.0, 2.5),
    ("program / bare", program, bare, "at most", 0.0, 0.0),
    ("raw / bare", raw, bare, "at most", 2.5, 0.0),
    ("runner / user", runner, user, "at most", 1.2, 1.2),
    ("check / probe", check, probe, "at least", 10.0, 10.0),
)
SLOW = {plain, check, runner, user}


def compare(place: Place, rounds: int, only: set[str]) -> bool:
    """Measure every variant in turns and print the ratios; False if a promise is broken."""
    pairs = [p for p in PAIRS if not only or only >= set(p[0].split(" / "))]
    if place.size > SLOW_LIMIT:
        pairs = [p for p in pairs if not SLOW & {p[1], p[2]}]
    wanted = list(dict.fromkeys(v for pair in pairs for v in pair[1:3]))
    costs: dict[Variant, list[Cost]] = {variant: [] for variant in wanted}
    disk = 0
    for _ in range(rounds):
        for variant in wanted:
            if variant in SLOW and len(costs[variant]) >= (rounds + 1) // 2:
                continue
            costs[variant].append(variant(place))
            disk = place.notes["disk"] if variant is ours else disk
    print(f"\n{place.size} hosts    wall s    CPU s   CPU ms/host   runs   (medians)")
    middle = {variant: _middle(found) for variant, found in costs.items()}
    for variant, one in middle.items():
        each = one.cpu * 1000 / place.size
        print(
            f"  {variant.__name__:<10} {one.wall:8.2f} {one.cpu:8.2f} {each:11.1f}"
            f" {len(costs[variant]):8}"
        )
    kept = True
    for name, upper, lower, word, wall, cpu in pairs:
        got = middle[upper].wall / middle[lower].wall, middle[upper].cpu / middle[lower].cpu
        fine = all(
            not limit or (g >= limit if word == "at least" else g <= limit)
            for g, limit in zip(got, (wall, cpu), strict=True)
        )
        kept &= fine
        limits = " and ".join(f"{n} {v:g}" for n, v in (("wall", wall), ("CPU", cpu)) if v)
        print(
            f"  {name:<16} wall {got[0]:6.2f}  CPU {got[1]:6.2f}   {word} {limits}:"
            f" {'kept' if fine else 'BROKEN'}"
        )
    if ours in middle:
        kept &= _sizes(place, middle[ours].rss, disk)
    return kept


def _middle(found: list[Cost]) -> Cost:
    def median(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in found))

    return Cost(wall=median("wall"), cpu=median("cpu"), rss=median("rss"))


def _sizes(place: Place, peak: float, disk: int) -> bool:
    wall, cpu, base = place.notes["server"]
    above, each = peak - base, disk / 1024 / place.size
    print(
        f"  fork server, once: {wall:.2f} s, {cpu:.2f} s of CPU, {base:.0f} MB, which its children"
        " share with it"
    )
    print(
        f"  supervisor {peak:.0f} MB at its peak, {above:.0f} MB above its imports (at most 60);"
        f" on disk {each:.2f} KB a host (at most 5)"
    )
    return above <= 60 and each <= 5


def prepare(site: Path, fleet: Fleet) -> Place:
    lay_out(site)
    place = Place(fleet, site, len(fleet.hosts))
    fleet.write_inventory(place.inventory)
    fleet_part = {"inventory": "inventory.ini", "connect_timeout": 30}  # the machine may be busy
    config = {"fleet": fleet_part, "people": {"dana": {"roles": ["commander"]}}}
    (site / "holdfast.yml").write_text(yaml.safe_dump(config))
    (site / "modules.yml").write_text(MODULES)
    (site / "playbooks/ordinary.yml").write_text(ORDINARY)
    return place


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rollout", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[50, 200])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", default=[], help="one of the variants")
    options = parser.parse_args()
    if enclave.mode() is None:
        enclave.enter([sys.executable, "-m", "bench.rollout", *sys.argv[1:]])
    kept = True
    for size in options.sizes:
        with (
            tempfile.TemporaryDirectory(prefix="rollout-") as scratch,
            Fleet(Path(scratch) / "fleet", plan(size, unpatched=0)) as fleet,
        ):
            place = prepare(Path(scratch) / "site", fleet)
            try:
                kept &= compare(place, options.rounds, set(options.only))
            finally:
                if place.server is not None:
                    place.server.close()
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
