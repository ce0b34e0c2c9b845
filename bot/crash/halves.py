"""Lines that were cut in the middle: soft breaks of mail, fragments of netconsole, long lines of CRI.

The words of a headline may be on both sides of such a cut, so a text that shows one is put
together before anything is looked for in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bot.crash.spelling import clean, sample
from bot.crash.wrapping import pieces

_ROUNDS = 3
_MAX_OPEN = 64
_BYTES = re.compile(r'MESSAGE\\{0,16}" ?: ?\[')
_SOFT = re.compile(r"=(?:3D|\n|\\{1,16}[rn]|<br)")
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


class Item(NamedTuple):
    """A line on its way: its words, what is known of its context, its number from 0."""

    text: str
    context: str
    number: int


def cut_up(text: str) -> bool:
    """Tell whether words of ``text`` may be cut in two, or written as numbers."""
    seen = sample(text)
    if ",ncfrag=" in seen or " stdout P " in seen or " stderr P " in seen:
        return True
    if "MESSAGE" in seen and _BYTES.search(text) is not None:
        return True
    return "=" in seen and _SOFT.search(seen) is not None and _is_mail(seen)


def whole(text: str) -> list[Item]:
    """Return the lines of ``text`` with everything put together and taken apart, in order."""
    items = [Item(line, "", number) for number, line in enumerate(text.split("\n"))]
    for _ in range(_ROUNDS):
        before = items
        for join in JOINS:
            items = join(items)
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
    if "=" not in text or not _is_mail(text):
        return items
    if "=3D" not in text and _SOFT_LINE.search(text) is None:
        return items
    joined: list[Item] = []
    lead, soft = "", False
    for item in items:
        if soft:
            first = joined[-1]
            joined[-1] = first._replace(text=first.text[:-1] + item.text.removeprefix(lead))
        else:
            match = _LEAD.match(item.text)
            lead = match[0] if match else ""
            joined.append(item)
        soft = item.text.endswith("=")
    return [item._replace(text=_decoded(item.text)) for item in joined]


def _decoded(text: str) -> str:
    return clean(_CODED.sub(_characters, text)) if "=" in text else text


def _characters(match: re.Match[str]) -> str:
    data = bytes.fromhex(match[0].replace("=", ""))
    return data.decode("utf-8", errors="replace").replace("\n", "\\n")


def _netconsole(items: list[Item]) -> list[Item]:
    """Put the fragments of one message together: they have the same number."""
    joined: list[Item] = []
    begun: dict[str, int] = {}
    for item in items:
        text = item.text
        match = _FRAGMENT.search(text) if text.count(",ncfrag=") == 1 else None
        if match is None:
            joined.append(item)
            continue
        rest = text[match.end() :]
        at = begun.get(match[2])
        if at is None:
            if len(begun) >= _MAX_OPEN:
                begun.clear()
            begun[match[2]] = len(joined)
            joined.append(item._replace(text=f"{text[: match.start()]}{match[1]};{rest}"))
        else:
            joined[at] = joined[at]._replace(text=joined[at].text + rest)
    return joined


def _containers(items: list[Item]) -> list[Item]:
    """Put the parts of a line together: all but the last are marked ``P``."""
    joined: list[Item] = []
    begun: dict[str, int] = {}
    for item in items:
        match = _CONTAINER.match(item.text)
        if match is None:
            joined.append(item)
            continue
        stream, mark = match.groups()
        at = begun.pop(stream, None)
        if at is None:
            at = len(joined)
            joined.append(item)
        else:
            joined[at] = joined[at]._replace(text=joined[at].text + item.text[match.end() :])
        if mark == "P":
            begun[stream] = at
    return joined


JOINS: Sequence[Callable[[list[Item]], list[Item]]] = (_mail, _netconsole, _containers)
"""Every way to cut lines that is known, outermost first."""
