"""Lines that were cut in the middle: breaks of mail, fragments of netconsole, long lines of CRI.

The words of a headline may be on both sides of such a cut, so a text that shows one is put
together before anything is looked for in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bot.crash.spelling import clean, sample
from bot.crash.wrapping import pieces

MARKS = (
    ",ncfrag=", " stdout P ", " stderr P ", "MESSAGE", "=3D", "(?:^|[^=])=\n", r"=\\+[rn]", "=<br",
)  # fmt: skip
"""Patterns of which a text holds one that ``cut_up`` tells of."""

MAX_OPEN = 64
"""Messages of netconsole whose fragments are waited for."""

_ROUNDS = 3
_BYTES = re.compile(r'MESSAGE\\{0,16}" ?: ?\[')
_SOFT = re.compile(r"=(?:3D|(?<!==)\n|\\{1,16}[rn]|<br)")
_WRITTEN_SOFT = re.compile(r"=(?:\\{1,16}[rn]|<br)")
_QUOTED = re.compile(r"=(?:[0-9A-F]{2}|\n|\\{1,16}[rn]|<br|$)")
_CODED = re.compile(r"(?:=[0-9A-F]{2})+")
_SOFT_LINE = re.compile(r"^.{50,300}=$", re.MULTILINE)
_LEAD = re.compile(r"(?: {0,3}> ?){1,16}|[ \t]{1,32}")
_FRAGMENT = re.compile(
    r"(?:^|(?<=[ >]))(\d{1,4},(\d{1,12}),\d{1,18},[^,; ]{0,8}(?:,(?!ncfrag=)[^,;]{1,64}){0,8})"
    r",ncfrag=\d{1,9}/\d{1,9};"
)
_CONTAINER = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) (std(?:out|err)) ([FP])(?: |$)"
)

_LOGGED = re.compile(
    r"[> \t]{0,16}(?:<\d{1,3}>)?"
    r"(?:\[ {0,12}[CT+]?\d{1,12}[.\]]|\[?(?:[A-Z][a-z]{2} ){1,2}[ \d]\d |\[?\d{4}-\d\d-\d\d[T ])"
)
"""How a line begins that carries a time: whatever does not was broken off, if lines were broken."""

MAX_WIDTH = 80
MIN_WIDTH = 60
"""Characters after which programs of mail break lines, at most and at least."""

_MIN_LOGGED = 2
_FIRST_LOOK = 4000
"""Characters that are looked at first."""


class Item(NamedTuple):
    """A line on its way: its words, what is known of its context, its number from 0."""

    text: str
    context: str
    number: int


class _Joined:
    """Lines that are put together."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._texts: list[list[str]] = []

    def begin(self, item: Item, text: str) -> int:
        """Take a line with the words it begins with; return its place."""
        self._items.append(item)
        self._texts.append([text])
        return len(self._items) - 1

    def more(self, at: int, text: str) -> None:
        """Add words to the line at a place."""
        self._texts[at].append(text)

    def items(self) -> list[Item]:
        """Return the lines."""
        return [
            Item("".join(texts), item.context, item.number)
            for item, texts in zip(self._items, self._texts, strict=True)
        ]


def cut_up(text: str) -> bool:
    """Tell whether words of ``text`` may be cut in two, or written as numbers."""
    seen = sample(text)
    if ",ncfrag=" in seen or " stdout P " in seen or " stderr P " in seen:
        return True
    if "MESSAGE" in seen and _BYTES.search(text) is not None:
        return True
    if "=" in seen and _SOFT.search(seen) is not None and _is_mail(seen):
        return True
    return broken(seen)


def broken(text: str) -> bool:
    """Tell whether a program of mail broke long lines of ``text`` at blanks."""
    return _may_be_broken(text) and _width(text.split("\n")) > 0


def whole(text: str) -> list[Item]:
    """Return the lines of ``text`` with everything put together and taken apart, in order."""
    items = [Item(line, "", number) for number, line in enumerate(text.split("\n"))]
    joins = list(JOINS)
    for _ in range(_ROUNDS):
        before = items
        for join in tuple(joins):
            joined = join(items)
            if join is _mail and joined is not items:
                joins.remove(join)  # "=3D41" is "=41", not "A"
            items = joined
        items = [
            Item(piece, context, item.number)
            for item in items
            for piece, context in pieces(item.text, item.context)
        ]
        if items == before:
            break
    return items


def _is_mail(text: str) -> bool:
    """Tell whether ``text`` is quoted-printable: no equals sign stands for itself."""
    coded = len(_QUOTED.findall(text))
    return 2 * coded >= text.count("=") and ("=3D" in text or _SOFT.search(text) is not None)


def _mail(items: list[Item]) -> list[Item]:
    text = "\n".join(item.text for item in items)
    if "=" not in text or not _is_mail(text) or _WRITTEN_SOFT.search(text) is not None:
        return items
    if "=3D" not in text and _SOFT_LINE.search(text) is None:
        return items
    joined = _Joined()
    lead, soft = "", False
    for item in items:
        soft_now = item.text.endswith("=")
        line = item.text[:-1] if soft_now else item.text
        if soft:
            joined.more(-1, line.removeprefix(lead))
        else:
            match = _LEAD.match(line)
            lead = match[0] if match else ""
            joined.begin(item, line)
        soft = soft_now
    return [_decoded(item) if "=" in item.text else item for item in joined.items()]


def _decoded(item: Item) -> Item:
    return item._replace(text=clean(_CODED.sub(_characters, item.text)))


def _characters(match: re.Match[str]) -> str:
    data = bytes.fromhex(match[0].replace("=", ""))
    return data.decode("utf-8", errors="replace").replace("\n", "\\n")


def _may_be_broken(text: str) -> bool:
    """Tell at first sight whether a program of mail may have broken long lines.

    It has not where all of the first lines begin with a stamp, or where one with a time is longer.
    """
    text = text[:_FIRST_LOOK]
    if text.count("\n[") >= text.count("\n") - 1:
        return False
    for line in text.split("\n"):
        if len(line) > MAX_WIDTH and _LOGGED.match(line) is not None:
            return False
    return True


def _width(lines: Sequence[str]) -> int:
    """Return the width at which the lines of a log were broken; 0 if they were not.

    What was broken off follows a line that had no room for its first word.
    """
    logged = [_LOGGED.match(line) is not None for line in lines]
    if sum(logged) < _MIN_LOGGED:
        return 0
    long = [len(line) for line, known in zip(lines, logged, strict=True) if known]
    if max(long) > MAX_WIDTH:
        return 0
    last = len(logged) - logged[::-1].index(True)
    behind = [
        (lines[n - 1], lines[n])
        for n in range(logged.index(True), last)
        if not logged[n] and lines[n].strip("> \t")
    ]
    rest = [len(line) for _, line in behind if len(line) <= MAX_WIDTH and " " in line.strip("> ")]
    width = max([*long, *rest])
    broken = sum(_broken_off(before, line, width) for before, line in behind)
    return width if width >= MIN_WIDTH and broken and 5 * broken >= 4 * len(behind) else 0


def _broken_off(before: str, line: str, width: int) -> bool:
    """Tell whether ``line`` is the rest of the one before it, which had no room for its first word."""
    rest = line.lstrip(">").removeprefix(" ") if before[:1] == ">" else line
    word = rest.partition(" ")[0]
    return bool(word) and word[0] != "\t" and len(before) + 1 + len(word) > width


def _broken(items: list[Item]) -> list[Item]:
    """Put together what a program of mail broke at a blank, where no other break can be meant."""
    width = _width([item.text for item in items])
    if not width:
        return items
    joined = _Joined()
    inside, before = False, ""
    for item in items:
        line = item.text
        logged = _LOGGED.match(line) is not None
        inside = logged or (inside and _broken_off(before, line, width))
        if inside and not logged:
            joined.more(-1, f" {line.lstrip('> ')}")
        else:
            joined.begin(item, line)
        before = line
    return joined.items()


def _netconsole(items: list[Item]) -> list[Item]:
    """Put the fragments of one message together: they have the same number."""
    if not any(",ncfrag=" in item.text for item in items):
        return items
    joined = _Joined()
    begun: dict[str, int] = {}
    for item in items:
        text = item.text
        match = _FRAGMENT.search(text) if text.count(",ncfrag=") == 1 else None
        if match is None:
            joined.begin(item, text)
            continue
        rest = text[match.end() :]
        at = begun.get(match[2])
        if at is None:
            if len(begun) >= MAX_OPEN:
                begun.clear()
            begun[match[2]] = joined.begin(item, f"{text[: match.start()]}{match[1]};{rest}")
        else:
            joined.more(at, rest)
    return joined.items()


def _containers(items: list[Item]) -> list[Item]:
    """Put the parts of a line together: all but the last are marked ``P``."""
    if not any(" std" in item.text for item in items):
        return items
    joined = _Joined()
    begun: dict[str, int] = {}
    for item in items:
        match = _CONTAINER.match(item.text)
        if match is None:
            joined.begin(item, item.text)
            continue
        stream, mark = match.groups()
        at = begun.pop(stream, None)
        if at is None:
            begin, end = match.span(2)
            at = joined.begin(item, f"{item.text[:begin]}F{item.text[end:]}")
        else:
            joined.more(at, item.text[match.end() :])
        if mark == "P":
            begun[stream] = at
    return joined.items()


JOINS: Sequence[Callable[[list[Item]], list[Item]]] = (_mail, _broken, _netconsole, _containers)
"""Every way to cut lines that is known, outermost first."""
