"""Whatever is read: it never raises, it is consistent, and it takes linear time."""

from __future__ import annotations

import json
import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.crash import excerpt, read
from bot.crash.show import as_dict, from_dict, lines
from bot.crash.titles import MAX_TITLE
from tests.unit.crash import golden

LOGS = [golden.split(path)[1] for path in golden.files()]
PIECES = sorted({line for log in LOGS for line in log.split("\n")})
TEXTS = st.one_of(
    st.text(max_size=400),
    st.lists(st.sampled_from(PIECES), max_size=40).map("\n".join),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=60)), max_size=30).map("\n".join),
    st.tuples(st.sampled_from(LOGS), st.integers(0, 3000)).map(lambda t: t[0][t[1] :]),
    st.tuples(st.sampled_from(LOGS), st.integers(0, 3000)).map(lambda t: t[0][: t[1]]),
)


def consistent(text: str) -> None:
    total = text.count("\n") + 1
    reports = read(text)
    assert [report.consequence for report in reports] == [n > 0 for n in range(len(reports))]
    for report in reports:
        assert report.title
        assert len(report.title) <= MAX_TITLE
        assert "\n" not in report.title
        assert 1 <= report.start <= report.end <= total
        assert report.corrupted is (report.corrupted_reason is not None)
        assert report.title not in report.alt_titles
        assert report.evidence
        assert all(1 <= line.number <= total for line in report.evidence)
        assert report.function is None or report.function.isidentifier()
        assert report.signature.count(":") == 2
        assert from_dict(json.loads(json.dumps(as_dict(report)))) == report
        assert all(style and line for style, line in lines(report))


@given(TEXTS)
@settings(deadline=None, max_examples=300)
def test_any_text_is_read_without_an_error_and_consistently(text):
    consistent(text)
    assert len(excerpt(text, 100)) <= 100


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_read_without_an_error(data):
    read(data)


_OFFSET = re.compile(r"\b([a-zA-Z_]\w+)((?:\.[a-z]+(?:\.\d+)?)*)\+0x([0-9a-f]+)/0x([0-9a-f]+)")
_ADDRESS = re.compile(r"\[<([0-9a-f]{4})([0-9a-f]{4,12})>\]")
_SUFFIXES = ("", ".isra.0", ".constprop.3", ".part.1", ".isra.4.part.2", ".cold")


def rebuilt(log: str, chance: random.Random) -> str:
    """Return the log of another build on another board: addresses, offsets, suffixes, hardware."""

    def moved(match: re.Match[str]) -> str:
        if int(match[3], 16) in (0, int(match[4], 16)):
            return match[
                0
            ]  # the first byte of a function, or behind its last: no call returns there
        size = chance.randrange(64, 9000)
        return f"{match[1]}{chance.choice(_SUFFIXES)}+{chance.randrange(4, size):#x}/{size:#x}"

    def elsewhere(match: re.Match[str]) -> str:
        return f"[<{match[1]}{''.join(chance.choices('123456789abcdef', k=len(match[2])))}>]"

    log = _ADDRESS.sub(elsewhere, _OFFSET.sub(moved, log))
    return re.sub("Hardware name: .*", "Hardware name: Acme Board/B9, BIOS 9.9 01/01/2031", log)


@pytest.mark.parametrize("path", golden.files(), ids=lambda path: path.stem)
def test_another_build_on_another_board_has_the_same_signatures(path):
    log, chance = golden.split(path)[1], random.Random(path.stem)
    known = [report.signature for report in read(log)]
    for _ in range(3):
        assert [report.signature for report in read(rebuilt(log, chance))] == known


@given(st.sampled_from(LOGS), st.data())
@settings(deadline=None, max_examples=100)
def test_reading_is_the_same_every_time(log, data):
    cut = log[: data.draw(st.integers(0, len(log)))]
    assert read(cut) == read(cut)


HOSTILE = {
    "path of a warning": "[ 1.0] WARNING: " + "mm/" * 300 + ".c" * 100 + "\n",
    "addresses": "BUG: held lock freed!\n" + ("[<aaaa" * 500 + "\n") * 50,
    "pointers": "BUG: soft lockup\n" + ("IP: " * 500 + "\n") * 50,
    "written out breaks": "\\n" * 2000 + "\n",
    "timestamps": "[    1.000000] BUG: " * 200 + "\n",
    "headlines": "[    1.000000] BUG: soft lockup\n[    1.000000] Call Trace:\n",
    "json": '{"log":' * 400 + "\n",
    "json breaks": '{"log":"' + "a\\n" * 1000 + '"}\n',
    "dates": "2024-01-01T00:00:00 " * 100 + "\n",
    "one line": "BUG: Dentry " + " still in use (1) [unmount of " * 2000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_linear_time(name):
    piece = HOSTILE[name]
    text = piece * max(1, 400_000 // len(piece))
    start = time.process_time()
    read(text)
    assert time.process_time() - start < 5
