"""The test fleet is real, its hosts are separate, and its self-test can fail."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bot.demo import enclave as place
from bot.demo import host
from bot.demo.fleet import KNOB, Fleet, HostSpec, plan
from bot.demo.selftest import Check, selftest
from bot.errors import BadInputError, HoldfastError, NotFoundError, UnavailableError
from tests.machine import PATIENCE

pytestmark = pytest.mark.fleet

ROOT = Path(__file__).resolve().parents[2]
STRANGER = 4242  # a uid without an entry in /etc/passwd
PERSISTED = "/etc/sysctl.d/99-zz-test.conf"


def enter(*argv: str, **options: Any) -> subprocess.Popen[str]:
    """Start a command in an enclave of its own."""
    command = [sys.executable, "-m", "bot.demo.enclave", *argv]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, **options)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ended(marker: str, *, within: float = 5.0 * PATIENCE) -> bool:
    """Whether no process has ``marker`` in its command line, soon."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if not any(marker in line for line in command_lines()):
            return True
        time.sleep(0.02)
    return False


def command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_text(errors="replace").replace("\0", " ")
        except OSError:
            continue


def failed(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if not check.ok}


def test_the_selftest_passes_on_a_real_fleet(fleet):
    checks = selftest(fleet)
    assert failed(checks) == set()
    assert len(checks) >= 15


def test_the_selftest_fails_when_boot_ids_are_the_machines(make_fleet):
    fleet = make_fleet(*plan(2))
    for name in fleet.hosts:
        undone = fleet.run(name, "umount", "-i", "-n", "/proc/sys/kernel/random/boot_id")
        assert undone.returncode == 0, undone.stderr
    assert failed(selftest(fleet)) == {"two hosts differ in boot id"}


def test_the_selftest_fails_when_the_machines_settings_can_be_written(make_fleet):
    fleet = make_fleet(*plan(2))
    name = next(iter(fleet.hosts))
    assert fleet.run(name, "mount", "-o", "remount,bind,rw", "/proc/sys").returncode == 0
    assert "a write to kernel.core_pattern is refused" in failed(selftest(fleet))


def test_the_selftest_fails_when_an_unpatched_host_has_the_knob(make_fleet):
    fleet = make_fleet(*plan(2))
    (name,) = [name for name, spec in fleet.hosts.items() if not spec.patched]
    made = fleet.run(
        name, *["ip", "link", "add", "estats0", "type", "veth", "peer", "name", "estats1"]
    )
    assert made.returncode == 0
    assert failed(selftest(fleet)) == {"two hosts differ in the presence of the knob"}


def test_the_selftest_fails_when_a_write_reaches_other_hosts(make_fleet):
    class Leaky(Fleet):
        def write(self, name, key, value):
            for each in self.hosts:
                if self.read(each, key) is not None:
                    super().write(each, key, value)

    assert "a setting that is written stays on its host" in failed(
        selftest(make_fleet(*plan(3), kind=Leaky))
    )


def test_the_selftest_fails_when_a_boot_forgets_the_disk(make_fleet):
    class Forgetful(Fleet):
        def crash(self, *names):
            super().crash(*names)
            for name in names:
                self.wipe(name)

    assert failed(selftest(make_fleet(*plan(2), kind=Forgetful))) == {
        "/etc outlives a reboot",
        "a persisted value is in force at boot",
    }


def test_the_selftest_refuses_a_fleet_that_cannot_show_a_difference(make_fleet):
    with pytest.raises(BadInputError, match="unpatched"):
        selftest(make_fleet(HostSpec(name="web-01", pool="web")))


def test_only_patched_hosts_have_the_knob_and_it_is_on(fleet):
    assert {name: fleet.read(name, KNOB) for name in fleet.hosts} == {
        "web-01": "1",
        "web-02": "1",
        "db-01": None,
    }


def test_a_value_that_is_written_over_ssh_is_in_force_on_that_host_only(fleet):
    before = Path("/proc/sys/net/ipv4/tcp_sack").read_text()
    assert fleet.ssh("web-01", "sysctl -w net.ipv4.tcp_sack=0").returncode == 0
    assert fleet.read("web-01", "net.ipv4.tcp_sack") == "0"
    assert fleet.read("web-02", "net/ipv4/tcp_sack") == "1"
    assert Path("/proc/sys/net/ipv4/tcp_sack").read_text() == before
    fleet.write("web-01", "net.ipv4.tcp_sack", "1")


@pytest.mark.parametrize(
    ("files", "value"),
    [
        ({PERSISTED: f"# held\n{KNOB}=0\n"}, "0"),
        ({PERSISTED: f"-{KNOB.replace('.', '/')} = 0\n"}, "0"),
        ({PERSISTED: "net.ipv4.conf.*.log_martians = 0\n"}, "0"),
        ({PERSISTED: f"{KNOB}=0\n", "/etc/sysctl.d/98-other.conf": f"{KNOB}=1\n"}, "0"),
        ({PERSISTED: f"{KNOB}=0\n", "/etc/sysctl.conf": f"{KNOB}=1\n"}, "1"),
        ({PERSISTED: f"; {KNOB}=0\n"}, "1"),
    ],
    ids=["dots", "slashes", "pattern", "later name wins", "sysctl.conf is last", "comment"],
)
def test_a_boot_applies_persisted_values_in_the_order_of_sysctl_system(fleet, files, value):
    old = {path: fleet.run("web-02", "cat", path) for path in files}
    for path, text in files.items():
        fleet.run("web-02", "tee", path, input=text)
    fleet.reboot("web-02", down_for=0)
    assert fleet.read("web-02", KNOB) == value
    for path, shown in old.items():
        if shown.returncode == 0:
            fleet.run("web-02", "tee", path, input=shown.stdout)
        else:
            fleet.run("web-02", "rm", path)


def test_files_of_a_later_directory_replace_those_of_the_same_name(tmp_path):
    for folder, names in (("usr", ("10-a.conf", "50-b.conf")), ("etc", ("50-b.conf", "20-c.conf"))):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    found = host.sysctl_files([str(tmp_path / "usr"), str(tmp_path / "etc")], "last")
    assert [str(path.relative_to(tmp_path)) for path in found[:-1]] == [
        "usr/10-a.conf",
        "etc/20-c.conf",
        "etc/50-b.conf",
    ]
    assert found[-1] == Path("last")


def test_a_key_with_slashes_may_have_dots_in_its_names():
    assert host.sysctl_file("net/ipv4/conf/eth0.100/rp_filter") == host.sysctl_file(
        "net.ipv4.conf.eth0/100.rp_filter"
    )
    assert host.sysctl_file("net/../../etc/passwd") == Path("/proc/sys/net/etc/passwd")


def test_a_crash_is_a_power_cut_without_a_goodbye_and_hits_one_host_only(fleet):
    with socket.create_connection((fleet.address("web-01"), 22), timeout=5 * PATIENCE) as wire:
        assert wire.recv(4) == b"SSH-"
        wire.settimeout(0.3)
        while True:
            try:
                assert wire.recv(4096), "the dying host said goodbye"
            except TimeoutError:
                break
        fleet.crash("web-01")
        with pytest.raises(TimeoutError):
            wire.recv(1)
    assert [fleet.alive(name) for name in fleet.hosts] == [False, True, True]
    with pytest.raises(UnavailableError, match="web-01 is off"):
        fleet.read("web-01", KNOB)
    fleet.crash("web-01")
    fleet.boot("web-01", "web-02")
    assert fleet.alive("web-01")


def test_a_stale_pid_file_never_kills_another_process(fleet):
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        fleet.crash("db-01")
        (fleet.root / "hosts/db-01/pid").write_text(f"{bystander.pid} 1")
        assert not fleet.alive("db-01")
        fleet.crash("db-01")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    fleet.boot("db-01")


def test_a_partitioned_host_runs_on_unreached_until_it_is_healed(fleet):
    before = fleet.boot_id("web-02")
    fleet.partition("web-02")
    assert fleet.alive("web-02")
    with pytest.raises(OSError):  # noqa: PT011 - timeout or no route, both are right
        socket.create_connection((fleet.address("web-02"), 22), timeout=0.5)
    fleet.heal("web-02")
    shown = fleet.ssh("web-02", "cat /proc/sys/kernel/random/boot_id")
    assert shown.stdout.strip() == before


def test_a_host_can_hang_be_full_be_read_only_and_be_slow(make_fleet):
    fleet = make_fleet(HostSpec(name="web-01", pool="web"))
    name = "web-01"
    fleet.freeze_sshd(name)
    with socket.create_connection((fleet.address(name), 22), timeout=5 * PATIENCE) as wire:
        wire.settimeout(0.5)
        with pytest.raises(TimeoutError):
            wire.recv(1)
        fleet.thaw_sshd(name)
        wire.settimeout(10 * PATIENCE)
        assert wire.recv(4) == b"SSH-"
    fleet.fill_disk(name)
    full = fleet.ssh(name, "echo 123 > /etc/sysctl.d/x")
    assert (full.returncode == 0, "No space left" in full.stderr) == (False, True)
    fleet.make_read_only(name)
    refused = fleet.ssh(name, "touch /etc/x")
    assert (refused.returncode == 0, "Read-only file system" in refused.stderr) == (False, True)
    fleet.slow(name, 1.5)
    began = time.monotonic()
    assert fleet.ssh(name, "true").returncode == 0
    assert time.monotonic() - began > 1.5
    fleet.reboot(name)
    assert fleet.ssh(name, "touch /etc/sysctl.d/x").returncode == 0
    assert not Path("/etc/x").exists()
    fleet.slow(name, 0)
    assert fleet.run(name, "ls", "/root/.ssh/rc", "/run/login/.ssh/rc").returncode != 0


def test_a_wiped_host_has_forgotten_its_disk(fleet):
    fleet.run("db-01", "tee", "/etc/marker", input="x")
    with pytest.raises(BadInputError, match="crash it first"):
        fleet.wipe("db-01")
    fleet.crash("db-01")
    fleet.wipe("db-01")
    fleet.boot("db-01")
    assert fleet.run("db-01", "cat", "/etc/marker").returncode == 1
    assert not Path("/etc/marker").exists()


def test_sshd_takes_many_connections_at_once(fleet):
    with ThreadPoolExecutor(40) as pool:
        shown = list(pool.map(lambda _: fleet.ssh("web-01", "hostname").stdout, range(40)))
    assert set(shown) == {"web-01\n"}


def test_ansible_reaches_exactly_the_inventory(fleet, tmp_path):
    inventory = fleet.write_inventory(tmp_path / "fleet.ini")
    ansible = Path(sys.executable).with_name("ansible")
    done = subprocess.run(
        [ansible, "-i", inventory, "web", "-o", "-m", "raw", "-a", "uname -r"],
        check=False,
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            # A path below a test's directory can be too long for the socket of a shared connection.
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=no",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == ["web-01", "web-02"]
    assert done.stdout.count("6.12.9-fleet") == 2


def test_two_fleets_live_side_by_side_and_do_not_meet(fleet, make_fleet):
    other = make_fleet(HostSpec(name="web-01", pool="web"))
    assert other.address("web-01") != fleet.address("web-01")
    other.write("web-01", KNOB, "0")
    assert fleet.read("web-01", KNOB) == "1"


def test_twelve_hosts_each_boot_with_an_id_of_their_own(make_fleet):
    fleet = make_fleet(*plan(12))
    assert len({fleet.boot_id(name) for name in fleet.hosts}) == 12
    assert {spec.pool for spec in fleet.hosts.values()} == {"web", "db"}


def test_wrong_names_keys_and_fleets_are_refused_with_what_to_do(fleet, tmp_path):
    with pytest.raises(NotFoundError, match="no host mail-01"):
        fleet.crash("mail-01")
    with pytest.raises(BadInputError, match="only net"):
        fleet.write("web-01", "kernel.panic", "1")
    with pytest.raises(NotFoundError, match="cannot write"):
        fleet.write("db-01", KNOB, "0")
    with pytest.raises(BadInputError, match="different names"):
        Fleet(tmp_path, [HostSpec(name="a", pool="web"), HostSpec(name="a", pool="db")])
    with pytest.raises(HoldfastError, match="not up"):
        Fleet(tmp_path, plan(2)).address("web-01")


def test_the_enclave_passes_input_output_and_exit_status_through(enclave):
    with enter("sh", "-c", "cat; exit 7", stdin=subprocess.PIPE) as process:
        assert process.communicate("hello", timeout=60 * PATIENCE)[0] == "hello"
    assert process.returncode == 7
    with enter("no-such-program", stderr=subprocess.DEVNULL) as process:
        assert process.wait(timeout=60 * PATIENCE) == 127


def test_the_enclave_has_its_own_network_and_processes(enclave, fleet):
    script = "echo $HOLDFAST_ENCLAVE; ip -o link | wc -l; ps -e -o comm= | grep -c '^sshd$'"
    with enter("sh", "-c", script) as process:
        mode, links, daemons = process.communicate(timeout=60 * PATIENCE)[0].split()
    assert (mode, links, daemons) == (enclave, "1", "0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_enclave_stops_on_a_signal(enclave, number):
    with enter("sh", "-c", "echo up; exec sleep 61.25") as process:
        assert first_line(process) == "up"
        process.send_signal(number)
        assert process.wait(timeout=60 * PATIENCE) == 128 + number
    assert ended("sleep 61.25")


def test_nothing_outlives_an_enclave_that_is_killed(enclave):
    script = "setsid sleep 61.75 & sleep 61.75 & echo up; wait"
    with enter("sh", "-c", script) as process:
        assert first_line(process) == "up"
        process.kill()
    assert ended("sleep 61.75")


def test_a_socket_made_outside_serves_what_runs_inside(enclave):
    inside = (
        "import socket; s = socket.socket(fileno={fd}); print('up', flush=True);"
        "c, _ = s.accept(); c.sendall(b'from inside')"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = (
            "import sys; from bot.demo import enclave;"
            f"enclave.enter([sys.executable, '-c', {inside.format(fd=server.fileno())!r}],"
            f" pass_fds=[{server.fileno()}])"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            pass_fds=[server.fileno()],
        ) as process:
            assert first_line(process) == "up"
            with socket.create_connection(server.getsockname(), timeout=10 * PATIENCE) as wire:
                assert wire.recv(100) == b"from inside"
            assert process.wait(timeout=60 * PATIENCE) == 0


def test_support_says_what_is_possible_here(enclave):
    assert place.support().mode == enclave
    assert place.support(rootless=True).mode == "rootless"
    assert place.support().ok
    assert place.support().missing == ()


def test_support_names_what_is_missing_and_how_to_get_it(enclave, monkeypatch):
    present = place.find
    monkeypatch.setattr(place, "find", lambda name: None if name == "sshd" else present(name))
    place.support.cache_clear()
    try:
        found = place.support()
        assert found.missing == ("sshd",)
        assert not found.ok
        assert "apt-get install -y openssh-server" in found.reason
        with pytest.raises(UnavailableError, match="apt-get install"):
            place.enter(["true"])
    finally:
        place.support.cache_clear()


def test_a_fleet_outside_the_enclave_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("HOLDFAST_ENCLAVE", raising=False)
    with pytest.raises(UnavailableError, match="inside the enclave"):
        Fleet(tmp_path, plan(2)).up()


def test_the_selftest_passes_without_root(enclave):
    command = ["--rootless", sys.executable, "-m", "bot.demo.selftest"]
    with enter(*command) as process:
        shown = process.communicate(timeout=120 * PATIENCE)[0]
    assert process.returncode == 0, shown
    assert "FAIL" not in shown
    assert shown.count("ok ") >= 15


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a stranger")
def test_the_selftest_passes_as_a_user_that_the_machine_does_not_know(enclave, tmp_path):
    python = next(
        (
            path
            for path in ("/usr/bin/python3", sys.executable)
            if as_stranger(path).returncode == 0
        ),
        None,
    )
    if python is None:
        pytest.skip("no Python of at least 3.11 that another user may start, or no readable tree")
    home = Path("/tmp/holdfast-stranger")  # pytest's own directories are closed to others
    home.mkdir()
    try:
        os.chown(home, STRANGER, STRANGER)
        done = as_stranger(
            python, "-m", "bot.demo.enclave", python, "-m", "bot.demo.selftest", home=home
        )
    finally:
        shutil.rmtree(home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    assert done.stdout.count("ok ") >= 15


def as_stranger(*argv: str, home: Path = Path("/")) -> subprocess.CompletedProcess[str]:
    become = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
    if len(argv) == 1:
        argv = (*argv, "-c", "import sys, bot.errors; sys.exit(sys.version_info < (3, 11))")
    return subprocess.run(
        [*become, *argv],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120 * PATIENCE,
        env={"PATH": host.PATH, "HOME": str(home), "TMPDIR": str(home)},
    )
