"""Ranges of kernel versions: ``< 5.2``, ``>= 4.15 < 5.2``, ``= 5.4``."""

from __future__ import annotations

import operator
import re
from functools import lru_cache

HOW = "write < 5.2, >= 4.15 < 5.2, or = 5.4 for every 5.4.x"
COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
BOUND = re.compile(r"\s*(<=|>=|<|>|=)\s*(\d{1,5}(?:[.-]\d{1,9}){1,9})\s*,?")
RELEASE = re.compile(r"\d{1,5}(?:[.-]\d{1,9}){1,9}")

Version = tuple[int, ...]
Bounds = tuple[tuple[str, Version], ...]


def check_range(text: str) -> str:
    """Return ``text`` if it is a range of kernel versions; else raise ``ValueError``."""
    read_range(text)
    return text


@lru_cache(maxsize=32768)
def read_range(text: str) -> Bounds:
    """Return the bounds, all of which must hold; raise ``ValueError`` with a sentence."""
    bounds: list[tuple[str, Version]] = []
    at = 0
    while at < len(text.rstrip()):
        found = BOUND.match(text, at)
        if found is None:
            raise ValueError(f"{text!r} is no range of kernel versions: {HOW}")
        bounds.append((found[1], _numbers(found[2])))
        at = found.end()
    if not bounds:
        raise ValueError(f"{text!r} is no range of kernel versions: {HOW}")
    if not any(_inside(bounds, version) for version in _samples(bounds)):
        raise ValueError(f"no kernel is inside {text!r}: {HOW}")
    return tuple(bounds)


def inside(text: str, release: str) -> bool | None:
    """Whether a release such as ``5.15.0-91-generic`` is inside a range; None if it is no version.

    As many numbers are compared as the bound has, so ``<= 5.4`` holds for 5.4.250, and a
    distribution's own number can be named: ``< 4.18.0-305``. What follows the numbers does not count.
    """
    version = _version(release)
    return None if version is None else _inside(read_range(text), version)


@lru_cache(maxsize=32768)
def any_inside(ranges: tuple[str, ...], release: str | None) -> bool | None:
    """Whether a release is inside one of several ranges; None if it is unknown or no version."""
    if not release or _version(release) is None:
        return None
    return any(inside(one, release) for one in ranges)


@lru_cache(maxsize=64)
def _version(release: str) -> Version | None:
    found = RELEASE.match(release)
    return None if found is None else _numbers(found[0])


def _inside(bounds: Bounds | list[tuple[str, Version]], version: Version) -> bool:
    return all(COMPARE[sign](_cut(version, len(bound)), bound) for sign, bound in bounds)


def _cut(version: Version, length: int) -> Version:
    return (*version[:length], *(0,) * (length - len(version)))


def _numbers(text: str) -> Version:
    return tuple(int(number) for number in re.split("[.-]", text))


def _samples(bounds: list[tuple[str, Version]]) -> list[Version]:
    """Return each bound and its neighbours: if none of them fits all bounds, nothing does."""
    longest = max(len(bound) for _, bound in bounds)
    found: list[Version] = []
    for _, bound in bounds:
        found += [bound, _cut(bound, longest + 1)]
        found += [(*bound[:-1], bound[-1] + step) for step in (-1, 1) if bound[-1] + step >= 0]
        found.append((*_cut(bound, longest), 1))
    return [*found, (0,)]
