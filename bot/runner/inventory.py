"""Resolve any Ansible inventory to an explicit host list, by Ansible's own reader."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.config import OURS, FleetPart
from bot.errors import BadInputError, UnavailableError
from bot.fleet.inventory import HOST_NAME, Group, Inventory, members, merged, pools
from bot.runner.settings import Settings, read

TIMEOUT = 120.0


def resolve(fleet: FleetPart, path: Path) -> Inventory:
    """Return the hosts, their variables and pools of the inventory at ``path``.

    Raises ``BadInputError`` when it is missing or unreadable, ``UnavailableError`` when a dynamic
    source does not answer. Host names that are not plain names are refused by name.
    """
    if not path.exists():
        raise BadInputError(
            "there is no inventory",
            where=str(path),
            next="set fleet.inventory in holdfast.yml to a file or directory",
        )
    settings = read(fleet, path)
    listing = _list(fleet, path, settings)
    _leave_out(listing, fleet.ignore_variables)
    groups = _groups(listing)
    inside = members(groups)
    if fleet.targets != "all" and fleet.targets not in groups:
        raise BadInputError(
            f"fleet.targets names the group {fleet.targets!r}, which the inventory lacks",
            where=str(path),
            next=f"use one of: {', '.join(sorted(groups)) or 'all'}",
        )
    names = sorted(inside[fleet.targets])
    odd = [name for name in names if HOST_NAME.fullmatch(name) is None]
    if odd or not names:
        what = f"host names that cannot be used: {odd[:5]!r}" if odd else "it holds no hosts"
        raise BadInputError(what, where=str(path), next="mend the inventory")
    variables: Mapping[str, dict[str, Any]] = listing.get("_meta", {}).get("hostvars", {})
    own = {name: dict(variables.get(name, {})) for name in names}
    known = set(names)
    shared = {g: tuple(sorted(m & known)) for g, m in inside.items()}
    return Inventory(
        hosts=merged(own, groups),
        pools={g: m for g, m in pools(shared, fleet.pools).items() if m},
        aliases=fleet.aliases,
        own=own,
        groups=groups,
        place=str(path if path.is_dir() else path.parent),
    )


def sources_of(path: Path) -> list[Path]:
    """Return where variables are written: the directory, or the file and what is beside it."""
    if path.is_dir():
        return [path]
    return [path, path.parent / "group_vars", path.parent / "host_vars"]


def _list(fleet: FleetPart, path: Path, settings: Settings) -> dict[str, Any]:
    """Ask Ansible. It has no terminal, so whatever would ask a person for a password fails."""
    program = Path(sys.executable).parent / "ansible-inventory"
    command = [str(program), "-i", str(path), "--list", "--export"]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            env = {**environment(fleet, settings, Path(scratch)), "ANSIBLE_LOCAL_TEMP": scratch}
            code, out, said = _ask(command, env, settings.file)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"the inventory did not answer within {TIMEOUT:.0f} s",
            where=str(path),
            next="check the dynamic source; nothing was done to the fleet",
        ) from error
    except OSError as error:
        raise UnavailableError(
            f"ansible-inventory cannot be started: {error}",
            where=str(program),
            next="install ansible-core beside holdfast",
        ) from error
    trouble = [line for line in said.splitlines() if "Unable to parse" in line or "ERROR" in line]
    if code != 0 or trouble:
        said = (trouble or [said.strip()])[-1][:300]
        vault = "vault" in said.lower()
        advice = "set fleet.vault_password_file, or vault_identity_list in ansible.cfg"
        raise BadInputError(
            f"ansible-inventory cannot read it: {said}",
            where=str(path),
            next=advice if vault else f"run 'ansible-inventory -i {path} --list' by hand",
        )
    listing: dict[str, Any] = json.loads(out)
    return listing


def _ask(command: Sequence[str], env: Mapping[str, str], cfg: Path | None) -> tuple[int, str, str]:
    """Run it in a session of its own; one that takes too long ends with all that it started.

    It runs where ``ansible.cfg`` is, as people do: some settings are relative to that place.
    """
    with subprocess.Popen(  # noqa: S603 - no shell; our own program and a configured path
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        env=env,
        cwd=cfg.parent if cfg is not None else None,
    ) as child:
        try:
            out, said = child.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    return child.returncode, out, said


def environment(fleet: FleetPart, settings: Settings, scratch: Path) -> dict[str, str]:
    """Return the environment of the inventory's reader: the site's settings, no secret of ours.

    A dynamic source may need any other variable. Ansible's settings come from the site's
    ``ansible.cfg`` alone, whoever started the bot.
    """
    ours = (*OURS, "ANSIBLE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    file = settings.file
    if file is None:
        file = scratch / "ansible.cfg"
        file.touch()
    env |= {"ANSIBLE_CONFIG": str(file), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOG_PATH": ""}
    if fleet.vault_password_file:
        env["ANSIBLE_VAULT_PASSWORD_FILE"] = fleet.vault_password_file
    return env


def _leave_out(listing: Mapping[str, Any], names: Collection[str]) -> None:
    """Take variables out of a listing, of hosts and groups."""
    spoken = [part.get("vars", {}) for name, part in listing.items() if name != "_meta"]
    for variables in (*spoken, *listing.get("_meta", {}).get("hostvars", {}).values()):
        for name in names:
            variables.pop(name, None)


def _groups(listing: Mapping[str, Any]) -> dict[str, Group]:
    """Return every group as it was listed; ``all`` is there even in an empty inventory."""
    return {
        name: Group(
            hosts=tuple(part.get("hosts", ())),
            children=tuple(part.get("children", ())),
            variables=part.get("vars", {}),
        )
        for name, part in {"all": {}, **listing}.items()
        if name != "_meta"
    }
