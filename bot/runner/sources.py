"""What proposals are made from, read from disk, and the private copies of it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import math
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.config import Config
from bot.errors import BadInputError, ConflictError, HoldfastError
from bot.fleet.inventory import (
    Inventory,
    as_dict,
    differing,
    document,
    from_dict,
    narrowed,
    seals,
    told,
)
from bot.ports import Clock, Run
from bot.runbook.model import Library
from bot.runbook.playbook import other_strategies
from bot.runner import ansible, inventory, pin, plays, settings
from bot.runner.bookshelf import Bookshelf
from bot.runner.pin import SITE, Part
from bot.timeline.chain import canonical

log = logging.getLogger(__name__)

FRESH = 30.0
KEPT = 8
"""How many inventories of proposals are kept in memory."""


class DiskSources:
    """Runbooks and playbooks on disk, the inventory through Ansible."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._shelf = config.state_dir / "pinned"
        self._lock = threading.Lock()
        self.bookshelf = Bookshelf(config.path(config.runbooks), config.overrides, clock)
        self._last: Inventory | None = None
        self._earlier: Inventory | None = None
        self._reading = threading.Lock()
        self._began = -math.inf
        self._idle: dict[str, list[str]] = {}
        self._asked: float = 0.0
        self._tree = ""
        self._marks: Sequence[object] = ()
        self._left: tuple[str, ...] = ()
        self._kept: dict[str, Inventory] = {}
        self._handed: Inventory | None = None
        self.trouble = ""

    def library(self) -> Library:
        """Return the runbooks as they are now; read again only when a file has changed."""
        return self.bookshelf.library()

    def revision(self, runbook: str) -> str:
        """Return the sha256 of a runbook's file as it is now ('' if it is gone)."""
        source = self.library().sources.get(runbook)
        return hashlib.sha256(source[1].encode()).hexdigest() if source else ""

    def library_revision(self) -> str:
        """Return the git commit of the runbooks, or the hash of them all."""
        return self.bookshelf.revision()

    def inventory(self, age: float = 0.0) -> Inventory:
        """Resolve the inventory, or return a reading that began at most ``age`` seconds ago.

        A reading that is under way is waited for: several incidents need not each start one.
        """
        asked = time.monotonic()
        with self._reading:
            if self._last is not None and self._began >= asked - age:
                return self._last
            self._began = time.monotonic()
            return self._resolve()

    def _resolve(self) -> Inventory:
        try:
            found = inventory.resolve(
                self._config.fleet, self._config.path(self._config.fleet.inventory)
            )
        except HoldfastError as error:
            self.trouble = str(error)
            raise
        self._earlier, self._last, self.trouble = self._last, found, ""
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

    def other_strategies(self, names: Collection[str]) -> list[str]:
        """Name the plays of these playbooks (``file: strategy``) that are not linear."""
        return other_strategies(self._playbook_texts(), names)

    def prompting(self, names: Collection[str]) -> list[str]:
        """Name what these playbooks ask a person (``file: variable``)."""
        return plays.prompting(self._playbook_texts(), names)

    def _playbook_texts(self) -> dict[str, str]:
        root = self._config.path(self._config.playbooks)
        files = [path for path in root.rglob("*.y*ml") if path.is_file()]
        return {str(p.relative_to(root)): p.read_text(errors="replace") for p in files}

    def tree(self) -> str:
        """Return the hash of the playbooks as they are now; hashed again only after a change."""
        parts = self._parts()
        marks = [mark for part in parts for mark in pin.marks(part)]
        with self._lock:
            if marks != self._marks:
                self._tree, self._marks = pin.tree_hash(parts), marks
            return self._tree

    def pin(self) -> str:
        """Keep a private copy of the playbooks and return its hash."""
        return pin.pin_tree(self._parts(), self._shelf)

    def pinned(self, tree: str, name: str) -> str:
        """Return the text of a playbook in a private copy; raise ``NotFoundError``."""
        return pin.pinned_text(tree, name, self._shelf)

    def _parts(self) -> list[Part]:
        """Return what a run needs: the playbooks, and what the site's ``ansible.cfg`` names."""
        root = self._config.path(self._config.playbooks)
        if not root.is_dir():
            raise BadInputError(
                "there is no playbook directory", where=str(root), next="set playbooks"
            )
        if (root / SITE).exists():
            raise BadInputError(
                f"{SITE} is the name of a directory that the bot adds",
                where=str(root / SITE),
                next="rename it",
            )
        site = settings.read(self._config.fleet, self._config.path(self._config.fleet.inventory))
        if site.left != self._left:
            self._left = site.left
            log.info("ansible.cfg: not taken over", extra={"keys": ", ".join(site.left)})
        parts = [Part(place="", directory=root)]
        places = {"roles_path": ["../roles"], "collections_path": ["../collections"]}
        for key, directories in site.code.items():
            found = [d.resolve() for d in directories if d.is_dir()]
            for number, directory in enumerate(found):
                if directory.is_relative_to(root):
                    place = f"../{directory.relative_to(root).as_posix()}"
                else:
                    self._refuse_state(key, directory)
                    place = f"{key}/{number}"
                    parts.append(Part(place=f"{SITE}/{place}", directory=directory))
                places.setdefault(key, []).append(place)
        text = site.text(places)
        return [*parts, Part(place=f"{SITE}/ansible.cfg", text=text)]

    def _refuse_state(self, key: str, directory: Path) -> None:
        if self._config.state_dir.is_relative_to(directory):
            raise BadInputError(
                f"{key} of ansible.cfg names a directory that holds the bot's own state",
                where=str(directory),
                next="name the directory of the roles or plugins themselves",
            )

    def pin_hosts(self, inventory: Inventory, hosts: Sequence[str]) -> str:
        """Keep the keyed hashes of what these hosts resolve to; return the hash over them.

        What they resolve to, which may hold passwords, is kept in memory only.
        """
        pinned = pin.pin_data(self._sealed(inventory, hosts), self._shelf)
        with self._lock:
            self._kept.pop(pinned, None)
            self._kept[pinned] = narrowed(inventory, hosts)
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return pinned

    def idle_plays(self, spec: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
        """Return the plays of a run whose ``hosts:`` fits none of ``hosts``, as Ansible sees it."""
        pinned = str(spec["inventory"])
        asked = {key: spec[key] for key in ("tree", "inventory", "playbooks", "variables")}
        key = hashlib.sha256(canonical([asked, list(hosts)]).encode()).hexdigest()
        if key in self._idle:
            return self._idle[key]
        found = self._kept.get(pinned) or self.approved(hosts, pinned)
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch)
            pin.lay_out(spec["tree"], self._shelf, directory / "project")
            job = ansible.Job(
                directory=directory,
                playbooks=tuple((str(name), phase) for name, phase in spec["playbooks"]),
                inventory=document(found, hosts),
                variables=spec["variables"],
                fleet=self._config.fleet,
            )
            self._idle = {key: plays.idle(job)}
            return self._idle[key]

    def unsteady(self, hosts: Sequence[str]) -> str:
        """Name the variables that the inventory says anew at every reading; '' if there are none.

        Reads it once more only if the last two readings differ.
        """
        if self._earlier is None or self._last is None:
            return ""
        before = differing(self._earlier, self._last, hosts)
        if not before:
            return ""
        last = self._last
        now = differing(last, self.inventory(), hosts)
        return told({name: now[name] for name in before if name in now})

    def changed(self, pinned: str, hosts: Sequence[str]) -> str:
        """Name the variables that changed since ``pin_hosts`` returned ``pinned``; '' if unknown."""
        kept = self._kept.get(pinned)
        if kept is None or self._last is None:
            return ""
        return told(differing(kept, self._last, hosts))

    def hosts_hash(self, inventory: Inventory, hosts: Sequence[str]) -> str:
        """Return the hash that ``pin_hosts`` would return, keeping nothing."""
        sealed = canonical(self._sealed(inventory, hosts))
        return hashlib.sha256(sealed.encode()).hexdigest()

    def approved(self, hosts: Sequence[str], pinned: str) -> Inventory:
        """Return what ``pin_hosts`` saw of these hosts: from memory, else from the sources."""
        if self._handed is not None and not self._changed(self._handed, hosts, pinned):
            return self._handed
        found = self.inventory()
        if changed := self._changed(found, hosts, pinned):
            more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
            raise ConflictError(
                f"the inventory says something else of {', '.join(changed[:4])}{more} than when "
                "the proposal was made: variables or groups changed, or it is gone",
                next="nothing was run; take that change back, or propose again",
            )
        return found

    def hand_over(self, run: Run) -> bytes:
        """Return, for the memory of a run's supervisor, what ``approved`` would; b'' if unknown.

        So a run needs not read the inventory again, and goes on while a dynamic source is away.
        """
        pinned = str(run.spec.get("inventory", ""))
        with contextlib.suppress(HoldfastError, OSError):
            for found in (self._kept.get(pinned), self._last):
                if found is not None and not self._changed(found, run.hosts, pinned):
                    return json.dumps(as_dict(narrowed(found, run.hosts))).encode()
        return b""

    def take_over(self, data: bytes) -> None:
        """Remember what ``hand_over`` of another process returned."""
        self._handed = from_dict(json.loads(data)) if data else None

    def _changed(self, inventory: Inventory, hosts: Sequence[str], pinned: str) -> list[str]:
        """Return those of ``hosts`` that do not resolve to what ``pin_hosts`` saw."""
        file = self._shelf / f"{pinned}.json"
        text = file.read_text()
        if hashlib.sha256(text.encode()).hexdigest() != pinned:
            raise ConflictError(
                "the pinned hashes of the inventory were changed",
                where=str(file),
                next="nothing was run; find out who writes to the state directory",
            )
        before = json.loads(text)["hosts"]
        now = self._sealed(inventory, [h for h in hosts if h in inventory.own])["hosts"]
        return [h for h in hosts if h not in now or now[h] != before.get(h)]

    def _sealed(self, inventory: Inventory, hosts: Sequence[str]) -> dict[str, Any]:
        key = secret(self._config.state_dir / "timeline.key")
        own = hmac.new(key, b"inventory", hashlib.sha256).digest()
        return {"hosts": seals(inventory, hosts, own)}


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
