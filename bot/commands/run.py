"""``holdfast run IDENT``: the supervisor of one run."""

from __future__ import annotations

import sys

import click

from bot import logs
from bot.app import build
from bot.commands.context import configuration
from bot.runner import trace
from bot.runner.supervise import supervise


@click.command()
@click.argument("ident")
@click.pass_context
def run(ctx: click.Context, ident: str) -> int:
    """Supervise one queued run. The worker starts this; people need not."""
    logs.configure()
    app = build(configuration(ctx))
    try:
        config = app.config
        if not sys.stdin.isatty():
            app.sources.take_over(sys.stdin.buffer.read())
        done = supervise(
            app.site,
            config.fleet,
            config.state_dir,
            ident,
            trace.worker(),
            redact=config.redact,
        )
    finally:
        app.close()
    return 0 if done else 1
