"""What Ansible's variables of a host cost, without what is the same for every host.

A host without facts has none to clean, and the magic variables are worked out once for a task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.vars import manager as vars_manager


def share(manager: Any) -> None:
    """Let a ``VariableManager`` reuse the magic variables of a play and task.

    They hold lists of all hosts of the play and nothing of a single host, so making them anew for
    each is a cost that grows with the square of the fleet.
    """
    if not hasattr(manager, "_holdfast_shared"):
        manager._get_magic_variables = _shared(manager._get_magic_variables)
        manager._holdfast_shared = True
        vars_manager.clean_facts = _cleaned(vars_manager.clean_facts)


def _cleaned(clean: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Leave out the search through Ansible's plugin directories where there is nothing to clean."""
    return lambda facts: clean(facts) if facts else {}


def _shared(make: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    last: tuple[tuple[object, ...], dict[str, Any]] = ((), {})

    def shared(play: Any, host: Any, task: Any, *args: Any, **given: Any) -> dict[str, Any]:
        nonlocal last
        if play is None or task is None or args:
            return make(play, host, task, *args, **given)
        # The objects themselves are kept, so that none of them can be mistaken for a later one.
        mark = (play, task, tuple(play._removed_hosts), *given.values())
        if len(mark) != len(last[0]) or not all(map(_same, mark, last[0])):
            last = (mark, make(play, host, task, **given))
        return last[1].copy()

    return shared


def _same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, int | tuple) and one == other)
