"""Check runbooks against the playbooks that they name, and against crashes that are none of theirs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from bot.runbook.complain import close
from bot.runbook.marks import Path, line_of
from bot.runbook.model import Library, Mitigation, Problem, Runbook
from bot.runbook.pattern import over_bytes
from bot.runbook.playbook import Playbook, Task, read_playbook
from bot.runbook.trial import misplaced
from bot.runbook.variable import Variable
from bot.runbook.weigh import Sight, weigh

BROAD = 0.25
"""Of the sample crashes, so many are too many for one runbook."""
EVERYTHING = 0.9
"""Of the sample texts, so many are too many for one pattern."""
SAMPLES = 20
"""With fewer samples nothing is said about shares of them."""

Playbooks = Mapping[str, Playbook]


def lint(library: Library, playbooks: Mapping[str, str]) -> list[Problem]:
    """Return every problem of the library and of ``playbooks`` (path -> text), by file and line.

    Playbooks are known by their file names. What only people can judge is not judged.
    """
    known = _playbooks(library, playbooks)
    problems = [*library.problems, *misplaced(library)]
    problems += [problem for playbook in known.values() for problem in playbook.problems]
    for runbook in library.runbooks:
        problems += _runbook(library, runbook, known)
        problems += _one_way(library, runbook)
        problems += _unwritten(*library.sources[runbook.id])
    return order(problems)


def order(problems: Sequence[Problem]) -> list[Problem]:
    """Return problems by file and line."""
    return sorted(problems, key=lambda p: (p.file, p.line, p.what))


def previewed(library: Library, playbooks: Mapping[str, str]) -> list[Task]:
    """Return the tasks of the playbooks that a dry run runs: those that write, and diagnoses."""
    looks = {look.playbook for runbook in library.runbooks for look in runbook.diagnose}
    wanted = _writing(library) | looks
    known = _playbooks(library, playbooks)
    return [task for name in sorted(wanted & known.keys()) for task in known[name].tasks]


def broad(library: Library, sights: Sequence[Sight]) -> list[Problem]:
    """Return the runbooks that match, and the patterns that fit, most of many sample crashes."""
    if len(sights) < SAMPLES:
        return []
    problems = []
    for runbook in library.runbooks:
        file, lines = library.sources[runbook.id][0], library.lines[runbook.id]
        hits = sum(weigh(runbook.match, sight).ok for sight in sights)
        if hits > BROAD * len(sights):
            problems.append(
                Problem(
                    file=file,
                    line=line_of(lines, ("match",)),
                    what=f"it matches {hits} of {len(sights)} sample crashes",
                    hint="say more of what the crash looks like",
                    rule="too-broad",
                )
            )
        for name, pattern in (("title", runbook.match.title), ("message", runbook.match.message)):
            fits = sum(_fits(name, pattern, sight) for sight in sights) if pattern else 0
            if fits > EVERYTHING * len(sights):
                problems.append(
                    Problem(
                        file=file,
                        line=line_of(lines, ("match", name)),
                        what=f"/{pattern}/ fits {fits} of {len(sights)} sample crashes",
                        hint="it says nothing: take it out, or say more",
                        rule="too-broad",
                    )
                )
    return problems


def _fits(name: str, pattern: str, sight: Sight) -> bool:
    texts = [title.encode() for title in sight.titles] if name == "title" else [sight.text]
    return any(over_bytes(pattern).search(text) is not None for text in texts)


def _writing(library: Library) -> set[str]:
    return {
        name
        for runbook in library.runbooks
        for mitigation in runbook.mitigations
        for name in (mitigation.playbook, mitigation.rollback)
        if name
    }


def _playbooks(library: Library, playbooks: Mapping[str, str]) -> dict[str, Playbook]:
    writing = _writing(library)
    return {
        name: read_playbook(file, playbooks[file], writes=name in writing)
        for file in sorted(playbooks)
        if (name := posixpath.basename(file)).endswith((".yml", ".yaml"))
    }


def _runbook(library: Library, runbook: Runbook, known: Playbooks) -> Iterator[Problem]:
    file, lines = library.sources[runbook.id][0], library.lines[runbook.id]
    for path, name, given, where in _uses(runbook):
        if name not in known:
            hint = close(name, sorted(known)) or f"known are {', '.join(sorted(known)) or 'none'}"
            what = f"there is no playbook {name!r}"
            line = line_of(lines, path)
            yield Problem(file=file, line=line, what=what, hint=hint, rule="playbook-missing")
            continue
        for variable in given:
            if variable not in known[name].variables and not known[name].problems:
                yield Problem(
                    file=file,
                    line=line_of(lines, (*where, variable)),
                    what=f"{name} does not declare the variable {variable!r}",
                    hint=close(variable, sorted(known[name].variables)),
                    rule="playbook-variable",
                )


def _unwritten(file: str, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.split("\n"), 1):
        found = re.search(r"\bTODO\b:? ?([^\"']{0,100})", line.split(" #")[0])
        if found and not line.lstrip().startswith("#"):
            what = f"still to be written: {found[1].strip()}"
            yield Problem(file=file, line=number, what=what, warning=True, rule="todo")


def _one_way(library: Library, runbook: Runbook) -> Iterator[Problem]:
    if not any(knob.one_way for knob in runbook.knob):
        return
    file, lines = library.sources[runbook.id][0], library.lines[runbook.id]
    for number, mitigation in enumerate(runbook.mitigations):
        if mitigation.approvals < 2:
            yield Problem(
                file=file,
                line=line_of(lines, ("mitigations", number, "approvals")),
                what="its knob cannot be set back, and one person's yes is enough",
                hint="say approvals: 2",
                rule="one-way",
            )


Use = tuple[Path, str, Mapping[str, Variable], Path]
"""Where a playbook is named, its name, what it gets, and where that is said."""


def _uses(runbook: Runbook) -> Iterator[Use]:
    """Yield every place that names a playbook, with the variables that it will get."""
    for number, mitigation in enumerate(runbook.mitigations):
        at = ("mitigations", number)
        for part, name in _parts(mitigation):
            yield (*at, part), name, mitigation.variables, (*at, "variables")
        for place, check in enumerate(mitigation.gate.checks):
            if check.playbook is not None:
                yield (*at, "gate", "checks", place, "playbook"), check.playbook, {}, at
    rule = runbook.applies_if
    if rule is not None and rule.variables is not None:
        yield ("applies_if", "probe"), rule.probe, rule.variables, ("applies_if", "variables")
    elif rule is not None:
        own = runbook.mitigations[0].variables if runbook.mitigations else {}
        yield ("applies_if", "probe"), rule.probe, own, ("mitigations", 0, "variables")
    for number, look in enumerate(runbook.diagnose):
        path: Path = ("diagnose", number)
        yield (*path, "playbook"), look.playbook, look.variables, (*path, "variables")


def _parts(mitigation: Mitigation) -> Iterator[tuple[str, str]]:
    yield "playbook", mitigation.playbook
    yield "verify", mitigation.verify
    if mitigation.rollback is not None:
        yield "rollback", mitigation.rollback
