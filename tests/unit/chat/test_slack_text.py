"""What a Slack message says, and whether it is an alert."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import crash
from bot.alert.alert import Status
from bot.chat.slack_text import alert, command_line, is_alert, message_text, unescape
from tests.unit.events import OOPS

LABELS = ("host", "hostname", "nodename", "node", "instance")
CHANNELS, BOTS = {"C01ALERTS"}, {"B0PROM", "A0APP", "U0PROM", "Alertmanager"}


def event(**changes: Any) -> dict[str, Any]:
    base = {"type": "message", "channel": "C01ALERTS", "ts": "1700000001.000100", "text": ""}
    return {**base, **changes}


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


SHAPES: dict[str, dict[str, Any]] = {
    "text": {"text": escaped(OOPS)},
    "a fenced text": {"text": f"```{escaped(OOPS)}```"},
    "a null text": {"text": None, "attachments": [{"text": escaped(OOPS)}]},
    "an attachment's text": {"attachments": [{"title": "[FIRING] x", "text": escaped(OOPS)}]},
    "an attachment's pretext": {"attachments": [{"pretext": escaped(OOPS)}]},
    "an attachment's field": {"attachments": [{"fields": [{"title": "log", "value": OOPS}]}]},
    "an attachment's fallback": {"attachments": [{"fallback": escaped(OOPS)}]},
    "an attachment's block": {
        "attachments": [{"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": OOPS}}]}]
    },
    "a section": {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": OOPS}}]},
    "a section's field": {"blocks": [{"type": "section", "fields": [{"text": OOPS}]}]},
    "a context": {"blocks": [{"type": "context", "elements": [{"text": OOPS}]}]},
    "rich text": {
        "blocks": [
            {
                "type": "rich_text",
                "elements": [
                    {"type": "rich_text_section", "elements": [{"type": "text", "text": "look:"}]},
                    {
                        "type": "rich_text_preformatted",
                        "elements": [{"type": "text", "text": OOPS}],
                    },
                ],
            }
        ]
    },
    "a snippet": {"files": [{"preview": escaped(OOPS)}]},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_crash_is_read_wherever_a_message_carries_it(shape: dict[str, Any]) -> None:
    report = crash.read(message_text(event(**shape)))[0]
    assert report.function == "tcp_estats_update_mss"


def test_a_run_of_rich_text_is_one_line() -> None:
    parts = [
        {"type": "text", "text": "BUG: unable to handle "},
        {"type": "link", "url": "http://x.example", "text": "kernel"},
        {"type": "text", "text": " NULL pointer"},
    ]
    blocks = [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": parts}]}]
    assert message_text({"blocks": blocks}) == "BUG: unable to handle kernel NULL pointer"


def test_the_same_words_are_taken_once() -> None:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "one"}}
    assert message_text({"text": "one", "blocks": [block]}) == "one"


def test_links_become_their_label_and_entities_are_undone_once() -> None:
    assert unescape("on <http://web-01.example|web-01.example>") == "on web-01.example"
    assert unescape("see <https://x.example/a>") == "see https://x.example/a"
    assert unescape("&lt;TASK&gt; &amp;lt; <TASK>") == "<TASK> &lt; <TASK>"


@pytest.mark.parametrize(
    "sender",
    [
        {"bot_id": "B0PROM"},
        {"app_id": "A0APP", "bot_id": "B1"},
        {"user": "U0PROM"},
        {"subtype": "bot_message", "username": "Alertmanager", "bot_id": "B9"},
        {"bot_id": "B9", "bot_profile": {"app_id": "A0APP"}},
        {"bot_id": "B0PROM", "subtype": "file_share"},
    ],
)
def test_the_configured_bots_count(sender: dict[str, Any]) -> None:
    assert is_alert(event(**sender), CHANNELS, BOTS)


@pytest.mark.parametrize(
    "changes",
    [
        {"user": "U01KIM"},
        {"user": "U01KIM", "username": "Alertmanager"},
        {"bot_id": "B9"},
        {"bot_id": "B0PROM", "channel": "C02OTHER"},
        {"bot_id": "B0PROM", "subtype": "message_changed"},
        {"bot_id": "B0PROM", "subtype": "message_deleted"},
        {"bot_id": "B0PROM", "subtype": "channel_join"},
        {"bot_id": "B0PROM", "hidden": True},
        {"bot_id": "B0PROM", "ts": None},
        {"bot_id": ["B0PROM"]},
        {},
    ],
)
def test_nobody_and_nothing_else_counts(changes: dict[str, Any]) -> None:
    assert not is_alert(event(**changes), CHANNELS, BOTS)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("instance: web-01:9100", "web-01:9100"),
        ("*Labels:*\n • *instance:* web-01:9100\n • *job:* node", "web-01:9100"),
        ("{alertname=Oops, instance=web-01, severity=page}", "web-01"),
        ('{"host":"web-01.example"}', "web-01.example"),
        ("instance=web-02 host=web-01", "web-01"),
        ("*Host:* `web-01`.", "web-01"),
        ("Host: <http://web-01.example|web-01.example>", "web-01.example"),
        ("see http://host:9090/ for more", ""),
        ("slab on node: 0, nodemask=(null)", ""),
        ("host: -", ""),
        ("localhost:web-09", ""),
        ("ghost=web-09 my-host=web-09", ""),
        ("host: all:!none", "all:!none"),
    ],
)
def test_the_host_is_read_from_labels_in_the_text(text: str, host: str) -> None:
    assert alert(event(text=text), LABELS).host == host


def test_a_field_names_the_host_before_the_text_does() -> None:
    fields = [{"title": "*Instance*", "value": "<http://web-01:9100|web-01:9100>", "short": True}]
    found = alert(event(text="node: web-09", attachments=[{"fields": fields}]), ["instance"])
    assert found.host == "web-01:9100"
    assert found.labels == {"Instance": "web-01:9100"}


def test_an_alert_is_known_by_its_channel_and_time() -> None:
    attachment = {"title": "[FIRING] Oops &amp; more", "title_link": "javascript:alert(1)"}
    found = alert(event(attachments=[attachment]), LABELS)
    assert (found.key, found.source) == ("slack/C01ALERTS/1700000001.000100", "slack")
    assert (found.name, found.link) == ("[FIRING] Oops & more", "")


@pytest.mark.parametrize(
    ("attachment", "status"),
    [
        ({"title": "[RESOLVED] KernelOops", "text": OOPS}, Status.RESOLVED),
        ({"title": "[FIRING:2] KernelOops", "text": OOPS, "color": "good"}, Status.FIRING),
        ({"title": "KernelOops", "text": OOPS, "color": "good"}, Status.RESOLVED),
        ({"title": "KernelOops", "text": OOPS, "color": "danger"}, Status.FIRING),
        ({"title": "Okta is down", "text": OOPS}, Status.FIRING),
        ({"text": OOPS + "resolved"}, Status.FIRING),
    ],
)
def test_an_alert_that_is_over_is_no_crash(attachment: dict[str, Any], status: Status) -> None:
    assert alert(event(attachments=[attachment]), LABELS).status is status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "blocks", "elements", "fields", "attachments", "rows"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["text", "blocks", "attachments", "files"]), JSON))
def test_no_message_can_break_the_reader(message: dict[str, Any]) -> None:
    found = alert(event(**message), LABELS)
    assert isinstance(found.text, str)


@given(st.text())
def test_escaping_is_undone_exactly(text: str) -> None:
    if "<http" not in text and "<mailto" not in text:
        assert unescape(escaped(text)) == text


def test_deep_nesting_ends() -> None:
    block: dict[str, Any] = {"type": "section", "text": "deep"}
    for _ in range(500):
        block = {"elements": [block]}
    assert message_text({"blocks": [block]}) == ""


def test_a_typed_line_is_straightened() -> None:
    def person(user: str) -> str | None:
        return {"U02": "kim"}.get(user)

    assert command_line("assign commander <@U02|cmd>", person) == "assign commander kim"
    assert command_line("assign commander <@U09>", person) == "assign commander U09"
    assert command_line("approve P-1 —digest abcd", person) == "approve P-1 --digest abcd"
    assert command_line("note “a &lt; b” — really", person) == 'note "a < b" — really'
    assert command_line("reject\u00a0P\u20112 for INC\u20133", person) == "reject P-2 for INC-3"
