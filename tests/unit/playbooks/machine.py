"""A made-up machine: a directory with its own proc, sys and etc, and stand-ins for its programs."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES = Path(__file__).parents[3] / "playbooks/files"
SHELLS = [shell for shell in ("dash", "bash", "ksh", "busybox") if shutil.which(shell)]


@dataclass
class Said:
    """How a payload ended, and its answer ({} without one)."""

    rc: int
    err: str
    facts: dict[str, Any]


class Root:
    """A directory that a script takes for a machine's own, and one of the shells for it."""

    def __init__(self, root: Path, shell: str) -> None:
        self.root = root
        self.shell = [shell, "sh"] if shell == "busybox" else [shell]
        self.shell += ["--posix"] if shell == "bash" else []
        self.put("proc/sys/kernel/random/boot_id", "b00t-1d\n")
        self.put("proc/sys/kernel/osrelease", "6.1.0-test\n")

    def put(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def get(self, name: str) -> str:
        return (self.root / name).read_text()

    def execute(self, script: str, **environment: str) -> Said:
        """Run a script; its one line of output, if there is one, is an answer."""
        done = subprocess.run(
            [*self.shell, "-c", script],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )
        out = done.stdout.splitlines()
        assert len(out) <= 1, done.stdout
        assert not out or out[0].startswith('{"holdfast":1,')
        return Said(rc=done.returncode, err=done.stderr, facts=json.loads(out[0]) if out else {})


class Machine(Root):
    """Payloads run on it with ``root`` set to its directory, and its ``bin`` first on the path."""

    def has(self, name: str) -> bool:
        return (self.root / name).exists()

    def program(self, name: str, script: str) -> Path:
        """Put a shell script on the machine's path; ``$ROOT`` is the machine's directory."""
        path = self.put(f"bin/{name}", f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def run(self, payload: str, phase: str, **variables: str) -> Said:
        head = {"phase": phase, "ref": "P-1", "root": str(self.root), **variables}
        lines = [f"{name}={shlex.quote(value)}" for name, value in head.items()]
        script = [*lines, (FILES / "answer.sh").read_text(), (FILES / payload).read_text()]
        path = f"{self.root}/bin:{os.environ['PATH']}"
        said = self.execute("\n".join(script), PATH=path, ROOT=str(self.root))
        assert said.rc in {0, 1}, said.err
        return said

    def tree(self) -> dict[str, str]:
        """Return every file of /etc with its text: what a second run must not change."""
        files = (self.root / "etc").rglob("*") if self.has("etc") else ()
        return {str(f.relative_to(self.root)): f.read_text() for f in files if f.is_file()}
