"""What Ansible itself says of playbooks: whether it can read them, and which modules have a check mode.

Nothing is run and no host is contacted.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bot.errors import UnavailableError
from bot.runbook.model import Problem

TIMEOUT = 120.0
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "USER", "LOGNAME", "TMPDIR")
ORIGIN = re.compile(r"^Origin: (?P<file>.+?):(?P<line>\d+)(?::\d+)?$", re.MULTILINE)
ERROR = re.compile(r"^\[ERROR\]: (?P<what>.*)$", re.MULTILINE)


def check(root: Path, names: Sequence[str], shown: str) -> list[Problem]:
    """Return a problem for every playbook of ``root`` that Ansible cannot read.

    ``shown`` is the directory as problems name it. Raises ``UnavailableError`` if Ansible cannot
    be asked.
    """
    if not names or _syntax(root, names).returncode == 0:
        return []
    with ThreadPoolExecutor(max_workers=2) as pool:
        answers = list(pool.map(lambda name: _syntax(root, [name]), names))
    found = [
        _problem(root, name, shown, answer.stderr or answer.stdout)
        for name, answer in zip(names, answers, strict=True)
        if answer.returncode != 0
    ]
    return list(dict.fromkeys(found))


def _problem(root: Path, name: str, shown: str, said: str) -> Problem:
    error, origin = ERROR.search(said), ORIGIN.search(said)
    what = error["what"] if error else said.strip().splitlines()[-1] if said.strip() else "refused"
    file, line = f"{shown}/{name}", 1
    if origin:
        place = Path(origin["file"])
        inside = place.is_relative_to(root.resolve())
        file = f"{shown}/{place.relative_to(root.resolve())}" if inside else str(place)
        line = int(origin["line"])
    return Problem(file=file, line=line, what=f"Ansible: {what[:300]}", rule="playbook-syntax")


def _syntax(root: Path, names: Sequence[str]) -> subprocess.CompletedProcess[str]:
    files = [str(root.resolve() / name) for name in names]
    return _ask("ansible-playbook", ["--syntax-check", "-i", "localhost,", *files], root)


def check_modes(modules: Collection[str], root: Path) -> Mapping[str, str]:
    """Return what modules say of their check mode: ``full``, ``partial`` or ``none``.

    Of a module whose documentation does not say, its code is asked. One that is not installed is
    left out. Raises ``UnavailableError`` if Ansible cannot be asked.
    """
    if not modules:
        return {}
    answer = _ask("ansible-doc", ["-j", "-t", "module", *sorted(modules)], root)
    try:
        said = json.loads(answer.stdout or "{}")
    except ValueError:
        return {}
    return {name: _support(one) for name, one in said.items() if isinstance(one, dict)}


def _support(said: Mapping[str, object]) -> str:
    doc = said.get("doc")
    doc = doc if isinstance(doc, dict) else {}
    mode = (doc.get("attributes") or {}).get("check_mode") or {}
    if mode.get("support"):
        return str(mode["support"])
    try:
        code = Path(str(doc.get("filename"))).read_text(errors="replace")
    except OSError:
        return "full"
    return "full" if re.search(r"supports_check_mode\W+True", code) else "none"


def _ask(program: str, words: Sequence[str], root: Path) -> subprocess.CompletedProcess[str]:
    """Ask Ansible in the site's directory, where its ``ansible.cfg`` is, without our secrets."""
    path = Path(sys.executable).parent / program
    kept = {k: v for k, v in os.environ.items() if k in KEPT or k.startswith("ANSIBLE_")}
    env = {**kept, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DEPRECATION_WARNINGS": "0"}
    try:
        return subprocess.run(  # noqa: S603 - no shell; our own program
            [str(path), *words],
            cwd=root.resolve().parent,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            env=env,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(
            f"{program} cannot be asked: {error}",
            where=str(path),
            next="install ansible-core beside holdfast, or lint with --no-ansible",
        ) from error
