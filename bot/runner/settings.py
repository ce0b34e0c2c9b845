"""What a run may take over from the site's ``ansible.cfg``.

Reading the inventory uses the file as it is. A run gets a copy that holds only what is listed here:
how hosts are reached, who one becomes, where vault passwords, roles and collections are. Callbacks,
logs, caches, strategies, forks and failure rules are the bot's own business.
"""

from __future__ import annotations

import configparser
import io
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bot.config import FleetPart
from bot.errors import BadInputError

FILES = frozenset(
    {"private_key_file", "vault_password_file", "become_password_file", "connection_password_file"}
)
CODE = frozenset(
    {
        "roles_path",
        "collections_path",
        "library",
        "module_utils",
        "action_plugins",
        "filter_plugins",
        "lookup_plugins",
        "test_plugins",
    }
)
"""Lists of directories whose content runs or is run: it is pinned like the playbooks."""
TAKEN: Mapping[str, frozenset[str]] = {
    "defaults": FILES
    | CODE
    | {
        "ansible_managed",
        "duplicate_dict_key",
        "executable",
        "hash_behaviour",
        "host_key_checking",
        "inject_facts_as_vars",
        "interpreter_python",
        "jinja2_extensions",
        "jinja2_native",
        "private_role_vars",
        "remote_port",
        "remote_tmp",
        "remote_user",
        "transport",
        "vault_id_match",
        "vault_identity",
        "vault_identity_list",
    },
    "privilege_escalation": frozenset(
        {"become", "become_method", "become_user", "become_exe", "become_flags"}
    ),
    "ssh_connection": frozenset(
        {
            "host_key_checking",
            "scp_executable",
            "scp_extra_args",
            "sftp_executable",
            "sftp_extra_args",
            "ssh_args",
            "ssh_common_args",
            "ssh_executable",
            "ssh_extra_args",
            "transfer_method",
        }
    ),
}
PROMPTS = (
    ("defaults", "ask_pass"),
    ("defaults", "ask_vault_pass"),
    ("privilege_escalation", "become_ask_pass"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The part of an ``ansible.cfg`` that runs get.

    ``file`` is the site's own (None: it has none), ``values`` section -> key -> text with absolute
    paths, ``code`` key -> the directories to be pinned, ``left`` what is not taken over.
    """

    file: Path | None = None
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    code: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    left: tuple[str, ...] = ()

    def text(self, places: Mapping[str, list[str]]) -> str:
        """Return the run's ``ansible.cfg``; ``places`` says where the pinned code is."""
        parser = _parser()
        parser.read_dict({section: dict(keys) for section, keys in self.values.items()})
        if not parser.has_section("defaults"):
            parser.add_section("defaults")
        for key, found in places.items():
            parser["defaults"][key] = ":".join(found)
        written = io.StringIO()
        parser.write(written)
        return written.getvalue()


def read(fleet: FleetPart, inventory: Path) -> Settings:
    """Read ``fleet.ansible_cfg``, else the ``ansible.cfg`` beside (or in) the inventory.

    Raises ``BadInputError`` if it cannot be read or would ask a person for a password.
    """
    beside = (inventory if inventory.is_dir() else inventory.parent) / "ansible.cfg"
    file = Path(fleet.ansible_cfg) if fleet.ansible_cfg else beside
    if fleet.vault_password_file and not Path(fleet.vault_password_file).is_file():
        raise BadInputError(
            "there is no vault password file",
            where=fleet.vault_password_file,
            next="set fleet.vault_password_file to a file or a client script",
        )
    if not fleet.ansible_cfg and not file.exists():
        return Settings()
    parser = _parser()
    try:
        parser.read_string(file.read_text(), source=str(file))
        _refuse_prompts(parser, file)
        return _sorted(parser, file)
    except (OSError, ValueError, configparser.Error) as error:
        raise BadInputError(
            f"ansible.cfg cannot be read: {' '.join(str(error).split())}",
            where=str(file),
            next="mend it, or name another one as fleet.ansible_cfg",
        ) from error


def _sorted(parser: configparser.ConfigParser, file: Path) -> Settings:
    """Sort every key: taken over, code to be pinned, or left."""
    values: dict[str, dict[str, str]] = {}
    code: dict[str, tuple[Path, ...]] = {}
    left = []
    for section in parser.sections():
        for key, text in parser[section].items():
            if not _taken(section, key):
                left.append(f"[{section}] {key}")
            elif section == "defaults" and key in CODE:
                code[key] = tuple(_absolute(p, file) for p in text.split(":") if p.strip())
            else:
                values.setdefault(section, {})[key] = _value(key, text, file)
    return Settings(file=file, values=values, code=code, left=tuple(left))


def ssh_args(file: Path) -> str:
    """Return the ``ssh_args`` of a run's ``ansible.cfg``; the bot's own options go before them."""
    parser = _parser()
    parser.read(file)
    return parser.get("ssh_connection", "ssh_args", fallback="")


def _parser() -> configparser.ConfigParser:
    """Return a parser that reads as Ansible does."""
    return configparser.ConfigParser(
        interpolation=None, inline_comment_prefixes=(";",), strict=False
    )


def _taken(section: str, key: str) -> bool:
    if section.endswith("_become_plugin"):
        return key != "password"
    return key in TAKEN.get(section, ())


def _refuse_prompts(parser: configparser.ConfigParser, file: Path) -> None:
    asking = [
        f"{key} = {parser.get(section, key)}"
        for section, key in PROMPTS
        if parser.get(section, key, fallback="").strip().lower() in {"1", "true", "yes", "on", "t"}
    ]
    listed = parser.get("defaults", "vault_identity_list", fallback="")
    asking += [
        f"vault_identity_list = {one.strip()}"
        for one in listed.split(",")
        if one.strip().rpartition("@")[2].startswith("prompt")
    ]
    if asking:
        raise BadInputError(
            f"ansible.cfg asks a person for a password: {', '.join(asking)}",
            where=str(file),
            next="name a password file or a client script instead; at night nobody types",
        )


def _value(key: str, text: str, file: Path) -> str:
    if key in FILES:
        return str(_absolute(text, file))
    if key == "vault_identity_list":
        return ", ".join(_identity(one.strip(), file) for one in text.split(",") if one.strip())
    if key in {"ssh_args", "ssh_common_args", "ssh_extra_args"}:
        return _ssh(text, file)
    return text


def _ssh(text: str, file: Path) -> str:
    """Make the files in ``-F ssh_config`` and ``-i key`` absolute: a run works somewhere else."""
    words = shlex.split(text)
    for place, word in enumerate(words[1:], 1):
        if words[place - 1] in {"-F", "-i"} and word != "none":
            words[place] = str(_absolute(word, file))
    return shlex.join(words)


def _identity(text: str, file: Path) -> str:
    """Make the path in ``label@path`` (or a bare path) absolute."""
    label, at, path = text.rpartition("@")
    return f"{label}{at}{_absolute(path, file)}"


def _absolute(text: str, file: Path) -> Path:
    """Resolve a path as Ansible does: against the directory of the file that names it."""
    return Path(os.path.normpath(file.parent.absolute() / Path(text.strip()).expanduser()))
