"""Variables of a mitigation: typed, limited, and never a template."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

Value = StrictBool | StrictInt | StrictStr
Type = Literal["str", "int", "bool", "sysctl_key", "sysctl_value"]

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
# The bot's own, and words that Ansible reads as orders.
RESERVED = frozenset(
    {"ref", "phase", "hosts", "tasks", "vars", "environment", "become", "connection", "groups"}
    | {"hostvars", "omit", "play_hosts", "inventory_hostname", "inventory_dir", "playbook_dir"}
    | {"role_path", "gather_facts", "strategy"}
)
SYSCTL_KEY = re.compile(r"(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9_./-]{0,254}")
SYSCTL_VALUE = re.compile(r"[A-Za-z0-9 ._:,-]{1,128}")
TEMPLATE = ("{{", "{%", "{#")


def plain(text: str) -> str:
    """Return ``text`` if it can be no template and no terminal trick; else ``ValueError``."""
    if any(mark in text for mark in TEMPLATE):
        raise ValueError(f"{text!r} holds template marks; a variable is a plain value")
    if not text.isprintable():
        raise ValueError(f"{text!r} holds control characters; a variable is one line of text")
    return text


def check_value(value: Any, kind: Type) -> str | int | bool:
    """Return ``value`` as its type wants it; raise ``ValueError`` with a sentence."""
    match kind, value:
        case "bool", bool():
            return value
        case "bool", _:
            raise ValueError(f"{value!r} is not true or false")
        case "int", int() if not isinstance(value, bool):
            return value
        case "int", _:
            raise ValueError(f"{value!r} is not a whole number")
        case _, bool():
            raise ValueError(f"{value} is not text: put quotes around it if the word is meant")
        case "str", str():
            return plain(value)
        case "str", _:
            raise ValueError(f"{value!r} is not text")
        case _:
            return _sysctl(str(value), kind)


def _sysctl(text: str, kind: Type) -> str:
    if kind == "sysctl_key" and SYSCTL_KEY.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not one sysctl key, such as net.ipv4.tcp_sack")
    if kind == "sysctl_value" and SYSCTL_VALUE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a sysctl value: letters, digits, blanks and . _ : , -")
    return text


class Variable(BaseModel):
    """One value that a playbook is given.

    A plain scalar in the YAML stands for its value; the type is then the scalar's own.
    ``overridden`` is set by site overrides only and never read from a file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Value
    type: Type = "str"
    allowed: tuple[Value, ...] | None = Field(default=None, min_length=1)
    description: str = ""
    overridden: bool = False

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        given = data if isinstance(data, dict) else {"value": data}
        if "overridden" in given:
            raise ValueError("'overridden' is set by the site's configuration, not in a runbook")
        value = given.get("value")
        own = "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "str"
        return {"type": own, **given}

    @model_validator(mode="after")
    def _typed(self) -> Variable:
        for value in (self.value, *(self.allowed or ())):
            check_value(value, self.type)
        self.refuse(self.value)
        return self

    def refuse(self, value: Any) -> None:
        """Raise ``ValueError`` with a sentence if ``value`` may not be given."""
        typed = check_value(value, self.type)
        allowed = (
            None if self.allowed is None else [check_value(a, self.type) for a in self.allowed]
        )
        if allowed is not None and typed not in allowed:
            raise ValueError(f"{typed!r} is not allowed; it may be {', '.join(map(str, allowed))}")

    def resolved(self) -> str | int | bool:
        """Return the value as its type wants it: a sysctl value is always text."""
        return check_value(self.value, self.type)
