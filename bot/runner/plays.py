"""Which plays of a run would find no host, by Ansible's own reading of ``hosts:``, or ask a person."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from bot.errors import BadInputError, UnavailableError
from bot.runner.ansible import MAIN, Job, environment, lay_out

TIMEOUT = 60.0
PLAY = re.compile(r"  play #\d+ \(.*?\): (?P<title>.*?)\tTAGS: .*")
PATTERN = re.compile(r"    pattern: (?P<pattern>.*)")
COUNT = re.compile(r"    hosts \((?P<count>\d+)\):")


def idle(job: Job) -> list[str]:
    """Lay the job out and return its plays that match no host: ``play 'title' (hosts: pattern)``.

    Nothing is run and no host is contacted. Raises ``BadInputError`` if Ansible cannot read the
    playbooks, ``UnavailableError`` if it cannot be asked.
    """
    memory = lay_out(job)
    program = Path(sys.executable).parent / "ansible-playbook"
    command = [str(program), "-i", "inventory/hosts.json", "-e", "@env/extravars", "--list-hosts"]
    try:
        done = subprocess.run(  # noqa: S603 - no shell; our own program and our own files
            [*command, f"project/{MAIN}"],
            cwd=job.directory,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            env=environment(job.directory, job.fleet),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(
            f"ansible-playbook cannot list the hosts of the plays: {error}",
            where=str(program),
            next="install ansible-core beside holdfast; nothing was done to the fleet",
        ) from error
    finally:
        os.close(memory)
    if done.returncode != 0:
        said = next((line for line in done.stderr.splitlines() if "ERROR" in line), done.stderr)
        raise BadInputError(
            f"Ansible cannot read the playbooks: {said.strip()[:300]}",
            where=", ".join(name for name, _ in job.playbooks),
            next="mend the playbook",
        )
    return read(done.stdout)


class _Loader(yaml.SafeLoader):
    """Reads playbooks; values with a tag of Ansible's (``!vault``) do not matter here."""


_Loader.add_multi_constructor("!", lambda *_: None)


def prompting(playbooks: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Name what these playbooks, and those that they import, ask a person: ``file: variable``.

    ``playbooks`` is file name -> text. What cannot be read is skipped: Ansible refuses it. Without
    a person Ansible would wait, or go on with nothing in the variable.
    """
    found: list[str] = []
    todo, seen = list(names), set[str]()
    while todo:
        name = todo.pop()
        if name in seen or name not in playbooks:
            continue
        seen.add(name)
        with contextlib.suppress(yaml.YAMLError):
            plays = yaml.load(playbooks[name], Loader=_Loader)  # noqa: S506 - a safe loader
            for play in plays if isinstance(plays, list) else ():
                if not isinstance(play, dict):
                    continue
                imported = play.get("import_playbook", play.get("ansible.builtin.import_playbook"))
                if isinstance(imported, str):
                    todo.append(
                        posixpath.normpath(posixpath.join(posixpath.dirname(name), imported))
                    )
                asked = play.get("vars_prompt")
                rows = asked if isinstance(asked, list) else [asked] if asked else []
                found += [f"{name}: {r.get('name') if isinstance(r, dict) else r}" for r in rows]
    return sorted(found)


def read(listing: str) -> list[str]:
    """Return the plays without hosts of what ``ansible-playbook --list-hosts`` prints."""
    found: list[str] = []
    title = pattern = ""
    for line in listing.splitlines():
        if play := PLAY.fullmatch(line):
            title, pattern = play["title"], ""
        elif shown := PATTERN.fullmatch(line):
            pattern = shown["pattern"].strip("[]").replace("'", "")
        elif (count := COUNT.fullmatch(line)) and count["count"] == "0":
            found.append(f"play {title!r} (hosts: {pattern})")
    return found
