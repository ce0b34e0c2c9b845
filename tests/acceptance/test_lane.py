"""The bulk lane beside Ansible's own, over real hosts that misbehave."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from bot.config import FleetPart
from bot.demo import enclave as place
from bot.demo.fleet import Fleet, HostSpec
from tests.acceptance.bot import wait_for
from tests.machine import PATIENCE

pytestmark = pytest.mark.fleet

RUN = """
import json, sys
from pathlib import Path
from bot.config import FleetPart
from bot.runner.ansible import Job, Results, run
from bot.runner.leash import Lease

job = json.load(open(sys.argv[1]))
events = []

class Noted(Results):
    def take(self, event):
        events.append(event)
        return super().take(event)

results = Noted()
directory = Path(job["directory"])
lease = Lease()
lease.write_to(directory / "lease")
status = run(
    Job(
        directory=directory,
        playbooks=(("play.yml", None),),
        inventory={"all": {"hosts": job["hosts"]}},
        variables={},
        fleet=FleetPart(**job["fleet"]),
        check=job["check"],
    ),
    results,
    lease,
)
raws = [{"host": r.host, "status": r.status, "lane": r.lane, "message": r.message}
        for r in results.raws(list(job["hosts"]))]
(directory / "said.json").write_text(json.dumps({"raws": raws, "events": events}))
"""
LEFT_OUT = {"holdfast_lane", "exception"}
QUICK = {"connect_timeout": 3, "forks": 20}
SAYS = """printf '{"holdfast":1,"phase":"probe","applicable":true}\\n'"""


class Said:
    """What one run said of each host."""

    def __init__(self, directory: Path, seconds: float) -> None:
        data = json.loads((directory / "said.json").read_text())
        self.raws = {raw["host"]: raw for raw in data["raws"]}
        self.events: list[dict[str, Any]] = data["events"]
        self.seconds = seconds

    def lane(self, host: str) -> str:
        return str(self.raws[host]["lane"])

    def results(self, host: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the host's events with their results, without times, lane and a remark of 2.19.

        The remark is "(traceback unavailable)"; of unreachable hosts the wording may differ.
        """
        found = []
        for event in self.events:
            data = event.get("event_data") or {}
            if data.get("host") == host:
                result = {k: v for k, v in (data.get("res") or {}).items() if k not in LEFT_OUT}
                if result.get("unreachable"):
                    result = {"unreachable": True, "changed": result["changed"]}
                found.append((event["event"], result))
        return found


class Lanes:
    """Runs playbooks on a fleet, over either lane."""

    def __init__(self, fleet: Fleet, scratch: Path) -> None:
        self.fleet, self._scratch, self._runs = fleet, scratch, 0

    def variables(self, name: str, **more: Any) -> dict[str, Any]:
        return {
            "ansible_host": self.fleet.address(name),
            "ansible_user": self.fleet.user,
            "ansible_ssh_private_key_file": str(self.fleet.key),
            "ansible_ssh_common_args": f"-F none {' '.join(self.fleet.ssh_options)}",
            "ansible_python_interpreter": "/usr/bin/python3",
            **more,
        }

    def start(
        self,
        tasks: list[dict[str, Any]],
        hosts: Mapping[str, Mapping[str, Any]],
        *,
        check: bool = False,
        fleet: Mapping[str, Any] | None = None,
        **play: Any,
    ) -> tuple[Path, subprocess.Popen[bytes]]:
        self._runs += 1
        directory = self._scratch / f"run{self._runs}"
        (directory / "project").mkdir(parents=True)
        whole = {"hosts": "all", "gather_facts": False, **play, "tasks": tasks}
        (directory / "project/play.yml").write_text(yaml.safe_dump([whole]))
        job = {"directory": str(directory), "hosts": hosts, "check": check}
        job["fleet"] = {**QUICK, **(fleet or {})}
        (directory / "job.json").write_text(json.dumps(job))
        root = str(Path(__file__).parents[2])
        env = {**os.environ, "PYTHONPATH": root}
        command = [sys.executable, "-c", RUN, str(directory / "job.json")]
        return directory, subprocess.Popen(command, env=env, cwd=root)

    def run(
        self, tasks: list[dict[str, Any]], hosts: Mapping[str, Mapping[str, Any]], **more: Any
    ) -> Said:
        began = time.monotonic()
        directory, child = self.start(tasks, hosts, **more)
        assert child.wait(timeout=120 * PATIENCE) == 0
        return Said(directory, time.monotonic() - began)


SPECS = ["ok-01", "ok-02", "fails-01", "says255-01", "loud-01", "secret-01", "wrongkey-01"]
DOWN = ["dead-01", "hangs-01", "dies-01"]


@pytest.fixture(scope="module")
def lanes(enclave: place.Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    specs = [HostSpec(name=name, pool="web") for name in [*SPECS, *DOWN, "user-01"]]
    root = tmp_path_factory.mktemp("lanes")
    with Fleet(root / "fleet", specs) as fleet:
        yield Lanes(fleet, root)


def payloads(lanes: Lanes) -> dict[str, dict[str, Any]]:
    """Return hosts, each with what its command does."""
    other = lanes.fleet.root / "other_known_hosts"
    other.write_text(
        f"{lanes.fleet.address('wrongkey-01')} {(lanes.fleet.root / 'id.pub').read_text()}"
    )
    options = " ".join(lanes.fleet.ssh_options).replace(str(lanes.fleet.known_hosts), str(other))
    special: dict[str, dict[str, Any]] = {
        "fails-01": {"payload": "echo out; echo err >&2; exit 3"},
        "loud-01": {"payload": "head -c 90000 /dev/zero | tr '\\0' x; echo end"},
        "wrongkey-01": {"ansible_ssh_common_args": f"-F none {options}"},
    }
    names = [name for name in SPECS if name != "says255-01"]
    return {
        name: lanes.variables(
            name, **{"payload": "echo changed; hostname", **special.get(name, {})}
        )
        for name in names
    }


RAW = {
    "ansible.builtin.raw": "{{ payload }}",
    "args": {"executable": "/bin/sh"},
    "register": "said",
    "changed_when": "'changed' in said.stdout",
}
TASKS: list[dict[str, Any]] = [
    {"ansible.builtin.assert": {"that": "payload is defined", "quiet": True}, "run_once": True},
    {"name": "write", **RAW},
    {"name": "again", **RAW, "failed_when": "said.rc == 9"},
    {"name": "hidden", "ansible.builtin.raw": "echo hush", "no_log": True},
    {"name": "read", "ansible.builtin.raw": "echo {{ said.rc }}", "check_mode": False},
]


def test_both_lanes_say_the_same_of_a_mixed_fleet(lanes):
    hosts = payloads(lanes)
    lanes.fleet.crash("dead-01")
    hosts["dead-01"] = lanes.variables("dead-01", payload="true")
    bulk = lanes.run(TASKS, hosts)
    linear = lanes.run(TASKS, hosts, strategy="linear")
    lanes.fleet.boot("dead-01")
    for name in hosts:
        assert bulk.results(name) == linear.results(name), name
        assert bulk.raws[name]["status"] == linear.raws[name]["status"], name
    assert {name: bulk.lane(name) for name in ("ok-01", "fails-01", "dead-01")} == {
        "ok-01": "bulk",
        "fails-01": "bulk",
        "dead-01": "bulk",
    }
    assert bulk.lane("wrongkey-01").startswith("ordinary: HostKeyNotVerifiable")
    assert bulk.raws["wrongkey-01"]["status"] == "unreachable"
    assert "SOMETHING NASTY" in bulk.raws["wrongkey-01"]["message"]
    assert linear.lane("ok-01") == "ordinary"
    assert not any("hush" in json.dumps(event) for event in bulk.events)


def test_check_mode_runs_only_what_may_run(lanes):
    hosts = {"ok-01": lanes.variables("ok-01", payload="touch /etc/harm")}
    bulk = lanes.run(
        [*TASKS[1:2], {**TASKS[4], "ansible.builtin.raw": "echo x"}], hosts, check=True
    )
    assert [e for e, _ in bulk.results("ok-01")][1::2] == ["runner_on_skipped", "runner_on_ok"]
    assert lanes.fleet.run("ok-01", "test", "-e", "/etc/harm").returncode == 1
    assert bulk.lane("ok-01") == "bulk"  # what was skipped ran nowhere


def test_exit_255_and_a_command_that_a_signal_ends_are_failures_and_no_lost_hosts(lanes):
    hosts = {
        "says255-01": lanes.variables("says255-01", payload="echo here; exit 255"),
        "ok-01": lanes.variables("ok-01", payload="kill -9 $$"),
    }
    said = lanes.run([{"ansible.builtin.raw": "{{ payload }}"}], hosts)
    assert said.raws["says255-01"]["status"] == "failed"
    assert said.results("says255-01")[-1][1]["rc"] == 255
    assert said.raws["ok-01"] | {"message": ""} == {
        "host": "ok-01",
        "status": "failed",
        "lane": "bulk",
        "message": "",
    }
    assert said.results("ok-01")[-1][1]["rc"] == 137


def test_output_without_end_is_cut_and_fails_and_the_last_line_of_long_output_counts(lanes):
    long = f"head -c 3000000 /dev/zero | tr '\\0' x; echo; {SAYS}"
    hosts = {
        "loud-01": lanes.variables("loud-01", payload="yes"),
        "ok-01": lanes.variables("ok-01", payload=long),
    }
    said = lanes.run([{"ansible.builtin.raw": "{{ payload }}"}], hosts)
    assert said.raws["loud-01"]["status"] == "failed"
    assert said.raws["ok-01"]["status"] == "ok"
    result = said.results("ok-01")[-1][1]
    assert len(result["stdout"]) < 200_000
    assert "bytes left out" in result["stdout"]
    assert '"phase":"probe"' in result["stdout_lines"][-1]
    assert len(json.dumps(said.events)) < 3_000_000


def test_a_server_that_hangs_is_unreachable_within_the_connect_timeout(lanes):
    pid = int((lanes.fleet.root / "hosts/hangs-01/pid").read_text().split()[0])
    sshd = psutil.Process(pid)
    sshd.suspend()
    try:
        hosts = {n: lanes.variables(n, payload="true") for n in ("hangs-01", "ok-01")}
        said = lanes.run(TASKS[1:2], hosts)
    finally:
        sshd.resume()
    assert said.raws["hangs-01"]["status"] == "unreachable"
    assert "within 3 s" in said.raws["hangs-01"]["message"]
    assert said.raws["ok-01"]["status"] == "ok"


def test_a_host_that_dies_in_mid_task_is_unreachable_within_ten_seconds(lanes):
    hosts = {n: lanes.variables(n, payload="true") for n in ("dies-01", "ok-02")}
    hosts["dies-01"]["payload"] = "touch /etc/begun; sleep 60"
    directory, child = lanes.start(TASKS[1:2], hosts)
    fleet = lanes.fleet
    wait_for(lambda: fleet.run("dies-01", "test", "-e", "/etc/begun").returncode == 0, 60)
    fleet.crash("dies-01")
    began = time.monotonic()
    assert child.wait(timeout=60 * PATIENCE) == 0
    said = Said(directory, time.monotonic() - began)
    fleet.boot("dies-01")
    ended = next(e for e in said.events if e["event"] == "runner_on_unreachable")
    assert ended["event_data"]["duration"] < 60
    assert said.raws["dies-01"]["status"] == "unreachable"
    assert said.raws["ok-02"]["status"] == "ok"
    assert (
        said.seconds < 20 * PATIENCE
    )  # ten for the host, the rest for Ansible to end on a busy machine


def test_another_user_than_root(lanes):
    if lanes.fleet.mode != "root":
        pytest.skip("a rootless fleet has one user")
    add = "echo op:x:1500:1500::/tmp:/bin/sh >> /etc/passwd; echo 'op:*:1::::::' >> /etc/shadow"
    assert lanes.fleet.run("user-01", "sh", "-c", add).returncode == 0
    hosts = {"user-01": lanes.variables("user-01", ansible_user="op")}
    said = lanes.run([{"ansible.builtin.raw": "id -u"}], hosts)
    assert said.lane("user-01") == "bulk"
    assert said.results("user-01")[-1][1]["stdout"] == "1500\n"


TASKS_LEFT: dict[str, dict[str, Any]] = {
    "when": {"when": "true"},
    "loop": {"loop": ["a", "b"]},
    "until": {"until": "true", "retries": 1},
    "environment": {"environment": {"A": "b"}},
    "delegate_to": {"delegate_to": "ok-02"},
    "throttle": {"throttle": 1},
}
"""Why a task takes the ordinary lane, and what of it is the reason."""


def test_tasks_that_the_bulk_lane_does_not_do_take_the_ordinary_one(lanes):
    tasks = [{"name": why, "ansible.builtin.raw": "echo", **t} for why, t in TASKS_LEFT.items()]
    tasks.append({"name": "ordinary", "ansible.builtin.raw": "echo"})
    hosts = {name: lanes.variables(name) for name in ("ok-01", "ok-02")}
    said = lanes.run(tasks, hosts)
    found: dict[str, str] = {}
    for event in said.events:
        data = event.get("event_data") or {}
        if event["event"] == "runner_on_ok" and data["host"] == "ok-01":
            found[data["task"]] = data["res"]["holdfast_lane"]
    assert found.pop("ordinary") == "bulk"
    assert set(found) == set(TASKS_LEFT)
    wrong = {w: lane for w, lane in found.items() if not lane.startswith(f"ordinary: {w}")}
    assert wrong == {}
    assert said.lane("ok-01").startswith("ordinary: when")  # a host is told by its first reason


HOSTS_LEFT: dict[str, tuple[str, dict[str, Any]]] = {
    "su-01": ("become", {"ansible_become": True, "ansible_become_method": "su"}),
    "local-01": ("connection local", {"ansible_connection": "local"}),
    "agent-01": (
        "ssh option forwardagent yes",
        {"ansible_ssh_extra_args": "-o ForwardAgent=yes"},
    ),
    "proxy-01": (
        "ssh option proxycommand",
        {"ansible_ssh_extra_args": "-o ProxyCommand='nc %h %p'"},
    ),
    "tty-01": ("it wants a terminal (use_tty)", {"ansible_ssh_use_tty": True}),
}
"""Names of one host, each with what keeps it off the bulk lane."""


def test_hosts_that_the_bulk_lane_cannot_reach_take_the_ordinary_one(lanes):
    hosts = {n: lanes.variables("ok-01", **more) for n, (_, more) in HOSTS_LEFT.items()}
    hosts["ok-02"] = lanes.variables("ok-02")
    said = lanes.run([{"ansible.builtin.raw": "echo hello"}], hosts)
    found = {name: said.lane(name) for name in HOSTS_LEFT}
    assert {
        name: lane
        for name, lane in found.items()
        if not lane.startswith(f"ordinary: {HOSTS_LEFT[name][0]}")
    } == {}
    assert said.lane("ok-02") == "bulk"


def test_a_key_exchange_that_the_bulk_lane_lacks_is_not_weakened(lanes):
    options = [*FleetPart().ssh_options[:3], "KexAlgorithms=ecdh-sha2-nistp521,curve25519-sha256"]
    fine = lanes.run(
        [{"ansible.builtin.raw": "true"}],
        {"ok-01": lanes.variables("ok-01")},
        fleet={"ssh_options": options},
    )
    quantum = [*options[:3], "KexAlgorithms=sntrup761x25519-sha512@openssh.com"]
    left = lanes.run(
        [{"ansible.builtin.raw": "true"}],
        {"ok-01": lanes.variables("ok-01")},
        fleet={"ssh_options": quantum},
    )
    assert fine.lane("ok-01") == "bulk"
    assert left.lane("ok-01").startswith("ordinary: key exchange sntrup761x25519-sha512")
    assert left.raws["ok-01"]["status"] == "ok"


def test_an_abort_in_mid_batch_leaves_nothing_behind(lanes):
    hosts = {
        n: lanes.variables(n, payload="touch /etc/begun; sleep 60") for n in ("ok-01", "ok-02")
    }
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    _, child = lanes.start(TASKS[1:2], hosts)
    wait_for(lambda: lanes.fleet.run("ok-01", "test", "-e", "/etc/begun").returncode == 0, 60)
    family = psutil.Process(child.pid).children(recursive=True)
    ansible = next(p for p in family if "ansible-playbook" in " ".join(p.cmdline()))
    ansible.terminate()
    timer = threading.Timer(30 * PATIENCE, child.kill)
    timer.start()
    child.wait(timeout=60 * PATIENCE)
    timer.cancel()
    assert child.returncode != -signal.SIGKILL, "it did not end by itself"
    assert {p.pid for p in psutil.Process().children(recursive=True)} <= before
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
