"""Write the crash texts of the shipped runbooks: ``python -m tests.library.write``.

Each is made the same on every machine. Read what changed before you commit it.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tests.library import console
from tests.library.cases import CASES, Case
from tests.library.console import SHAPES, Crash
from tests.library.machines import EVERY, X86, Machine
from tests.library.messages import MESSAGES
from tests.unit.crash.carriers import CARRIERS

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
CARRIED = (
    "level 4", "netconsole extended", "syslog iso", "dmesg -T", "journal precise", "fence", "docker", "html",
    "syslog", "crlf", "alert", "quote", "caller only", "journal json",
)  # fmt: skip
"""How the texts come in, in turn; the first of a runbook stays as the console showed it."""
LEAF = "fib_table_lookup"
"""A function that is guilty where the runbook's own is only one of its callers."""


def texts(name: str) -> dict[str, str]:
    """Return the crash texts of the runbook ``name``: file name -> text."""
    case = _of_case(CASES[name]) if name in CASES else ()
    made = chain(case, MESSAGES[name]() if name in MESSAGES else ())
    found = {}
    start = sum(map(ord, name))
    for number, (title, text) in enumerate(made):
        carrier = CARRIED[(start + number) % len(CARRIED)] if number else ""
        file = "-".join(filter(None, (title, re.sub(r"\W+", "-", carrier).strip("-"))))
        found[f"{file}.log"] = CARRIERS[carrier](text) if carrier else text
    return found


def _of_case(case: Case) -> Iterator[tuple[str, str]]:
    names = list(case.functions)
    start = sum(map(ord, names[0]))
    for number, kind in enumerate(case.kinds):
        name = names[number % len(names)]
        yield (
            f"match-{number + 1}-{kind}",
            _crash(case, name, case.functions[name], kind, start + number),
        )
    if not set(case.kinds) & {"skb-panic", *console.STALLS}:
        first, _, module = names[-1].partition("@")
        spelt = case.renamed.format(first) + (f"@{module}" if module else "")
        callers = case.functions[names[-1]]
        yield "match-renamed", _crash(case, spelt, callers, case.kinds[0], start + 5)
    for number, (name, callers) in enumerate(case.near.items()):
        yield (
            f"none-near-{number + 1}",
            _crash(case, name, callers, case.kinds[-number], start + number),
        )
    if case.other:
        name = names[0]
        yield f"none-{case.other}", _crash(case, name, case.functions[name], case.other, start + 3)
    if not set(case.kinds) & console.STALLS.keys():
        callers = f"{names[0]} {case.functions[names[0]]}"
        yield "none-only-a-caller", _crash(case, LEAF, callers, case.kinds[0], start + 4)


def _crash(case: Case, name: str, callers: str, kind: str, number: int) -> str:
    fits = X86 if kind in console.ONLY_X86 else EVERY
    machine: Machine = fits[number % len(fits)]
    crash = Crash(
        machine=machine,
        function=name,
        calls=tuple(callers.split()),
        where=case.where,
        comm=case.comm,
        source=case.source,
        chance=random.Random(f"{name} {kind} {number}"),
    )
    return SHAPES[kind](crash)


def main() -> None:
    """Write every folder of crash texts below ``runbooks/`` anew."""
    for runbook in sorted(RUNBOOKS.glob("*/*.yml")):
        name = runbook.stem
        if name not in CASES and name not in MESSAGES:
            continue
        folder = runbook.parent / "tests" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file, text in texts(name).items():
            (folder / file).write_bytes(text.encode())


if __name__ == "__main__":
    main()
