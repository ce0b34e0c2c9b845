"""Keep secrets out of whatever is kept of a run: events, output, reasons, timeline."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bot.fleet.inventory import Inventory
from bot.runbook.pattern import compiled

SHORTEST = 4
"""A shorter value is left alone: masking ``db`` or ``80`` everywhere would hide the truth."""
WHOLE = 6
"""A shorter value is masked only where it stands alone: ``root``, but not within ``rootfs``."""
PLAIN = frozenset({"true", "false", "null", "none"})
"""No secrets, whatever they are called: they are half of every JSON text."""
MASK = "[redacted]"
SECRET_NAME = re.compile(r"pass(word|wd|phrase)?$|secret|token|api_?key|credential", re.IGNORECASE)


class Redactor:
    """Replaces known secret values, and what the site's patterns match, by ``[redacted]``."""

    def __init__(self, patterns: Sequence[str] = (), secrets: Iterable[str] = ()) -> None:
        self._patterns = [compiled(pattern) for pattern in patterns]
        lines = {line.strip() for secret in secrets for line in secret.splitlines()}
        known = {line for line in lines if len(line) >= WHOLE}
        short = [x for x in lines if SHORTEST <= len(x) < WHOLE and x.lower() not in PLAIN]
        words = "|".join(re.escape(word) for word in sorted(short))
        self._short = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])") if short else None
        # As it is written inside a JSON text, too.
        known |= {json.dumps(line)[1:-1] for line in known}
        self._secrets = sorted(known, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        if self._short is not None:
            text = self._short.sub(MASK, text)
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return text

    def value(self, value: Any) -> Any:
        """Return JSON data without secrets, in keys and values of any depth."""
        if not self._secrets and not self._patterns and self._short is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(part) for part in value]
        return value


def secrets(inventory: Inventory) -> Iterator[str]:
    """Return the values of variables whose name says that they are secret (``db_password``)."""
    groups = (group.variables for group in inventory.groups.values())
    for variables in (*groups, *inventory.own.values()):
        for name, value in variables.items():
            if SECRET_NAME.search(name):
                yield from leaves(value)


def leaves(value: Any) -> Iterator[str]:
    """Return every text and number in JSON data, as text. What is still encrypted is no secret."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key != "__ansible_vault":
                yield from leaves(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
