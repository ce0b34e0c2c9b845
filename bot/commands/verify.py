"""``holdfast timeline verify``: reads the database itself, so that the bot need not be trusted."""

from __future__ import annotations

import click

from bot.app import build
from bot.commands.context import print_json
from bot.config import Config
from bot.timeline import chain


def verify(config: Config, incident: str, head: str, *, as_json: bool) -> int:
    """Check the chain of one incident; ``head`` is a ``SEQ:HASH`` that was noted earlier."""
    app = build(config)
    try:
        entries = app.site.store.entries(incident)
        verdict = chain.verify(app.key, entries, app.site.store.payloads(incident), head)
    finally:
        app.close()
    if as_json:
        print_json(
            {
                "incident": incident,
                "intact": verdict.intact,
                "entries": verdict.entries,
                "redacted": verdict.redacted,
                "head": verdict.head,
                "text": verdict.sentence,
            }
        )
    else:
        click.echo(f"{incident}: {verdict.sentence}")
        click.echo(f"head {verdict.head} (note it elsewhere: --head shows a cut tail)")
    return 0 if verdict.intact else 1
