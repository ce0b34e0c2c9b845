"""The runbooks on disk, read again when they have changed and have come to rest."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.errors import BadInputError
from bot.ports import Clock
from bot.runbook.disk import read_file, runbook_files
from bot.runbook.load import load
from bot.runbook.model import Library, Problem
from bot.runbook.override import Values, override

log = logging.getLogger(__name__)

SETTLE = 1.0
"""Seconds for which nothing may have changed before a change is taken over."""
TIMEOUT = 10.0
Marks = Mapping[str, tuple[int, ...]]
Overrides = Mapping[str, Mapping[str, Values]]


@dataclass(frozen=True, slots=True)
class _Shelved:
    """One reading of the directory: what it was made of, and its name."""

    library: Library
    marks: Marks
    texts: Mapping[str, str]
    revision: str


class Bookshelf:
    """Hands out one library after the other, each whole.

    A change counts once it is ``SETTLE`` old and no git operation is under way, so a file that is
    being written is never used: until then the library before it is handed out.
    """

    def __init__(self, root: Path, overrides: Overrides, clock: Clock) -> None:
        self._root = root
        self._overrides = overrides
        self._clock = clock
        self._lock = threading.Lock()
        self._now: _Shelved | None = None
        self._seen: Marks = {}
        self._seen_at = 0.0
        self.trouble = ""

    def library(self) -> Library:
        """Return the runbooks as they are now, or were before a change that is still going on.

        Raises ``BadInputError`` if they were never there, or the site's overrides do not fit them
        at the start; later that is ``trouble`` and the library before stays.
        """
        return self._current().library

    def revision(self) -> str:
        """Return the git commit of a clean checkout, else ``sha256:`` and the hash of all files."""
        return self._current().revision

    def _current(self) -> _Shelved:
        with self._lock:
            try:
                marks = self._look()
                if self._now is None or (marks != self._now.marks and self._at_rest(marks)):
                    self._take(marks)
                elif marks == self._now.marks:
                    self._seen, self.trouble = marks, ""
            except (BadInputError, OSError) as error:
                if self._now is None:
                    raise
                self._troubled(f"{error}; the runbooks of {self._now.revision} are used")
            if self._now is None:
                raise BadInputError(
                    "the runbooks are being changed",
                    where=str(self._root),
                    next="try again when the copy or checkout has ended",
                )
            return self._now

    def _look(self) -> Marks:
        if not self._root.is_dir():
            raise BadInputError(
                "there is no runbook directory", where=str(self._root), next="set runbooks"
            )
        found: dict[str, tuple[int, ...]] = {}
        for file in runbook_files(self._root, texts=False):
            try:
                seen = file.stat()
            except OSError:
                found[file.as_posix()] = (0,)
                continue
            found[file.as_posix()] = (
                seen.st_ino,
                seen.st_size,
                seen.st_mtime_ns,
                seen.st_ctime_ns,
            )
        return found

    def _at_rest(self, marks: Marks) -> bool:
        """Whether a change is over: nothing new for a while, and git has let go."""
        if marks != self._seen:
            self._seen, self._seen_at = marks, time.monotonic()
        if _git_at_work(self._root):
            return False
        old = self._now.marks if self._now else {}
        changed = [mark[-1] / 1e9 for path, mark in marks.items() if old.get(path) != mark]
        age = self._clock.now().timestamp() - max(changed, default=float("inf"))
        return age >= SETTLE or time.monotonic() - self._seen_at >= SETTLE

    def _take(self, marks: Marks) -> None:
        """Read the files, and swap the library if nothing changed meanwhile."""
        old, texts, problems = self._now, {}, []
        for path, mark in marks.items():
            if old is not None and old.marks.get(path) == mark and path in old.texts:
                texts[path] = old.texts[path]
                continue
            try:
                texts[path] = read_file(Path(path))
            except OSError as error:
                what = f"cannot be read: {error.strerror or error}"
                hint = "mend its permissions"
                problems.append(Problem(file=path, line=1, what=what, hint=hint, rule="yaml"))
        library = load(texts, problems)
        revision = _revision(self._root, texts)
        if old is not None and self._look() != marks:
            return
        library = override(library, self._overrides)
        self._now, self._seen, self.trouble = _Shelved(library, marks, texts, revision), marks, ""
        log.info(
            "runbooks read",
            extra={
                "revision": revision,
                "runbooks": len(library.runbooks),
                "left_out": len({problem.file for problem in library.problems}),
            },
        )
        for problem in library.problems:
            log.warning("a runbook is left out", extra={"problem": str(problem)})

    def _troubled(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("the runbooks cannot be read again", extra={"error": trouble})
        self.trouble = trouble


def _git_dir(root: Path) -> Path | None:
    """Return the directory of git's own files, if ``root`` is inside a checkout."""
    for directory in (root.absolute(), *root.absolute().parents):
        git = directory / ".git"
        if git.is_dir():
            return git
        if git.is_file():
            words = git.read_text(errors="replace").split("gitdir:", 1)
            return (directory / words[1].strip()) if len(words) == 2 else None
    return None


def _git_at_work(root: Path) -> bool:
    git = _git_dir(root)
    return git is not None and (git / "index.lock").exists()


def _revision(root: Path, texts: Mapping[str, str]) -> str:
    commit = _commit(root)
    if commit:
        return commit
    whole = hashlib.sha256()
    for path in sorted(texts):
        name = Path(path).relative_to(root).as_posix()
        body = texts[path].encode("utf-8", "surrogateescape")
        whole.update(f"{name}\0{len(body)}\0".encode() + body)
    return f"sha256:{whole.hexdigest()}"


def _commit(root: Path) -> str:
    """Return the commit that the runbooks are those of; '' if they are changed, or are no checkout."""
    program = shutil.which("git")
    if program is None or _git_dir(root) is None:
        return ""

    def ask(*words: str) -> str | None:
        command = [program, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *words]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        try:
            done = subprocess.run(  # noqa: S603 - no shell; git's own program
                command,
                cwd=root,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
                env={**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    files = (":(glob)**/*.yml", ":(glob)**/*.yaml")
    changed = ask("status", "--porcelain", "--ignored", "--untracked-files=all", "--", *files)
    return (ask("rev-parse", "--verify", "HEAD") or "") if changed == "" else ""
