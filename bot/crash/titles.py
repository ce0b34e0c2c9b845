"""Titles: what varies from crash to crash is taken out, so that equal crashes have equal titles."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_TITLE = 120

_VARIABLE = (
    (re.compile(r"([^a-zA-Z0])(?:0x)?[0-9a-f]{6,64}"), r"\1ADDR"),
    (re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}"), "IP"),
    (re.compile(r"(\.\w{1,64})(?::[0-9]+)+"), r"\1:LINE"),
    (re.compile(r"([a-zA-Z][a-zA-Z0-9_.]{1,512})\+0x[0-9a-z]+/0x[0-9a-z]+"), r"\1"),
    (re.compile(r"CPU#[0-9]+"), "CPU"),
    (re.compile(r"(\W)[0-9]+(?=\W|$)"), r"\1NUM"),
)
_VARIES = re.compile(
    r"[^a-zA-Z0](?:0x)?[0-9a-f]{6}|[0-9]\.[0-9]|\.\w{1,64}:[0-9]|\+0x|\W[0-9]|[^ -~]|  "
)
"""Anything that has to be taken out; most titles hold nothing of it."""

_BLANKS = re.compile(r" {2,}")
_STAMP = re.compile(r"\[ *[0-9]+\.[0-9]+\]")


@lru_cache(maxsize=4096)
def anonymous(title: str) -> str:
    """Replace addresses, numbers, offsets and line numbers by fixed words; cut, trim."""
    title = title[: 4 * MAX_TITLE]
    if _VARIES.search(title) is None:
        return title[:MAX_TITLE].strip()
    for pattern, word in _VARIABLE:
        title = pattern.sub(word, title)
    kept = "".join(c for c in title[:MAX_TITLE].replace("\t", " ") if " " <= c <= "~")
    return _BLANKS.sub(" ", kept).strip()


def stamped(title: str) -> bool:
    """Tell whether a timestamp got into the title: two lines were printed into each other."""
    return _STAMP.search(title) is not None
