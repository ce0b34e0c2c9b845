"""Linear, but the ``raw`` tasks of a whole batch run in one SSH loop of the main process.

Ansible's own lane forks a process for each host and task, and starts an ssh for it: over a fleet
that is nearly all of the cost. Whatever the bulk lane does not fully understand goes to that
ordinary lane, host by host, and the result says so (``holdfast_lane``).

It uses private interfaces of ansible-core 2.19; with another minor version everything is ordinary.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import shlex
import sys
from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.executor.task_result import _RawTaskResult
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.loader import filter_loader, lookup_loader, test_loader
from ansible.plugins.strategy.linear import StrategyModule as Linear
from ansible.release import __version__ as core

ROOT = str(Path(__file__).resolve().parents[4])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)  # the lane is the one that was shipped with this plugin

from bot.runner import lane as lanes  # noqa: E402 - only now it can be found
from bot.runner.alike import Alike  # noqa: E402
from bot.runner.lane import Fallback, Link  # noqa: E402

bulk: Any
try:
    from bot.runner import bulk
    from bot.runner.plugins import magic, route
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
LOADERS = {"filter": filter_loader, "test": test_loader, "lookup": lookup_loader}

# What is there by now stays: the collector need not look at it again and again.
gc.freeze()
gc.set_threshold(20_000, 20, 20)


@dataclass(slots=True)
class _Flight:
    """One host's raw task under way, and what the ordinary lane needs if it has to take over."""

    host: Any
    task: Any
    own: Any
    variables: dict[str, Any]
    context: Any
    fields: Mapping[str, Any]
    answer: asyncio.Task[Any] | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    """What was worked out of a task for one host; with another address it is good for its likes."""

    own: Any
    link: Link
    command: str
    fields: Mapping[str, Any]


_route: Any = None if bulk is None else route.Route()  # type: ignore[possibly-undefined]
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
        self._flights: dict[int, _Flight] = {}
        self._landed: deque[_Flight] = deque()
        self._reasons: dict[tuple[str, str], str] = {}
        self._ways: dict[str, Link] = {}
        self._patterns: dict[str, Any] = {}
        self._orders: dict[Hashable, _Order] = {}
        self._reads: dict[str, frozenset[str] | None] = {}
        self._alike = Alike(_engine(self._loader, {}).is_template, _ours)
        self._left: tuple[Any, list[str], list[str]] = (None, [], [])
        magic.share(self._variable_manager)

    def add_tqm_variables(self, vars: dict[str, Any], play: Any) -> None:  # noqa: A002 - Ansible's
        """Add the hosts that are left and those that failed; made anew only after a change."""
        failed, dark = self._tqm._failed_hosts, self._tqm._unreachable_hosts
        mark = (play, tuple(failed), tuple(dark))
        if self._left[0] != mark:
            self._left = (mark, self.get_hosts_remaining(play), self.get_failed_hosts(play))
        vars["ansible_current_hosts"] = self._left[1].copy()
        vars["ansible_failed_hosts"] = self._left[2].copy()

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
        key = self._key(task, variables)
        order = self._orders.get(key) if key is not None else None
        if order is None:
            found = self._work_out(task, variables, context)
            if isinstance(found, Fallback):
                return found.reason
            order = found
            if key is not None and _route.one and self._patterns[task._uuid]:
                self._orders[key] = order
        else:
            order = replace(order, link=replace(order.link, host=_address(variables)))
        self._begin(host, task, order, variables, context)
        return ""

    def _key(self, task: Any, variables: Mapping[str, Any]) -> Hashable | None:
        """Return what is equal for hosts that are told the same; None if that cannot be told."""
        if task._uuid not in self._reads:
            texts = [value for value in task.args.values() if isinstance(value, str)]
            found = [self._alike.reads(text) for text in texts]
            known = len(texts) == len(task.args) and None not in found
            names = frozenset[str]().union(*(f.names for f in found if f is not None))
            self._reads[task._uuid] = names if known else None
        read = self._reads[task._uuid]
        if read is None or _route is None or not _address(variables):
            return None
        ways = (*_route.names, *lanes.VARIABLES, "ansible_connection")
        key = self._alike.key((*read, *ways), variables)
        return None if key is None else (task._uuid, key)

    def _work_out(self, task: Any, variables: dict[str, Any], context: Any) -> Any:
        """Return the order for one host, or a ``Fallback``."""
        reason = _general(task, variables)
        if reason:
            return Fallback(reason)
        templar = _engine(self._loader, variables)
        connection = templar.template(variables.get("ansible_connection") or task.connection)
        if connection not in SSH:
            return Fallback(f"connection {connection}")
        own = self._validated(task, templar)
        fields = own.dump_attrs()
        reason = lanes.task_reason(fields, variables)
        link = Fallback(reason) if reason else _route.link(own, variables, templar, context)
        if isinstance(link, Fallback):
            return link
        reason = _lane(self._tqm._forks).refusal(link)
        if reason:
            return Fallback(str(reason))
        command = own.args["_raw_params"]
        if own.args.get("executable"):
            command = f"{own.args['executable']} -c {shlex.quote(command)}"
        return _Order(own, link, command, fields)

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

    def _begin(
        self, host: Any, task: Any, order: _Order, variables: dict[str, Any], context: Any
    ) -> None:
        self._queued_task_cache[(host.name, task._uuid)] = {
            "host": host,
            "task": task,
            "task_vars": variables,
            "play_context": context,
        }
        flight = _Flight(host, task, order.own, variables, context, order.fields)

        def begun() -> None:
            self._tqm.send_callback("v2_runner_on_start", host, task)

        def landed(_: object) -> None:
            self._landed.append(flight)

        self._ways[host.name] = order.link
        lane = _lane(self._tqm._forks)
        flight.answer = lane.start(order.link, order.command, begun)
        flight.answer.add_done_callback(landed)
        self._flights[id(flight)] = flight
        self._pending_results += 1
        lane.turn()  # handshakes are not to time out while other hosts are being queued

    def _wait_on_pending_results(self, iterator: Any) -> list[Any]:
        results: list[Any] = []
        while self._flights and not self._tqm._terminated:
            _lane(self._tqm._forks).turn(TICK)
            results += self._process_pending_results(iterator)
        return results + list(super()._wait_on_pending_results(iterator))

    def _process_pending_results(self, *args: Any, **kwargs: Any) -> list[Any]:
        self._land()
        return list(super()._process_pending_results(*args, **kwargs))

    def _land(self) -> None:
        """Turn finished flights into results, as a worker of the ordinary lane would."""
        while self._landed:
            flight = self._landed.popleft()
            del self._flights[id(flight)]
            answer = flight.answer.result()  # type: ignore[union-attr] # it has landed
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
                task_fields={**flight.fields},
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
        flight.own.update_result_no_log(None, result)  # it is final: there is nothing to template
        result[lanes.KEY] = lanes.BULK
        return result

    def _conditions(self, task: Any, result: dict[str, Any], variables: dict[str, Any]) -> None:
        """Evaluate changed_when and failed_when, as the task executor does."""
        given = [*(task.changed_when or ()), *(task.failed_when or ())]
        if given == [False] and task.changed_when:
            result["changed"] = False
            return
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
    """Return an engine; its environment holds no variables, so all engines share one."""
    engine = _kind()(loader=loader, variables=variables)
    engine._environment = _environment(engine.basedir)
    return engine


@functools.cache
def _environment(basedir: str) -> Any:
    from ansible._internal._templating._jinja_bits import (  # noqa: PLC0415 - private, 2.19
        AnsibleEnvironment,
    )

    return AnsibleEnvironment(ansible_basedir=basedir)


def _ours(kind: str, name: str) -> bool:
    """Say whether a filter, test or lookup of this name is Ansible's own (or Jinja's)."""
    try:
        found = LOADERS[kind].get_with_context(name)
    except KeyError:
        found = None
    if found is None or found.object is None:
        return kind != "lookup"  # Jinja's
    fqcn = found.plugin_load_context.resolved_fqcn or ""
    return bool(fqcn.startswith("ansible.builtin."))


def _address(variables: Mapping[str, Any]) -> str:
    """Return where the host is, if no template says so."""
    found = next((variables[name] for name in route.ADDRESS if variables.get(name)), "")
    return found if isinstance(found, str) and "{" not in found else ""


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
