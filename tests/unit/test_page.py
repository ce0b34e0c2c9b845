"""The page shows the state first, to everybody, and nothing from outside becomes markup."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from bot.incident.fold import fold
from bot.incident.state import ProposalState
from bot.timeline.entry import Entry
from bot.web import page
from tests.unit.events import HOSTILE, PEOPLE, START, Log, bad_night, night, opening, redacted
from tests.unit.test_postmortem import NIGHTS, poisoned, until

VOID = {"meta", "br", "link", "img", "input", "hr"}
CSS = Path(page.__file__).parent / "templates" / "page.css"


class Seen(HTMLParser):
    """Reads a page strictly: every tag closed in order, attributes and headings noted."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.headings: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.style = ""
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] == "style":
            self.style += data
            return
        self.text.append(data)
        if self.stack and re.fullmatch("h[1-6]", self.stack[-1]):
            tag, before = self.headings[-1]
            self.headings[-1] = (tag, before + data)

    def value(self, tag: str, name: str) -> list[str | None]:
        return [v for t, n, v in self.attributes if (t, n) == (tag, name)]


def render(entries: Sequence[Entry]) -> str:
    now = entries[-1].at if entries else START
    return page.incident_page(fold(entries), entries, PEOPLE, now + timedelta(seconds=40))


def flat(text: str) -> str:
    return " ".join("".join(Seen(text).text).split())


def headline(text: str) -> str:
    return next(words for tag, words in Seen(text).headings if tag == "h1")


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("story", NIGHTS)
def test_every_prefix_of_a_night_has_a_well_formed_page(story: Callable[[], list[Entry]]):
    entries = story()
    for length in range(len(entries) + 1):
        Seen(render(entries[:length]))


def test_the_state_is_the_first_thing_on_the_page():
    text = render(until(night(), "proposal.made"))
    assert flat(text).startswith(
        "INC-1: P-1 waits for approval INC-1 · open · severity not set P-1 waits for approval"
    )


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (until(night(), "alert.received"), "Runbooks are being matched"),
        (until(night(), "proposal.requested"), "A proposal is being prepared"),
        (until(night(), "proposal.made"), "P-1 waits for approval"),
        (until(night(), "approval.given"), "P-1 is approved and about to start"),
        (until(night(), "wave.started"), "P-1 is being rolled out"),
        (until(night(), "rollout.done"), "P-1: all waves carried out, but 3 owed"),
        (night()[:-1], "P-1: all waves carried out, no host is owed"),
        (night(), "Resolved"),
        (until(bad_night(), "rollout.halted"), "P-3 halted and needs a decision"),
        (until(bad_night(), "rollout.paused"), "P-3 is paused"),
        (until(bad_night(), "rollout.aborted"), "P-3 was aborted"),
    ],
)
def test_the_headline_says_where_it_stands(entries: list[Entry], said: str):
    assert headline(render(entries)) == said


def test_every_state_of_a_proposal_has_its_sentence():
    assert set(page.STANDS) == set(ProposalState)


def test_a_resolved_incident_with_owed_hosts_says_so_first():
    entries = [e for e in night() if e.kind != "hosts.updated"]
    assert headline(render(entries)).startswith("Resolved, but ")


def test_a_failed_request_asks_for_a_person():
    log = Log()
    log.crash("web-01")
    log.matched()
    log.request(1)
    why = {"request": 1, "why": "no host has this knob"}
    log.add("proposal.failed", "no proposal: no host has this knob", why)
    assert headline(render(log.entries)) == "There is no proposal: a person has to act"


def test_outcomes_are_numbers_with_words_not_colours_alone():
    text = flat(render(until(night(), "rollout.done")))
    assert "3 owed may be serving unmitigated 6 verified 1 not applicable" in text


def test_hosts_owed_a_rollback_are_not_said_to_be_unmitigated_in_their_tile():
    text = render(bad_night())
    tiles = text.split('<ul class="tiles"')[1].split("</ul>")[0]
    assert "owed" in tiles
    assert "unmitigated" not in tiles


def test_the_proposal_shows_its_whole_digest_its_tally_and_its_dry_run():
    entries = until(night(), "proposal.made")
    digest = entries[-1].data["digest"]
    text = flat(render(entries))
    assert digest in text
    assert "0 of 1: none counted; requested by holdfast" in text
    assert "db-01: 127 becomes 0" in text
    assert f"approve P-1 --digest {digest[:12]}" in text


def test_every_host_has_a_row_with_its_outcome_in_words():
    text = render(night())
    table = text.split("<tbody>")[1].split("</tbody>")[0]
    assert table.count("<tr>") == 11
    assert "not in the inventory" in table
    assert table.index("web-06") < table.index("old-01") < table.index("rogue-9")


def test_the_hold_names_its_rule_and_its_drift():
    text = flat(render(until(night(), "hold.drifted")))
    assert "drifting now: web-04" in text
    assert "read every 30 s, then restore" in text


def test_the_timeline_is_newest_first_and_the_head_is_the_last_hash():
    entries = night()
    text = render(entries)
    assert text.index("incident.resolved") < text.index("incident.opened")
    assert f"34:{entries[-1].hash}" in text


def test_a_long_timeline_is_cut_and_the_page_says_so():
    log = Log()
    log.crash("web-01")
    for _ in range(page.ENTRIES_SHOWN):
        log.add("note.added", "still here")
    assert "2 older entries are not shown" in flat(render(log.entries))


def test_it_reloads_only_while_the_incident_is_open():
    assert '<meta http-equiv="refresh" content="5">' in render(night()[:-1])
    assert "refresh" not in render(night())


def test_it_fetches_runs_and_submits_nothing():
    seen = Seen(render(poisoned(night(), HOSTILE)))
    assert not {"script", "link", "img", "iframe", "form", "input", "object"} & set(seen.tags)
    names = {name for _, name, _ in seen.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert not {"style", "src", "srcset", "action", "background"} & names
    links = seen.value("a", "href")
    assert links == ["/incidents/INC-1/postmortem.md", "/incidents"]
    assert "url(" not in seen.style
    assert "@import" not in seen.style


def test_the_policy_allows_exactly_the_one_style_sheet():
    style = Seen(render(night())).style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert page.CSP.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in page.CSP
    assert "unsafe" not in page.CSP


@pytest.mark.parametrize("story", NIGHTS)
def test_hostile_text_adds_no_tag_and_no_attribute(story: Callable[[], list[Entry]]):
    clean, dirty = Seen(render(story())), Seen(render(poisoned(story(), HOSTILE)))
    assert dirty.tags == clean.tags
    assert [a[:2] for a in dirty.attributes] == [a[:2] for a in clean.attributes]
    assert "<script>alert(1)</script>" in "".join(dirty.text)


def test_hostile_text_is_no_template_and_hides_no_characters():
    text = render(poisoned(night(), HOSTILE))
    assert "{{ lookup(&#39;pipe&#39;" in text
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_a_page_can_be_sent_even_with_broken_characters():
    render(poisoned(night(), "\ud800\x00")).encode()


def test_redacted_entries_are_shown_as_redacted():
    entries = [redacted(e) if e.kind == "note.added" else e for e in night()]
    text = flat(render(entries))
    assert "redacted 31 · note.added" in text
    assert "drained by hand" not in text


def test_it_is_readable_by_a_phone_and_a_screen_reader():
    text = render(night())
    seen = Seen(text)
    assert seen.value("html", "lang") == ["en"]
    assert "width=device-width, initial-scale=1" in seen.value("meta", "content")
    assert seen.tags["h1"] == seen.tags["main"] == seen.tags["header"] == seen.tags["footer"] == 1
    levels = [int(tag[1]) for tag, _ in seen.headings]
    assert all(new - old <= 1 for old, new in pairwise(levels))
    assert len(seen.value("th", "scope")) == seen.tags["th"]
    assert seen.tags["caption"] == seen.tags["table"]
    assert len(seen.value("meter", "aria-label")) == seen.tags["meter"]


def test_text_has_enough_contrast_in_light_and_in_dark():
    light, dark = CSS.read_text().split("prefers-color-scheme: dark")
    for part in (light, dark):
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part))
        pairs = [(name, f"{name}-bg") for name in ("good", "warn", "bad", "info", "mute")]
        pairs += [(front, back) for front in ("fg", "soft", "link") for back in ("bg", "box")]
        for front, back in pairs:
            assert contrast(colours[front], colours[back]) >= 4.5, (front, back)


def test_the_index_lists_incidents_with_their_state():
    text = page.index_page([fold(bad_night()), fold(night())], START)
    assert headline(text) == "1 open incident"
    assert "P-4: all waves carried out, but 6 owed" in flat(text)
    assert Seen(text).value("a", "href") == ["/incidents/INC-2", "/incidents/INC-1"]
    assert "refresh" in text


def test_an_index_without_open_incidents_does_not_reload():
    assert "refresh" not in page.index_page([fold(night())], START)
    assert "No incident was opened yet" in page.index_page([], START)


def test_a_crash_title_is_text_in_the_index_too():
    log = Log()
    opening(log)
    clean = Seen(page.index_page([fold(log.entries)], START))
    dirty = Seen(page.index_page([fold(poisoned(log.entries, HOSTILE))], START))
    assert dirty.tags == clean.tags
