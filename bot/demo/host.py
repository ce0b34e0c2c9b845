"""One host of the fleet from the inside: namespaces, mounts, sysctl.d at boot, sshd as pid 1.

Runs as a process of its own (``python -m bot.demo.host``, machines as JSON on stdin), because it
forks and changes namespaces, which a process with threads must not.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bot.demo import kernel
from bot.demo.kernel import BIND, NODEV, NOEXEC, NOSUID, PRIVATE, RDONLY, REC, REMOUNT, mount

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOGIN = "fleet"  # the login name on a rootless host
KNOB = "net.ipv4.conf.estats0.log_martians"
SYSCTL_DIRS = ("/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The hardware of one host: its place on disk, its cable, its kernel, and who logs in.

    ``neighbour`` is the hardware address of the gateway if the host is not to ask for it. ``home``
    is the directory that outlives a reboot (``disk``) and holds the pid file; ``etc`` is
    the /etc that a new rootless disk starts from, empty in root mode. ``address`` has no prefix
    length; every fleet is a /16.
    """

    name: str
    home: str
    etc: str
    files: str
    address: str
    gateway: str
    mac: str
    link: str
    bridge: str
    patched: bool
    release: str
    boot_id: str
    neighbour: str = ""


def sysctl_file(key: str) -> Path:
    """Return the file of a sysctl key, written with dots or with slashes.

    As in sysctl(8): the first separator decides, and the other character is then part of a name
    (``net/ipv4/conf/eth0.100/rp_filter`` is ``net.ipv4.conf.eth0/100.rp_filter``).
    """
    dot, slash = key.find("."), key.find("/")
    if dot >= 0 and (slash < 0 or dot < slash):
        key = key.translate(str.maketrans("./", "/."))
    return Path("/proc/sys", *[part for part in key.split("/") if part not in ("", ".", "..")])


def sysctl_files(dirs: Sequence[str] = SYSCTL_DIRS, last: str = "/etc/sysctl.conf") -> list[Path]:
    """Return the files of ``sysctl --system`` in their true order: by name, then sysctl.conf."""
    found: dict[str, Path] = {}
    for folder in dirs:
        found.update({path.name: path for path in Path(folder).glob("*.conf")})
    return [*(found[name] for name in sorted(found)), Path(last)]


def settings(text: str) -> list[tuple[str, str]]:
    """Return the (key, value) lines of a sysctl file for ``net.*``; a host has no others."""
    found = []
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        key = key.strip().removeprefix("-")
        if equals and not key.startswith(("#", ";")) and key.startswith(("net.", "net/")):
            found.append((key, value.strip()))
    return found


def boot(machines: Sequence[Machine], *, deadline: float = 60) -> None:
    """Start these hosts side by side; return when each one's sshd answers.

    A crowd gets more than ``deadline`` seconds: 0.3 a host.
    """
    go_read, go = os.pipe()
    ready, ready_write = os.pipe()
    starters = [_start(machine, go_read, (go, ready), ready_write) for machine in machines]
    pids = [_pid(machine, starter) for machine, starter in zip(machines, starters, strict=True)]
    cables = "".join(
        f"link add {m.link} type veth peer name eth0 address {m.mac} netns {pid}\n"
        f"link set {m.link} master {m.bridge}\nlink set {m.link} up\n"
        for m, pid in zip(machines, pids, strict=True)
    )
    subprocess.run(["ip", "-batch", "-"], input=cables, text=True, check=True)
    for fd in (go, go_read, ready_write):
        os.close(fd)
    # Nobody is asked for before every eth0 is up: a lost ARP question costs a second.
    up = b""
    while chunk := os.read(ready, 4096):
        up += chunk
    dead = [m for m in machines if m.name not in up.decode().split()]
    if dead:
        log = Path(dead[0].home, "boot.log").read_text(encoding="utf-8").strip()
        sys.exit(f"{', '.join(m.name for m in dead)} did not boot: {log}")
    _await_banners(machines, time.monotonic() + max(deadline, 0.3 * len(machines)))


def _await_banners(machines: Iterable[Machine], end: float) -> None:
    for machine in machines:
        while True:
            try:
                with socket.create_connection((machine.address, 22), timeout=0.5) as wire:
                    if wire.recv(4) == b"SSH-":
                        break
            except OSError:
                if time.monotonic() > end:
                    sys.exit(f"{machine.name} does not answer on {machine.address}:22")
            time.sleep(0.02)


def _start(machine: Machine, go: int, unwanted: Iterable[int], ready: int) -> int:
    """Fork the process that makes the namespaces and forks the host's pid 1; return its pid."""
    starter = os.fork()
    if starter:
        return starter
    try:
        for fd in unwanted:
            os.close(fd)
        log = os.open(f"{machine.home}/boot.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(log, 2)
        # Opened now: the host's pivot_root moves this process along with it.
        file = os.open(f"{machine.home}/pid", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        kernel.unshare()
        pid = os.fork()
        if pid == 0:
            _become(machine, go, ready)
        os.write(file, str(pid).encode())
    except BaseException:  # whatever it was, a forked child must end here
        traceback.print_exc()
        raise
    finally:
        os._exit(0)


def _become(machine: Machine, go: int, ready: int) -> NoReturn:
    """Turn this process, pid 1 of its namespaces, into the host."""
    os.setsid()
    kernel.sethostname(machine.name)
    rootless = os.getuid() != 0
    mount(None, "/", None, REC | PRIVATE)
    root = _disk(machine, rootless=rootless)
    _proc(root, machine)
    _devices(root)
    kernel.pivot(root)
    if not rootless:
        _unlock_root()
        kernel.drop_dangerous()
    Path("/etc/hostname").write_text(f"{machine.name}\n", encoding="ascii")
    hosts = f"127.0.0.1 localhost\n{machine.address} {machine.name}\n"
    Path("/etc/hosts").write_text(hosts, encoding="ascii")
    os.read(go, 1)  # ends when the cable is in
    _network(machine)
    _sysctls(machine)
    os.write(ready, f"{machine.name}\n".encode())
    sshd = shutil.which("sshd", path=PATH) or "/usr/sbin/sshd"
    log = os.open("/run/sshd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for fd, source in ((0, os.open("/dev/null", os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(source, fd)
    os.execve(sshd, [sshd, "-D", "-e", "-f", "/etc/fleet/sshd_config"], {"PATH": PATH})  # noqa: S606


def _disk(machine: Machine, *, rootless: bool) -> Path:
    """Mount the host's root file system and return where; its disk is all that outlives it.

    With root: an overlay over the whole machine. Without: one uid is mapped, so nothing can be
    copied up; the machine is read-only there and only an own /etc and home are on the disk.
    """
    home = Path(machine.home)
    root, disk = home / "root", home / "disk"
    for folder in (root, disk / "upper", disk / "work", disk / "login"):
        folder.mkdir(parents=True, exist_ok=True)
    if rootless:
        if not (disk / "etc").exists():
            shutil.copytree(machine.etc, disk / "etc", symlinks=True)
        mount("/", root, None, BIND | REC)
        kernel.make_read_only(root)
        mount(disk / "etc", root / "etc", None, BIND)
    else:
        layers = f"lowerdir=/,upperdir={disk / 'upper'},workdir={disk / 'work'}"
        mount("overlay", root, "overlay", 0, layers)
        mount("sysfs", root / "sys", "sysfs", RDONLY)
    for name, bits in (("tmp", 1777), ("var/tmp", 1777), ("run", 755)):
        mount("tmpfs", root / name, "tmpfs", NOSUID | NODEV, f"mode={bits},size=64m")
    login = root / ("run/login" if rootless else "root")
    for wanted in (login, root / "run/sshd", root / "etc/sysctl.d"):
        wanted.mkdir(exist_ok=True)
    mount(disk / "login", login, None, BIND)
    shutil.copytree(machine.files, root / "etc/fleet", dirs_exist_ok=True)
    return root


def _proc(root: Path, machine: Machine) -> None:
    """Mount /proc with only the host's own network settings writable, and its own kernel."""
    proc = root / "proc"
    mount("proc", proc, "proc", NOSUID | NODEV | NOEXEC)
    mount(proc / "sys/net", proc / "sys/net", None, BIND)
    mount(proc / "sys", proc / "sys", None, BIND | REC)
    _lock(proc / "sys")
    for name in ("sysrq-trigger", "irq", "bus", "fs"):
        if (proc / name).exists():
            mount(proc / name, proc / name, None, BIND)
            _lock(proc / name)
    own = root / "run/kernel"
    own.mkdir()
    for name, text in (("random/boot_id", machine.boot_id), ("osrelease", machine.release)):
        file = own / Path(name).name
        file.write_text(f"{text}\n", encoding="ascii")
        mount(file, proc / "sys/kernel" / name, None, BIND)


def _lock(path: Path) -> None:
    mount(None, path, None, REMOUNT | BIND | RDONLY | NOSUID | NODEV | NOEXEC)


def _devices(root: Path) -> None:
    """Give the host harmless devices only: no disks, no kernel memory."""
    dev = root / "dev"
    mount("tmpfs", dev, "tmpfs", NOSUID, "mode=755,size=1m")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (dev / name).touch()
        mount(f"/dev/{name}", dev / name, None, BIND)
        mount(None, dev / name, None, REMOUNT | BIND | RDONLY | NOSUID | NOEXEC)  # no chmod of it
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (dev / name).symlink_to(f"/proc/self/{target}")
    (dev / "shm").mkdir(mode=0o777)
    (dev / "pts").mkdir()
    mount("devpts", dev / "pts", "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    (dev / "ptmx").symlink_to("pts/ptmx")


def _unlock_root() -> None:
    """Open a root account that the distribution locked; sshd would refuse its keys too."""
    shadow = Path("/etc/shadow")
    text = shadow.read_text(encoding="utf-8") if shadow.exists() else ""
    if text.startswith("root:!"):
        field = text.split(":", 2)[1]
        shadow.write_text(text.replace(f"root:{field}:", "root:*:", 1), encoding="utf-8")


def _network(machine: Machine) -> None:
    lines = f"link set lo up\naddr add {machine.address}/16 dev eth0\nlink set eth0 up\n"
    lines += f"route add default via {machine.gateway}\n"
    if machine.neighbour:
        fixed = f"lladdr {machine.neighbour} dev eth0 nud permanent"
        lines += f"neigh add {machine.gateway} {fixed}\n"
    if machine.patched:
        lines += "link add estats0 type veth peer name estats1\nlink set estats0 up\n"
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True, env={"PATH": PATH})


def _sysctls(machine: Machine) -> None:
    """Set what a boot sets: the feature on where the kernel has it, then the persisted values."""
    if machine.patched:
        sysctl_file(KNOB).write_text("1", encoding="ascii")
    for file in sysctl_files():
        text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
        for key, value in settings(text):
            for path in Path("/").glob(str(sysctl_file(key))[1:]):
                try:
                    path.write_text(value, encoding="utf-8")
                except OSError as error:  # like sysctl(8): say it and go on
                    print(f"{file}: {key}: {error.strerror}", file=sys.stderr)


def _pid(machine: Machine, starter: int) -> int:
    """Await the starter; note the host's pid, with its start, for whoever cuts the power."""
    os.waitpid(starter, 0)
    file = Path(machine.home, "pid")
    pid = int(file.read_text(encoding="ascii") or "0")
    file.write_text(f"{pid} {kernel.started(pid)}", encoding="ascii")
    return pid


def main() -> None:
    """Boot the machines that stdin lists."""
    boot([Machine(**fields) for fields in json.load(sys.stdin)])


if __name__ == "__main__":
    main()
