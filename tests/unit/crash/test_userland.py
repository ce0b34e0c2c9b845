"""Crashes of programs are read out of interleaved logs, and prose about crashes is not."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.crash.entry import Entry
from bot.crash.names import (
    go_function,
    java_function,
    native_function,
    node_function,
    object_name,
    python_module,
    rust_function,
    steady,
)
from bot.crash.report import USERLAND, Kind
from bot.crash.runtimes import RUNTIMES, Role, in_words
from bot.crash.show import as_dict, from_dict, lines
from bot.crash.titles import MAX_TITLE
from bot.crash.userland import HINTS, find
from tests.unit.crash import golden
from tests.unit.crash.tagged import entries

FILES = golden.files(golden.USERLAND)
LOGS = [golden.split(path)[1] for path in FILES]
PIECES = sorted({line for log in LOGS for line in log.split("\n")})
TEXTS = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(PIECES), max_size=40).map("\n".join),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=60)), max_size=30).map("\n".join),
    st.tuples(st.sampled_from(LOGS), st.integers(0, 2000)).map(lambda t: t[0][t[1] :]),
    st.tuples(st.sampled_from(LOGS), st.integers(0, 2000)).map(lambda t: t[0][: t[1]]),
)
PROGRAMS = st.sampled_from(["", "kernel", "app[1]", "app[2]", "systemd[1]"])


def told(text: str):
    return find(entries(text))


def only(text: str):
    (report,) = told(text)
    return report


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_log_of_a_program_is_read_as_its_header_says(path):
    header, log = golden.split(path)
    read = golden.header(log, golden.USERLAND)
    assert {key: value.strip() for key, value in read.items()} == header


def test_every_userland_kind_has_a_golden_log():
    assert {report.kind for log in LOGS for report in told(log)} == USERLAND


@pytest.mark.parametrize("log", LOGS, ids=[path.stem for path in FILES])
def test_the_hits_of_the_hints_suffice(log):
    every = entries(log)
    hint = re.compile("|".join(HINTS))
    hits = [place for place, entry in enumerate(every) if hint.search(entry.text)]
    assert find(every, hits) == find(every)
    assert find(every, []) == []


@pytest.mark.parametrize("hint", HINTS)
def test_a_hint_means_the_same_in_both_engines(hint):
    for line in PIECES:
        assert (re.search(hint, line) is None) is (re2.search(hint, line) is None)


@pytest.mark.parametrize("log", LOGS, ids=[path.stem for path in FILES])
def test_addresses_pids_and_line_numbers_do_not_get_into_the_signature(log):
    def other(match):
        return "".join("123456789"[int(digit) % 9] for digit in match[0])

    moved = re.sub(r"(?<=0x)[0-9a-f]*[0-9](?=[0-9a-f]{4})|(?<=line )\d+", "7", log)
    moved = re.sub(r"(?<=\.(?:py|go|rs|js|cc|kt):)\d+|(?<=\.(?:java):)\d+", other, moved)
    moved = re.sub(r"(?<=\[)\d{3,5}(?=\]: )", "77", moved)
    assert [r.signature for r in told(moved)] == [r.signature for r in told(log)]
    assert [r.title for r in told(moved)] == [r.title for r in told(log)]


QUIET = """\
Traceback (most recent call last): is what Python prints first
see the Traceback (most recent call last):
the test expects a panic: and then a goroutine dump
panic: button pressed by operator, opening ticket 4411
kernel: Kernel panic - not syncing is documented in the runbook
level=info msg="recovered from panic" component=worker
error: segfault handler installed
segfault handler registered for SIGSEGV
INFO: catching segfaults with faulthandler
nginx[1201]: 2024/05/02 10:11:13 [warn] 1201#0: *9 an upstream response is buffered
systemd[1]: shop.service: Main process exited, code=exited, status=1/FAILURE
systemd[1]: shop.service: Failed with result 'exit-code'.
systemd[1]: shop.service: Failed with result 'timeout'.
systemd[1]: shop.service: Main process exited, code=killed, status=15/TERM
systemd[1]: shop.service: Succeeded.
systemd[1]: shop.service: Scheduled restart job, restart counter is at 3.
systemd[1]: shop.service: Deactivated successfully.
systemd-coredump[12]: Removed old coredump core.shop.1000.zst
systemd[1]: Started Process Core Dump (PID 4242/UID 0).
ERROR root: ValueError: could not parse the header
WARNING shop.web KeyError: 'sku' was handled, using the default
SyntaxError: Unexpected token < in JSON at position 0
java[99]: INFO: Server startup in 2113 ms
java.lang.IllegalStateException was thrown 3 times in the last hour
retrying after java.net.SocketTimeoutException: Read timed out
Caused by: a bad day
at com.acme.shop.Cart we sell carts
   java.lang.Thread.State: RUNNABLE
goroutine leak detector: 12 goroutines running
goroutines: 45
fatal error: the disk is full, says the script
fatal: not a git repository (or any of the parent directories): .git
thread 'main' is idle
thread pool panicked about nothing
note: run with RUST_BACKTRACE=1
UnhandledPromiseRejection is explained in the documentation of Node.js
TypeError: Failed to fetch
(node:812) ExperimentalWarning: The fs.promises API is experimental
FATAL ERROR: could not connect to the database
FATAL:  password authentication failed for user "shop"
AddressSanitizer is enabled in this build
==12== Memcheck, a memory error detector
==12== ERROR SUMMARY: 0 errors from 0 contexts (suppressed: 0 from 0)
runtime error: the user typed nonsense
*** LOG ROTATION DONE ***
*** System restart required ***
free(): a poem about memory
we avoid double free by reference counting
malloc(): how it works
the assertion failed to convince anybody
Assertion checking is off
Aborted by the user (core team)
core dumped: no
#0 of 12 shards is done
    at 10:31 the backup began
  File "report.csv", line 3 has no price
Current thread pool size: 8
postgres[811]: ERROR:  deadlock detected
mysqld[99]: InnoDB: Assertion checks are compiled out
sshd[812]: error: PAM: Authentication failure for root
abrt-server[1]: Deleting problem directory ccpp-2024-05-02
sudo: ops : TTY=pts/0 ; PWD=/root ; COMMAND=/usr/bin/dmesg
traps: the new album
exit status 2
SUMMARY: AddressSanitizer: everything is fine
Watchdog started with limit 30s
kernel: audit: type=1400 audit(1.2:3): apparmor="STATUS" operation="profile_load"
""".splitlines()


@pytest.mark.parametrize("line", QUIET)
def test_prose_about_crashes_stays_silent(line):
    assert told(line) == []
    assert told(f"2024-05-02 10:11:12,201 INFO web: {line}") == []
    assert told(f"May  2 10:11:12 app-1 app[7]: {line}") == []


def test_quiet_lines_stay_silent_together_too():
    assert told("\n".join(QUIET)) == []
    assert told("\n".join(reversed(QUIET))) == []


def test_a_thread_dump_is_no_crash():
    dump = (
        "Full thread dump OpenJDK 64-Bit Server VM (17.0.9+9 mixed mode):\n\n"
        '"main" #1 prio=5 os_prio=0 tid=0x00007f2d nid=0x103 runnable\n'
        "   java.lang.Thread.State: RUNNABLE\n"
        "\tat com.acme.shop.Main.loop(Main.java:9)\n"
        "\tat com.acme.shop.Main.main(Main.java:3)\n"
    )
    assert told(dump) == []


def test_the_stack_of_a_living_goroutine_is_no_crash():
    dump = "goroutine 1 [running]:\nruntime/debug.Stack()\n\t/usr/local/go/src/runtime/debug/stack.go:24 +0x5e\n"
    assert told(dump) == []


def test_a_python_exception_keeps_its_function_when_all_blanks_are_lost():
    log = golden.split(golden.USERLAND / "python_chained.txt")[1]
    bare = "\n".join(line.strip() for line in log.split("\n"))
    assert only(bare).signature == "python-exception:add_item:shop.cart"


def test_two_programs_that_write_at_once_are_told_apart():
    one = golden.split(golden.USERLAND / "python_chained.txt")[1].split("\n")[1:]
    two = golden.split(golden.USERLAND / "go_index.txt")[1].split("\n")
    mixed: list[Entry] = []
    for number in range(max(len(one), len(two))):
        mixed += [Entry(2 * number + 1, t, "a[1]") for t in one[number : number + 1]]
        mixed += [Entry(2 * number + 2, t, "b[2]") for t in two[number : number + 1]]
    assert [(r.kind, r.comm, r.pid) for r in find(mixed)] == [
        (Kind.PYTHON, "a", 1),
        (Kind.GO, "b", 2),
    ]


def test_the_cause_of_a_java_exception_is_the_last_caused_by_and_the_rest_is_told():
    report = only(golden.split(golden.USERLAND / "java_main_caused_by.txt")[1])
    assert report.title == "java.lang.NullPointerException in com.acme.shop.Sku.parse"
    assert report.details["chain"] == (
        "java.lang.IllegalStateException | com.acme.shop.StockException"
    )
    assert "com.acme.shop.StockException in com.acme.shop.Stock.load" in report.alt_titles


def test_the_evidence_is_the_headline_and_the_frame_that_decided():
    report = only(golden.split(golden.USERLAND / "python_chained.txt")[1])
    assert [(line.number, line.role) for line in report.evidence] == [
        (6, "headline"),
        (3, "frame"),
    ]


def test_a_trace_that_ends_too_early_is_marked():
    log = golden.split(golden.USERLAND / "go_nil_recovered.txt")[1]
    cut = "\n".join(log.split("\n")[:8])
    report = only(cut)
    assert report.corrupted
    assert report.corrupted_reason == "the trace ends before a frame of the program's own"


def test_a_service_that_fails_twice_is_reported_twice():
    log = golden.split(golden.USERLAND / "service_core_dump.txt")[1]
    assert [report.module for report in told(log + log)] == ["payd.service"] * 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (0x4, "user read, page not present"),
        (0x6, "user write, page not present"),
        (0x7, "user write, access not permitted"),
        (0x14, "user instruction fetch, page not present"),
        (0x15, "user instruction fetch, access not permitted"),
        (0x25, "user read, protection key"),
    ],
)
def test_the_error_code_of_a_segfault_is_told_in_words(error, words):
    assert in_words(error) == words


@pytest.mark.parametrize(
    ("stable", "raw", "name"),
    [
        (rust_function, "shop::cart::add::h0123456789abcdef", "shop::cart::add"),
        (rust_function, "<shop::Cart<T> as core::ops::Drop>::drop", "shop::Cart::drop"),
        (rust_function, "shop[e28293b1aa0f68bd]::add::{closure#0}", "shop::add"),
        (rust_function, "shop::run::{{closure}}::{{closure}}", "shop::run"),
        (native_function, "void shop::Cart<int>::add(int) const", "shop::Cart::add"),
        (native_function, "main::{lambda(int)#1}::operator()(int) const", "main"),
        (native_function, "add_item.constprop.0", "add_item"),
        (native_function, "operator new(unsigned long)", "operator new"),
        (go_function, "main.(*Cart).Add.func1.2", "main.(*Cart).Add"),
        (go_function, "main.Map[...]", "main.Map"),
        (go_function, "main.glob..func1", "main.glob"),
        (java_function, "a.b.Cart$1.lambda$add$0", "a.b.Cart.add"),
        (java_function, "a.b.Cart$$Lambda$14/0x0000000800c03000.run", "a.b.Cart.run"),
        (java_function, "a.b.Cart$$EnhancerBySpringCGLIB$$1a2b3c.add", "a.b.Cart.add"),
        (node_function, "async Cart.add [as handler]", "Cart.add"),
        (node_function, "Object.<anonymous>", "<anonymous>"),
        (object_name, "/usr/lib/libssl.so.3", "libssl.so"),
        (object_name, "libc-2.31.so", "libc.so"),
        (object_name, "ld-linux-x86-64.so.2", "ld-linux-x86-64.so"),
        (object_name, "/opt/app/bin/shopd (deleted)", "shopd"),
        (steady, "/srv/releases/20240501120000/cart.js", "cart.js"),
        (steady, "file:///home/kim/shop/lib/cart.js", "lib/cart.js"),
        (steady, "C:\\shop\\cart.js", "shop/cart.js"),
    ],
)
def test_a_name_is_cut_to_what_is_equal_everywhere(stable, raw, name):
    assert stable(raw) == name


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("/srv/app/shop/cart.py", "shop.cart"),
        ("/app/main.py", "main"),
        ("main.py", "main"),
        ("/usr/lib/python3.11/json/decoder.py", "json.decoder"),
        ("/v/lib/python3.11/site-packages/flask/app.py", "flask.app"),
        ("/srv/shop/__init__.py", "shop"),
        ("<frozen importlib._bootstrap>", "importlib._bootstrap"),
        ("<string>", None),
    ],
)
def test_a_python_file_is_named_like_a_module(file, module):
    assert python_module("", file, "") == module


@pytest.mark.parametrize("row", RUNTIMES, ids=range(len(RUNTIMES)))
def test_a_row_is_sound(row):
    assert row.kind in USERLAND
    assert any(clue.role is Role.HEAD for clue in row.clues)
    for rule in row.rules:
        assert rule.part in {"function", "file", "module"}
    for clue in row.clues:
        template = clue.title or row.title
        if clue.role is Role.HEAD:
            named = set(re.findall(r"\{(\w+)\}", template)) - {"where", "module", "signal"}
            assert named <= {*clue.pattern.groupindex, "message" if clue.cut else ""}


def consistent(every: list[Entry]) -> None:
    reports = find(every)
    assert find(every) == reports
    numbers = {entry.number for entry in every}
    assert [report.start for report in reports] == sorted(report.start for report in reports)
    for report in reports:
        assert report.kind in USERLAND
        assert 0 < len(report.title) <= MAX_TITLE
        assert report.title not in report.alt_titles
        assert {report.start, report.end} <= numbers
        assert report.start <= report.end
        assert report.corrupted is (report.corrupted_reason is not None)
        assert report.evidence
        assert all(report.start <= line.number <= report.end for line in report.evidence)
        assert from_dict(json.loads(json.dumps(as_dict(report)))) == replace(report)
        assert all(style and line for style, line in lines(report))


@given(TEXTS)
@settings(deadline=None, max_examples=300)
def test_any_text_is_read_without_an_error_and_consistently(text):
    consistent(entries(text))


@given(st.lists(st.tuples(st.sampled_from(PIECES), PROGRAMS), max_size=40))
@settings(deadline=None, max_examples=300)
def test_any_mixture_of_programs_is_read_without_an_error_and_consistently(mixed):
    consistent([Entry(n, text, program) for n, (text, program) in enumerate(mixed, 1)])
