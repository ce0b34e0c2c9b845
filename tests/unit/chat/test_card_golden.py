"""The cards of every state are what was looked at, and Slack takes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from bot.incident.state import ProposalState
from tests.block_kit import problems, view_problems
from tests.unit.chat.card_golden import HERE, STATES, as_text, cards

CARDS = cards()


def test_there_is_a_card_for_each_of_the_ten_states() -> None:
    assert list(STATES) == list(ProposalState)
    assert {file.stem for file in HERE.glob("*.json")} == set(CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_the_golden_one(name: str) -> None:
    assert as_text(CARDS[name]) == (HERE / f"{name}.json").read_text()


@pytest.mark.parametrize("name", CARDS)
def test_slack_takes_a_card(name: str) -> None:
    card: dict[str, Any] = CARDS[name]
    if card.get("type") == "modal":
        assert view_problems(card) == []
        View(**card).to_dict()
        return
    assert problems(card["blocks"]) == []
    for block in card["blocks"]:
        parsed = Block.parse(block)
        assert parsed is not None
        parsed.to_dict()
    assert 0 < len(card["text"]) <= 3000


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([{"type": "divider"}] * 51, "51 blocks"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "text of 151"),
        ([{"type": "section", "text": {"type": "mrkdwn", "text": "```x"}}], "an open fence"),
        ([{"type": "divider", "block_id": "a"}] * 2, "a block_id twice"),
        (
            [{"type": "section", "text": {"type": "plain_text", "text": "x" * 2900}}] * 5,
            "14500 characters in all",
        ),
    ],
)
def test_the_checker_finds_what_slack_refuses(blocks: list[dict[str, Any]], said: str) -> None:
    assert any(said in one for one in problems(json.loads(json.dumps(blocks))))
