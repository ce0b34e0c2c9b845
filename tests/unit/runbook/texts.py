"""Runbooks and reports that the tests start from."""

from __future__ import annotations

from bot.crash.report import CrashReport, Kind, Line
from bot.runbook.load import load
from bot.runbook.model import Library

GOOD = """\
id: example
title: An example
summary: Something crashes.
match:
  kind: bug
  function: example_rcv
mitigations:
  - id: switch-off
    title: Switch it off
    playbook: sysctl-set.yml
    variables:
      key: {value: net.ipv4.example, type: sysctl_key}
      value: {value: "0", type: sysctl_value, allowed: ["0", "2"]}
    risk: low
    residual: Old sockets stay as they are.
    reversible: true
    rollback: sysctl-unset.yml
    verify: sysctl-read.yml
"""

NEGATIVE = """\
id: {id}
title: A negative
summary: Nothing helps.
match: {match}
no_knob: {{reason: drain}}
"""

POSITIVE = """\
id: {id}
title: A positive
summary: Something helps.
match: {match}
mitigations:
  - id: switch-off
    title: Switch it off
    playbook: sysctl-set.yml
    risk: low
    residual: none known
    reversible: false
    verify: sysctl-read.yml
"""


def negative(name: str, match: str) -> str:
    return NEGATIVE.format(id=name, match=match)


def positive(name: str, match: str) -> str:
    return POSITIVE.format(id=name, match=match)


def library(*texts: str) -> Library:
    found = load({f"rb/{n}.yml": text for n, text in enumerate(texts)})
    assert found.problems == ()
    return found


def report(
    kind: Kind = Kind.BUG,
    function: str | None = "example_rcv",
    module: str | None = None,
    *,
    title: str = "kernel BUG in example_rcv",
    alt_titles: tuple[str, ...] = (),
    corrupted: bool = False,
    corrupted_reason: str | None = None,
) -> CrashReport:
    lines = ("kernel BUG at net/example.c:12!", f"RIP: 0010:{function}+0x1/0x2 [{module}]")
    return CrashReport(
        title=title,
        kind=kind,
        function=function,
        module=module,
        alt_titles=alt_titles,
        corrupted=corrupted,
        corrupted_reason=corrupted_reason,
        evidence=tuple(Line(number=n, text=text) for n, text in enumerate(lines, 3)),
    )
