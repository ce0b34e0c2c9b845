"""The fleet: real sshd hosts on a bridge inside the enclave, with power, cable and disk."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from bot.demo import enclave, host, image, kernel
from bot.errors import BadInputError, NotFoundError, UnavailableError

KNOB = host.KNOB
LARGEST = 1000  # a bridge has 1023 ports
CROWD = 400
"""A larger fleet gets fixed neighbours: all network namespaces share the kernel's table of learned
ones, and 1024 are its usual limit. It asks nobody, so a dead host is silence to it, not 'no route'."""
BOOTER = (
    f"import sys; sys.path.insert(0, {str(enclave.ROOT)!r}); from bot.demo import host; host.main()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSpec:
    """One host of the fleet: its inventory name, pool and rack, and the kernel it plays.

    ``patched`` hosts have the interface ``estats0`` and with it the knob ``KNOB``, 1 at boot;
    ``release`` is the text of ``/proc/sys/kernel/osrelease``.
    """

    name: str
    pool: str
    rack: str = "r1"
    patched: bool = True
    release: str = "6.12.9-fleet"


class Fleet:
    """A fleet of ``hosts`` whose disks and keys live under ``root``.

    Works inside an enclave only. ``up()`` makes bridge and keys and boots every host; ``down()``
    ends the hosts and forgets their disks. Several fleets, each with its own network, and several
    processes of one enclave on the same fleet (same root and hosts) are fine.
    """

    def __init__(self, root: Path, hosts: Sequence[HostSpec]) -> None:
        self.root = root.resolve()
        self.hosts = {spec.name: spec for spec in hosts}
        self.mode = enclave.mode()
        self.user = "root" if self.mode == "root" else host.LOGIN
        self.key = self.root / "id"
        self.known_hosts = self.root / "known_hosts"
        if len(self.hosts) != len(hosts) or not 0 < len(hosts) <= LARGEST:
            raise BadInputError(
                f"{len(hosts)} hosts with {len(self.hosts)} different names are no fleet",
                next=f"give 1 to {LARGEST} hosts, each with its own name",
            )

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Make keys and network, then boot every host that is not alive."""
        if self.mode is None:
            raise UnavailableError(
                "a fleet lives inside the enclave only",
                next="start the command with `python -m bot.demo.enclave`",
            )
        self.root.mkdir(parents=True, exist_ok=True)
        if not self.key.exists():
            image.make(self.root, rootless=self.mode == "rootless")
        network = self.root / "network"
        if not network.exists():
            self._disks()
            network.write_text(str(self._bridge()), encoding="ascii")
            self._introduce()
            hostkey = (self.root / "files/hostkey.pub").read_text(encoding="ascii").split()[:2]
            entry = f"10.{self._number()}.*.* {' '.join(hostkey)}\n"
            self.known_hosts.write_text(entry, encoding="ascii")
        self.boot(*self.hosts)

    def down(self) -> None:
        """Cut the power of every host, remove the network, forget the disks."""
        if (self.root / "network").exists():
            self.crash(*self.hosts)
            _ip(f"link del {self._bridge_name()}", check=False)
            (self.root / "network").unlink()
        if (self.root / "hosts").is_mount():
            kernel.unmount(self.root / "hosts")
        shutil.rmtree(self.root / "hosts", ignore_errors=True)

    def boot(self, *names: str) -> None:
        """Switch these hosts on, side by side; return when each one's sshd answers."""
        machines = [self._machine(name) for name in names if not self.alive(name)]
        if not machines:
            return
        for machine in machines:
            Path(machine.home).mkdir(parents=True, exist_ok=True)
        booter = subprocess.run(
            [sys.executable, "-I", "-c", BOOTER],
            input=json.dumps([asdict(machine) for machine in machines]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={"PATH": host.PATH},
        )
        if booter.returncode != 0:
            raise UnavailableError(
                f"the hosts did not boot: {booter.stderr.strip()}",
                where=str(self.root),
                next="see boot.log in the host's directory",
            )

    def crash(self, *names: str) -> None:
        """Take hosts away like a power cut: the cable first, so that they say no goodbye."""
        links = [self._link(name) for name in names]
        _ip("".join(f"link set {link} down\n" for link in links), check=False)
        dying = [self._kill(name) for name in names]
        for descriptor in dying:
            if descriptor is not None:
                select.select([descriptor], [], [], 10)
                os.close(descriptor)
        for name in names:
            self._pid_file(name).unlink(missing_ok=True)
        _ip("".join(f"link del {link}\n" for link in links), check=False)

    def reboot(self, *names: str, down_for: float = 0.5) -> None:
        """Crash these hosts, leave them off for ``down_for`` seconds, boot them."""
        self.crash(*names)
        time.sleep(down_for)
        self.boot(*names)

    def partition(self, name: str) -> None:
        """Pull the host's cable; it runs on and nobody reaches it."""
        _ip(f"link set {self._link(name)} down")

    def heal(self, name: str) -> None:
        """Put the host's cable back."""
        _ip(f"link set {self._link(name)} up")

    def freeze_sshd(self, name: str) -> None:
        """Stop the host's sshd: it takes connections and never says a word."""
        os.kill(self._running(name), signal.SIGSTOP)

    def thaw_sshd(self, name: str) -> None:
        """Let the host's sshd go on; the connections that wait are served."""
        os.kill(self._running(name), signal.SIGCONT)

    def fill_disk(self, name: str) -> None:
        """Leave no byte free below /etc/sysctl.d, until the next boot."""
        full = "mount -t tmpfs -o size=4k full /etc/sysctl.d && head -c 4096 /dev/zero"
        self._do(name, f"{full} > /etc/sysctl.d/full")

    def make_read_only(self, name: str) -> None:
        """Let nobody write to /etc, until the next boot."""
        self._do(name, "mount --bind /etc /etc && mount -o remount,bind,ro /etc")

    def slow(self, name: str, seconds: float) -> None:
        """Let every command that comes over ssh begin so many seconds late; 0: no more."""
        home = "/root" if self.mode == "root" else "/run/login"
        rc = f"{home}/.ssh/rc"
        made = f"mkdir -p {home}/.ssh && echo 'sleep {seconds:g}' > {rc}"
        self._do(name, made if seconds else f"rm -f {rc}")

    def _do(self, name: str, script: str) -> None:
        done = self.run(name, "sh", "-c", script)
        if done.returncode != 0:
            raise UnavailableError(f"cannot do that: {done.stderr.strip()}", where=name)

    def wipe(self, name: str) -> None:
        """Forget the disk of a host that is off."""
        if self.alive(name):
            raise BadInputError(f"{name} is running", next="crash it first")
        shutil.rmtree(self._home(name) / "disk", ignore_errors=True)

    def alive(self, name: str) -> bool:
        """Whether the host has power; a partitioned host is alive."""
        self._spec(name)
        return self._pid(name) is not None

    def run(
        self,
        name: str,
        *argv: str,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host's console (no network needed); never raises for its status."""
        pid = self._running(name)
        inside = ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p"]
        environment = {"PATH": f"/etc/fleet/bin:{host.PATH}", "HOME": "/root", "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            [*inside, *argv],
            input=input,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=60,
        )

    def ssh(self, name: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command on the host over the network, as a person or Ansible would."""
        options = ["-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", *self.ssh_options]
        return subprocess.run(
            ["ssh", *options, "-i", str(self.key), f"{self.user}@{self.address(name)}", *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def ssh_options(self) -> list[str]:
        """The options that any ssh client of this fleet needs, beside key and user."""
        known = f"UserKnownHostsFile={self.known_hosts}"
        return ["-o", known, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"]

    def read(self, name: str, key: str) -> str | None:
        """Return the sysctl value that is in force on the host; None if there is no such knob."""
        shown = self.run(name, "cat", str(host.sysctl_file(key)))
        if shown.returncode == 0:
            return shown.stdout.strip()
        if "No such file" in shown.stderr:
            return None
        raise UnavailableError(
            f"cannot read {key}: {shown.stderr.strip()}", where=name, next="look at the host"
        )

    def write(self, name: str, key: str, value: str) -> None:
        """Set a ``net.*`` sysctl on the host until its next boot."""
        if not host.settings(f"{key}={value}"):
            raise BadInputError(f"{key} is not a host's own", next="only net.* can be written")
        done = self.run(name, "tee", str(host.sysctl_file(key)), input=value)
        if done.returncode != 0:
            raise NotFoundError(
                f"cannot write {key}: {done.stderr.strip()}", where=name, next="check the key"
            )

    def boot_id(self, name: str) -> str:
        """Return the host's boot id: another one after every boot."""
        return self.read(name, "kernel.random.boot_id") or ""

    def address(self, name: str) -> str:
        """Return the host's address; it exists inside the enclave only."""
        self._spec(name)
        place = list(self.hosts).index(name)
        return f"10.{self._number()}.{place // 200}.{place % 200 + 1}"

    def write_inventory(self, path: Path) -> Path:
        """Write an Ansible inventory (INI) with the pools as groups; return its path."""
        lines = []
        for pool in dict.fromkeys(spec.pool for spec in self.hosts.values()):
            lines.append(f"[{pool}]")
            lines += [
                f"{spec.name} ansible_host={self.address(spec.name)} rack={spec.rack}"
                for spec in self.hosts.values()
                if spec.pool == pool
            ]
            lines.append("")
        lines += [
            "[all:vars]",
            f"ansible_user={self.user}",
            f"ansible_ssh_private_key_file={self.key}",
            f"ansible_ssh_common_args=-F none {' '.join(self.ssh_options)}",
            "ansible_ssh_use_tty=false",
            "ansible_python_interpreter=/usr/bin/python3",
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def _disks(self) -> None:
        """Keep the disks in memory where root is itself an overlay, as in a container."""
        (self.root / "hosts").mkdir(exist_ok=True)
        asked = ["stat", "--file-system", "--format=%T", str(self.root)]
        kind = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        if self.mode == "root" and kind == "overlayfs":
            kernel.mount("tmpfs", self.root / "hosts", "tmpfs", kernel.NOSUID, "mode=755")

    def _introduce(self) -> None:
        """Tell the bridge of a large fleet who is where."""
        if len(self.hosts) <= CROWD:
            return
        name = self._bridge_name()
        machines = map(self._machine, self.hosts)
        known = [f"neigh add {m.address} lladdr {m.mac} dev {name} nud permanent" for m in machines]
        _ip("\n".join([f"link set {name} address {self._mac(0xFFFF)}", *known]))

    def _bridge(self) -> int:
        """Take the first free network number of this enclave."""
        for number in range(99, 255):
            made = _ip(f"link add hf{number} type bridge", check=False)
            if made.returncode == 0:
                _ip(f"addr add 10.{number}.255.254/16 dev hf{number}\nlink set hf{number} up")
                return number
            if "File exists" not in made.stderr:
                raise UnavailableError(
                    f"no bridge: {made.stderr.strip()}", next="load the kernel module `bridge`"
                )
        raise UnavailableError("every fleet network is taken", next="take a fleet down")

    def _machine(self, name: str) -> host.Machine:
        spec, number = self._spec(name), self._number()
        place = list(self.hosts).index(name)
        return host.Machine(
            name=name,
            home=str(self._home(name)),
            etc=str(self.root / "etc"),
            files=str(self.root / "files"),
            address=self.address(name),
            gateway=f"10.{number}.255.254",
            mac=self._mac(place),
            neighbour=self._mac(0xFFFF) if len(self.hosts) > CROWD else "",
            link=self._link(name),
            bridge=self._bridge_name(),
            patched=spec.patched,
            release=spec.release,
            boot_id=str(uuid.uuid4()),
        )

    def _mac(self, place: int) -> str:
        return f"02:66:00:{self._number():02x}:{place >> 8:02x}:{place & 255:02x}"

    def _spec(self, name: str) -> HostSpec:
        if name not in self.hosts:
            raise NotFoundError(f"no host {name} in the fleet", next=", ".join(self.hosts))
        return self.hosts[name]

    def _number(self) -> int:
        try:
            return int((self.root / "network").read_text(encoding="ascii"))
        except OSError as error:
            raise UnavailableError("the fleet is not up", next="call up()") from error

    def _bridge_name(self) -> str:
        return f"hf{self._number()}"

    def _link(self, name: str) -> str:
        self._spec(name)
        return f"hf{self._number()}p{list(self.hosts).index(name)}"

    def _home(self, name: str) -> Path:
        return self.root / "hosts" / name

    def _pid_file(self, name: str) -> Path:
        return self._home(name) / "pid"

    def _kill(self, name: str) -> int | None:
        """Kill the host's pid 1, and so all that runs there; return a descriptor to await it by."""
        try:
            pid, born = self._pid_file(name).read_text(encoding="ascii").split()
            descriptor = os.pidfd_open(int(pid))
        except (OSError, ValueError):
            return None
        # The descriptor pins the process, so that a reused pid cannot be hit after this test.
        if kernel.started(int(pid)) != born:
            os.close(descriptor)
            return None
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return descriptor

    def _running(self, name: str) -> int:
        pid = self._pid(name)
        if pid is None:
            raise UnavailableError(f"{name} is off", next=f"boot {name}")
        return pid

    def _pid(self, name: str) -> int | None:
        try:
            pid, born = self._pid_file(name).read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return None
        return int(pid) if kernel.started(int(pid)) == born else None


def plan(size: int, *, pools: Sequence[str] = ("web", "db"), unpatched: int = 1) -> list[HostSpec]:
    """Return ``size`` host specs spread over pools and racks, the last ones unpatched."""
    specs = []
    for place in range(size):
        pool, patched = pools[place % len(pools)], place < size - unpatched
        specs.append(
            HostSpec(
                name=f"{pool}-{place // len(pools) + 1:02d}",
                pool=pool,
                rack=f"r{place % 4 + 1}",
                patched=patched,
                release="6.12.9-fleet" if patched else "6.1.119-fleet",
            )
        )
    return sorted(specs, key=lambda spec: (pools.index(spec.pool), spec.name))


def _ip(lines: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [enclave.find("ip") or "ip", *([] if check else ["-force"]), "-batch", "-"],
        input=f"{lines}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        raise UnavailableError(f"ip: {done.stderr.strip()}", where=lines, next="is the host on?")
    return done
