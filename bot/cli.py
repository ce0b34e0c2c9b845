"""The ``holdfast`` command: a table of commands, each loaded only when it is used."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Mapping
from types import MappingProxyType

import click

from bot.chat.grammar import VERBS
from bot.errors import BadInputError, HoldfastError

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "init": "bot.commands.site:init",
        "serve": "bot.commands.serve:serve",
        "run": "bot.commands.run:run",
        "token": "bot.commands.site:token",
        "chat": "bot.commands.ask:chat",
        "timeline": "bot.commands.ask:timeline",
        "read": "bot.commands.read:read",
        "intake": "bot.commands.ask:intake",
        "knobs": "bot.commands.knobs:knobs",
        "runbook": "bot.commands.runbook:runbook",
        "slack": "bot.commands.site:slack",
        "demo": "bot.commands.demo:demo",
    }
)
"""Name -> where its click command is. The verbs of the grammar come beside these."""


class Lazy(click.Group):
    """A group that imports a command when it is asked for: a supervisor needs no web server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command's name."""
        del ctx
        return sorted({*COMMANDS, *VERBS})

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant; an unknown one gets a did-you-mean."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            close = difflib.get_close_matches(args[0], known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else "see 'holdfast --help'"
            raise BadInputError(f"unknown command {args[0][:40]!r}", next=hint)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None if there is none of that name."""
        del ctx
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name].partition(":")
            found: click.Command = getattr(importlib.import_module(module), name)
            return found
        if cmd_name == "help":
            return _help
        if cmd_name in VERBS:
            made: click.Command = importlib.import_module("bot.commands.ask").verb(VERBS[cmd_name])
            return made
        return None


@click.command("help")
@click.argument("command", required=False)
@click.pass_context
def _help(ctx: click.Context, command: str | None) -> None:
    """Show all commands, or how one of them is written."""
    above = ctx.find_root()
    if command is None:
        click.echo(above.get_help())
        return
    _, found, _ = Lazy.resolve_command(holdfast, above, [command])
    assert found is not None
    with click.Context(found, info_name=command, parent=above) as inner:
        click.echo(found.get_help(inner))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "file", metavar="FILE", help="holdfast.yml (or HOLDFAST_CONFIG).")
@click.version_option(package_name="holdfast")
@click.pass_context
def holdfast(ctx: click.Context, file: str | None) -> None:
    """From a crash signature to an approved, verified fleet mitigation."""
    ctx.obj = file


def main() -> None:
    """Run the command and turn errors into one clear text and an exit code."""
    try:
        code = holdfast.main(standalone_mode=False)
    except HoldfastError as error:
        click.echo(f"holdfast: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
