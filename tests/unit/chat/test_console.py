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

from bot.chat.client import Client
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


class Terminal:
    """The console of a person in a terminal of 80 by 24, which says where its cursor is."""

    def __init__(self, served: Served, tmp_path: Path, who: str, *words: str) -> None:
        env = {
            **os.environ,
            "HOLDFAST_URL": served.url,
            "HOLDFAST_TOKEN": served.tokens[who],
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "TERM": "xterm",
        }
        self.seen = ""
        self._child = pexpect.spawn(
            sys.executable,
            ["-W", "ignore", "-m", "bot", "chat", *words],
            env=env,
            dimensions=(24, 80),
            encoding="utf-8",
            timeout=PATIENCE,
        )

    def shows(self, *patterns: str) -> None:
        """Wait until these were shown, in this order."""
        for pattern in patterns:
            while self._child.expect([WHERE, pattern]) == 0:
                self.seen += self._child.before or ""
                self._child.send("\x1b[1;1R")
            self.seen += f"{self._child.before or ''}{self._child.after}"

    def type(self, text: str) -> None:
        self._child.send(text)

    def leave(self) -> None:
        """End the input, and wait for the end. Before there is a prompt, Ctrl-D ends nothing."""
        for _ in range(30):
            self._child.sendeof()
            while (found := self._child.expect([WHERE, pexpect.EOF, pexpect.TIMEOUT], 2)) == 0:
                self._child.send("\x1b[1;1R")
            if found == 1:
                break
        self._child.close()
        assert not self._child.isalive()
        assert self._child.exitstatus == 0


WHERE = r"\x1b\[6n"


def test_a_commander_works_in_a_terminal(served: Served, tmp_path: Path):
    """Completion, a card, an approval, news of others, progress, history: one sitting."""
    mine = Terminal(served, tmp_path, "dana")
    mine.shows(
        "Ctrl-D leaves", "holdfast>", "P-1 open 0 of 1"
    )  # the last is the line at the bottom
    mine.type("stat\t")
    mine.shows("us")  # Tab completes
    mine.type("\r")
    mine.shows("Next: approve P-1")
    mine.type("focus INC-1\r")
    mine.shows("INC-1>")
    mine.type("hosts owned\r")
    mine.shows("did you mean 'owed'")
    mine.type("note it smells of smoke\r")
    mine.shows("noted in INC-1", "· INC-1 it smells of smoke")  # as everybody else's news
    mine.type("approve\r")
    mine.shows("1 of 1: one counted")
    served.night.go(lambda: served.night.state() == "done")
    mine.shows("· INC-1 .*started", "P-1 done.* 3 verified")
    mine.leave()
    kept = tmp_path / "state" / "holdfast" / "history"
    assert "+note it smells of smoke" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0
    rows = re.split(r"[\r\n]+", ANSI.sub("", mine.seen.partition("Next: approve P-1")[0]))
    assert max(len(row.rstrip()) for row in rows) <= 80  # no line of a card is wider

    again = Terminal(served, tmp_path, "dana", "INC-1")
    again.shows("INC-1>")
    again.type("\x1b[A\x1b[A")  # up, up: history outlives the process
    again.shows("note it smells of smoke")
    again.type("\x03")
    again.leave()


def test_an_unclear_command_is_answered_by_a_number(served: Served, tmp_path: Path):
    with served.client("dana") as client:
        client.say(["declare", "logins", "fail"])
    mine = Terminal(served, tmp_path, "dana")
    mine.shows("holdfast>")
    mine.type("severity sev1\r")
    mine.shows("which incident", "1  severity INC-2 sev1", "2  severity INC-1 sev1")
    mine.type("2\r")
    mine.shows("INC-1 is sev1")
    mine.leave()


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
def test_completion_knows_the_grammar(typed: str, offered: list[str]):
    news = News(Client("http://127.0.0.1:1"))
    news.incidents = [{"id": "INC-1", "title": "BUG", "state": "open"}]
    news.status = {"INC-1": {"proposals": [{"id": "P-1", "state": "open"}]}}
    news.people = ["alex", "dana"]
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
