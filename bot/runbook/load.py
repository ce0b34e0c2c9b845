"""From texts to a library: a bad file is left out, loudly, and never takes others down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from bot.runbook import complain, marks
from bot.runbook.marks import Path
from bot.runbook.model import Library, Problem, Runbook

SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    file: str
    text: str
    id: str | None = None
    runbook: Runbook | None = None
    lines: Mapping[Path, int] | None = None
    problems: tuple[Problem, ...] = ()


def load(files: Mapping[str, str], problems: Sequence[Problem] = ()) -> Library:
    """Return the library of ``files`` (path -> text) with every problem of every file.

    ``problems`` are those that were found on the way to the texts.

    Files that are no YAML by their name are crash texts of the runbooks' tests. Of two runbooks with
    the same id neither is used: which one was meant is not for us to guess.
    """
    fixtures = {path: text for path, text in files.items() if not path.endswith(SUFFIXES)}
    read = [_one(path, files[path]) for path in sorted(files) if path.endswith(SUFFIXES)]
    found = [*problems, *(problem for one in read for problem in one.problems)]
    by_id: dict[str, list[_Read]] = {}
    for one in read:
        if one.runbook is not None:
            by_id.setdefault(one.runbook.id, []).append(one)
    good: list[_Read] = []
    for same in by_id.values():
        if len(same) > 1:
            found += _same_id(same)
        else:
            good += same
    good.sort(key=lambda one: one.id or "")
    used = {one.id for one in good}
    return Library(
        runbooks=tuple(one.runbook for one in good if one.runbook),
        problems=tuple(sorted(found, key=lambda p: (p.file, p.line, p.what))),
        sources={one.id: (one.file, one.text) for one in good if one.id},
        fixtures=fixtures,
        lines={one.id: one.lines or {} for one in good if one.id},
        left_out=frozenset(one.id for one in read if one.id and one.id not in used),
    )


def _one(file: str, text: str) -> _Read:
    try:
        marked = marks.read(text)
    except marks.MarkedError as error:
        return _Read(file=file, text=text, problems=(_problem(file, error),))
    found = [_problem(file, problem) for problem in marked.problems]
    found += complain.odd_words(file, marked)
    name = marked.data.get("id") if isinstance(marked.data, dict) else None
    runbook = None
    try:
        runbook = Runbook.model_validate(marked.data)
    except ValidationError as error:
        found += complain.problems(file, marked, error)
    return _Read(
        file=file,
        text=text,
        id=name if isinstance(name, str) else None,
        runbook=None if found else runbook,
        lines=marked.lines,
        problems=tuple(found),
    )


def _problem(file: str, error: marks.MarkedError) -> Problem:
    return Problem(file=file, line=error.line, what=error.what, hint=error.hint, rule="yaml")


def _same_id(same: list[_Read]) -> list[Problem]:
    return [
        Problem(
            file=one.file,
            line=marks.line_of(one.lines or {}, ("id",)),
            what=f"the id {one.id!r} is also used by "
            + ", ".join(other.file for other in same if other is not one),
            hint="neither is used: rename one",
            rule="same-id",
        )
        for one in same
    ]
