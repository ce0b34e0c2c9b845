"""Site overrides: other values for the variables of runbooks that came from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bot.errors import BadInputError
from bot.runbook.complain import close
from bot.runbook.model import Library, Mitigation, Runbook
from bot.runbook.variable import Variable

Values = Mapping[str, str | int | bool]


def override(library: Library, overrides: Mapping[str, Mapping[str, Values]]) -> Library:
    """Return the library with ``{runbook: {mitigation: {variable: value}}}`` put in.

    A changed variable is marked ``overridden``. Raises one ``BadInputError`` that names every
    unknown name and every value that the runbook does not allow. Overrides of a runbook that was
    left out for a problem of its own wait until it is mended.
    """
    names = [runbook.id for runbook in library.runbooks]
    wrong: list[str] = []
    wrong += [
        _unknown("runbook", name, names)
        for name in overrides
        if name not in names and name not in library.left_out
    ]
    runbooks = tuple(
        _runbook(runbook, overrides[runbook.id], wrong) if runbook.id in overrides else runbook
        for runbook in library.runbooks
    )
    if wrong:
        raise BadInputError(
            "; ".join(wrong), where="overrides", next="mend the overrides in the configuration"
        )
    return replace(library, runbooks=runbooks)


def _runbook(runbook: Runbook, given: Mapping[str, Values], wrong: list[str]) -> Runbook:
    names = [mitigation.id for mitigation in runbook.mitigations]
    wrong += [
        _unknown("mitigation", f"{runbook.id}.{name}", [f"{runbook.id}.{n}" for n in names])
        for name in given
        if name not in names
    ]
    changed = tuple(
        _mitigation(runbook.id, m, given[m.id], wrong) if m.id in given else m
        for m in runbook.mitigations
    )
    return runbook.model_copy(update={"mitigations": changed})


def _mitigation(
    runbook: str, mitigation: Mitigation, given: Values, wrong: list[str]
) -> Mitigation:
    variables: dict[str, Variable] = dict(mitigation.variables)
    for name, value in given.items():
        place = f"{runbook}.{mitigation.id}.{name}"
        if name not in variables:
            known = [f"{runbook}.{mitigation.id}.{n}" for n in variables]
            wrong.append(_unknown("variable", place, known))
            continue
        try:
            variables[name].refuse(value)
        except ValueError as error:
            wrong.append(f"{place}: {error}")
            continue
        update = {"value": value, "overridden": value != variables[name].value}
        variables[name] = variables[name].model_copy(update=update)
    return mitigation.model_copy(update={"variables": variables})


def _unknown(what: str, name: str, known: list[str]) -> str:
    hint = close(name, known) or f"known are {', '.join(known) or 'none'}"
    return f"unknown {what} {name!r}, {hint}"
