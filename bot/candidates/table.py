"""The shipped facts: settings and modules, and the code that they govern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

SORTS: Mapping[str, str] = {
    "switch": "turns it off",
    "privilege": "says who may reach it",
    "limit": "bounds it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctl:
    """One setting: see the head of ``sysctls.yml`` for its fields."""

    key: str
    sort: str
    safest: str
    about: str
    functions: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    like: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All facts. ``parts`` is module -> how its functions begin, ``kept`` names or globs."""

    sysctls: tuple[Sysctl, ...]
    parts: Mapping[str, tuple[str, ...]]
    kept: tuple[str, ...]


@cache
def shipped() -> Table:
    """Return the table that comes with the package."""
    rows = _read("sysctls.yml")
    by_key = {row["key"]: row for row in rows}
    modules = _read("modules.yml")
    return Table(
        sysctls=tuple(_sysctl(row, by_key) for row in rows),
        parts={name: tuple(begin) for name, begin in modules["parts"].items()},
        kept=tuple(modules["kept"]),
    )


def _sysctl(row: Mapping[str, Any], by_key: Mapping[str, Mapping[str, Any]]) -> Sysctl:
    """Read a row; ``like`` adds the functions of another key."""
    other = by_key[row["like"]]["functions"] if "like" in row else ()
    lists = {name: tuple(row.get(name, ())) for name in ("files", "modules")}
    return Sysctl(
        key=row["key"],
        sort=row["sort"],
        safest=row["safest"],
        about=row["about"],
        functions=tuple(dict.fromkeys((*row["functions"], *other))),
        like=row.get("like", ""),
        **lists,
    )


def _read(name: str) -> Any:
    return yaml.safe_load(files(__package__).joinpath(name).read_text(encoding="utf-8"))
