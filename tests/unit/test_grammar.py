"""The grammar: one clear error or a command, whatever the line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.approval.policy import VERBS as POLICY
from bot.chat.dispatch import HANDLERS
from bot.chat.grammar import VERBS, Command, may_write, parse, parse_words
from bot.errors import BadInputError

WORDS = st.one_of(
    st.sampled_from(
        [*VERBS, "INC-1", "P-17", "inc-2", "--digest", "--digest=ab", "--", "--json", "-x"]
    ),
    st.text(max_size=12),
)


def said(ask: Callable[[], Command]) -> Command | BadInputError:
    """Return the command or the one error that is allowed."""
    try:
        return ask()
    except BadInputError as error:
        return error


@given(st.text(max_size=200))
def test_any_line_is_a_command_or_bad_input_that_says_what_next(line: str):
    answer = said(lambda: parse(line))
    assert isinstance(answer, Command) or (answer.what and answer.next)


@given(st.lists(WORDS, max_size=8))
def test_any_words_are_a_whole_command_or_bad_input_that_says_what_next(words: list[str]):
    answer = said(lambda: parse_words(words))
    if isinstance(answer, BadInputError):
        assert answer.what
        assert answer.next
    else:
        assert set(answer.options) <= set(answer.verb.options)
        assert len(answer.words) == len(answer.verb.words)
        assert re.fullmatch(r"((INC|P)-[0-9]+)?", answer.subject)


@given(st.lists(WORDS, max_size=8))
def test_a_quoted_line_means_the_same_as_its_words(words: list[str]):
    line, plain = said(lambda: parse(shlex.join(words))), said(lambda: parse_words(words))
    assert str(line) == str(plain)


@given(st.text(min_size=1, max_size=60))
def test_the_text_of_a_note_comes_through_as_it_is(text: str):
    assert parse_words(["note", "INC-1", text]).rest == text


def test_a_line_without_words_asks_for_help():
    assert parse("").verb.name == "help"
    assert parse("   ").verb.name == "help"


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_help_a_usage_and_a_handler(name: str):
    verb = VERBS[name]
    assert verb.help
    assert not verb.help.endswith(".")
    assert verb.usage.split()[0] == name
    assert name in HANDLERS
    assert verb.wants in {"", "incident", "proposal"}


def test_there_is_no_handler_without_a_verb():
    assert set(HANDLERS) == set(VERBS)


def test_every_verb_that_writes_has_its_roles():
    writing = [name for name, verb in VERBS.items() if verb.writes]
    assert all(POLICY[name] and "anyone" not in POLICY[name] for name in writing)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("approv P-1", "approve"),
        ("stat-us", "status"),
        ("APPROV P-1", "approve"),
        ("rollbck P-1", "rollback"),
        ("post-mortem INC-1", "postmortem"),
    ],
)
def test_a_slip_is_asked_back(line: str, meant: str):
    with pytest.raises(BadInputError) as found:
        parse(line)
    assert found.value.next == f"did you mean '{meant}'?"


def test_a_word_that_resembles_nothing_leads_to_help():
    with pytest.raises(BadInputError) as found:
        parse("xyzzy")
    assert found.value.next == "say 'help'"


def test_verbs_and_names_are_known_in_any_case():
    command = parse("APPROVE p-17 --digest ABC")
    assert (command.verb.name, command.subject, dict(command.options)) == (
        "approve",
        "P-17",
        {"digest": "ABC"},
    )


def test_an_option_may_stand_anywhere_and_with_an_equals_sign():
    wanted = parse("approve P-1 --digest abc")
    assert parse("approve --digest=abc P-1") == wanted
    assert parse("approve --digest abc P-1") == wanted


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("approve INC-1", "approve takes a proposal (P-1), not INC-1"),
        ("status P-1", "status takes an incident (INC-1), not P-1"),
        ("status INC-1 now", "status does not take 'now'"),
        ("status INC-1 --digest x", "status has no option --digest"),
        ("approve P-1 --digest", "--digest needs a value"),
        ("note INC-1", "note needs TEXT"),
        ("assign INC-1 commander", "assign needs more"),
        ("severity", "severity needs more"),
    ],
)
def test_what_is_wrong_is_said_with_the_usage(line: str, what: str):
    with pytest.raises(BadInputError) as found:
        parse(line)
    assert found.value.what == what
    assert line.split(maxsplit=1)[0] in found.value.next


def test_dashes_in_free_text_are_text():
    assert parse("note INC-1 it went --fast").rest == "it went --fast"
    assert parse("note INC-1 -- that was it").rest == "-- that was it"


def test_a_quote_that_is_never_closed_is_a_letter():
    assert parse("note INC-1 it's down").rest == "it's down"


def test_a_subject_may_be_left_out():
    assert parse("approve").subject == ""
    assert parse("note web-01 smells of smoke").rest == "web-01 smells of smoke"


def test_a_very_long_word_is_cut_in_the_answer():
    with pytest.raises(BadInputError) as found:
        parse("x" * 100_000)
    assert len(found.value.what) < 100


@pytest.mark.parametrize(
    "line", ["note\nhot", "\tNOTE hot", '"note" hot', "n'o'te hot", "note it's"]
)
def test_a_line_that_writes_is_known_by_its_first_word_however_it_is_spaced(line: str):
    assert parse(line).verb.name == "note"
    assert may_write(line)


@given(st.lists(WORDS, max_size=4), st.sampled_from([" ", "\n", "\t", "\u00a0"]))
def test_what_is_read_as_a_verb_that_writes_may_write(words: list[str], space: str):
    line = space.join(words)
    command = said(lambda: parse(line))
    assert isinstance(command, BadInputError) or not command.verb.writes or may_write(line)


def test_what_only_reads_or_is_nothing_does_not_write():
    assert not any(may_write(line) for line in ("", " ", "status", "help approve", "'", "notes"))
