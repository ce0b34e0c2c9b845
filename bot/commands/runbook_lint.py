"""``holdfast runbook lint``: everything that is wrong with runbooks and playbooks, at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import click

from bot.commands.context import print_json
from bot.commands.runbook_dir import (
    Directory,
    counted,
    library_of,
    playbook_dir,
    playbook_texts,
    read_all,
)
from bot.layout import bundled
from bot.runbook.disk import TEXTS, read_dir
from bot.runbook.lint import broad, order, previewed
from bot.runbook.lint import lint as lint_library
from bot.runbook.model import Library, Problem
from bot.runbook.playbook import unpreviewed
from bot.runbook.sarif import sarif
from bot.runbook.weigh import Sight
from bot.runner import syntax


@click.command()
@click.argument("directory", type=Directory, required=False)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", help="Output."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--no-ansible", is_flag=True, help="Ansible does not read the playbooks.")
def lint(*, directory: Path | None, form: str, as_json: bool, no_ansible: bool) -> int:
    """Say everything that is wrong with all runbooks at once."""
    library = library_of(directory, texts=True)
    root = playbook_dir(directory)
    playbooks = playbook_texts(root)
    problems = lint_library(library, playbooks)
    problems += broad(library, _samples(library))
    if not no_ansible:
        problems += _ansible(library, playbooks, root)
    problems = order(problems)
    if as_json or form == "json":
        print_json([_row(problem) for problem in problems])
    elif form == "sarif":
        click.echo(json.dumps(sarif(problems, version("holdfast")), indent=2))
    else:
        _print(problems, len(library.runbooks))
    return 1 if any(not problem.warning for problem in problems) else 0


def _row(problem: Problem) -> Mapping[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "what": problem.what,
        "hint": problem.hint,
        "warning": problem.warning,
        "rule": problem.rule,
    }


def _print(problems: list[Problem], good: int) -> None:
    for problem in problems:
        click.echo(str(problem))
    warnings = sum(problem.warning for problem in problems)
    errors = len(problems) - warnings
    said = f"{counted(errors, 'problem')}, {counted(warnings, 'warning')}"
    click.echo(f"{counted(good, 'runbook')}, {said if problems else 'no problems'}")


def _samples(library: Library) -> list[Sight]:
    """Return the crashes of all tests, the shipped ones too: what a match has to tell apart."""
    shipped = read_dir(bundled("runbooks"))
    texts = {path: text for path, text in shipped.items() if path.endswith(TEXTS)}
    different = dict.fromkeys([*library.fixtures.values(), *texts.values()])
    return [Sight.of(reports[0], text) for text in different if (reports := read_all(text))]


def _ansible(library: Library, playbooks: Mapping[str, str], root: Path) -> list[Problem]:
    names = [Path(file).name for file in playbooks]
    found = syntax.check(root, names, root.as_posix())
    if found:
        return found
    tasks = previewed(library, playbooks)
    support = syntax.check_modes({task.module for task in tasks}, root)
    return list(unpreviewed(tasks, support))
