"""One private place for fleet, bot, Ansible and tests: own network, mounts and process ids.

``python -m bot.demo.enclave [--rootless] CMD...`` runs CMD inside. The machine's network is never
touched, and every process inside dies with the outermost one, however that one ends.

Three processes: the *door* (the caller's own pid; it has become ``unshare`` and then waits), the
*init* (pid 1 inside; the kernel ends everything inside with it, and it ends with the door) and the
command.
"""

from __future__ import annotations

import argparse
import functools
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from bot.demo import host, kernel
from bot.errors import UnavailableError

MARK = "HOLDFAST_ENCLAVE"
FORCE_ROOTLESS = "HOLDFAST_ROOTLESS"
INSTALL = "apt-get install -y openssh-server openssh-client iproute2 util-linux"
PROGRAMS = ("sshd", "ip", "unshare", "nsenter", "ssh", "ssh-keygen")

Mode = Literal["root", "rootless"]
SHARED = ("--net", "--mount", "--pid", "--ipc", "--uts")
# Without --fork: the door forks the init itself, because util-linux's own waiting parent blocks
# SIGTERM and would leave a stopped enclave running.
FORWARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1}
FROM_TERMINAL = 0x80  # si_code SI_KERNEL: the whole foreground group has it already
MOMENT = "/tmp"  # noqa: S108 - covered for a moment, nothing is written there
GUEST = 1000  # the uid and gid that root plays inside a forced rootless enclave
ROOT = Path(__file__).resolve().parents[2]
INIT = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bot.demo import enclave; enclave.door()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """What this machine permits: the mode, the programs it lacks, and why if the mode is none."""

    mode: Literal["root", "rootless", "none"]
    missing: tuple[str, ...]
    reason: str

    @property
    def ok(self) -> bool:
        """Whether a fleet can be started here."""
        return self.mode != "none" and not self.missing


def mode() -> Mode | None:
    """Return the mode of the enclave that this process is in, or None outside."""
    found = os.environ.get(MARK)
    return "root" if found == "root" else "rootless" if found == "rootless" else None


def find(program: str) -> str | None:
    """Return the full path of a system program, also from the sbin directories."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{host.PATH}")


@functools.cache
def support(*, rootless: bool = False) -> Support:
    """Try the namespaces for real, once, and say what is possible here.

    ``rootless`` asks about the mode without root even if this process has root.
    """
    missing = tuple(name for name in PROGRAMS if find(name) is None)
    if "unshare" in missing:
        return Support(mode="none", missing=missing, reason=f"unshare is missing: {INSTALL}")
    modes: list[Mode] = ["rootless"] if rootless or os.geteuid() else ["root", "rootless"]
    reasons = []
    for candidate in modes:
        trial = subprocess.run(
            [*_unshare(candidate), "--fork", "--kill-child", "--mount-proc", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        if trial.returncode == 0:
            reason = f"missing {', '.join(missing)}: {INSTALL}" if missing else ""
            return Support(mode=candidate, missing=missing, reason=reason)
        reasons.append(f"{candidate}: {trial.stderr.strip() or 'unshare failed'}{_restriction()}")
    return Support(mode="none", missing=missing, reason="; ".join(reasons).replace("\n", " "))


def enter(argv: Sequence[str], *, pass_fds: Sequence[int] = (), rootless: bool = False) -> NoReturn:
    """Become a new enclave that runs ``argv`` and ends with its exit status.

    Descriptors in ``pass_fds`` (a listening socket made before) stay open for the command, under
    the same numbers. Raises UnavailableError where programs or namespaces are missing.
    """
    found = support(rootless=rootless or bool(os.environ.get(FORCE_ROOTLESS)))
    if found.mode == "none" or found.missing:
        raise UnavailableError(
            f"no fleet can run here: {found.reason}",
            next=INSTALL if found.missing else "run it as root, or permit user namespaces",
        )
    for fd in pass_fds:
        os.set_inheritable(fd, True)  # noqa: FBT003 - its only form
    os.environ[MARK] = found.mode
    command = [*_unshare(found.mode), "--", sys.executable, "-c", INIT, *argv]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606 - the command line is ours, no shell wanted


def door() -> NoReturn:
    """Stay outside as the caller's pid: start the init, pass signals in and its status out."""
    signal.signal(
        signal.SIGCHLD, signal.SIG_DFL
    )  # a caller that ignores it leaves nothing to await
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED | {signal.SIGCHLD})
    tied, tie = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(tied)
        _init(sys.argv[1:], mask, tie)
    os.close(tie)
    os.read(tied, 1)  # the init says that it will die with us; it stops if nobody is here to read
    os.closerange(3, 1 << 16)  # a socket that was handed in belongs to the command alone
    sys.exit(_wait(child))


def _init(argv: list[str], mask: set[int | signal.Signals], tie: int) -> NoReturn:
    """Be pid 1: set the place up, run the command, reap what is orphaned, end with it."""
    status = 70
    try:
        kernel.die_with_parent()
        os.write(tie, b".")
        os.close(tie)
        kernel.mount("proc", "/proc", "proc", kernel.NOSUID | kernel.NODEV | kernel.NOEXEC)
        _name_the_user()
        subprocess.run([find("ip") or "ip", "link", "set", "lo", "up"], check=True)
        child = os.fork()
        if child == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            _exec(argv)
        os.closerange(3, 1 << 16)
        status = _wait(child)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"enclave: {error}", file=sys.stderr)
    finally:
        os._exit(status)


def _exec(argv: list[str]) -> NoReturn:
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - running the given command is the purpose
    except OSError as error:
        print(f"enclave: {argv[0]}: {error.strerror}", file=sys.stderr)
    os._exit(127)


def _wait(child: int) -> int:
    """Pass signals on to ``child`` and reap everything until it ends; return its exit code."""
    while True:
        got = signal.sigwaitinfo(FORWARDED | {signal.SIGCHLD})
        if got.si_signo != signal.SIGCHLD:
            if got.si_code != FROM_TERMINAL:
                os.kill(child, got.si_signo)
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def _unshare(candidate: Mode) -> list[str]:
    command = [find("unshare") or "unshare", *SHARED]
    if candidate == "root":
        return command
    # Root that plays a user takes another uid inside: as uid 0 sshd would want more than one uid.
    who = f"--map-user={GUEST} --map-group={GUEST}".split()
    return [*command, "--user", *(["--map-current-user"] if os.geteuid() else who), "--keep-caps"]


def _name_the_user() -> None:
    """Give this uid a name if it has none: the ssh client refuses to run without."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        text = Path("/etc/passwd").read_text(encoding="utf-8")
        entry = f"{host.LOGIN}:x:{os.getuid()}:{os.getgid()}::{MOMENT}:/bin/sh\n"
        kernel.mount("tmpfs", MOMENT, "tmpfs", kernel.NOSUID | kernel.NODEV)
        Path(MOMENT, "passwd").write_text(text + entry, encoding="utf-8")
        kernel.mount(f"{MOMENT}/passwd", "/etc/passwd", None, kernel.BIND)
        kernel.unmount(MOMENT)  # the bound file keeps its file system


def _restriction() -> str:
    """Name the setting that commonly forbids user namespaces, if it is on here."""
    for name, bad in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("user/max_user_namespaces", "0"),
    ):
        path = Path("/proc/sys", name)
        if path.exists() and path.read_text(encoding="ascii").strip() == bad:
            return f" (sysctl {name.replace('/', '.')} is {bad})"
    return ""


def main() -> None:
    """Run a command inside a new enclave."""
    parser = argparse.ArgumentParser(prog="python -m bot.demo.enclave", description=__doc__)
    parser.add_argument("--rootless", action="store_true", help="without root even as root")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("which command?")
    try:
        enter(command, rootless=options.rootless)
    except UnavailableError as error:
        sys.exit(f"enclave: {error}")


if __name__ == "__main__":
    main()
