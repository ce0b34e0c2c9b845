"""A process with everything imported, from which supervisors and their Ansible are forked.

Start-up is most of the CPU of a small run, and nearly all of it is imports. ``serve`` starts
``python -m bot.runner.forkserver`` once and asks it for supervisors. Each request forks a
supervisor and, before that has read a single secret, the leash on which its Ansible will run
(``bot.runner.leash``): the leash forks Ansible when it is told to.

The fork server is started in a scrubbed environment and reads no configuration: what comes with a
request is read by the supervisor alone. It has no thread. ``ansible.constants``, which reads the
environment and ``ansible.cfg`` when it is imported, is not imported here, nor is anything that
needs it, so a forked Ansible takes its settings as a new process does. It ends when the bot does;
its children go on.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import inspect
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, NoReturn

from bot.runner import leash, trace

CHANNEL = 0
"""The descriptor of the socket to the bot: one packet a message."""
ROOM = 2048
"""Bytes that a process has for the mark of its run in its environment, and for its arguments."""
LONGEST = 1 << 16
SETTINGS = "ansible.constants"
SUPERVISOR = ("bot.commands.run", "sqlalchemy.dialects.sqlite.pysqlite", "pexpect", "psycopg")
ANSIBLE = (
    *("ansible.cli.playbook", "ansible.executor.playbook_executor", "ansible.plugins.lookup.file"),
    *("ansible.plugins.strategy.linear", "ansible.plugins.inventory.yaml", "bot.runner.bulk"),
    *("ansible.plugins.callback.default", "ansible.plugins.connection.ssh", "bot.runner.alike"),
    *("ansible._internal._templating._engine", "ansible.plugins.action.raw", "asyncio"),
)


class _Settings(MetaPathFinder):
    """Keeps Ansible's settings from being read here."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == SETTINGS:
            raise ImportError(name)


def preload() -> None:
    """Import what supervisors need, and of what Ansible needs all that knows no settings."""
    for name in SUPERVISOR:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    names = _imported()
    guard = _Settings()
    sys.meta_path.insert(0, guard)
    try:
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    finally:
        sys.meta_path.remove(guard)
    with contextlib.suppress(Exception):
        _parse()
    inspect.stack()  # it remembers where modules are, and Ansible asks for it once a play


def _parse() -> None:
    """Read the big files of Ansible's own package that it parses at every start."""
    manager: Any = importlib.import_module("ansible.config.manager")
    kind, place = manager.ConfigManager, Path(manager.__file__).parent
    read = functools.cache(functools.partial(kind._read_config_yaml_file, None))
    read(str(place / "base.yml"))
    kind._read_config_yaml_file = lambda _, file: read(file)
    finder: Any = importlib.import_module("ansible.utils.collection_loader._collection_finder")
    finder._meta_yml_to_dict = functools.cache(finder._meta_yml_to_dict)
    routing = (place / "ansible_builtin_runtime.yml").read_bytes()
    finder._meta_yml_to_dict(routing, ("ansible.builtin", "runtime.yml"))


def _imported() -> list[str]:
    """Return what Ansible imports, as found out by a child that imports it."""
    end, begin = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            for name in ANSIBLE:
                importlib.import_module(name)
        names = [n for n in sys.modules if n != "__main__" and not n.startswith("ansible.cli")]
        with open(begin, "w") as file:
            file.write("\n".join(names))
        os._exit(0)
    os.close(begin)
    with open(end) as file:
        names = file.read().split()
    os.waitpid(child, 0)
    return names


class _Place:
    """Where the kernel shows this process's arguments and environment to others."""

    def __init__(self) -> None:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        self._arguments, self._environment = (
            (int(fields[n]), int(fields[n + 1]) - int(fields[n])) for n in (45, 47)
        )

    def show(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        """Show these arguments and variables; whoever ends a run finds its processes by them.

        What ``os.environ`` still has from the start must have been removed before.
        """
        variables = b"\0".join(os.fsencode(f"{k}={v}") for k, v in environment.items())
        # Not ended by a zero byte, the arguments are read up to the first one: as one text.
        line = b" ".join(os.fsencode(word) for word in words)
        for (address, size), data in (
            (self._arguments, line[: self._arguments[1] - 2]),
            (self._environment, variables[: self._environment[1] - 1]),
        ):
            ctypes.memset(address, 0, size)
            ctypes.memmove(address, data, len(data))
        ctypes.memset(sum(self._arguments) - 1, ord("."), 1)


def main() -> None:
    """Serve the bot until it is gone. In a forked process it returns as that process."""
    preload()
    place = _Place()
    gc.collect()
    gc.freeze()
    channel = socket.socket(fileno=os.dup(CHANNEL))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, CHANNEL)
    os.close(null)
    become = _serve(channel, place)
    if become is not None:
        _leave(_code(become))


def _code(act: Callable[[], None]) -> int:
    """Do it as the main program of a process; return the exit code."""
    try:
        act()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - this is where the interpreter would print it
        traceback.print_exc()
        return 1
    return 0


def _leave(code: int) -> NoReturn:
    """End as the interpreter does, but leave the taking apart of memory to the kernel."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code & 0xFF)


def _serve(channel: socket.socket, place: _Place) -> Callable[[], None] | None:
    """Fork a supervisor for each request, report its end with what it cost."""
    children: dict[int, int] = {}
    asked = channel.fileno()
    _send(channel, {"ready": os.getpid()})
    while True:
        ready, _, _ = select.select([asked, *children], [], [])
        for descriptor in {*ready} - {asked}:
            _report(channel, children.pop(descriptor))
            os.close(descriptor)
        if asked not in ready:
            continue
        try:
            data, descriptors, _, _ = socket.recv_fds(channel, LONGEST, 3)
        except ConnectionError:
            data, descriptors = b"", []
        if not data:
            return None
        request = json.loads(data)
        child = os.fork()
        if child == 0:
            for used in (channel.detach(), *children):
                os.close(used)
            return functools.partial(_supervisor, request, descriptors, place)
        for descriptor in descriptors:
            os.close(descriptor)
        children[os.pidfd_open(child)] = child
        _send(channel, {"request": request["request"], "pid": child})


def _report(channel: socket.socket, child: int) -> None:
    _, status, used = os.wait4(child, 0)
    code, cpu = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
    _send(channel, {"pid": child, "code": code, "cpu": round(cpu, 3)})


def _send(channel: socket.socket, message: Mapping[str, object]) -> None:
    with contextlib.suppress(OSError):  # the bot is gone: the next look says so
        channel.send(json.dumps(message).encode())


def _supervisor(request: Mapping[str, Any], descriptors: Sequence[int], place: _Place) -> None:
    """Become the supervisor. Its leash is forked first: it is to see no secret."""
    stdin, log, variables = descriptors
    words, mark = list(request["words"]), {trace.MARK: str(request["mark"])}
    os.environ.clear()
    place.show(words, mark)
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    holder = os.getpid()
    child = os.fork()
    if child == 0:
        for used in (stdin, log, variables, ours.detach()):
            os.close(used)
        place.show([sys.executable, str(leash.__file__), str(holder)], mark)
        leash.wait_for_ansible(theirs, holder, functools.partial(_ansible, place, mark))
    theirs.close()
    os.dup2(stdin, 0)
    with open(variables) as file:
        os.environ.update(json.load(file))
    os.environ.update(mark)
    for used in (stdin, log):
        os.close(used)
    leash.ready = ours
    sys.argv = ["holdfast", *words[words.index("bot") + 1 :]]
    _reopen()
    importlib.import_module("bot.cli").main()


def _ansible(
    place: _Place, mark: Mapping[str, str], words: Sequence[str], environment: Mapping[str, str]
) -> NoReturn:
    """Become Ansible: run the command as if it had been executed."""
    os.environ.clear()
    program = shutil.which(words[0], path=environment.get("PATH")) or words[0]
    place.show([sys.executable, program, *words[1:]], mark)
    os.environ.update(environment)
    if Path(program).resolve().parent != Path(sys.executable).parent.resolve():
        os.execvp(program, [*words])  # noqa: S606 - the supervisor's own command, no shell
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [program, *words[1:]]
    sys.path[0] = str(Path(program).parent)
    _reopen()
    runpy.run_path(program, run_name="__main__")
    sys.exit(0)


def _reopen() -> None:
    """Open the standard streams as a new process does; what they lead to has changed."""
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, "w", buffering=1, errors="surrogateescape", closefd=False)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)


if __name__ == "__main__":
    main()
