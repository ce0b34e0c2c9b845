"""Private copies, addressed by their hash: what was approved is what runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.errors import BadInputError, ConflictError, NotFoundError
from bot.timeline.chain import canonical

SITE = ".holdfast"
"""Where a pinned tree keeps what the site's ``ansible.cfg`` adds to the playbooks."""
IGNORED = frozenset({".git", "__pycache__"})
"""Names that are neither hashed nor copied: no run needs them, and they change by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a pinned tree: a directory, or the text of one file, and its place in the tree."""

    place: str
    directory: Path | None = None
    text: str = ""


def tree_hash(parts: Sequence[Part]) -> str:
    """Return the sha256 over every file's place, content and whether it can be executed, and links.

    Raises ``BadInputError`` for what cannot be pinned: a link that leads out of its directory, an
    unreadable file, a socket or device.
    """
    lines = sorted(line for part in parts for line in _lines(part))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _lines(part: Part) -> Iterator[str]:
    if part.directory is None:
        yield f"{part.place}\0-\0{hashlib.sha256(part.text.encode()).hexdigest()}\n"
        return
    for path in _files(part.directory):
        inside = path.relative_to(part.directory).as_posix()
        place = f"{part.place}/{inside}" if part.place else inside
        if path.is_symlink():
            yield f"{place}\0>\0{path.readlink()}\n"
        else:
            runs = "x" if path.stat().st_mode & stat.S_IXUSR else "-"
            yield f"{place}\0{runs}\0{hashlib.sha256(_content(path)).hexdigest()}\n"


def _files(root: Path) -> Iterator[Path]:
    """Return files and links below ``root``; links are looked at and never followed."""
    for folder, names, files in os.walk(root, onerror=_unreadable):
        names[:] = [n for n in names if n not in IGNORED]
        linked = [n for n in names if Path(folder, n).is_symlink()]
        for name in [*files, *linked]:
            path = Path(folder, name)
            if path.is_symlink():
                _stays(path, root)
            elif not path.is_file():
                raise BadInputError(
                    "neither a file nor a directory: it cannot be pinned",
                    where=str(path),
                    next="take it out of the playbooks",
                )
            yield path


def _stays(link: Path, root: Path) -> None:
    """Refuse a link that the private copy would have to follow out of itself, or nowhere."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        target = None
    inside = target is not None and target.is_relative_to(root.resolve())
    if not inside or link.readlink().is_absolute():
        raise BadInputError(
            f"the link leads to {link.readlink()}, which the private copy would not have",
            where=str(link),
            next=f"put the file itself there, or a relative link to one below {root}",
        )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        _unreadable(error)
        raise


def _unreadable(error: OSError) -> None:
    raise BadInputError(
        f"it cannot be read: {error.strerror}",
        where=str(error.filename),
        next="let the bot's user read it",
    ) from error


def marks(part: Part) -> list[tuple[object, ...]]:
    """Return what tells cheaply that nothing was touched: each file's inode, size and change time.

    Nobody can set a change time back, so equal marks are equal content.
    """
    if part.directory is None:
        return [(part.place, part.text)]
    stats = ((str(path), path.lstat()) for path in _files(part.directory))
    return [(name, s.st_ino, s.st_size, s.st_ctime_ns, s.st_mode) for name, s in stats]


def pin_tree(parts: Sequence[Part], shelf: Path) -> str:
    """Copy the parts to ``shelf/<hash>`` (if it is not there) and return the hash."""
    shelf.mkdir(parents=True, exist_ok=True)
    tree_hash(parts)  # refuses what cannot be copied faithfully
    copy = Path(tempfile.mkdtemp(dir=shelf, prefix="new-"))
    try:
        for part in parts:
            _copy(part, copy / part.place)
        digest = tree_hash([Part(place="", directory=copy)])
        _settle(copy, shelf / digest)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return digest


def _copy(part: Part, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if part.directory is None:
        target.write_text(part.text)
        return
    ignored = shutil.ignore_patterns(*IGNORED)
    try:
        shutil.copytree(part.directory, target, symlinks=True, dirs_exist_ok=True, ignore=ignored)
    except shutil.Error as error:
        raise BadInputError(
            f"it changed while it was copied: {error.args[0][0][-1]}",
            where=str(part.directory),
            next="it is tried again; let an update of the playbooks end first",
        ) from error


def pinned_text(digest: str, name: str, shelf: Path) -> str:
    """Return the text of one file of a pinned tree; raise ``NotFoundError`` if it is not there."""
    root = (shelf / digest).resolve()
    file = (root / name).resolve()
    if not digest or not file.is_relative_to(root) or not file.is_file():
        raise NotFoundError(f"{name} is not in the pinned copy {digest[:12]}", next="propose again")
    return _content(file).decode("utf-8", "replace")


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
    shutil.copytree(shelf / digest, target, symlinks=True, dirs_exist_ok=True)
    if tree_hash([Part(place="", directory=target)]) != digest:
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
