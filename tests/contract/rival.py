"""A bot process of its own that decides on proposals: ``python -m tests.contract.rival URL NAME``.

It reads one JSON list of deeds a line, carries them out as fast as it can, and answers with what was said.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable

from bot.approval.rules import BreakGlass, Policy
from bot.clock import SystemClock
from bot.errors import HoldfastError
from bot.service import approve, glass
from bot.service.site import Site
from bot.store import open_store
from bot.timeline.entry import Actor
from bot.worker import Worker
from tests.contract.writer import SECRET
from tests.fakes import EVERYBODY, Launcher, Sources

HOSTS = ("a", "b", "c")
POLICY = Policy(required=1, glass=BreakGlass(people=2, delay=600))


def site_on(url: str) -> Site:
    """Return a site as each of the processes has it."""
    clock = SystemClock()
    store = open_store(url, secret=SECRET, clock=clock)
    return Site(store=store, clock=clock, sources=Sources(HOSTS), people=EVERYBODY, policy=POLICY)


def carry_out(site: Site, worker: Worker, incident: str, name: str, deed: list[str]) -> str:
    """Do one deed; return what was said, with a ``!`` before a refusal."""
    verb, who = deed
    actor = Actor(id=who, name=who.title(), via="cli")
    deeds: dict[str, Callable[[], object]] = {
        "approve": lambda: approve.approve(site, name, actor),
        "reject": lambda: approve.reject(site, name, actor),
        "abort": lambda: approve.abort(site, name, actor),
        "glass": lambda: glass.break_glass(site, name, actor, "it burns"),
        "look": lambda: worker.look(incident),
    }
    try:
        return str(deeds[verb]())
    except HoldfastError as error:
        return f"!{error.what}"


def main() -> None:
    url, name = sys.argv[1:]
    site = site_on(url)
    worker = Worker(site, Launcher(), name)
    rng = random.Random(name)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        said = []
        for deed in asked["deeds"]:
            time.sleep(rng.choice([0, 0, 0.001, 0.004]))
            told = carry_out(site, worker, asked["incident"], asked["proposal"], deed)
            said.append([*deed, told])
        print(json.dumps(said), flush=True)
    site.store.close()


if __name__ == "__main__":
    main()
