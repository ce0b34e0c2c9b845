"""``holdfast runbook``: look at runbooks without a running bot."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import BinaryIO

import click

from bot.commands.context import print_json, terminal
from bot.commands.runbook_dir import Directory, library_of, read_all
from bot.commands.runbook_lint import lint
from bot.commands.runbook_new import new
from bot.commands.runbook_test import test
from bot.crash.show import as_dict
from bot.errors import BadInputError, NotFoundError
from bot.runbook.complain import close
from bot.runbook.match import Matches
from bot.runbook.match import match as match_report
from bot.runbook.model import Library, Runbook
from bot.runbook.schema import schema as json_schema


@click.group()
def runbook() -> None:
    """Look at runbooks: match, list, show, new, lint, test, schema."""


runbook.add_command(lint)
runbook.add_command(new)
runbook.add_command(test)


def _library(directory: Path | None) -> Library:
    """Load the runbooks, and name those that are left out on standard error."""
    library = library_of(directory)
    for problem in library.problems:
        click.echo(f"left out: {problem}", err=True)
    return library


@runbook.command("list")
@click.argument("directory", type=Directory, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(*, directory: Path | None, as_json: bool) -> int:
    """List the runbooks that can be used."""
    library = _library(directory)
    books = library.runbooks
    if as_json:
        print_json([_row(library, book) for book in books])
    width = max((len(book.id) for book in books), default=0)
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    for book in books if not as_json else ():
        line = f"{book.id:<{min(width, 32)}}  {_offer(book):<10}  {book.title}"
        click.echo(line if len(line) <= room else line[: room - 1] + "…")
    return 0 if books else 1


def _row(library: Library, book: Runbook) -> dict[str, object]:
    return {
        "id": book.id,
        "title": book.title,
        "no_knob": book.no_knob is not None,
        "offers": _offer(book),
        "file": library.sources[book.id][0],
    }


def _offer(book: Runbook) -> str:
    if book.mitigations:
        return "mitigation"
    return "no knob" if book.no_knob else "advice"


@runbook.command()
@click.argument("name", metavar="ID")
@click.option("--runbooks", "directory", type=Directory)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(*, name: str, directory: Path | None, as_json: bool) -> int:
    """Print one runbook as it is written."""
    library = library_of(directory)
    source = library.sources.get(name)
    if source is None:
        hint = close(name, list(library.sources)) or "see 'holdfast runbook list'"
        raise NotFoundError(f"there is no runbook {name!r}", next=hint)
    if as_json:
        book = next(one for one in library.runbooks if one.id == name)
        said = book.model_dump(mode="json", by_alias=True, exclude_unset=True)
        print_json({"file": source[0], "runbook": said})
    else:
        click.echo(source[1], nl=False)
    return 0


@runbook.command()
def schema() -> None:
    """Print the JSON Schema of a runbook, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))


@runbook.command()
@click.argument("file", type=click.File("rb"))
@click.option("--runbooks", "directory", type=Directory)
@click.option("--label", "labels", multiple=True, help="NAME=VALUE, a label of the alert.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def match(*, file: BinaryIO, directory: Path | None, labels: tuple[str, ...], as_json: bool) -> int:
    """Say which runbooks a crash text matches, why, and which just miss."""
    if wrong := [label for label in labels if "=" not in label]:
        raise BadInputError(f"{wrong[0]!r} is no label", where="--label", next="write NAME=VALUE")
    text = file.read().decode("utf-8", "replace")
    reports = read_all(text)
    if not reports:
        click.echo('{"report": null, "matches": [], "near": []}' if as_json else "no crash found")
        return 1
    library = _library(directory)
    named = dict(label.split("=", 1) for label in labels)
    found = match_report(library, reports[0], text, named)
    if as_json:
        print_json({"report": as_dict(reports[0]), **_rows(found)})
    else:
        _print(reports[0].title, found)
    return 0 if found.best else 1


def _rows(found: Matches) -> dict[str, object]:
    return {
        "matches": [
            {
                "runbook": c.runbook,
                "score": c.score,
                "reasons": list(c.reasons),
                "evidence": [{"line": e.number, "text": e.text} for e in c.evidence],
                "warning": c.warning,
            }
            for c in found.best
        ],
        "near": [{"runbook": n.runbook, "clause": n.clause, "why": n.why} for n in found.near],
    }


def _print(title: str, found: Matches) -> None:
    console = terminal()
    console.print(title, style="bold", markup=False)
    for candidate in found.best:
        why = "; ".join(candidate.reasons)
        console.print(f"  {candidate.runbook} ({candidate.score}): {why}", markup=False)
        if candidate.warning:
            console.print(f"    {candidate.warning}", style="yellow", markup=False)
        for line in candidate.evidence:
            console.print(f"    line {line.number}: {line.text}", style="dim", markup=False)
    if found.choice:
        names = " or ".join(found.equals)
        console.print(f"  a person has to choose, they match equally: {names}", markup=False)
    for miss in found.near:
        console.print(f"  not {miss.runbook}: {miss.why}", style="dim", markup=False)
    if not found.best:
        console.print("  no runbook matches", markup=False)
