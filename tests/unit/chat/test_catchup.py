"""One card for a whole outage of the chat: what waits first, then what happened."""

from __future__ import annotations

from datetime import timedelta

from bot.chat.catchup import LINES, summary
from bot.chat.outage import Gap
from tests.unit.log import DANA, Log

HOUR = timedelta(hours=1)


def night() -> Log:
    return Log().opened().requested().probed().proposed()


def test_nothing_happened_nothing_is_said():
    log = night()
    assert summary([log.entries], Gap(log.now, log.now), log.now + HOUR) is None
    assert summary([], Gap(log.now, log.now), log.now + HOUR) is None


def test_what_waits_for_people_comes_first():
    log = night()
    card = summary([log.entries], Gap(log.now - HOUR, log.now - HOUR), log.now)
    assert card is not None
    assert card.tone == "warn"
    assert card.lines == ("P-1 of INC-1 waits for approval, until 00:30 UTC",)
    assert "1 alerts" in card.code


def test_what_is_over_does_not_wait():
    log = night().started().done()
    card = summary([log.entries], Gap(log.now - HOUR, log.now - HOUR), log.now + HOUR)
    assert card is not None
    assert (card.tone, card.lines) == ("info", ())
    assert card.title == "The chat was away for 2 h 00 min; the bot was not: news of 1 incident"


def test_only_the_time_of_the_outage_counts():
    log = night()
    away = log.now
    log.started()
    back = log.now
    log.add("rollout.aborted", {"proposal": "P-1"}, DANA)
    card = summary([log.entries], Gap(away, away), back)
    assert card is not None
    assert "approval.given (by cli)" in card.code
    assert "rollout.aborted" not in card.code


def test_many_entries_are_counted_and_many_incidents_too():
    log = night()
    for _ in range(10):
        log.add("incident.severity", {"severity": "sev1"})
    card = summary([log.entries] * 12, Gap(log.now - HOUR, log.now - HOUR), log.now)
    assert card is not None
    assert "… and 4 more incidents" in card.code
    shown = card.code.split("INC-1 ·")[1].splitlines()
    assert len([row for row in shown if "incident.severity" in row]) == LINES
    assert "… 8 earlier entries" in card.code
