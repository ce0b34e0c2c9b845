"""How much work reading takes: it is counted, not timed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from bench.crash_hostile import CRASH, HOSTILE
from bot.crash import ALL, read, userland
from bot.crash.entry import Entry, Owners
from bot.crash.formats import QUIET, by_literal
from bot.crash.frames import SRC, parse, place
from bot.crash.halves import JOINS, Item
from bot.crash.scan import LONG_LINE, OVERLAP, Scanner, use

SMALL = 1 << 13
DOUBLED = 2.7
"""More than two, for what is only done from some size on; twice as much squared is four."""

FEW = 3000
"""Calls that any text may take."""


def calls_of(text: str) -> int:
    """Count the calls, those of patterns too, that reading ``text`` takes."""
    calls = 0

    def count(_frame: object, event: str, _what: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        read(text, ALL)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("name", HOSTILE)
def test_twice_the_text_takes_at_most_about_twice_the_calls(name):
    """A step at some size is allowed; what grows with the square grows at every size."""
    assert any(at_most_about_twice(name, size) for size in (SMALL, 4 * SMALL))


def at_most_about_twice(name: str, size: int) -> bool:
    small, large = (CRASH + HOSTILE[name](size) for size in (size, 2 * size))
    read(large, ALL)  # what is remembered of patterns and lines counts for neither
    return calls_of(large) <= DOUBLED * calls_of(small) + FEW


class Lines(Sequence[Entry]):
    """Lines that count how often one of them is looked at."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.looks = 0

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, at):
        self.looks += 1
        return self.entries[at]


def lines_of(text: str, count: int) -> Lines:
    return Lines([Entry(number, text) for number in range(1, count + 1)])


@pytest.mark.parametrize("count", [500, 4000])
def test_whose_a_line_is_takes_one_walk_over_the_lines(count):
    lines = lines_of("Traceback (most recent call last):", count)
    owners = Owners(lines)
    assert {owners.of(at) for at in range(count)} == {""}
    assert lines.looks <= 4 * count


def test_a_line_that_names_nobody_belongs_to_the_nearest_program_above():
    entries = [Entry(1, "x", "shop[7]"), *(Entry(n, "x") for n in range(2, 80))]
    owners, fresh = Owners(entries), [Owners(entries).of(at) for at in range(79)]
    assert [owners.of(at) for at in range(79)] == fresh
    assert fresh == ["shop[7]"] * 65 + [""] * 14
    assert owners.of(3) == "shop[7]"
    assert Owners([Entry(1, "x", "kernel"), Entry(2, "x")]).of(1) == ""


def test_a_program_that_crashed_is_told_before_the_other_lines_are_read():
    lines = lines_of("[1] a[1]: segfault at 0 ip 0 sp 0 error 4 in a[0+1]"[4:], 5000)
    first = next(iter(userland.crashes(lines, range(5000))))
    assert first.start == 1
    assert lines.looks < 100


@pytest.mark.parametrize("join", JOINS)
def test_lines_that_nothing_cut_are_left_as_they_are(join):
    items = [Item("=", "", number) for number in range(100)]
    assert join(items) is items


PLACES = 5
"""Places of a line from which a pattern may go far."""

SAMPLES = [
    "z" * 50 + line
    for line in (
        " Read of size 8 at addr 0123", " at: [<ffffffff>] f+0x1/0x2 ", " at: f+0x1/0x2 ",
        " last function: f", "/net/core/dev.c:12 x", " takes ", " is trying to acquire lock",
    )
]  # fmt: skip


def places(pattern: re.Pattern[str], text: str) -> int:
    return sum(pattern.match(text, at) is not None for at in range(len(text)))


def searched() -> Iterator[re.Pattern[str]]:
    for rows in by_literal().values():
        for row in rows:
            yield from row.details


@pytest.mark.parametrize("detail", sorted({d.pattern for d in searched()} - {"(?P<what>.+)"}))
def test_what_follows_a_headline_is_searched_from_few_places_of_a_line(detail):
    assert max(places(re.compile(detail), sample) for sample in SAMPLES) < PLACES


def test_no_pattern_that_is_searched_begins_with_anything_at_all():
    quiet = [pattern for patterns in QUIET.values() for pattern in patterns]
    formats = [row.pattern.pattern for rows in by_literal().values() for row in rows]
    assert [p for p in (*quiet, *formats) if p.startswith((".*", ".+"))] == []


def test_the_number_of_a_line_is_not_taken_apart():
    assert re.fullmatch(SRC, "net/a.c:120")
    assert re.fullmatch(SRC + "0", "net/a.c:120") is None


def test_a_frame_is_read_as_before_however_long_its_name_may_be():
    frame = parse("  [<ffffffff>] acme_tx.isra.0+0x1/0x2 ./net/a.c:12 [acme(O)]").frame
    assert frame is not None
    assert (frame.function, frame.module, frame.location) == ("acme_tx", "acme", "net/a.c:12")
    assert place("acme_tx+0x1/0x2 [acme]", "acme_tx") == ("acme", None)
    assert place("acme_tx (net/a.c:12) acme", "acme_tx") == ("acme", "net/a.c:12")


class Recorder:
    """A pattern that notes what it is asked to search."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self.sizes: list[int] = []

    def finditer(self, text):
        self.sizes.append(len(text))
        return self.pattern.finditer(text)


@pytest.fixture
def plain():
    before = use("re")
    yield
    use(before)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("size", [1 << 14, 1 << 17])
def test_a_long_line_is_searched_in_stretches(size):
    scanner = Scanner([r"\.0\][^\n]*BUG:"])
    scanner.hits("x")
    assert scanner._words is not None
    patterns: list[Any] = list(scanner._words._by_word["BUG:"])
    patterns = [Recorder(pattern) for pattern in patterns]
    scanner._words._by_word["BUG:"] = patterns
    hits = scanner.hits("BUG:.0]" * (size // 7))
    assert [hit.at for hit in hits] == [0]
    sizes = patterns[0].sizes
    assert max(sizes) <= LONG_LINE
    assert sum(sizes) <= 1.3 * size


@pytest.mark.usefixtures("plain")
def test_words_are_found_wherever_they_stand_on_a_long_line():
    scanner = Scanner(["BUG: ", "WARNING: "])
    for at in (0, LONG_LINE - OVERLAP - 2, LONG_LINE - 2, 3 * LONG_LINE):
        line = "x" * at + "BUG: " + "y" * LONG_LINE
        assert [hit.words for hit in scanner.hits(line)] == [("BUG: ",)]
