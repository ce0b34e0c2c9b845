"""Text out of Slack: what a message says, whether it is an alert, what a typed line means.

Slack escapes ``& < >`` in everything that it hands over, wraps what it takes for links, and
alerting systems put their words anywhere but in ``text``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from bot.alert.alert import Alert, Status

LONGEST = 256_000
DEEPEST = 12
SHOWN = frozenset({None, "", "bot_message", "file_share"})
"""The kinds of message that are new words in a channel: no edits, deletions, joins or topics."""

_LINK = re.compile(r"<(?:https?://|mailto:)[^<>|\s]*\|([^<>]*)>")
_BARE_LINK = re.compile(r"<((?:https?://|mailto:)[^<>|\s]*)>")
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_NAMED = re.compile(r"\b(INC|P)[\u2010-\u2015\u2212](?=[0-9])", re.IGNORECASE)
_STRAIGHT = {0x201C: '"', 0x201D: '"', 0x2018: "'", 0x2019: "'", 0xA0: " ", 0x202F: " "}
_OVER = re.compile(r"\W*(?:resolved|ok)\b", re.IGNORECASE)
_FIRING = re.compile(r"\b(?:firing|alerting|triggered)\b", re.IGNORECASE)
_NAME = r"[^\s\"'`*,;|<>(){}]{1,255}"
_MARKS = r"[*_`\"' \t]*"


def unescape(text: str) -> str:
    """Undo Slack's escaping: links become their label, then the three entities, once each."""
    text = _BARE_LINK.sub(r"\1", _LINK.sub(r"\1", text))
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def is_alert(event: Mapping[str, Any], channels: Collection[str], bots: Collection[str]) -> bool:
    """Say whether a message event is a new message of an alerting bot in an alert channel.

    ``channels`` are ids. ``bots`` are bot, app or user ids of bots, or the name under which a
    bot posts. A person is none of these, whatever they quote.
    """
    if event.get("hidden") or event.get("subtype") not in SHOWN:
        return False
    if event.get("channel") not in channels or not event.get("ts"):
        return False
    senders = [event.get("bot_id"), event.get("app_id"), event.get("user")]
    if event.get("bot_id") or event.get("subtype") == "bot_message":
        profile = event.get("bot_profile")
        senders.append(event.get("username"))
        senders.append(profile.get("app_id") if isinstance(profile, Mapping) else None)
    return any(sender in bots for sender in senders if isinstance(sender, str))


def alert(event: Mapping[str, Any], host_labels: Sequence[str]) -> Alert:
    """Make an alert of a message. Its key is the channel and time that Slack gave it."""
    text = message_text(event)
    first = next((a for a in _maps(event.get("attachments"))), {})
    link = _word(first.get("title_link"))
    title = unescape(_word(first.get("title"))) or text.strip().partition("\n")[0]
    return Alert(
        key=f"slack/{event['channel']}/{event['ts']}",
        source="slack",
        status=Status.RESOLVED if _is_over(event, text) else Status.FIRING,
        name=title.strip()[:200],
        host=_host(event, text, host_labels),
        text=text,
        labels={name: value[:500] for name, value in list(_fields(event))[:20]},
        link=link if link.startswith(("http://", "https://")) else "",
    )


def message_text(message: Mapping[str, Any]) -> str:
    """Return everything that a message says, unescaped, each thing once, in reading order."""
    said: list[str] = []
    for piece in _pieces(message, 0):
        text = unescape(piece).replace("```", "\n").strip("\n")
        if text.strip() and not any(text in before for before in said):
            said.append(text)
    return "\n".join(said)[:LONGEST]


def command_line(text: str, person: Callable[[str], str | None]) -> str:
    """Return what a person typed after a slash command, as the grammar wants it.

    ``person`` maps a mentioned Slack user id to the name that the configuration knows.
    Phones turn quotes, dashes and spaces into typography; that is undone, lest ``P\u20112`` be taken
    for a reason and the proposal be guessed.
    """
    named = _MENTION.sub(lambda m: person(m[1]) or m[1], text)
    straight = _NAMED.sub(r"\1-", named.translate(_STRAIGHT))
    return unescape(re.sub(r"(?<!\S)[\u2013\u2014](?=[a-z])", "--", straight)).strip()


def _pieces(message: Mapping[str, Any], depth: int) -> Iterator[str]:
    yield _word(message.get("text"))
    yield from _blocks(message.get("blocks"), depth)
    for part in _maps(message.get("attachments")):
        before = [_word(part.get(key)) for key in ("pretext", "title", "text")]
        yield from before
        for field in _maps(part.get("fields")):
            yield f"{_word(field.get('title'))}: {_word(field.get('value'))}".strip(": ")
        inner = list(_blocks(part.get("blocks"), depth))
        yield from inner
        if not any(before) and not inner:
            yield _word(part.get("fallback"))
    for file in _maps(message.get("files")):
        yield _word(file.get("plain_text") or file.get("preview"))


def _blocks(value: Any, depth: int) -> Iterator[str]:
    """Walk blocks of any kind: what holds text, holds it under few names."""
    if depth > DEEPEST:
        return
    for block in _maps(value):
        kind = _word(block.get("type"))
        if kind in {"rich_text_section", "rich_text_preformatted", "rich_text_quote"}:
            yield "".join(_inline(element) for element in _maps(block.get("elements")))
            continue
        text = block.get("text")
        yield from _blocks([text], depth + 1) if isinstance(text, Mapping) else [_word(text)]
        for name in ("title", "fields", "elements"):
            inner = block.get(name)
            yield from _blocks([inner] if isinstance(inner, Mapping) else inner, depth + 1)
        for row in block.get("rows", ()) if isinstance(block.get("rows"), list) else ():
            yield from _blocks(row, depth + 1)


def _inline(element: Mapping[str, Any]) -> str:
    """Return a run of text, a link's label or an emoji's colon name."""
    if element.get("type") == "emoji":
        return f":{_word(element.get('name'))}:"
    return _word(element.get("text")) or _word(element.get("url"))


def _fields(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for part in _maps(event.get("attachments")):
        for field in _maps(part.get("fields")):
            name = unescape(_word(field.get("title"))).strip(" *:_`")
            yield name, unescape(_word(field.get("value"))).strip(" *_`")


def _host(event: Mapping[str, Any], text: str, labels: Sequence[str]) -> str:
    """Return the sender's word for the host: a field of that name, else ``instance=web-01``."""
    fields = {name.lower(): value for name, value in reversed(list(_fields(event)))}
    for label in labels:
        said = [fields.get(label.lower(), "")[:255].strip()]
        pattern = rf"(?<![\w./-]){re.escape(label)}{_MARKS}[:=]{_MARKS}({_NAME})"
        said += [match[1] for match in re.finditer(pattern, text, re.IGNORECASE)]
        for word in said:
            name = word.rstrip(".:-")
            if re.search(r"[^\W_]", name) and not name.isdigit():
                return name
    return ""


def _is_over(event: Mapping[str, Any], text: str) -> bool:
    """Tell ``[RESOLVED] …`` and, where no word says it, Alertmanager's colour for it."""
    parts = list(_maps(event.get("attachments")))
    heads = [text, *(_word(part.get(key)) for part in parts for key in ("title", "pretext"))]
    if any(_OVER.match(head) for head in heads):
        return True
    firing = any(_FIRING.search(head.partition("\n")[0]) for head in heads)
    return bool(parts) and all(p.get("color") == "good" for p in parts) and not firing


def _maps(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield what is a mapping in what should be a list of them."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
