"""Which lane a host's raw task takes, and what ssh itself would do there. No network here.

The bulk lane speaks SSH from one process. It may only be used where that makes no difference, so
the settings are asked from ssh (``ssh -G``, with Ansible's own command line) and every setting
that differs from ssh's defaults has to be one that is understood here.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CORE = (2, 19)
"""The minor version of ansible-core whose private interfaces the bulk lane was written for."""

KEY = "holdfast_lane"
"""The key of a task's result that says which lane ran: ``bulk``, or ``ordinary: <reason>``."""

BULK = "bulk"
ORDINARY = "ordinary"
_SINGLE = re.compile(
    r"^\s*(?:match\b|include\b|host[\s=]+(?!\*\s*$))", re.IGNORECASE | re.MULTILINE
)
HALF = 64 * 1024
FLOOD = 64 * 1024 * 1024

_SAME = frozenset(
    [
        *("host", "hostname", "user", "port", "identityfile", "identitiesonly", "identityagent"),
        *("userknownhostsfile", "globalknownhostsfile", "hostkeyalias", "stricthostkeychecking"),
        *("kexalgorithms", "connecttimeout", "serveraliveinterval", "serveralivecountmax"),
        *("sendenv", "setenv", "preferredauthentications", "addkeystoagent", "batchmode"),
        *("controlmaster", "controlpersist", "gssapiauthentication", "hashknownhosts", "ipqos"),
        *("kbdinteractiveauthentication", "passwordauthentication", "numberofpasswordprompts"),
        *("loglevel", "rekeylimit", "stdinnull", "tcpkeepalive", "updatehostkeys", "visualhostkey"),
    ]
)
"""Settings that are carried over, or that change nothing about one command without a terminal.

Where ssh knows another way in (a ticket, a password), the server refuses us before the command is
sent, and the host goes to the ordinary lane.
"""
_TASK = {
    **{name: name for name in ("loop", "until", "retries", "when", "delegate_to", "become")},
    **{name: name for name in ("run_once", "throttle", "timeout", "debugger", "notify")},
    "loop_with": "loop",
    "async_val": "async",
    "check_mode": "check mode",
}
VARIABLES = {
    "ansible_become": "become",
    "ansible_password": "it logs in with a password",
    "ansible_ssh_pass": "it logs in with a password",
    "ansible_ssh_password": "it logs in with a password",
}
_LISTS = ("ciphers", "macs", "hostkeyalgorithms", "pubkeyacceptedalgorithms")


Said = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One SSH connection as ssh would make it. Times are seconds; 0 switches keepalives off.

    ``known`` are the files of known host keys; None accepts any key, as a site must have said with
    ``StrictHostKeyChecking=no`` and ``UserKnownHostsFile=/dev/null``. ``algorithms`` holds (name
    of the list, its algorithms) where the site chose them.
    """

    host: str
    port: int
    user: str
    keys: tuple[str, ...]
    agent: str
    known: tuple[str, ...] | None
    alias: str
    kex: tuple[str, ...]
    algorithms: tuple[tuple[str, tuple[str, ...]], ...]
    environment: tuple[tuple[str, str], ...]
    timeout: float
    keepalive: float
    keepalives: int


@dataclass(frozen=True, slots=True)
class Fallback:
    """Why a host, or a whole task, takes the ordinary lane."""

    reason: str


def settings(text: str) -> dict[str, tuple[str, ...]]:
    """Read what ``ssh -G`` prints: key in lower case -> its values, in order."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if key:
            found[key.lower()] = (*found.get(key.lower(), ()), value.strip())
    return found


def shared(argv: Sequence[str], texts: Collection[str]) -> bool:
    """Say whether one ``ssh -G`` answers for every host with these arguments.

    ``texts`` are the configuration files that ssh would read. Files that speak of single hosts,
    or pull in others, are asked for each host.
    """
    if any("%" in word for word in argv):
        return False
    return not any("%" in text or _SINGLE.search(text) for text in texts)


def link(
    host: str,
    said: Said,
    usual: Said,
    environ: Mapping[str, str],
    able: Mapping[str, Collection[str]],
) -> Link | Fallback:
    """Turn ssh's effective settings into a ``Link``, or say why ssh itself must be used.

    ``usual`` are ssh's defaults, ``able`` the algorithms that the bulk lane has, by setting.
    """
    chosen = {key: _usable(said, key, able) for key in _LISTS if said.get(key) != usual.get(key)}
    known = _known(said)
    if reason := _unknown(said, usual) or _unable(said, able, chosen):
        return Fallback(reason)
    if isinstance(known, Fallback):
        return known
    return Link(
        host=host,
        port=int(_first(said, "port", "22")),
        user=_first(said, "user"),
        keys=tuple(k.strip('"') for k in said.get("identityfile", ()) if k != "none"),
        agent=_agent(said, environ),
        known=known,
        alias=_first(said, "hostkeyalias"),
        kex=_usable(said, "kexalgorithms", able),
        algorithms=tuple(chosen.items()),
        environment=_environment(said, environ),
        timeout=_number(said, "connecttimeout"),
        keepalive=_number(said, "serveraliveinterval"),
        keepalives=int(_number(said, "serveralivecountmax")),
    )


def _unknown(said: Said, usual: Said) -> str:
    """Name a setting that is neither ssh's default nor understood here."""
    for key, value in said.items():
        if key not in _SAME and key not in _LISTS and value != usual.get(key):
            return f"ssh option {key} {' '.join(value)}"[:120]
    if "publickey" not in _first(said, "preferredauthentications", "publickey"):
        return "it logs in without keys"
    return ""


def _unable(
    said: Said, able: Mapping[str, Collection[str]], chosen: Mapping[str, Collection[str]]
) -> str:
    """Name an algorithm that was asked for and that the bulk lane lacks: it weakens nothing."""
    wanted = _first(said, "kexalgorithms").split(",")[0]
    if wanted not in able["kexalgorithms"]:
        return f"key exchange {wanted}, which KexAlgorithms puts first"
    return next((f"ssh option {k}: none of its algorithms" for k, v in chosen.items() if not v), "")


def _agent(said: Said, environ: Mapping[str, str]) -> str:
    """Return the path of the agent's socket; '' if there is none or it is not to be asked."""
    agent = _first(said, "identityagent", "SSH_AUTH_SOCK")
    if _first(said, "identitiesonly") == "yes" or agent == "none":
        return ""
    if agent == "SSH_AUTH_SOCK" or agent.startswith("$"):
        return environ.get(agent.strip("${}"), "")
    return agent


def _first(said: Said, key: str, default: str = "") -> str:
    return next(iter(said.get(key, ())), default)


def _number(said: Said, key: str) -> float:
    text = _first(said, key, "0")
    return float(text) if text.isdigit() else 0.0


def _usable(said: Said, key: str, able: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    return tuple(n for n in _first(said, key).split(",") if n in able[key])


def _known(said: Said) -> tuple[str, ...] | Fallback | None:
    strict = _first(said, "stricthostkeychecking", "ask")
    user = _first(said, "userknownhostsfile").split()
    if strict in {"true", "yes", "ask"}:
        return tuple(user + _first(said, "globalknownhostsfile").split())
    if strict in {"false", "no", "off"} and user == ["/dev/null"]:
        return None
    return Fallback(f"StrictHostKeyChecking={strict}: ssh may have to note a new host key")


def _environment(said: Said, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what SendEnv and SetEnv would send."""
    patterns = [p for value in said.get("sendenv", ()) for p in value.split()]
    sent = {n: v for n, v in environ.items() if any(fnmatch.fnmatch(n, p) for p in patterns)}
    for value in said.get("setenv", ()):
        name, _, text = value.partition("=")
        sent[name] = text
    return tuple(sorted(sent.items()))


class Bounded:
    """Output of any length, of which the first and the last ``half`` bytes are kept."""

    def __init__(self, half: int = HALF) -> None:
        self._half = half
        self._head = bytearray()
        self._tail = bytearray()
        self.size = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        self.size += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    def bytes(self) -> bytes:
        """Return what was kept; a line in the middle says how much was left out."""
        tail = bytes(self._tail[-self._half :])
        out = self.size - len(self._head) - len(tail)
        if not out:
            return bytes(self._head) + tail
        return bytes(self._head) + f"\n[… {out} bytes left out …]\n".encode() + tail


def task_reason(task: Mapping[str, Any], variables: Mapping[str, object]) -> str:
    """Say why a raw task cannot take the bulk lane; '' if it can.

    ``task`` are the attributes of the Ansible task, ``variables`` the host's.
    """
    for name, word in _TASK.items():
        if task.get(name):
            return word
    for name, word in VARIABLES.items():
        if variables.get(name):
            return word
    if any(task.get("environment") or ()):
        return "environment"
    args = task.get("args") or {}
    odd = sorted(set(args) - {"_raw_params", "executable"})
    if odd or not args.get("_raw_params"):
        return f"argument {odd[0]}" if odd else "no command"
    return ""
