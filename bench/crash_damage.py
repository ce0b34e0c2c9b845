"""What is left of a report whose text was cut, and whether a renamed function is followed."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

from bench.crash_corpus import Row, first, read_right, rows, share, title

LIMITS = (4000, 3000)
SEED = 11

_VENDORS = ("zq", "acme", "vx", "nmr", "kobalt", "qd8", "ulf", "__pinnacle", "tessera2", "orb")
_THINGS = ("widget", "tx", "ring", "doorbell", "mbox", "cqe", "lane", "phy7", "shim", "quark")
_DEEDS = ("frob", "poll", "kick", "reap", "submit", "fixup", "drain", "configure", "ioctl", "show")
_STYLES = ("{v}_{d}_{t}", "{v}_{t}_{d}", "{v}{t}_{d}", "{v}_{t}", "_{v}_{d}", "{v}_{d}_{t}_locked")


def truncation(*, verbose: bool) -> bool:
    """Cut every log that is read right, counted from its headline, and print what is left."""
    fine = True
    for limit in LIMITS:
        fine = _cut_at(limit, read_right(rows()), verbose=verbose) and fine
    return fine


def _cut_at(limit: int, right: list[Row], *, verbose: bool) -> bool:
    tally: Counter[str] = Counter()
    shown = []
    for row in right:
        text = _from_headline(row.log)
        window = text[:limit]
        report = first(window)
        kept = report is not None and report.title == row.title
        said = report is not None and report.corrupted
        there = row.guilty is not None and _names(row)(window)
        group = "nameless" if row.guilty is None else "there" if there else "gone"
        tally[group] += 1
        tally[f"{group} kept"] += kept
        tally[f"{group} said"] += said
        tally["gone told"] += group == "gone" and (kept or said)
        tally["cut"] += len(text) > limit
        tally["cut there"] += there and len(text) > limit
        tally["cut there kept"] += kept and there and len(text) > limit
        tally["wrong"] += not kept and not said
        if (not kept and not said) or (there and not kept):
            shown.append(f"  {row.id}: {row.title!r}, read {report.title if report else None!r}")
    print(f"truncation at {limit}: {len(right)} logs, {tally['cut']} of them longer than that")
    print(
        f"  guilty function in the window, title kept: {share(tally['there kept'], tally['there'])}"
    )
    print(f"    of those really cut: {share(tally['cut there kept'], tally['cut there'])}")
    print(f"  guilty function gone, corrupted said: {share(tally['gone said'], tally['gone'])}")
    print(f"    or the title kept all the same: {share(tally['gone told'], tally['gone'])}")
    print(
        f"  no function in the title, title kept: {share(tally['nameless kept'], tally['nameless'])}"
    )
    print(f"  wrong or no title without corrupted: {share(tally['wrong'], len(right))}")
    if verbose:
        print("\n".join(shown))
    return (
        tally["there kept"] >= 0.99 * tally["there"]
        and tally["gone told"] == tally["gone"]
        and tally["wrong"] <= 0.005 * len(right)
    )


def _from_headline(log: str) -> str:
    """Return the text from the line on with which the first report begins."""
    report = first(log)
    start = report.start - 1 if report else 0
    return "\n".join(log.split("\n")[start:])


def renaming(*, verbose: bool) -> bool:
    """Rename the guilty function everywhere in its log; print how many titles follow."""
    chance = random.Random(SEED)
    tried = followed = unnamed = 0
    shown = []
    for row in read_right(rows()):
        if row.guilty is None:
            continue
        word = _word(row.guilty)
        if not word.search(row.log):
            unnamed += 1
            continue
        name = _invented(chance, row.log)
        wanted = word.sub(name, row.title)
        got = title(word.sub(name, row.log))
        tried += 1
        followed += got == wanted
        if got != wanted:
            shown.append(f"  {row.id}: {row.guilty} as {name}: {wanted!r}, read {got!r}")
    print(f"renaming: the title follows in {share(followed, tried)}")
    print(f"  {unnamed} more hold the function only inside a longer name")
    if verbose:
        print("\n".join(shown))
    return followed >= 0.97 * tried


def _names(row: Row) -> Callable[[str], bool]:
    """Return the test whether a text names the guilty function of ``row``."""
    name = row.guilty or ""
    word = _word(name)
    if word.search(row.log):
        return lambda text: word.search(text) is not None
    return lambda text: name in text


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])")


def _invented(chance: random.Random, log: str) -> str:
    """Make up a function name that the log does not hold."""
    while True:
        name = chance.choice(_STYLES).format(
            v=chance.choice(_VENDORS), d=chance.choice(_DEEDS), t=chance.choice(_THINGS)
        )
        if name not in log:
            return name
