"""How ssh would reach a host: asked from ssh itself, as seldom as possible.

Part of the bulk lane; runs inside Ansible's main process and uses its private interfaces.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C  # noqa: N812 - Ansible's custom
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.loader import connection_loader

from bot.runner import bulk
from bot.runner import lane as lanes
from bot.runner.lane import Fallback

ADDRESS = ("ansible_ssh_host", "ansible_host", "inventory_hostname")
CONFIGURATION = (Path("~/.ssh/config"), Path("/etc/ssh/ssh_config"))


class Route:
    """Finds out how ssh would reach a host, and asks ssh as seldom as possible."""

    def __init__(self) -> None:
        self._plugin: Any = None
        self._names: list[str] = []
        self.names: tuple[str, ...] = ()
        """The variables that ssh's command line depends on, but those of the address."""
        self._usual: dict[str, tuple[str, ...]] = {}
        self._able: dict[str, Any] = {}
        self._said: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {}
        self._argv: dict[tuple[str, ...], list[str]] = {}
        self._everybody: dict[tuple[str, ...], bool] = {}
        self.one = False
        """Whether the last link differs from those of hosts that are alike by its host alone."""

    def link(self, task: Any, variables: Mapping[str, Any], templar: Any, context: Any) -> Any:
        """Return the host's ``Link``, or a ``Fallback``."""
        if self._plugin is None:
            self._plugin = connection_loader.get("ssh", context)
            self._names = sorted(C.config.get_plugin_vars("connection", "ssh"))
            self.names = tuple(name for name in self._names if name not in ADDRESS)
            self._usual = lanes.settings(_ask(["ssh", "-G", "-F", "none", "localhost"]))
            self._able = bulk.able()
        given = {n: templar.template(variables[n]) for n in self._names if n in variables}
        host = str(given.pop("ansible_ssh_host", given.pop("ansible_host", None)) or "")
        host = host or str(variables["inventory_hostname"])
        given.pop("inventory_hostname", None)
        argv = self._command(task, given, context)
        if isinstance(argv, Fallback):
            return argv
        said = self._effective(argv, host)
        name = next(iter(said.get("hostname", ())), host)
        return lanes.link(name, said, self._usual, bulk.environment(), self._able)

    def _command(self, task: Any, given: Mapping[str, Any], context: Any) -> Any:
        """Return the ssh command line, without the host, that Ansible itself would use."""
        key = (task._uuid, *(f"{name}={given[name]}" for name in given))
        if key not in self._argv:
            keys = {**task.dump_attrs(), "timeout": context.timeout}
            keys.pop("retries", None)
            self._plugin.set_options(task_keys=keys, var_options={**given})
            if self._plugin.get_option("use_tty"):
                return Fallback("it wants a terminal (use_tty)")
            if self._plugin.get_option("ssh_executable") != "ssh":
                return Fallback("an ssh program of its own")
            if context.password or self._plugin.get_option("password"):
                return Fallback("it logs in with a password")
            if self._plugin.get_option("private_key"):
                return Fallback("a private key in a variable")
            words = self._plugin._build_command("ssh", "ssh")
            self._argv[key] = [to_text(word) for word in words][1:]
        return self._argv[key]

    def _effective(self, argv: list[str], host: str) -> dict[str, tuple[str, ...]]:
        words = tuple(argv)
        if words not in self._everybody:
            self._everybody[words] = _same_for_all(argv)
        self.one = self._everybody[words]
        key = words if self.one else (*words, host)
        if key not in self._said:
            said = lanes.settings(_ask(["ssh", "-G", *argv, host]))
            if self.one:
                said.pop("hostname", None)
            self._said[key] = said
        return self._said[key]


def _same_for_all(argv: list[str]) -> bool:
    if "-F" in argv:
        named = argv[argv.index("-F") + 1 :][:1]
        files = [] if named == ["none"] else [Path(named[0])] if named else []
    else:
        files = [path.expanduser() for path in CONFIGURATION]
    return lanes.shared(
        argv, [path.read_text(errors="replace") for path in files if path.is_file()]
    )


def _ask(command: list[str]) -> str:
    """Run ``ssh -G``: it prints the settings that are in force, and connects nowhere."""
    done = subprocess.run(  # noqa: S603 - no shell; the command line that Ansible would run
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout
