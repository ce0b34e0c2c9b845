"""What a host's answer to the probe means, by the rule of its runbook in JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.runbook.kernel import inside
from bot.runbook.pattern import fits

Rule = Mapping[str, Mapping[str, Any]]
USUAL: Rule = {"not_applicable": {"applicable": False}, "exposed": {"applicable": True}}
"""The rule of a runbook that has none: who has the knob is exposed."""


def judge(rule: Rule, fact: Mapping[str, Any]) -> tuple[str, str]:
    """Return ``exposed``, ``not_applicable`` or ``unknown``, and why if the answer has no reason.

    ``rule`` has ``not_applicable``, which is looked at first, and ``exposed``; what fits neither is
    unknown. ``fact`` is the answer: ``applicable``, ``value``, ``kernel``, ``reason``.
    """
    own = str(fact.get("reason") or "")
    if why := holds(rule["not_applicable"], fact):
        return "not_applicable", own or ("" if rule == USUAL else why)
    if holds(rule["exposed"], fact):
        return "exposed", own
    return "unknown", own or "its answer fits neither exposed nor not_applicable of the runbook"


def holds(wanted: Mapping[str, Any], fact: Mapping[str, Any]) -> str:
    """Return why an answer fits, '' if it does not or leaves out what is asked."""
    said = []
    if "applicable" in wanted:
        if fact.get("applicable") is not wanted["applicable"]:
            return ""
        said.append("it has the knob" if wanted["applicable"] else "it does not have the knob")
    if "value" in wanted:
        value = fact.get("value")
        if value is None or not any(fits(glob, str(value)) for glob in wanted["value"]):
            return ""
        said.append(f"the value is {value}")
    if "kernel" in wanted:
        release = str(fact.get("kernel") or "")
        within = next((one for one in wanted["kernel"] if inside(one, release)), None)
        if within is None:
            return ""
        said.append(f"kernel {release} is inside {within}")
    return " and ".join(said)
