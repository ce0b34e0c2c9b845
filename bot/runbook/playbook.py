"""A playbook against our rules, as far as its text tells: roles and included files are not read."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot.runbook import marks
from bot.runbook.marks import Path
from bot.runbook.model import Problem

# They run a command: a dry run skips them, unless the task says check_mode: false.
COMMANDS = ("raw", "shell", "command", "script")
# With them a failure looks like success, so no gate could see it.
HIDING = ("ignore_errors", "ignore_unreachable")
# The default (linear, and its bulk lane) by its names. Others may go on past the hosts that failed.
LINEAR = (None, "linear", "ansible.builtin.linear", "holdfast_bulk")
NESTED = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")
BLIND = "cannot-preview"
"""A tag: the task says itself that a dry run skips it."""
WORDS = frozenset(
    [
        "action",
        "any_errors_fatal",
        "args",
        "async",
        "async_val",
        "become",
        "become_exe",
        "become_flags",
        "become_method",
        "become_user",
        "changed_when",
        "check_mode",
        "collections",
        "connection",
        "debugger",
        "delay",
        "delegate_facts",
        "delegate_to",
        "diff",
        "environment",
        "failed_when",
        "ignore_errors",
        "ignore_unreachable",
        "listen",
        "local_action",
        "loop",
        "loop_control",
        "module_defaults",
        "name",
        "no_log",
        "notify",
        "poll",
        "port",
        "register",
        "remote_user",
        "retries",
        "run_once",
        "tags",
        "throttle",
        "timeout",
        "until",
        "vars",
        "when",
        "block",
        "rescue",
        "always",
    ]
)
"""Keys of a task that name no module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task that uses a ``module``, on its line; ``blind``: it says that a dry run skips it."""

    file: str
    line: int
    name: str
    module: str
    blind: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """A playbook as far as it was read: the variables of its plays, its tasks, what is wrong."""

    file: str
    variables: frozenset[str] = frozenset()
    tasks: tuple[Task, ...] = ()
    problems: tuple[Problem, ...] = ()


Found = tuple[Path, str, str, str]
"""Where, the rule, what, and a hint."""


def read_playbook(file: str, text: str, *, writes: bool) -> Playbook:
    """Read one playbook; ``writes`` says that a mitigation or a rollback runs it."""
    try:
        marked = marks.read(text, playbook=True)
    except marks.MarkedError as error:
        found = Problem(file=file, line=error.line, what=error.what, hint=error.hint, rule="yaml")
        return Playbook(file=file, problems=(found,))
    problems = [Problem(file=file, line=p.line, what=p.what, rule="yaml") for p in marked.problems]
    plays = marked.data if isinstance(marked.data, list) else []
    if not plays or not all(isinstance(play, dict) for play in plays):
        what = "it is no list of plays"
        problems.append(Problem(file=file, line=1, what=what, rule="playbook-syntax"))
        plays = []
    variables: set[str] = set()
    tasks: list[Task] = []
    for number, play in enumerate(plays):
        variables |= set(_mapping(play.get("vars")))
        tasks += [
            Task(
                file=file,
                line=marked.line(path),
                name=str(task.get("name") or module),
                module=module,
                blind=_blind(task),
            )
            for path, task in _all_tasks((number,), play)
            for module in _modules(task)
        ]
        for path, rule, what, hint in _play((number,), play, writes=writes):
            problems.append(
                Problem(
                    file=file,
                    line=marked.line(path),
                    what=what,
                    hint=hint,
                    warning=rule == "strategy" and not writes,
                    rule=rule,
                )
            )
    return Playbook(
        file=file,
        variables=frozenset(variables),
        tasks=tuple(tasks),
        problems=tuple(problems),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _blind(task: Mapping[str, Any]) -> bool:
    tags = task.get("tags")
    return BLIND in (tags if isinstance(tags, list) else str(tags).split(","))


def _modules(task: Mapping[str, Any]) -> list[str]:
    return [key for key in task if key not in WORDS and not key.startswith("with_")]


def _all_tasks(path: Path, part: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the tasks of a play or a block, and those of the blocks inside it."""
    for key in NESTED:
        inner = part.get(key)
        for number, task in enumerate(inner if isinstance(inner, list) else ()):
            if isinstance(task, dict):
                if "block" not in task:
                    yield (*path, key, number), task
                yield from _all_tasks((*path, key, number), task)


def _play(path: Path, play: Mapping[str, Any], *, writes: bool) -> Iterator[Found]:
    if "import_playbook" in play:
        return
    if play.get("hosts") != "all":
        what = f"hosts is {play.get('hosts')!r}, not 'all'"
        hint = "the run's inventory holds exactly the approved hosts"
        yield (*path, "hosts"), "playbook-hosts", what, hint
    if play.get("gather_facts") is not False:
        yield path, "gathers-facts", "it gathers facts on every host", "say gather_facts: false"
    if play.get("strategy") not in LINEAR:
        what = f"strategy {play['strategy']}: only linear stops at the hosts that failed"
        hint = "a mitigation has to be linear" if writes else ""
        yield (*path, "strategy"), "strategy", what, hint
    if play.get("vars_prompt"):
        what = "vars_prompt waits for somebody to type, and nobody is there"
        yield (*path, "vars_prompt"), "asks-people", what, "make it a variable of the runbook"
    yield from _hiding(path, play)
    for at, task in _all_tasks(path, play):
        yield from _hiding(at, task)
        yield from _command(at, task, writes=writes)


def _hiding(path: Path, part: Mapping[str, Any]) -> Iterator[Found]:
    for word in HIDING:
        if part.get(word) not in (None, False):
            what = f"{word} makes a failure look like success"
            yield (*path, word), "hides-failure", what, "take it out"
    if part.get("failed_when") is False:
        what = "failed_when: false makes a failure look like success"
        yield (*path, "failed_when"), "hides-failure", what, "say what a failure is"
    block = part.get("block")
    if isinstance(block, list):  # a block's own keywords hold for its tasks
        for number, task in enumerate(block):
            if isinstance(task, dict) and "block" in task:
                yield from _hiding((*path, "block", number), task)


def _command(path: Path, task: Mapping[str, Any], *, writes: bool) -> Iterator[Found]:
    module = next((key for key in task if key.rsplit(".", 1)[-1] in COMMANDS), None)
    if module is None or _blind(task):
        return
    name = task.get("name") or module
    previews = "ansible_check_mode" in str(task)
    if task.get("check_mode") is not False:
        what = f"task {name!r} cannot be previewed: a dry run skips {module.rsplit('.', 1)[-1]}"
        hint = f"say check_mode: false, and only read when ansible_check_mode; or tag it {BLIND}"
        yield path, "cannot-preview", what, hint
    elif writes and not previews:
        what = f"task {name!r} would write in a dry run: it says check_mode: false"
        yield path, "cannot-preview", what, "look at ansible_check_mode and only read then"


def unpreviewed(tasks: Collection[Task], support: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the tasks whose module has no check mode, and that do not say so themselves.

    ``support`` is what each module says of its check mode: ``full``, ``partial``, ``none``; one that
    is missing is not known.
    """
    for task in tasks:
        short = task.module.rsplit(".", 1)[-1]
        if task.blind or short in COMMANDS or support.get(task.module) != "none":
            continue
        yield Problem(
            file=task.file,
            line=task.line,
            what=f"task {task.name!r} cannot be previewed: {task.module} has no check mode",
            hint=f"use another module, or tag it {BLIND}",
            rule="cannot-preview",
        )


def other_strategies(playbooks: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Name the plays of these playbooks, and of those that they import, that are not linear.

    ``playbooks`` is file name -> text. Each as ``file: strategy``. What cannot be read is skipped:
    Ansible refuses it.
    """
    found, todo, seen = [], list(names), set[str]()
    while todo:
        name = todo.pop()
        if name in seen or name not in playbooks:
            continue
        seen.add(name)
        try:
            data = marks.read(playbooks[name], playbook=True).data
        except marks.MarkedError:
            continue
        for play in data if isinstance(data, list) else ():
            if isinstance(play, dict) and isinstance(play.get("import_playbook"), str):
                todo.append(posixpath.normpath(play["import_playbook"]))
            elif isinstance(play, dict) and play.get("strategy") not in LINEAR:
                found.append(f"{name}: {play['strategy']}")
    return sorted(found)
