"""What proposals are made from, read from disk, and the private copies of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.config import Config
from bot.errors import BadInputError, HoldfastError
from bot.fleet.inventory import Inventory
from bot.ports import Clock
from bot.runbook.disk import read_dir
from bot.runbook.load import load
from bot.runbook.model import Library
from bot.runbook.override import override
from bot.runner import ansible, inventory, pin, plays
from bot.timeline.chain import canonical

log = logging.getLogger(__name__)

FRESH = 30.0


class DiskSources:
    """Runbooks and playbooks on disk, the inventory through Ansible."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._shelf = config.state_dir / "pinned"
        self._lock = threading.Lock()
        self._texts: Mapping[str, str] = {}
        self._library: Library | None = None
        self._last: Inventory | None = None
        self._asked: float = 0.0
        self.trouble = ""

    def library(self) -> Library:
        """Return the runbooks as they are now; parsed again only when a file has changed."""
        root = self._config.path(self._config.runbooks)
        if not root.is_dir():
            raise BadInputError(
                "there is no runbook directory", where=str(root), next="set runbooks"
            )
        texts = read_dir(root)
        with self._lock:
            if self._library is None or texts != self._texts:
                self._library = override(load(texts), self._config.overrides)
                self._texts = texts
            return self._library

    def revision(self, runbook: str) -> str:
        """Return the sha256 of a runbook's file as it is now ('' if it is gone)."""
        source = self.library().sources.get(runbook)
        return hashlib.sha256(source[1].encode()).hexdigest() if source else ""

    def inventory(self) -> Inventory:
        """Resolve the inventory afresh."""
        try:
            found = inventory.resolve(
                self._config.fleet, self._config.path(self._config.fleet.inventory)
            )
        except HoldfastError as error:
            self.trouble = str(error)
            raise
        self._last, self.trouble = found, ""
        self._asked = self._clock.now().timestamp()
        return found

    def known(self, patience: float = 0.0) -> Inventory | None:
        """Return the last inventory that could be read, renewing it behind the caller's back.

        Intake names hosts by it: an alert never waits for a dynamic inventory. ``patience``
        (seconds) is how long a start waits for the first answer.
        """
        now = self._clock.now().timestamp()
        if now - self._asked > FRESH:
            self._asked = now
            renewal = threading.Thread(target=self._renew, daemon=True)
            renewal.start()
            renewal.join(patience)
        return self._last

    def _renew(self) -> None:
        try:
            self.inventory()
        except HoldfastError as error:
            log.warning("the inventory cannot be read", extra={"error": str(error)})

    def playbooks(self) -> frozenset[str]:
        """Return the names of the playbooks that there are now."""
        root = self._config.path(self._config.playbooks)
        return frozenset(path.name for path in root.glob("*.y*ml") if path.is_file())

    def tree(self) -> str:
        """Return the hash of the playbooks as they are now."""
        root = self._config.path(self._config.playbooks)
        if not root.is_dir():
            raise BadInputError(
                "there is no playbook directory", where=str(root), next="set playbooks"
            )
        return pin.tree_hash(root)

    def pin(self) -> str:
        """Keep a private copy of the playbooks and return its hash."""
        return pin.pin_tree(self._config.path(self._config.playbooks), self._shelf)

    def pin_hosts(self, inventory: Inventory, hosts: Sequence[str]) -> str:
        """Keep a private copy of these hosts' connection variables and return its hash."""
        return pin.pin_data(_pinned(inventory, hosts), self._shelf)

    def idle_plays(self, spec: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
        """Return the plays of a run whose ``hosts:`` fits none of ``hosts``, as Ansible sees it."""
        pinned = json.loads((self._shelf / f"{spec['inventory']}.json").read_text())
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch)
            pin.lay_out(spec["tree"], self._shelf, directory / "project")
            job = ansible.Job(
                directory=directory,
                playbooks=tuple((str(name), phase) for name, phase in spec["playbooks"]),
                hosts={host: pinned["hosts"][host] for host in hosts},
                pools=pinned["pools"],
                variables=spec["variables"],
                fleet=self._config.fleet,
            )
            return plays.idle(job)

    def hosts_hash(self, inventory: Inventory, hosts: Sequence[str]) -> str:
        """Return the hash that ``pin_hosts`` would return, keeping nothing."""
        return hashlib.sha256(canonical(_pinned(inventory, hosts)).encode()).hexdigest()


def _pinned(inventory: Inventory, hosts: Sequence[str]) -> dict[str, Any]:
    wanted = set(hosts)
    return {
        "hosts": {name: dict(inventory.hosts[name]) for name in sorted(wanted)},
        "pools": {
            pool: [h for h in members if h in wanted]
            for pool, members in sorted(inventory.pools.items())
        },
    }


def secret(path: Path) -> bytes:
    """Return the timeline's key, made on first use and readable by the bot alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
        Path(name).unlink()
    return bytes.fromhex(path.read_text().strip())
