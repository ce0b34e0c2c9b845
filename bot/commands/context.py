"""What commands share: the configuration, the terminal, JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console

from bot.config import Config, find, load


def configuration(ctx: click.Context) -> Config:
    """Return the configuration that ``--config``, the environment or the directory names."""
    return load(find(ctx.find_root().obj))


def terminal() -> Console:
    """Return the terminal; in a pipe long lines stay whole."""
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def print_json(value: Any) -> None:
    """Print one line of JSON, in ASCII: nothing in it can break the line or steer a terminal."""
    click.echo(json.dumps(value))
