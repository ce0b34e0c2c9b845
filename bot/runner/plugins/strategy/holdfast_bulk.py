"""Linear, but the ``raw`` tasks of a whole batch run in one SSH loop of the main process.

Ansible's own lane forks a process for each host and task, and starts an ssh for it: over a fleet
that is nearly all of the cost. Whatever the bulk lane does not fully understand goes to that
ordinary lane, host by host, and the result says so (``holdfast_lane``).

It uses private interfaces of ansible-core 2.19; with another minor version everything is ordinary.
"""

from __future__ import annotations

import asyncio
import functools
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible import constants as C  # noqa: N812 - Ansible's custom
from ansible.errors import AnsibleError
from ansible.executor.task_result import _RawTaskResult
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.loader import connection_loader
from ansible.plugins.strategy.linear import StrategyModule as Linear
from ansible.release import __version__ as core

ROOT = str(Path(__file__).resolve().parents[4])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)  # the lane is the one that was shipped with this plugin

from bot.runner import lane as lanes  # noqa: E402 - only now it can be found
from bot.runner.lane import Fallback, Link  # noqa: E402

bulk: Any
try:
    from bot.runner import bulk
except ImportError:
    bulk = None

DOCUMENTATION = """
name: holdfast_bulk
short_description: linear, with raw tasks over one SSH loop
description:
  - Yields the events of the linear strategy. Raw tasks run without a fork and an ssh per host.
author: [Holdfast]
"""

RAW = frozenset({"raw", "ansible.builtin.raw", "ansible.legacy.raw"})
SSH = frozenset({"ssh", "ansible.builtin.ssh"})
TICK = 0.05
CONFIGURATION = (Path("~/.ssh/config"), Path("/etc/ssh/ssh_config"))


@dataclass(slots=True)
class _Flight:
    """One host's raw task under way, and what the ordinary lane needs if it has to take over."""

    host: Any
    task: Any
    own: Any
    variables: dict[str, Any]
    context: Any
    answer: asyncio.Task[Any]


class _Route:
    """Finds out how ssh would reach a host, and asks ssh as seldom as possible."""

    def __init__(self) -> None:
        self._plugin: Any = None
        self._names: list[str] = []
        self._usual: dict[str, tuple[str, ...]] = {}
        self._able: dict[str, Any] = {}
        self._said: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {}
        self._argv: dict[tuple[str, ...], list[str]] = {}

    def link(self, task: Any, variables: Mapping[str, Any], templar: Any, context: Any) -> Any:
        """Return the host's ``Link``, or a ``Fallback``."""
        if self._plugin is None:
            self._plugin = connection_loader.get("ssh", context)
            self._names = sorted(C.config.get_plugin_vars("connection", "ssh"))
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
        everybody = _same_for_all(argv)
        key = tuple(argv) if everybody else (*argv, host)
        if key not in self._said:
            said = lanes.settings(_ask(["ssh", "-G", *argv, host]))
            if everybody:
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


_routes = _Route()
_links: Any = None


def _lane(forks: int) -> Any:
    """Return this process's connections: they outlive a play, so that the next can use them."""
    global _links  # noqa: PLW0603 - one loop a process
    if _links is None:
        _links = bulk.Links(forks)
    return _links


class StrategyModule(Linear):  # type: ignore[misc]
    """The linear strategy with a bulk lane for raw tasks."""

    def __init__(self, tqm: Any) -> None:
        super().__init__(tqm)
        self._flights: list[_Flight] = []
        self._reasons: dict[tuple[str, str], str] = {}
        self._ways: dict[str, Link] = {}
        self._patterns: dict[str, Any] = {}

    def _queue_task(self, host: Any, task: Any, task_vars: dict[str, Any], context: Any) -> None:
        if task.action not in RAW:
            super()._queue_task(host, task, task_vars, context)
            return
        try:
            reason = self._take(host, task, task_vars, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, Ansible's own lane says it best
            reason = f"{type(error).__name__}: {error}"
        if reason:
            self._ordinary(host, task, task_vars, context, reason)

    def _ordinary(self, host: Any, task: Any, variables: Any, context: Any, reason: str) -> None:
        self._reasons[(host.name, task._uuid)] = reason
        super()._queue_task(host, task, variables, context)

    def _take(self, host: Any, task: Any, variables: dict[str, Any], context: Any) -> str:
        """Begin the task on the bulk lane, or return why not."""
        reason = _general(task, variables)
        if reason:
            return reason
        templar = _engine(self._loader, variables)
        connection = templar.template(variables.get("ansible_connection") or task.connection)
        if connection not in SSH:
            return f"connection {connection}"
        own = self._validated(task, templar)
        reason = lanes.task_reason(own.dump_attrs(), variables)
        found = Fallback(reason) if reason else _routes.link(own, variables, templar, context)
        if isinstance(found, Fallback):
            return found.reason
        lane = _lane(self._tqm._forks)
        reason = lane.refusal(found)
        if reason:
            return str(reason)
        self._begin(lane, found, _Flight(host, task, own, variables, context, None))  # type: ignore[arg-type]
        return ""

    def _validated(self, task: Any, templar: Any) -> Any:
        """Return the host's own copy of the task with every value final.

        Of a task in which only the arguments are templates everything else is worked out once.
        """
        done = self._patterns.get(task._uuid)
        own = (done or task).copy(exclude_parent=True, exclude_tasks=True)
        own._parent = task._parent
        if done:
            own.args = own._post_validate_args("args", {**task.args}, templar)
            return own
        own.post_validate(templar=templar)
        if done is None:
            kept = own.copy(exclude_parent=True, exclude_tasks=True)
            self._patterns[task._uuid] = False if _templated(task, templar) else kept
        return own

    def _begin(self, lane: Any, found: Link, flight: _Flight) -> None:
        self._queued_task_cache[(flight.host.name, flight.task._uuid)] = {
            "host": flight.host,
            "task": flight.task,
            "task_vars": flight.variables,
            "play_context": flight.context,
        }
        args = flight.own.args
        command = args["_raw_params"]
        if args.get("executable"):
            command = f"{args['executable']} -c {shlex.quote(command)}"

        def begun() -> None:
            self._tqm.send_callback("v2_runner_on_start", flight.host, flight.task)

        self._ways[flight.host.name] = found
        flight.answer = lane.start(found, command, begun)
        self._flights.append(flight)
        self._pending_results += 1

    def _wait_on_pending_results(self, iterator: Any) -> list[Any]:
        results: list[Any] = []
        while self._flights and not self._tqm._terminated:
            _lane(self._tqm._forks).wait([f.answer for f in self._flights], TICK)
            self._land()
            results += self._process_pending_results(iterator)
        return results + list(super()._wait_on_pending_results(iterator))

    def _process_pending_results(self, *args: Any, **kwargs: Any) -> list[Any]:
        self._land()
        return list(super()._process_pending_results(*args, **kwargs))

    def _land(self) -> None:
        """Turn finished flights into results, as a worker of the ordinary lane would."""
        landed = [flight for flight in self._flights if flight.answer.done()]
        if not landed:
            return
        self._flights = [flight for flight in self._flights if not flight.answer.done()]
        for flight in landed:
            answer = flight.answer.result()
            if isinstance(answer, Fallback):
                self._pending_results -= 1
                self._ordinary(
                    flight.host, flight.task, flight.variables, flight.context, answer.reason
                )
                continue
            result = _RawTaskResult(
                host=flight.host,
                task=flight.own,
                return_data=self._judge(flight, answer),
                task_fields=flight.own.dump_attrs(),
            )
            with self._results_lock:
                self._results.append(result)

    def _judge(self, flight: _Flight, answer: Any) -> dict[str, Any]:
        if isinstance(answer, bulk.Unreachable):
            said = f"Failed to connect to the host via ssh: {answer.why}"
            result: dict[str, Any] = {"unreachable": True, "changed": False, "msg": said}
        else:
            result = _said(answer)
            self._conditions(flight.own, result, flight.variables)
        flight.own.update_result_no_log(_engine(self._loader, flight.variables), result)
        result[lanes.KEY] = lanes.BULK
        return result

    def _conditions(self, task: Any, result: dict[str, Any], variables: dict[str, Any]) -> None:
        """Evaluate changed_when and failed_when, as the task executor does."""
        seen = {**variables, **({task.register: result} if task.register else {})}
        engine = _engine(self._loader, seen)
        name = "changed"
        try:
            if task.changed_when:
                result["changed"] = all(map(engine.evaluate_conditional, task.changed_when))
            name = "failed"
            if task.failed_when:
                failed = all(map(engine.evaluate_conditional, task.failed_when))
                result["failed_when_result"] = result["failed"] = failed
        except AnsibleError as error:
            result["failed"] = True
            result[f"{name}_when_result"] = str(error)

    def _convert_wire_task_result_to_raw(self, wire: Any) -> Any:
        raw = super()._convert_wire_task_result_to_raw(wire)
        reason = self._reasons.get((wire.host_name, wire.task_uuid))
        if reason:
            raw._return_data[lanes.KEY] = f"{lanes.ORDINARY}: {reason}"
        return raw

    def _execute_meta(self, task: Any, context: Any, iterator: Any, host: Any) -> Any:
        if task._get_meta() == "reset_connection" and host.name in self._ways:
            _links.drop(self._ways[host.name])
        return super()._execute_meta(task, context, iterator, host)


def _general(task: Any, variables: Mapping[str, Any]) -> str:
    """Say what keeps a task off the bulk lane before anything of it is evaluated."""
    if tuple(int(part) for part in core.split(".")[:2]) != lanes.CORE:
        return f"ansible-core {core}"
    if bulk is None:
        return "asyncssh is not installed"
    return lanes.task_reason({**task.dump_attrs(), "args": {"_raw_params": "-"}}, variables)


def _templated(task: Any, templar: Any) -> bool:
    """Say whether anything but the arguments, and what is evaluated later, is a template."""
    later = {"args", "changed_when", "failed_when", "vars"}
    values = [getattr(task, name) for name in set(task.fattributes) - later]
    return any(templar.is_template(v) for v in values if isinstance(v, str | list | dict))


@functools.cache
def _kind() -> Any:
    """Return an engine that compiles each text once: over a fleet they are all the same."""
    from ansible._internal._templating._engine import TemplateEngine  # noqa: PLC0415 - private, 2.19

    compiled: dict[Any, Any] = {}

    class Engine(TemplateEngine):  # type: ignore[misc]
        def _compile_template(self, template: str, options: Any) -> Any:
            key = ("template", str(template), options)
            if key not in compiled:
                compiled[key] = super()._compile_template(template, options)
            return compiled[key]

        def _compile_expression(self, expression: str, options: Any) -> Any:
            key = ("expression", str(expression), options)
            if key not in compiled:
                compiled[key] = super()._compile_expression(expression, options)
            return compiled[key]

    return Engine


def _engine(loader: Any, variables: dict[str, Any]) -> Any:
    return _kind()(loader=loader, variables=variables)


def _said(answer: Any) -> dict[str, Any]:
    """Return what the raw action returns."""
    out = to_text(answer.stdout, errors="surrogate_then_replace")
    err = to_text(answer.stderr, errors="surrogate_then_replace")
    result = {
        "rc": answer.status,
        "stdout": out,
        "stdout_lines": out.splitlines(),
        "stderr": err,
        "stderr_lines": err.splitlines(),
        "changed": True,
        "failed": False,
    }
    if answer.status != 0:
        result |= {"failed": True, "msg": answer.note or "non-zero return code"}
    return result
