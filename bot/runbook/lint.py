"""Check runbooks against the playbooks that they name, and the playbooks against our rules."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot.runbook import marks
from bot.runbook.complain import close
from bot.runbook.marks import Path, line_of
from bot.runbook.model import Library, Mitigation, Problem, Runbook
from bot.runbook.trial import misplaced

# They run a command: a dry run skips them, unless the task says check_mode: false.
COMMANDS = ("raw", "shell", "command", "script")
# With them a failure looks like success, so no gate could see it.
HIDING = ("ignore_errors", "ignore_unreachable")
# The default (linear, and its bulk lane) by its names. Others may go on past the hosts that failed.
LINEAR = (None, "linear", "ansible.builtin.linear", "holdfast_bulk")
NESTED = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """A playbook as far as it was read: the variables of its plays, its tasks with their lines."""

    file: str
    variables: frozenset[str]
    problems: tuple[Problem, ...]


def lint(library: Library, playbooks: Mapping[str, str]) -> list[Problem]:
    """Return every problem of the library and of ``playbooks`` (path -> text), by file and line.

    Playbooks are known by their file names. What only people can judge is not judged.
    """
    writing = {
        name
        for runbook in library.runbooks
        for mitigation in runbook.mitigations
        for name in (mitigation.playbook, mitigation.rollback)
        if name
    }
    known: dict[str, Playbook] = {}
    for file in sorted(playbooks):
        if file.endswith((".yml", ".yaml")):
            name = posixpath.basename(file)
            known[name] = read_playbook(file, playbooks[file], writes=name in writing)
    problems = [
        *library.problems,
        *misplaced(library),
        *(p for playbook in known.values() for p in playbook.problems),
    ]
    for runbook in library.runbooks:
        problems += _runbook(library, runbook, known)
    return sorted(problems, key=lambda p: (p.file, p.line, p.what))


def _runbook(
    library: Library, runbook: Runbook, known: Mapping[str, Playbook]
) -> Iterator[Problem]:
    file, lines = library.sources[runbook.id][0], library.lines[runbook.id]
    for path, name, given in _uses(runbook):
        line = line_of(lines, path)
        if name not in known:
            hint = close(name, sorted(known)) or f"known are {', '.join(sorted(known)) or 'none'}"
            yield Problem(file=file, line=line, what=f"there is no playbook {name!r}", hint=hint)
            continue
        for variable in given:
            if variable not in known[name].variables and not known[name].problems:
                where = (*path[:2], "variables", variable)
                yield Problem(
                    file=file,
                    line=line_of(lines, where),
                    what=f"{name} does not declare the variable {variable!r}",
                    hint=close(variable, sorted(known[name].variables)),
                )


def _uses(runbook: Runbook) -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    """Yield every place that names a playbook, with the variables that it will get."""
    for number, mitigation in enumerate(runbook.mitigations):
        given = tuple(mitigation.variables)
        for part, name in _playbooks(mitigation):
            yield ("mitigations", number, part), name, given
        for place, check in enumerate(mitigation.gate.checks):
            if check.playbook is not None:
                path = ("mitigations", number, "gate", "checks", place, "playbook")
                yield path, check.playbook, ()
    rule = runbook.applies_if
    if rule is not None:
        own = runbook.mitigations[0].variables if runbook.mitigations else {}
        given = tuple(own if rule.variables is None else rule.variables)
        yield ("applies_if", "probe"), rule.probe, given
    for number, look in enumerate(runbook.diagnose):
        yield ("diagnose", number, "playbook"), look.playbook, tuple(look.variables)


def _playbooks(mitigation: Mitigation) -> Iterator[tuple[str, str]]:
    yield "playbook", mitigation.playbook
    yield "verify", mitigation.verify
    if mitigation.rollback is not None:
        yield "rollback", mitigation.rollback


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


def read_playbook(file: str, text: str, *, writes: bool) -> Playbook:
    """Read one playbook; ``writes`` says that a mitigation or a rollback runs it."""
    try:
        marked = marks.read(text, playbook=True)
    except marks.MarkedError as error:
        found = Problem(file=file, line=error.line, what=error.what)
        return Playbook(file=file, variables=frozenset(), problems=(found,))
    problems = [Problem(file=file, line=p.line, what=p.what) for p in marked.problems]
    plays = marked.data if isinstance(marked.data, list) else []
    if not plays or not all(isinstance(play, dict) for play in plays):
        problems.append(Problem(file=file, line=1, what="it is no list of plays"))
        plays = []
    variables: set[str] = set()
    for number, play in enumerate(plays):
        variables |= set(play.get("vars") or {})
        for path, what, hint in _play((number,), play, writes=writes):
            warning = not writes and path[-1] == "strategy"
            line = marked.line(path)
            problems.append(Problem(file=file, line=line, what=what, hint=hint, warning=warning))
    return Playbook(file=file, variables=frozenset(variables), problems=tuple(problems))


Found = tuple[Path, str, str]


def _play(path: Path, play: Mapping[str, Any], *, writes: bool) -> Iterator[Found]:
    if "import_playbook" in play:
        return
    if play.get("hosts") != "all":
        what = f"hosts is {play.get('hosts')!r}, not 'all'"
        yield (*path, "hosts"), what, "the run's inventory holds exactly the approved hosts"
    if play.get("gather_facts") is not False:
        yield path, "it gathers facts on every host", "say gather_facts: false"
    if play.get("strategy") not in LINEAR:
        what = f"strategy {play['strategy']}: only linear stops at the hosts that failed"
        yield (*path, "strategy"), what, "a mitigation has to be linear" if writes else ""
    yield from _tasks(path, play, writes=writes)


def _tasks(path: Path, part: Mapping[str, Any], *, writes: bool) -> Iterator[Found]:
    """Look at a play, a block or a task, and at everything inside it."""
    for word in HIDING:
        if part.get(word) not in (None, False):
            yield (*path, word), f"{word} makes a failure look like success", "take it out"
    yield from _command(path, part, writes=writes)
    for key in NESTED:
        inner = part.get(key)
        for number, task in enumerate(inner if isinstance(inner, list) else ()):
            if isinstance(task, dict):
                yield from _tasks((*path, key, number), task, writes=writes)


def _command(path: Path, task: Mapping[str, Any], *, writes: bool) -> Iterator[Found]:
    module = next((key for key in task if key.rsplit(".", 1)[-1] in COMMANDS), None)
    if module is None:
        return
    name = task.get("name") or module
    previews = "ansible_check_mode" in str(task)
    if task.get("check_mode") is not False:
        what = f"task {name!r} cannot be previewed: a dry run skips {module.rsplit('.', 1)[-1]}"
        yield path, what, "say check_mode: false, and only read when ansible_check_mode"
    elif writes and not previews:
        what = f"task {name!r} would write in a dry run: it says check_mode: false"
        yield path, what, "look at ansible_check_mode and only read then"
