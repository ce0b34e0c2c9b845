"""Turn what pydantic found into sentences with a line and a did-you-mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bot.runbook.marks import Marked, Path
from bot.runbook.model import Problem, Runbook

TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "mapping_type": "a mapping of names to values",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
}
ODD = frozenset({"yes", "no", "on", "off", "y", "n"})
SORTS: Sequence[tuple[type, str]] = (
    (bool, "a truth value"),
    (int, "a number"),
    (float, "a number"),
    (date, "a date"),
)
LIMITS = {"too_short": "is empty", "string_too_short": "is empty", "string_too_long": "is too long"}


def close(word: str, known: list[str]) -> str:
    """Return ``did you mean 'x'?`` for the nearest known word, or nothing."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def problems(file: str, marked: Marked, error: ValidationError) -> Iterator[Problem]:
    """Yield one problem for every place that is wrong, in the order of the lines."""
    found: dict[tuple[int, Path], Problem] = {}
    for one in error.errors(include_url=False):
        path = _path(marked, one["loc"], absent=one["type"] == "missing")
        rule, what, hint = _sentence(path, one, marked)
        line = marked.line(path)
        problem = Problem(file=file, line=line, what=what, hint=hint, rule=rule)
        # Of a choice of types pydantic complains once a type: one sentence a place is enough.
        found.setdefault((line, path), problem)
    yield from sorted(found.values(), key=lambda p: p.line)


def odd_words(file: str, marked: Marked) -> Iterator[Problem]:
    """Yield the variables whose word YAML takes for true or false, though nobody wrote that."""
    for path, word in marked.raw.items():
        if "variables" in path and word.lower() in ODD:
            truth = str(word.lower() in {"yes", "on", "y"}).lower()
            yield Problem(
                file=file,
                line=marked.line(path),
                what=f"{_name(path)}: {word} is {truth} to YAML",
                hint=f"write {truth}, or put quotes around the word",
                rule="yaml",
            )


def _path(marked: Marked, loc: tuple[int | str, ...], *, absent: bool) -> Path:
    """Keep the parts of a location that are in the file; pydantic adds names of its own.

    The last part of a key that is ``absent`` is kept although the file lacks it.
    """
    path: Path = ()
    for part in loc:
        if (*path, part) in marked.lines:
            path = (*path, part)
    return (*path, loc[-1]) if absent else path


def _sentence(path: Path, error: Mapping[str, Any], marked: Marked) -> tuple[str, str, str]:
    """Return the rule that is broken, what is wrong, and a hint."""
    kind, value, context = error["type"], error.get("input"), error.get("ctx") or {}
    name = _name(path)
    if kind == "extra_forbidden":
        known = sorted(_keys(path[:-1]))
        hint = close(str(path[-1]), known) or f"known are {', '.join(known)}"
        return "unknown-key", f"unknown key {path[-1]!r}{_where(path)}", hint
    if kind == "missing":
        return "missing-key", f"missing key {path[-1]!r}{_where(path)}", ""
    if kind in {"literal_error", "enum"}:
        known = _choices(str(context["expected"]))
        what = f"{name} is {_shown(path, value, marked)}, not one of {', '.join(known)}"
        return "value", what, close(str(value), known)
    if kind == "value_error":
        said = str(context.get("error", error["msg"]))
        return "value", f"{name}: {said}" if path else said, ""
    if kind in TYPES:
        # YAML takes words such as off and no for truth values, 1.0 for a number.
        quotes = "put quotes around it" if kind == "string_type" and _scalar(value) else ""
        return "value", f"{name} is {_shown(path, value, marked)}, not {TYPES[kind]}", quotes
    if kind in LIMITS:
        return "value", f"{name} {LIMITS[kind]}", ""
    if kind == "string_pattern_mismatch":
        return "value", f"{name} is {value!r}, which does not fit {context['pattern']}", ""
    return "value", f"{name}: {str(error['msg'])[0].lower()}{str(error['msg'])[1:]}", ""


def _scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _shown(path: Path, value: Any, marked: Marked) -> str:
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    raw = marked.raw.get(path)
    if raw is None:
        return repr(value)
    sort = next((s for t, s in SORTS if isinstance(value, t)), "a value of its own")
    return raw if raw == repr(value) else f"{raw} ({sort} to YAML)"


def _choices(expected: str) -> list[str]:
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(",") if word.strip()]


def _name(path: Path) -> str:
    words = [str(part) for part in path if isinstance(part, str)]
    return repr(".".join(words)) if words else "the runbook"


def _where(path: Path) -> str:
    words = [str(part) for part in path[:-1] if isinstance(part, str)]
    return f" in {'.'.join(words)!r}" if words else ""


def _keys(path: Path) -> set[str]:
    """Return the keys that are known at a place of the format."""
    models: list[type[BaseModel]] = [Runbook]
    for part in path:
        fields = [f for m in models for n, f in m.model_fields.items() if part in (n, f.alias)]
        models = [inner for field in fields for inner in _models(field.annotation)] or models
    known = {field.alias or name for model in models for name, field in model.model_fields.items()}
    return known - {"overridden"}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]
