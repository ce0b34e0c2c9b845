"""Cards as Block Kit: within Slack's limits, and nothing in them is markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from bot.chat.card import Button, Card
from bot.chat.slack_blocks import blocks, escape, message
from bot.chat.slack_modals import answer
from bot.chat.slack_text import unescape

HOSTILE = "<!channel> <@U02> *b* ``` & &lt; :fire: \x1b[31mred\u202egnp.exe"


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name != "value":  # a button's line: data, never shown
                yield from strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner)


def marked_up(value: Any) -> Iterator[str]:
    """Yield the texts in which Slack reads markup."""
    if isinstance(value, dict):
        if value.get("type") == "mrkdwn":
            assert value["verbatim"] is True
            yield value["text"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from marked_up(inner)


def check(found: list[dict[str, Any]]) -> None:
    """Hold what is sent against Slack's limits, twice: by the SDK's models and by hand."""
    assert 0 < len(found) <= 50
    assert len(json.dumps(found, ensure_ascii=False)) < 20_000
    for block in found:
        Block.parse(block).to_dict()  # type: ignore[union-attr]
        if block["type"] == "section":
            texts = [block["text"]] if "text" in block else block["fields"]
            assert len(texts) <= 10
            for text in texts:
                assert 1 <= len(text["text"]) <= (3000 if "text" in block else 2000)
        if block["type"] == "header":
            assert 1 <= len(block["text"]["text"]) <= 150
        if block["type"] == "actions":
            assert 1 <= len(block["elements"]) <= 3
    for text in strings(found):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\ud800-\udfff]", text)
        bare = re.sub(r"&(?:amp|lt|gt);", "", text)
        assert not re.search("[<>&]", bare)
        text.encode()
    for text in marked_up(found):
        inside = re.sub(r"\A```\n|\n```\Z", "", text)
        assert "```" not in inside
        if inside == text:
            assert re.fullmatch(r"\*[^*_~`:]+\*", text)


TEXT = st.text(alphabet=st.characters(), max_size=400) | st.sampled_from(
    [HOSTILE, HOSTILE * 300, "&" * 5000, "```\n" * 2000, "", "\n", "\x00"]
)
CARDS = st.builds(
    Card,
    title=TEXT,
    tone=st.sampled_from(["info", "good", "warn", "bad", "odd"]),
    fields=st.lists(st.tuples(TEXT, TEXT), max_size=14).map(tuple),
    lines=st.lists(TEXT, max_size=4).map(tuple),
    code=TEXT,
    buttons=st.lists(
        st.builds(
            Button,
            label=TEXT,
            line=st.sampled_from(["approve P-1", "reject P-1", "details P-1", "x" * 3000]),
            style=st.sampled_from(["", "primary", "danger", "loud"]),
        ),
        max_size=5,
    ).map(tuple),
    foot=TEXT,
)


@given(CARDS)
def test_every_card_fits_and_is_plain(card: Card) -> None:
    found = message(card, mark="headline@INC-1")
    check(list(found.blocks))
    assert len(found.text) < 3000
    assert not re.search("[<>]", found.text)


@given(CARDS)
def test_every_card_fits_a_modal(card: Card) -> None:
    view = answer(card)
    check(view["blocks"])
    View(**view).to_dict()


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Cf"]), max_size=300))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    assert unescape(escape(text, 10_000)) == text


def test_a_broadcast_in_a_crash_text_stays_text() -> None:
    card = Card(title=HOSTILE, fields=((HOSTILE, HOSTILE),), lines=(HOSTILE,), code=HOSTILE)
    sent = json.dumps([message(card).blocks, message(card).text], ensure_ascii=False)
    assert "<!channel>" not in sent
    assert sent.count("&lt;!channel&gt;") == 7  # title, label, value, line, code; title and line
    assert "\\u001b" not in sent


def test_a_fence_in_code_cannot_end_the_block() -> None:
    section = blocks(Card(title="x", code="a\n```\n<!here>"))[1]
    text = section["text"]["text"]
    assert text.count("```") == 2
    assert text.startswith("```\n")
    assert text.endswith("\n```")


def test_cut_text_says_so_and_breaks_no_entity() -> None:
    assert escape("&" * 100, 12) == "&amp;&amp;…"
    card = Card(title="t" * 400, code="\n".join(f"line {n}" for n in range(3000)))
    found = blocks(card)
    assert found[0]["text"]["text"].endswith("…")
    assert re.search(r"… and \d+ more lines", found[-1]["text"]["text"])


def test_buttons_carry_their_line_and_verb() -> None:
    buttons = (
        Button(label="Approve", line="approve P-1 --digest abcdef123456", style="primary"),
        Button(label="Reject", line="reject P-1", style="danger"),
        Button(label="Details", line="details P-1"),
    )
    found = blocks(Card(title="P-1", buttons=buttons))[-1]["elements"]
    assert [b["action_id"] for b in found] == [
        "holdfast:approve",
        "holdfast:reject",
        "holdfast:details",
    ]
    assert found[0]["value"] == "approve P-1 --digest abcdef123456"
    assert "style" not in found[2]


def test_a_change_is_seen_in_the_content_hash() -> None:
    one, two = Card(title="INC-1 · open"), Card(title="INC-1 · resolved")
    assert message(one).content == message(one).content
    assert message(one).content != message(two).content
