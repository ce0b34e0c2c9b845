"""How often title, alternative titles and the corrupted mark are the labelled ones."""

from __future__ import annotations

from bench.crash_corpus import Row, first, rows, share
from bot.crash import CrashReport


def measure(*, verbose: bool) -> bool:
    """Print the shares of right answers and the false alarms; ``verbose`` lists every miss."""
    found = [(row, first(row.log)) for row in rows()]
    titled = [(row, report) for row, report in found if row.title]
    alarms = [(row, report) for row, report in found if report and not row.title]
    print(f"accuracy over {len(titled)} logs with a title and {len(found) - len(titled)} without")
    fine = not alarms
    for what, wanted in (("title", 0.995), ("alternatives", 0.99), ("corrupted", 0.99)):
        misses = [(row, report) for row, report in titled if not _right(what, row, report)]
        fine = fine and len(misses) <= (1 - wanted) * len(titled)
        print(f"  {what:<13} {share(len(titled) - len(misses), len(titled))}")
        if verbose:
            for row, report in misses:
                print(f"    {row.id}: {_wanted(what, row)!r}, read {_got(what, report)!r}")
    print(f"  false alarms  {len(alarms)}")
    for row, report in alarms:
        print(f"    {row.id}: read {report.title!r}")
    return fine


def _right(what: str, row: Row, report: CrashReport | None) -> bool:
    return report is not None and _wanted(what, row) == _got(what, report)


def _wanted(what: str, row: Row) -> object:
    if what == "title":
        return row.title
    return {row.title, *row.alts} if what == "alternatives" else row.corrupted


def _got(what: str, report: CrashReport | None) -> object:
    if report is None:
        return None
    if what == "title":
        return report.title
    return {report.title, *report.alt_titles} if what == "alternatives" else report.corrupted
