"""The console in a real terminal of 80 columns, against the real HTTP surface."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from bot.chat.complete import Words
from bot.chat.console import LOCAL
from bot.chat.news import AWAY, News
from bot.service import approve
from tests.fakes import DANA, FakeHost, Night
from tests.unit.served import PATIENCE, Served

ANSI = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[()][A-Z0-9]|[=>])")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    night = Night(tmp_path / "h.db", {name: FakeHost() for name in "abc"})
    night.crash("a")
    night.go(lambda: "P-1" in night.incident.proposals)
    made = Served(night)
    yield made
    made.close()
    night.close()


def terminal(served: Served, tmp_path: Path, who: str, *words: str) -> pexpect.spawn:
    """Start the console of a person in a terminal of 80 by 24."""
    env = {
        **os.environ,
        "HOLDFAST_URL": served.url,
        "HOLDFAST_TOKEN": served.tokens[who],
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TERM": "xterm",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }
    command = ["-W", "ignore", "-m", "bot", "chat", *words]
    child = pexpect.spawn(
        sys.executable,
        command,
        env=env,
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=PATIENCE,
    )
    child.expect("Ctrl-D leaves")
    return child


def test_a_commander_works_in_a_terminal(served: Served, tmp_path: Path):
    """Completion, a card, an approval, news of others, progress, history: one sitting."""
    child = terminal(served, tmp_path, "dana")
    child.expect("holdfast> ")
    child.expect("P-1 open 0 of 1")  # the line at the bottom
    child.send("stat\t\r")  # Tab completes
    child.expect("Next: approve P-1")
    child.send("focus INC-1\r")
    child.expect("INC-1> ")
    child.send("hosts owned\r")
    child.expect("did you mean 'owed'")
    child.send("note it smells of smoke\r")
    child.expect("noted in INC-1")
    child.expect("· INC-1 it smells of smoke")  # as everybody else's news
    child.send("approve\r")
    child.expect("1 of 1: one counted")
    served.night.go(lambda: served.night.state() == "done")
    child.expect("· INC-1 .*started")
    child.expect("P-1 done.* 3 verified")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    kept = tmp_path / "state" / "holdfast" / "history"
    assert "+note it smells of smoke" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0

    again = terminal(served, tmp_path, "dana", "INC-1")
    again.expect("INC-1> ")
    again.send("\x1b[A\x1b[A")  # up, up: history outlives the process
    again.expect("note it smells of smoke")
    again.sendintr()
    again.sendeof()
    again.expect(pexpect.EOF)
    again.close()


def test_an_unclear_command_is_answered_by_a_number(served: Served, tmp_path: Path):
    with served.client("dana") as client:
        client.say(["declare", "logins", "fail"])
    child = terminal(served, tmp_path, "dana")
    child.expect("holdfast> ")
    child.send("severity sev1\r")
    child.expect("which incident")
    child.expect("1  severity INC-2 sev1")
    child.expect("2  severity INC-1 sev1")
    child.send("2\r")
    child.expect("INC-1 is sev1")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()


def test_no_line_of_a_card_is_wider_than_the_terminal(served: Served, tmp_path: Path):
    child = terminal(served, tmp_path, "dana", "INC-1")
    child.expect("INC-1> ")
    child.send("details\r")
    child.expect("Who counts")
    child.send("quit\r")
    child.expect(pexpect.EOF)
    shown = ANSI.sub("", child.before or "")
    rows = [row for row in re.split(r"[\r\n]+", shown) if row.strip() and "INC-1>" not in row]
    assert rows
    assert max(len(row.rstrip()) for row in rows) <= 80
    child.close()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("app", ["approve"]),
        ("br", ["break-glass"]),
        ("foc", ["focus"]),
        ("approve ", ["P-1", "--digest"]),
        ("approve P-1 --", ["--digest"]),
        ("status in", ["INC-1"]),
        ("hosts INC-1 ow", ["owed"]),
        ("assign comm", ["commander"]),
        ("assign commander a", ["alex"]),
        ("severity sev", ["sev1", "sev2", "sev3", "sev4"]),
        ("help brea", ["break-glass"]),
        ("focus ", ["INC-1"]),
        ("xyzzy ", []),
    ],
)
def test_completion_knows_the_grammar(served: Served, typed: str, offered: list[str]):
    with served.client() as client:
        news = News(client)
        news.fetch()
    words = Words(news, LOCAL).get_completions(Document(typed), CompleteEvent())
    assert [one.text for one in words] == offered


def test_the_line_at_the_bottom_fits_and_says_when_the_bot_is_away(served: Served):
    with served.client() as client:
        news = News(client)
        assert news.fetch() == []
        assert news.line("", 80) == "INC-1 open · P-1 open 0 of 1"
        assert news.line("INC-1", 10) == "INC-1 open"
        approve.approve(served.night.site, "P-1", DANA)
        told = news.fetch()
        assert [e["kind"] for e in told] == ["approval.given"]
        served.close()
        assert news.fetch() == []
        assert news.line("", 80) == AWAY
