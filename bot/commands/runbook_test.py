"""``holdfast runbook test``: the runbooks' own tests, and what these prove."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from bot.commands.context import print_json
from bot.commands.runbook_dir import Directory, counted, library_of, read_all
from bot.runbook.junit import junit
from bot.runbook.mutate import Score, percent, scores
from bot.runbook.trial import TestResult, misplaced, run_tests


@click.command()
@click.argument("directory", type=Directory, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--junit",
    "report",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write the results to this file, as JUnit XML.",
)
@click.option("--mutate", is_flag=True, help="Say which parts of each match no test proves.")
@click.option("--only", help="Run the tests of this runbook alone, against all runbooks.")
def test(
    *, directory: Path | None, as_json: bool, report: Path | None, mutate: bool, only: str | None
) -> int:
    """Run the runbooks' own tests."""
    library = library_of(directory, texts=True)
    lost = [*library.problems, *misplaced(library)]
    results = [r for r in run_tests(library, read_all) if only in (None, r.runbook)]
    if report is not None:
        report.write_text(junit(results), encoding="utf-8")
    found = [s for s in scores(library, read_all) if only in (None, s.runbook)] if mutate else []
    bad = [result for result in results if not result.ok]
    if as_json:
        rows: object = [_row(result) for result in results]
        print_json({"tests": rows, "mutation": [asdict(s) for s in found]} if mutate else rows)
    else:
        for problem in lost:
            click.echo(f"left out: {problem}", err=True)
        _print(results, bad)
        _print_scores(found)
    return 1 if bad or lost or not results else 0


def _row(result: TestResult) -> dict[str, object]:
    row = asdict(result)
    return {**row, "test": row.pop("number"), "diff": list(result.diff)}


def _print(results: list[TestResult], bad: list[TestResult]) -> None:
    for result in bad:
        click.echo(f"{result.file}:{result.line}: {result.runbook}: {result.why}")
        for line in result.diff:
            click.echo(f"    {line}")
    tested = len({result.runbook for result in results})
    click.echo(f"{counted(tested, 'runbook')}, {len(results) - len(bad)} passed, {len(bad)} failed")


def _print_scores(found: list[Score]) -> None:
    for score in found:
        failing = f", {score.failing} failing tests left out" if score.failing else ""
        click.echo(
            f"{score.percent:3.0f} %  {score.killed:3}/{score.mutants:<3} {score.runbook}{failing}"
        )
        for survivor in score.survivors:
            click.echo(f"      {survivor.file}:{survivor.line}: survives: {survivor.what}")
    if found:
        killed, mutants = sum(s.killed for s in found), sum(s.mutants for s in found)
        click.echo(
            f"{percent(killed, mutants):.0f} % of {mutants} mutants told apart; a survivor asks "
            "for less than its runbook does, and passes all its tests"
        )
