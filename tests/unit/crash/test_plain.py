"""One look tells that nothing has to be mended: it must never say so of a text that has to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.crash import scan
from bot.crash.console import is_plain
from bot.crash.halves import cut_up
from bot.crash.spelling import clean
from bot.crash.wrapping import wrapped

FRAGMENTS = (
    "=", "==", "=\n", "=3D", "=20", "3D", "\n", "\r", "\\", "\\n", "\\u001b[31m", "\x1b", "\x1b[1m", "[",
    "^[[", "^", "#033[", "#033", "#012", "#0", "#", "&amp;", "&#39;", "&#x41;", "&", "amp;", "lt;", "<br>",
    "<br", "<", "</pre>", "<code class='x'>", "pre>", "{", '"', '{ "', '{\n"', ") [<", ") [", "<", ",ncfrag=",
    "1/2;", " stdout P ", " stderr P ", " stdout F ", "MESSAGE", 'MESSAGE" : [', "word", " ", "0", "é",
    "\u200b",
)  # fmt: skip


@pytest.fixture(params=["re2", "re"], autouse=True, scope="module")
def _engine(request: pytest.FixtureRequest):
    before = scan.use(request.param)
    yield
    scan.use(before)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_a_plain_text_is_one_that_nothing_mends(text: str) -> None:
    """Whatever undoes what the way did leaves a plain text alone."""
    if is_plain(text):
        assert clean(text) == text
        assert not cut_up(text)
        assert not wrapped(text)


@pytest.mark.parametrize("text", ["a &lt; b", "=3D", "x=\n", '{"log":1}', "\x1b[1m", "#012", "é"])
def test_what_has_to_be_mended_is_not_plain(text: str) -> None:
    """The look does not say yes to everything."""
    assert not is_plain(text)


def test_an_ordinary_oops_is_plain() -> None:
    """Nor no."""
    assert is_plain(
        "[    1.5] BUG: unable to handle page fault\n[    1.6] RIP: 0010:f+0x1/0x2 &x=1\n"
    )
