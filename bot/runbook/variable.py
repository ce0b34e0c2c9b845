"""Variables of a mitigation: typed, limited, and never a template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

Scalar = StrictBool | StrictInt | StrictStr
Value = Scalar | tuple[StrictStr, ...]
Plain = str | int | bool | list[str]
"""A value as a playbook gets it."""
Type = Literal[
    "str", "int", "bool", "list", "sysctl_key", "sysctl_value", "sysctl_settings", "module", "path"
]

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
# The bot's own, and words that Ansible reads as orders.
RESERVED = frozenset(
    {"ref", "phase", "hosts", "tasks", "vars", "environment", "become", "connection", "groups"}
    | {"hostvars", "omit", "play_hosts", "inventory_hostname", "inventory_dir", "playbook_dir"}
    | {"role_path", "gather_facts", "strategy"}
)
SYSCTL_KEY = re.compile(r"(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9_./-]{0,254}")
SYSCTL_VALUE = re.compile(r"[A-Za-z0-9 ._:,-]{1,128}")
MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
LISTS = frozenset({"list", "sysctl_settings"})
PATH = re.compile(r"(?!.*/\.\.?(/|$))(/[A-Za-z0-9@:._+-]{1,128}){1,32}")
TEMPLATE = ("{{", "{%", "{#")


def plain(text: str) -> str:
    """Return ``text`` if it can be no template and no terminal trick; else ``ValueError``."""
    if any(mark in text for mark in TEMPLATE):
        raise ValueError(f"{text!r} holds template marks; a variable is a plain value")
    if not text.isprintable():
        raise ValueError(f"{text!r} holds control characters; a variable is one line of text")
    return text


def check_value(value: Any, kind: Type) -> Plain:
    """Return ``value`` as its type wants it; raise ``ValueError`` with a sentence."""
    match kind, value:
        case (("list" | "sysctl_settings"), list() | tuple()):
            return [_item(item, kind) for item in value]
        case (("list" | "sysctl_settings"), _):
            raise ValueError(f"{value!r} is not a list")
        case _, list() | tuple():
            raise ValueError(f"{list(value)!r} is a list: give it the type list")
        case ("bool", bool(typed)) | ("int", int(typed)) if (kind == "bool") is isinstance(
            value, bool
        ):
            return typed
        case "bool", _:
            raise ValueError(f"{value!r} is not true or false")
        case "int", _:
            raise ValueError(f"{value!r} is not a whole number")
        case _, bool():
            raise ValueError(f"{value} is not text: put quotes around it if the word is meant")
        case "str", str():
            return plain(value)
        case "str", _:
            raise ValueError(f"{value!r} is not text")
        case _:
            return _fitting(str(value), kind)


SHAPES: Mapping[str, tuple[re.Pattern[str], str]] = {
    "sysctl_key": (SYSCTL_KEY, "one sysctl key, such as net.ipv4.tcp_sack"),
    "sysctl_value": (SYSCTL_VALUE, "a sysctl value: letters, digits, blanks and . _ : , -"),
    "module": (MODULE, "a module name, such as nf_tables"),
    "path": (PATH, "an absolute path without '..', such as /sys/kernel/mm/ksm/run"),
}


def _fitting(text: str, kind: Type) -> str:
    shape, what = SHAPES[kind]
    if shape.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not {what}")
    return text


def _listed(value: Any, kind: Type) -> Plain:
    if kind not in LISTS:
        raise ValueError(f"{list(value)!r} is a list: give it the type list")
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is not a list")  # noqa: TRY004 -- pydantic takes ValueErrors
    return [_item(str(item), kind) for item in value]


def _item(item: str, kind: Type) -> str:
    key, equals, value = item.partition("=")
    if kind == "sysctl_settings" and not equals:
        raise ValueError(f"{item!r} is no setting, such as net.ipv4.tcp_sack=0")
    if kind == "sysctl_settings":
        return f"{_fitting(key, 'sysctl_key')}={_fitting(value, 'sysctl_value')}"
    return plain(item)


def _schema(schema: dict[str, Any]) -> None:
    """Say that a scalar or a list may stand for the whole, and keep back what no file may set."""
    whole = dict(schema)
    whole["properties"] = {k: v for k, v in schema["properties"].items() if k != "overridden"}
    described = {k: whole.pop(k) for k in list(whole) if k in {"title", "description"}}
    value = whole["properties"]["value"]
    schema.clear()
    schema.update({**described, "anyOf": [whole, {"anyOf": value["anyOf"]}]})


class Variable(BaseModel):
    """One value that a playbook is given.

    A plain scalar or list stands for its value; the type is then its own.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, json_schema_extra=_schema
    )

    value: Value
    """The value."""
    type: Type = "str"
    """What it has to be: without it, what the value is."""
    allowed: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    """The only values (of a list: items) that a site may set."""
    description: str = ""
    """What it is, for people."""
    overridden: bool = False
    """Set by site overrides only, never read from a file."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        given = data if isinstance(data, dict) else {"value": data}
        if "overridden" in given:
            raise ValueError("'overridden' is set by the site's configuration, not in a runbook")
        return {"type": _own(given.get("value")), **given}

    @model_validator(mode="after")
    def _typed(self) -> Variable:
        self.refuse(self.value)
        return self

    def refuse(self, value: Any) -> None:
        """Raise ``ValueError`` with a sentence if ``value`` may not be given."""
        typed = check_value(value, self.type)
        if self.allowed is None:
            return
        if isinstance(typed, list):
            allowed: list[Plain] = [_item(str(one), self.type) for one in self.allowed]
            wrong: list[Plain] = [one for one in typed if one not in allowed]
        else:
            allowed = [check_value(one, self.type) for one in self.allowed]
            wrong = [] if typed in allowed else [typed]
        if wrong:
            raise ValueError(
                f"{wrong[0]!r} is not allowed; it may be {', '.join(map(str, allowed))}"
            )

    def resolved(self) -> Plain:
        """Return the value as its type wants it: a sysctl value is always text."""
        return check_value(self.value, self.type)


def _own(value: Any) -> Type:
    if isinstance(value, list | tuple):
        return "list"
    return "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "str"


def check_names(variables: Mapping[str, Variable]) -> Mapping[str, Variable]:
    """Return ``variables`` if a playbook may be given such names; else ``ValueError``."""
    for name in variables:
        if NAME.fullmatch(name) is None or name.startswith("ansible_") or name in RESERVED:
            raise ValueError(f"a variable cannot be named {name!r}")
    return variables


Variables = Annotated[Mapping[str, Variable], AfterValidator(check_names)]


def resolved(variables: Mapping[str, Variable]) -> dict[str, Plain]:
    """Return variables as a playbook gets them: plain values of their types."""
    return {name: variable.resolved() for name, variable in variables.items()}
