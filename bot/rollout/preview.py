"""What one task of a dry run would do to one host, and what a dry run cannot tell."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

REASONS = ("skip_reason", "skipped_reason", "false_condition", "results")
WIDEST = 200
"""Characters of a line that are kept."""


def would(task: str, result: Mapping[str, Any]) -> list[str]:
    """Return the lines of a task that would change something: its diff, or just its name.

    ``task`` is ``name (module)``. A diff that a task hides (``no_log``) is not in ``result``.
    """
    if not result.get("changed"):
        return []
    found = result.get("diff") or []
    lines = [line for one in (found if isinstance(found, list) else [found]) for line in _diff(one)]
    return [f"would change: {task}", *lines]


def _diff(diff: Any) -> Iterator[str]:
    """Write one of Ansible's diffs as people know it: before, after or an already prepared text."""
    if not isinstance(diff, Mapping):
        return
    if prepared := diff.get("prepared"):
        yield from map(_cut, str(prepared).splitlines())
    if "before" not in diff or "after" not in diff:
        return
    old, new = _text(diff["before"]), _text(diff["after"])
    before, after = (str(diff.get(f"{side}_header") or side) for side in ("before", "after"))
    yield from map(_cut, difflib.unified_diff(old, new, before, after, n=1, lineterm=""))


def _text(side: Any) -> list[str]:
    if isinstance(side, Mapping):
        return [f"{key}: {value}" for key, value in sorted(side.items())]
    return str(side if side is not None else "").splitlines()


def _cut(line: str) -> str:
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"


def cannot_preview(shown: str) -> bool:
    """Say whether a task was skipped only because it does not know check mode.

    ``shown`` is what Ansible shows of it with ``-v``, for its events do not hold the result:
    ``skipping: [web-01] => {…}``. A task whose condition is false, or whose loop is empty, says so;
    in a real run it would be skipped as well. A task that hides its result does not: it is counted
    among those that cannot be previewed.
    """
    return not any(f'"{word}"' in shown for word in REASONS)
