"""The small values of a runbook, each with its rule and its JSON Schema."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PLAYBOOK = r"^[a-z0-9][a-z0-9-]{0,80}\.yml$"


class Part(BaseModel):
    """A part of a runbook: frozen, and unknown keys are errors. Fields are described below them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def seconds(value: Any) -> float:
    """Read ``30s``, ``5m``, ``2h``, ``1d`` as seconds; raise ``ValueError`` otherwise."""
    if isinstance(value, float) and value >= 0:
        return value
    found = re.fullmatch(r"(\d{1,6})([smhd])", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a duration: write 30s, 5m, 2h or 1d")
    return float(found[1]) * SECONDS[found[2]]


def as_list(value: Any) -> Any:
    """Take one for a list of one."""
    return value if isinstance(value, list | tuple) or value is None else [value]


T = TypeVar("T")
Several = Annotated[tuple[T, ...], Field(min_length=1), BeforeValidator(as_list)]
"""One, or a list of at least one."""


def _share(value: int | str) -> int | str:
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"{value} is negative")
        return value
    if re.fullmatch(r"\d{1,3}%", value) is None or int(value[:-1]) > 100:
        raise ValueError(f"{value!r} is neither a number of hosts nor a percentage such as 25%")
    return value


def _playbook(name: str) -> str:
    if re.fullmatch(PLAYBOOK, name) is None:
        raise ValueError(f"{name!r} is no playbook name, such as sysctl-set.yml")
    return name


def _visible(text: str) -> str:
    odd = next((c for c in text if not c.isprintable() and c not in "\n\t"), None)
    if odd is not None:
        raise ValueError(f"it holds the invisible character U+{ord(odd):04X}: take it out")
    return text


def _one_line(text: str) -> str:
    if "\n" in text.strip():
        raise ValueError("it has several lines: one is shown")
    return text.strip()


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,6}[smhd]$", "examples": ["30s", "5m"]}),
]
Share = Annotated[
    StrictInt | StrictStr,
    AfterValidator(_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^(100|\d{1,2}|0\d\d)%$"},
            ]
        }
    ),
]
Playbook = Annotated[
    str,
    AfterValidator(_playbook),
    WithJsonSchema({"type": "string", "pattern": PLAYBOOK, "examples": ["sysctl-set.yml"]}),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Words = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_visible)]
Title = Annotated[
    str, Field(min_length=1, max_length=200), AfterValidator(_visible), AfterValidator(_one_line)
]
Text = Annotated[
    str,
    Field(min_length=1, max_length=500),
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    AfterValidator(_visible),
    WithJsonSchema({"type": ["string", "integer"]}),
]
"""A value of a setting; a bare whole number is its text."""
