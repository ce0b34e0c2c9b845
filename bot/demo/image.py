"""What the disk of every host starts from: keys, sshd's configuration, a small /etc."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from bot.demo import enclave, host

# Enough for shells, sshd, Python and sysctl; root mode has the machine's whole /etc under an overlay.
ETC = """
alternatives bash.bashrc debian_version environment host.conf inputrc iproute2 ld.so.cache
ld.so.conf ld.so.conf.d localtime login.defs mime.types os-release profile protocols python3
python3.11 python3.12 python3.13 services shells sysctl.conf sysctl.d timezone
"""
MANUALS = shutil.ignore_patterns("*.gz")
SSHD = """\
Port 22
HostKey /etc/fleet/hostkey
AuthorizedKeysFile /etc/fleet/authorized_keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PidFile none
PrintMotd no
PrintLastLog no
MaxStartups 200
MaxSessions 100
SetEnv PATH=/etc/fleet/bin:{path}
Subsystem sftp internal-sftp
"""
# A kernel release cannot be bound over uname(2); the question that runbooks ask is answered here.
UNAME = '#!/bin/sh\n[ "$*" = -r ] && exec cat /proc/sys/kernel/osrelease\nexec {uname} "$@"\n'


def make(root: Path, *, rootless: bool) -> None:
    """Make ``root/id`` (the login key), ``root/files`` (/etc/fleet) and rootless ``root/etc``."""
    files = root / "files"
    (files / "bin").mkdir(parents=True, exist_ok=True)
    for key in (files / "hostkey", root / "id"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f", str(key)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    shutil.copy(root / "id.pub", files / "authorized_keys")
    (files / "sshd_config").write_text(_sshd_config(), encoding="ascii")
    uname = files / "bin/uname"
    real = shutil.which("uname", path=host.PATH) or "/bin/uname"
    uname.write_text(UNAME.format(uname=real), encoding="utf-8")
    uname.chmod(0o755)
    if rootless:
        _make_etc(root / "etc")


def _sshd_config() -> str:
    config = SSHD.format(path=host.PATH)
    sshd = Path(enclave.find("sshd") or "/usr/sbin/sshd")
    if b"persourcepenalties" in sshd.read_bytes().lower():  # OpenSSH 9.8 and later
        config += "PerSourcePenalties no\n"
    return config


def _make_etc(folder: Path) -> None:
    """Make the /etc that rootless hosts start from: small, own, and with only local users."""
    folder.mkdir(exist_ok=True)
    for name in ETC.split():
        source = Path("/etc", name)
        with contextlib.suppress(OSError, shutil.Error):  # what this user may not read
            if source.is_dir():
                shutil.copytree(source, folder / name, symlinks=True, ignore=MANUALS)
            elif source.exists():
                shutil.copy(source, folder / name, follow_symlinks=False)
    nsswitch = "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"
    (folder / "nsswitch.conf").write_text(nsswitch, encoding="ascii")
    shell = shutil.which("bash", path=host.PATH) or "/bin/sh"
    passwd = (
        "root:x:0:0:root:/root:/bin/sh\n"
        f"{host.LOGIN}:*:{os.getuid()}:{os.getgid()}::/run/login:{shell}\n"
        "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )
    (folder / "passwd").write_text(passwd, encoding="ascii")
    # Without a group `tty`: its gid is not mapped, and sshd would try to give terminals to it.
    group = f"root:x:0:\n{host.LOGIN}:x:{os.getgid()}:\nnogroup:x:65534:\n"
    (folder / "group").write_text(group, encoding="ascii")
