"""``holdfast runbook``: look at runbooks without a running bot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import click

from bot import crash
from bot.commands.context import print_json, terminal
from bot.crash.show import as_dict
from bot.errors import BadInputError, NotFoundError
from bot.layout import bundled
from bot.runbook.disk import read_dir
from bot.runbook.lint import lint as lint_library
from bot.runbook.load import load
from bot.runbook.match import Matches
from bot.runbook.match import match as match_report
from bot.runbook.model import Library
from bot.runbook.trial import run_tests

Directory = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group()
def runbook() -> None:
    """Look at runbooks: lint, test, match, list, show."""


def _library(directory: Path | None) -> Library:
    """Load a directory; without one ``./runbooks``, else the shipped runbooks."""
    here = Path("runbooks")
    return load(read_dir(directory or (here if here.is_dir() else bundled("runbooks"))))


def _playbooks(directory: Path | None) -> Mapping[str, str]:
    beside = (directory or Path("runbooks")).parent / "playbooks"
    root = beside if beside.is_dir() else bundled("playbooks")
    return {path.name: path.read_text(errors="replace") for path in sorted(root.glob("*.yml"))}


@runbook.command("list")
@click.argument("directory", type=Directory, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(*, directory: Path | None, as_json: bool) -> int:
    """List the runbooks that can be used."""
    books = _library(directory).runbooks
    if as_json:
        print_json(
            [{"id": b.id, "title": b.title, "no_knob": b.no_knob is not None} for b in books]
        )
    for book in books if not as_json else ():
        click.echo(f"{book.id:<28} {'no knob: ' if book.no_knob else ''}{book.title}")
    return 0 if books else 1


@runbook.command()
@click.argument("name")
@click.option("--runbooks", "directory", type=Directory)
def show(*, name: str, directory: Path | None) -> int:
    """Print one runbook as it is written."""
    source = _library(directory).sources.get(name)
    if source is None:
        raise NotFoundError(f"there is no runbook {name!r}", next="see 'holdfast runbook list'")
    click.echo(source[1], nl=False)
    return 0


@runbook.command()
@click.argument("directory", type=Directory, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lint(*, directory: Path | None, as_json: bool) -> int:
    """Say everything that is wrong with all runbooks at once."""
    library = _library(directory)
    problems = lint_library(library, _playbooks(directory))
    if as_json:
        rows = [
            {"file": p.file, "line": p.line, "what": p.what, "hint": p.hint, "warning": p.warning}
            for p in problems
        ]
        print_json(rows)
    for problem in problems if not as_json else ():
        click.echo(str(problem))
    if not problems and not as_json:
        click.echo(f"{len(library.runbooks)} runbooks, no problems")
    return 1 if any(not problem.warning for problem in problems) else 0


@runbook.command()
@click.argument("directory", type=Directory, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def test(*, directory: Path | None, as_json: bool) -> int:
    """Run the runbooks' own tests."""
    results = run_tests(_library(directory), crash.read)
    bad = [result for result in results if not result.ok]
    if as_json:
        rows = [
            {
                "runbook": r.runbook,
                "test": r.number,
                "file": r.file,
                "line": r.line,
                "ok": r.ok,
                "why": r.why,
            }
            for r in results
        ]
        print_json(rows)
    for result in bad if not as_json else ():
        click.echo(f"{result.file}:{result.line}: {result.why}")
    if not as_json:
        click.echo(f"{len(results) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad or not results else 0


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
    reports = crash.read(text)
    if not reports:
        click.echo('{"report": null, "matches": [], "near": []}' if as_json else "no crash found")
        return 1
    library = _library(directory)
    for problem in library.problems:
        click.echo(f"left out: {problem}", err=True)
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
