"""The sorts of problems that lint finds, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RULES: Mapping[str, str] = MappingProxyType(
    {
        "yaml": "The file cannot be read as plain YAML, or says something else to YAML than to people",
        "format": "The parts of a runbook do not fit together",
        "unknown-key": "A key that the format does not have",
        "missing-key": "A key that the format requires",
        "value": "A value that the format does not allow",
        "same-id": "Two runbooks with the same id",
        "test-file": "A crash text that is missing, or that no test reads",
        "playbook-missing": "A playbook that does not exist",
        "playbook-variable": "A variable that the playbook does not declare",
        "playbook-syntax": "A playbook that Ansible cannot read",
        "playbook-hosts": "A play that is not for all hosts of its run",
        "gathers-facts": "A play that gathers facts on every host",
        "strategy": "A strategy that goes on past hosts that failed",
        "hides-failure": "A task whose failure looks like success",
        "cannot-preview": "A task that a dry run skips, or that would write in one",
        "asks-people": "A play that waits for somebody to type",
        "too-broad": "A match that fits a large part of all crashes",
        "todo": "Something that is still to be written",
        "one-way": "A knob that cannot be set back, changed by one person's yes",
    }
)
"""Name -> what is wrong where it is found."""
