"""Private copies, addressed by their hash: what was approved is what runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.errors import BadInputError, ConflictError
from bot.timeline.chain import canonical


def tree_hash(root: Path) -> str:
    """Return the sha256 over every file's relative path and content below ``root``."""
    whole = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        data = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(root).as_posix()}\0{data}\n".encode())
    return whole.hexdigest()


def pin_tree(root: Path, shelf: Path) -> str:
    """Copy ``root`` to ``shelf/<hash>`` (if it is not there) and return the hash."""
    if not root.is_dir():
        raise BadInputError("there is no playbook directory", where=str(root), next="set playbooks")
    shelf.mkdir(parents=True, exist_ok=True)
    copy = Path(tempfile.mkdtemp(dir=shelf, prefix="new-"))
    try:
        shutil.copytree(root, copy, dirs_exist_ok=True)
        digest = tree_hash(copy)
        _settle(copy, shelf / digest)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return digest


def pin_data(value: Mapping[str, Any], shelf: Path) -> str:
    """Write JSON to ``shelf/<hash>.json``, readable by the bot alone, and return the hash."""
    shelf.mkdir(parents=True, exist_ok=True)
    text = canonical(value)
    digest = hashlib.sha256(text.encode()).hexdigest()
    target = shelf / f"{digest}.json"
    if not target.exists():
        handle, name = tempfile.mkstemp(dir=shelf)
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(name).replace(target)
    return digest


def lay_out(digest: str, shelf: Path, target: Path) -> None:
    """Copy a pinned tree to ``target`` and prove that it is still what was pinned."""
    shutil.copytree(shelf / digest, target, dirs_exist_ok=True)
    if tree_hash(target) != digest:
        raise ConflictError(
            "the pinned copy of the playbooks was changed",
            where=str(shelf / digest),
            next="nothing was run; find out who writes to the state directory",
        )


def _settle(copy: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        copy.rename(target)
    except OSError:
        if not target.exists():
            raise
