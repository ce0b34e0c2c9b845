"""A first version of a runbook, made from a crash: it matches that crash, the rest is to be written."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from bot.crash.report import CrashReport
from bot.runbook.pattern import NAME_GLOB

TODO = "TODO"
PLAIN = re.compile(r"[a-z_][a-z0-9_-]+")
WORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold:
    """The text of a runbook, and the crash texts of its tests by file name."""

    id: str
    text: str
    tests: tuple[tuple[str, str], ...]


def name_of(report: CrashReport) -> str:
    """Return an id made from what crashed: the function, else the kind and module."""
    words = report.function or "-".join(filter(None, (report.kind.value, report.module)))
    name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:60].strip("-")
    return name or report.kind.value


def scaffold(report: CrashReport, text: str, name: str, schema: str) -> Scaffold:
    """Return the runbook ``name`` for a report and the text that it was read from.

    ``schema`` is the path of the JSON Schema, from the runbook's directory.
    """
    lines = [
        f"# yaml-language-server: $schema={schema}",
        f"id: {_said(name)}",
        f"title: {_said(_short(report.title))}",
        "summary: >-",
        f"  {TODO}: what happens and what it means, for somebody who was just woken.",
        f"owners: [{_said(f'{TODO}: whom to ask')}]",
        "# sources:                # where every fact is from",
        "#   - {title: …, url: https://…}",
        "match:                    # everything must hold; of a list, one",
        *(f"  {line}" for line in _match(report)),
        *(f"  # {line}" for line in _narrowing(report)),
        "no_knob:                  # take it out once there are mitigations",
        f"  reason: {_said(f'{TODO}: say what to do instead, or find a mitigation')}",
        *(f"# {line}" if line else "#" for line in MITIGATION.splitlines()),
        f"followups: [{_said(f'{TODO}: what is left to do afterwards')}]",
        "",
    ]
    tests = [("match-first.log", text)]
    if report.function:
        other = re.sub(rf"(?<!\w){re.escape(report.function)}(?!\w)", "some_other_function", text)
        tests += [("none-other-function.log", other)] if other != text else []
    return Scaffold(id=name, text="\n".join(lines), tests=tuple(tests))


MITIGATION = """\
mitigations:
  - id: switch-off
    title: 'TODO: what it does'
    playbook: sysctl-set.yml
    variables:
      key: {value: net.ipv4.todo, type: sysctl_key}
      value: {value: "0", type: sysctl_value}
    targets: exposed      # or crashed, pool, fleet
    waves: [1, "10%", "100%"]
    risk: medium          # low, medium, high
    residual: 'TODO: what stays dangerous afterwards'
    reversible: true
    rollback: sysctl-unset.yml
    verify: sysctl-read.yml
knob: {name: net.ipv4.todo, safe: "0", scope: both}"""


def _said(text: str) -> str:
    """Write text so that YAML reads just that: a JSON string is one, and so are most names."""
    if PLAIN.fullmatch(text) and text not in WORDS:
        return text
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else json.dumps(text)


def _short(title: str) -> str:
    visible = "".join(c for c in " ".join(title.split()) if c.isprintable())
    return visible[:200] or TODO


def _match(report: CrashReport) -> list[str]:
    said = [f"kind: {report.kind.value}"]
    if report.function and NAME_GLOB.fullmatch(report.function):
        said.append(f"function: {_said(report.function)}")
    elif report.module and NAME_GLOB.fullmatch(report.module):
        said.append(f"module: {_said(report.module)}")
    elif _short(report.title) == report.title:
        said.append(f"title: {_said('^' + re.escape(report.title) + '$')}")
    return said


def _narrowing(report: CrashReport) -> list[str]:
    """Return what else the report says, to be taken in where it matters."""
    said = []
    if report.function and report.module and NAME_GLOB.fullmatch(report.module):
        said.append(f"module: {_said(report.module)}")
    release = re.match(r"\d+\.\d+", report.release or "")
    if release:
        said.append(f'kernel: "<= {release[0]}"        # it was {_short(report.release or "")}')
    if report.arch:
        said.append(f"arch: {report.arch}")
    if report.taint:
        said.append(f"taint: [{', '.join(report.taint)}]")
    return said
