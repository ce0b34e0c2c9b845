"""``holdfast runbook new``: a first version of a runbook, from a crash text."""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import BinaryIO

import click

from bot.commands.runbook_dir import library_of, read_all
from bot.errors import BadInputError, ConflictError
from bot.runbook.match import match
from bot.runbook.scaffold import name_of, scaffold
from bot.runbook.schema import FILE


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--id", "name", help="The runbook's id; made from the crash without it.")
@click.option(
    "--into",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runbooks/new"),
    show_default=True,
    help="Where to write it.",
)
def new(*, file: BinaryIO, name: str | None, directory: Path) -> int:
    """Write a first version of a runbook for the crash in FILE (- for standard input)."""
    text = file.read().decode("utf-8", "replace")
    reports = read_all(text)
    if not reports:
        click.echo("no crash found: nothing was written")
        return 1
    report = reports[0]
    chosen = name or name_of(report)
    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", chosen) is None:
        raise BadInputError(
            f"{chosen!r} is no id", where="--id", next="use lower case letters, digits and dashes"
        )
    root = next((p for p in (directory, *directory.parents) if (p / FILE).is_file()), None)
    schema = Path(os.path.relpath(root / FILE if root else Path("runbooks") / FILE, directory))
    made = scaffold(report, text, chosen, schema.as_posix())
    target, tests = directory / f"{chosen}.yml", directory / "tests" / chosen
    if target.exists() or tests.exists():
        raise ConflictError(
            "there is one already", where=str(target), next="give another --id; nothing was written"
        )
    known = match(library_of(root), report, text).best
    tests.mkdir(parents=True)
    for named, body in made.tests:
        (tests / named).write_text(body, encoding="utf-8")
        click.echo(f"wrote {tests / named}")
    target.write_text(made.text, encoding="utf-8")
    click.echo(f"wrote {target}")
    if known:
        click.echo(f"note: {known[0].runbook} matches this crash already", err=True)
    click.echo(
        "Next: write what is marked TODO, then: holdfast runbook lint && holdfast runbook test"
    )
    return 0
