"""``holdfast knobs``: what could turn a crash off, of an incident or of a crash text."""

from __future__ import annotations

import re

import click

from bot import crash
from bot.candidates.rank import LABEL, Candidate, Present, as_row, rank
from bot.candidates.table import shipped
from bot.clock import SystemClock
from bot.commands.ask import say
from bot.commands.context import configuration, print_json, terminal
from bot.commands.read import opened
from bot.config import Config
from bot.errors import BadInputError, UnavailableError
from bot.runner.look import look
from bot.runner.sources import DiskSources

INCIDENT = re.compile(r"INC-\d+", re.IGNORECASE)
PLAYBOOK = "knob-names.yml"


@click.command()
@click.argument("what", default="", metavar="[INC-1|FILE|-]")
@click.option("--host", default="", help="Ask this host which of them it really has (read-only).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def knobs(ctx: click.Context, *, what: str, host: str, as_json: bool) -> int:
    """List settings and modules near a crash: candidates to look at, not a recommendation.

    Of an incident (the running bot is asked) or of the crash text in FILE. Exit status 1: nothing is near.
    """
    if INCIDENT.fullmatch(what) or (not what and not host):
        if host:
            raise BadInputError("--host needs a crash text", next="name a FILE, or - for input")
        return say(["knobs", what] if what else ["knobs"], as_json=as_json)
    with opened(what or "-") as stream:
        reports = crash.read_stream(stream, crash.ALL)
    if not reports:
        click.echo("[]" if as_json else "no crash found")
        return 1
    present = _present(configuration(ctx), host) if host else None
    found = rank(shipped(), reports[0], present)
    if as_json:
        print_json([as_row(candidate) for candidate in found])
    else:
        _print(reports[0].title, found, host)
    return 0 if found else 1


def _present(config: Config, host: str) -> Present:
    names = [one.key for one in shipped().sysctls]
    raw = look(config, DiskSources(config, SystemClock()), host, PLAYBOOK, {"names": names})
    said = next((fact["names"] for fact in raw.facts if "names" in fact), None)
    if said is None:
        raise UnavailableError(
            f"{host} gave no answer: {raw.message or raw.status}",
            where=PLAYBOOK,
            next="look whether it is up, or leave --host out: then no host is asked",
        )
    return Present(host=host, keys=frozenset(said["sysctls"]), modules=frozenset(said["modules"]))


def _print(title: str, found: list[Candidate], host: str) -> None:
    console = terminal()
    console.print(title, style="bold", markup=False)
    where = f"what {host} has" if host else "shipped facts; no host was asked, see --host"
    console.print(f"{LABEL} ({where})", style="yellow", markup=False)
    for number, one in enumerate(found, 1):
        console.print(f"{number:2}. {one.name}", markup=False)
        console.print(f"    {one.about}", markup=False)
        console.print(f"    because {'; '.join(one.reasons)}", style="dim", markup=False)
    if not found:
        console.print("nothing is near it", markup=False)
