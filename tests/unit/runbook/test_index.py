"""The index finds what trying every runbook finds, and words are needed where it says so."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench import one_by_one
from bot.crash.report import Kind
from bot.runbook.clause import Clause
from bot.runbook.literal import LONG, Words, needed
from bot.runbook.match import match
from bot.runbook.model import Library, Runbook
from bot.runbook.pattern import compiled
from tests.unit.runbook.texts import report

# Few of each, so that clauses and crashes meet often.
FUNCTIONS = ["tcp_rcv", "tcp_ack", "nft_do_chain", "nft_set_get", "ext4_get", "xtcp_rcv"]
GLOBS = ["tcp_*", "nft_?et_get", "*_get", "tcp_rcv*", "*t*_rcv", "nft_*_chain", "ext4_???"]
MODULES = ["nf_tables", "nf-tables", "ext4", "nf_t*", "*tables", "ext?"]
MESSAGES = ["tcp_rcv\\+0x", "kernel BUG at net/", "ipv4|ext4/inode", "(?i)bug AT", "a.c:\\d+", "4+"]
TITLES = ["in tcp_", "^kernel BUG", "BUG|Oops", "NULL pointer dereference in ext4_get$"]
RANGES = ["< 5.2", ">= 5.2", ">= 4.15 < 5.15", "= 6.8", "> 5.15.0-50"]
LINES = [
    "kernel BUG at net/ipv4/tcp.c:12!",
    "RIP: 0010:tcp_rcv+0x1/0x2",
    "ext4/inode.c:1234: error 444",
    "kernel bug at fs/a.c:7",
]


def some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


FIELDS = {
    "kind": some(["bug", "gpf", "oom"]),
    "function": some(FUNCTIONS + GLOBS),
    "module": some(MODULES),
    "title": st.sampled_from(TITLES),
    "message": st.sampled_from(MESSAGES),
    "kernel": some(RANGES),
    "arch": some(["x86_64", "arm64"]),
    "taint": some(["P", "O"]),
    "alert_text": st.sampled_from(["ext4", "(?i)BUG AT", "nothing of it"]),
    "labels": st.dictionaries(
        st.sampled_from(["rack", "role"]), some(["r1", "r*", "db"]), min_size=1
    ),
}
PLAIN = st.fixed_dictionaries({}, optional=FIELDS).filter(bool)
CLAUSES = st.recursive(
    PLAIN,
    lambda inner: st.tuples(
        PLAIN,
        st.fixed_dictionaries(
            {},
            optional={
                "any": st.lists(inner, min_size=1, max_size=3),
                "all": st.lists(inner, min_size=1, max_size=3),
                "not": inner,
            },
        ),
    ).map(lambda pair: pair[0] | pair[1]),
    max_leaves=6,
).map(Clause.model_validate)
REPORTS = st.builds(
    lambda function, kind, module, alt, other: replace(
        report(kind, function, module, title=f"kernel BUG in {function}", alt_titles=alt), **other
    ),
    st.sampled_from([*FUNCTIONS, None]),
    st.sampled_from([Kind.BUG, Kind.GPF, Kind.OOM]),
    st.sampled_from([None, "nf_tables", "ext4"]),
    st.lists(st.sampled_from(FUNCTIONS), max_size=2).map(
        lambda names: tuple(f"NULL pointer dereference in {name}" for name in names)
    ),
    st.fixed_dictionaries(
        {
            "release": st.sampled_from([None, "4.15.0-9", "5.15.0-91-generic", "6.8.0", "next"]),
            "arch": st.sampled_from([None, "x86_64"]),
            "taint": st.sampled_from([None, "O", "GO"]),
        }
    ),
)
TEXTS = st.lists(st.sampled_from(LINES), max_size=4).map("\n".join)
LABELS = st.dictionaries(st.sampled_from(["rack", "role"]), st.sampled_from(["r1", "db"]))


def books(clauses: list[Clause]) -> Library:
    parts = {"title": "t", "summary": "s", "no_knob": {"reason": "r"}}
    found = [
        Runbook.model_validate({**parts, "id": f"b{number}", "match": clause})
        for number, clause in enumerate(clauses)
    ]
    return Library(runbooks=tuple(sorted(found, key=lambda book: book.id)))


@settings(max_examples=100, deadline=None)
@given(st.lists(CLAUSES.filter(Clause.positive), min_size=1, max_size=8), REPORTS, TEXTS, LABELS)
def test_the_index_finds_what_trying_every_runbook_finds(clauses, crash, text, labels):
    library = books(clauses)
    found = match(library, crash, text, labels)
    assert (
        [(c.runbook, c.score) for c in found.best],
        [(n.runbook, n.clause) for n in found.near],
    ) == one_by_one.match(library, crash, text, labels)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("tcp_(collapse|prune)_ofo_queue\\+0x", ("_ofo_queue+0x",)),
        ("kernel BUG at net/ipv4/tcp\\.c:\\d+", ("kernel BUG at net/ipv4/tcp.c:",)),
        ("first|second one", ("first", "second one")),
        ("ab?c", ("a",)),
        ("long+er", ("long",)),
        ("a{2}bcd", ("bcd",)),
        ("[]a]xyz[^]]", ("xyz",)),
        ("[[:alpha:]x]yz", ("yz",)),
        ("xx((a)|b\\))yyy", ("yyy",)),
        ("\\bword\\b", ("word",)),
        ("word|.*", ()),
        ("(?i)word", ("word",)),
        ("a(?i:bcd)e", ("bcd",)),
        ("(one|other)(x|yyyyy)?", ("one", "other")),
        ("(?P<a>one|other)*x", ("x",)),
        ("a((b|cc)ddd|eeee)", ("ddd", "eeee")),
        ("one(|two)", ("one",)),
        ("a{,2}b", ("b",)),
        ("\\Qa|b\\Efoo", ()),
        ("\\x41foo", ()),
        ("(only|groups)", ("only", "groups")),
    ],
)
def test_the_words_that_a_pattern_needs(pattern, words):
    assert needed(pattern) == words
    assert compiled(pattern) is not None


PIECES = [
    "ab",
    "c",
    "\\.",
    "\\d",
    "[a-c]",
    "[^]]",
    "(ab|c)",
    "a?",
    "b*",
    "c+",
    "(?:b){2}",
    "|",
    ".",
]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.text("abc.]1|", max_size=12))
def test_a_text_that_a_pattern_matches_holds_one_of_its_words(pattern, text):
    words = needed(pattern)
    assume(compiled(pattern).search(text) is not None)
    assert not words or any(word in text for word in words)


@given(
    st.lists(st.text("ab", min_size=1, max_size=LONG + 3), min_size=1, max_size=6),
    st.text("abé", max_size=60),
)
def test_words_are_found_wherever_they_stand(words, text):
    wanted = {item for item, word in enumerate(words) if word in text}
    assert Words([[word] for word in words]).possible(text.encode()) == wanted
    assert Words([[], *([word] for word in words)]).possible(b"") == {0}


WITHOUT_RE2 = """
import sys
sys.modules["re2"] = None  # as if it were not installed
from pathlib import Path
from bot import crash
from bot.runbook.disk import read_dir
from bot.runbook.load import load
from bot.runbook.trial import run_tests
library = load(read_dir(Path("runbooks")))
results = run_tests(library, lambda text: crash.read(text, crash.ALL))
assert not library.problems, library.problems
assert results
assert [result for result in results if not result.ok] == []
bad = load({"a.yml": Path("tests/unit/runbook/bad/pattern-does-not-compile.yml").read_text()})
assert "is not a pattern" in str(bad.problems[0])
"""


def test_without_google_re2_the_shipped_runbooks_match_the_same():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RE2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
