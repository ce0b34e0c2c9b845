"""Which hosts are alike for a task: what its templates can depend on, and the values of that.

Over a fleet nearly every host is told the very same thing. What a template reads is found in its
syntax, so one rendering serves all hosts whose values of it are equal. A template that may depend
on anything else (a lookup but that of a file, chance, the clock, a method) is rendered for each
host. Nothing of Ansible is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass

import jinja2
from jinja2 import nodes

FILTERS = frozenset(
    [
        *("b64decode", "b64encode", "bool", "d", "default", "first", "float", "indent", "int"),
        *("join", "last", "length", "list", "lower", "quote", "regex_replace", "replace"),
        *("sort", "split", "string", "ternary", "to_json", "trim", "unique", "upper"),
    ]
)
"""Filters whose result depends on nothing but what they are given."""
TESTS = frozenset(
    ["defined", "undefined", "none", "string", "number", "boolean", "truthy", "falsy"]
)
LOOKUPS = frozenset(["file"])
"""Lookups that find the same for every host of one task: pinned files beside the playbook."""
EVERYTHING = frozenset(["hostvars", "vars"])
_CALLS = frozenset(["lookup", "query", "q"])
_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Compare, nodes.Operand),
    *(nodes.CondExpr, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.If, nodes.Keyword),
    *(nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Getattr, nodes.Getitem),
)
_BUILTIN = "ansible.builtin."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What a template reads: variables by name, and plugins as (kind, name as written)."""

    names: frozenset[str]
    plugins: frozenset[tuple[str, str]]


def reads(text: str) -> Reads | None:
    """Return what a template reads; None if that cannot be told from its syntax."""
    try:
        tree = jinja2.Environment(autoescape=False).parse(text)  # noqa: S701 - nothing is rendered
    except jinja2.TemplateError:
        return None
    names: set[str] = set()
    plugins: set[tuple[str, str]] = set()
    left: list[nodes.Node] = [tree]
    while left:
        node = left.pop()
        below = list(node.iter_child_nodes())
        match node:
            case nodes.Name(ctx="load", name=name):
                names.add(name)
            case nodes.Filter(name=name) if _plain(name) in FILTERS:
                plugins.add(("filter", name))
            case nodes.Test(name=name) if _plain(name) in TESTS:
                plugins.add(("test", name))
            case nodes.Call(
                node=nodes.Name(name=call), args=[nodes.Const(value=str(name)), *_]
            ) if call in _CALLS and _plain(name) in LOOKUPS:
                plugins.add(("lookup", name))
                below.remove(node.node)
            case _:
                if not isinstance(node, _ALLOWED):
                    return None
        left += below
    return Reads(names=frozenset(names), plugins=frozenset(plugins))


def _plain(name: str) -> str:
    return name.removeprefix(_BUILTIN)


class Alike:
    """Tells hosts apart by the values that matter.

    ``template`` says whether a text is one that Ansible would render; ``ours`` whether a plugin,
    by (kind, name), is the one that Ansible ships, since a site's own may do anything.
    """

    def __init__(self, template: Callable[[str], bool], ours: Callable[[str, str], bool]) -> None:
        self._template = template
        self._ours = ours
        self._reads: dict[str, Reads | None] = {}

    def reads(self, text: str) -> Reads | None:
        """Return what a template reads, if every plugin in it is known."""
        if text not in self._reads:
            found = reads(str(text))
            if found is not None and not all(self._ours(*plugin) for plugin in found.plugins):
                found = None
            self._reads[str(text)] = found
        return self._reads[text]

    def key(self, names: Collection[str], variables: Mapping[str, object]) -> Hashable | None:
        """Return what is equal for hosts that are alike in ``names``, and all that those read.

        None means that it cannot be told.
        """
        found: dict[str, Hashable] = {}
        left = list(names)
        while left:
            name = left.pop()
            if name in found:
                continue
            if name in EVERYTHING:
                return None
            value = variables.get(name, Ellipsis)
            if isinstance(value, str):
                rendered = "{" in value and self._template(value)
                if rendered:
                    more = self.reads(value)
                    if more is None:
                        return None
                    left += more.names
                found[name] = (rendered, str(value))
            elif value is None or value is Ellipsis or isinstance(value, bool | int | float):
                found[name] = (type(value).__name__, value)
            else:
                return None
        return tuple(sorted(found.items()))
