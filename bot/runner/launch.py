"""Start a supervisor process for a queued run, in a session of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class Launcher:
    """Starts ``holdfast run IDENT`` so that it outlives the bot, and reaps what has ended."""

    def __init__(self, config: Path, log_dir: Path) -> None:
        self._config = config.resolve()
        self._log_dir = log_dir
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def launch(self, ident: str) -> None:
        """Start the supervisor unless this process started one that still lives."""
        self.reap()
        if ident in self._children:
            return
        self._log_dir.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "bot",
            "--config",
            str(self._config),
            "run",
            ident,
        ]
        with (self._log_dir / f"{ident}.log").open("ab") as log:
            self._children[ident] = subprocess.Popen(  # noqa: S603 - our own program, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=dict(os.environ),
            )

    def reap(self) -> None:
        """Collect supervisors that have ended."""
        for ident, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[ident]
