"""What carries a console is undone: characters, cut lines, wrapped lines, prefixes."""

from __future__ import annotations

import json

import pytest

from bot.crash import read
from bot.crash.console import Console
from bot.crash.prefixes import PREFIXES
from bot.crash.scan import Hit
from bot.crash.transport import FOREIGN, STAMPED, bare, clean, cut_up, pieces, whole

TEXT = "BUG: soft lockup"
STAMP = "[   12.345678][  T123] "

KERNELS = {
    f"{STAMP}{TEXT}": "T123",
    f"[   12.345678] {TEXT}": STAMPED,
    f"<4>[   12.345678] {TEXT}": STAMPED,
    f"[  T123] {TEXT}": "T123",
    f"[ 1042.118702] web-12 kernel: {TEXT}": STAMPED,
    f"** 12 printk messages dropped ** {STAMP}{TEXT}": "T123",
    f"web-12 login: {STAMP}{TEXT}": "T123",
    f"Jul  4 12:00:01 web-12 kernel: {STAMP}{TEXT}": "T123",
    f"Jul  4 12:00:01 web-12 kernel: {TEXT}": STAMPED,
    f"Jul  4 12:00:01 kernel: {TEXT}": STAMPED,
    f"<4>Jul  4 12:00:01 relay web-12 kernel: {TEXT}": STAMPED,
    f"<4>1 2023-07-04T12:00:01.123+02:00 web-12 kernel - - [a b=\"c\"] {STAMP}{TEXT}": "T123",
    f"2023-07-04T12:00:01.118702+0200 web-12 kernel: {STAMP}{TEXT}": "T123",
    f"Tue 2023-07-04 12:00:01 CEST web-12 kernel: {TEXT}": STAMPED,
    f"1688464801.118702 web-12 kernel: {TEXT}": STAMPED,
    f"[ 1042.118702] kernel: {TEXT}": STAMPED,
    f"juil. 19 05:58:52 web-12 kernel: {STAMP}{TEXT}": "T123",
    f"Okt 19 05:58:52 web-12 kernel: {TEXT}": STAMPED,
    f"\u0434\u0435\u043a 19 05:58:52 web-12 kernel: {TEXT}": STAMPED,
    f"7\u6708 19 05:58:52 web-12 kernel: {TEXT}": STAMPED,
    f"Fri Jul 19 05:58:52 2019 kern.warn kernel: {STAMP}{TEXT}": "T123",
    f"[ 1234.567890]@0 {TEXT}": STAMPED,
    f"<4>[ 1234.567890@1] {TEXT}": STAMPED,
    f"<4>[ 1234.567890]  (0)[811:kworker/0:1]{TEXT}": "P811",
    f"[ 1234.567890] -(3)[0:swapper/3]{TEXT}": "P0",
    f"2019-07-19T05:58:52.123Z| vcpu-0| I125: Guest: <3>{STAMP}{TEXT}": "T123",
    f"2019-07-19T05:58:52.123Z In(05) vcpu-0 - Guest: {STAMP}{TEXT}": "T123",
    f"[guest0/uart0] {STAMP}{TEXT}": "T123",
    f"Jul  4 12:00:01 10.20.0.12 {STAMP}{TEXT}": "T123",
    f"Jul  4 12:00:01 10.20.0.12 {TEXT}": STAMPED,
    f"Jul  4 12:00:01 fe80::1 {TEXT}": STAMPED,
    f"2023-07-04T12:00:01,123456+02:00 [  T123] {TEXT}": "T123",
    f"2023-07-04T12:00:01,123456+02:00 {TEXT}": STAMPED,
    f"[Tue Jul  4 12:00:01 2023] {TEXT}": STAMPED,
    f"[Jul 4 12:00] {TEXT}": STAMPED,
    f"[Jul14 12:00] {TEXT}": STAMPED,
    f"[  +0.000012] [  T123] {TEXT}": "T123",
    f"[   12.345678 <    0.000012>] {TEXT}": STAMPED,
    f"[2023-07-04 12:00:01] {STAMP}{TEXT}": "T123",
    f"kern  :warn  : {STAMP}{TEXT}": "T123",
    f"4,1799,616001,-,caller=T123;{TEXT}": "T123",
    f"6.6.8 4,1799,616001,-;{TEXT}": STAMPED,
    f"2023-07-04T12:00:01.123456789Z stdout F {STAMP}{TEXT}": "T123",
    f"    {STAMP}{TEXT}": "T123",
    f"> > {STAMP}{TEXT}": "T123",
    f"> <4>Jul  4 12:00:01 web-12 kernel: > 4,1,2,-;{STAMP}{TEXT}": "T123",
}  # fmt: skip


@pytest.mark.parametrize("line", KERNELS)
def test_what_a_transport_writes_before_the_kernels_line_is_taken_off(line):
    assert bare(line) == (TEXT, KERNELS[line])


def test_every_row_of_the_table_fits_a_line_that_is_tested():
    programs = ["Jul  4 12:00:01 web-12 sshd[812]: x", "web-12 sshd[812]: x", "kernel: x", "```x"]
    lines = [*KERNELS, *programs, "web-12 kernel: x", "> x"]
    tried = {line[at:] for line in lines for at in range(len(line))}
    unused = [row.pattern.pattern for row in PREFIXES if not any(map(row.pattern.match, tried))]
    assert unused == []


@pytest.mark.parametrize(
    "line",
    [
        "Jul  4 12:00:01 web-12 sshd[812]: ",
        "[ 1042.118702] web-12 sshd[812]: ",
        "<4>1 2023-07-04T12:00:01.123+02:00 web-12 sshd 812 - - ",
        "Tue 2023-07-04 12:00:01 CEST web-12 sshd[812]: ",
        "> 1688464801.118702 web-12 sshd[812]: ",
        "juil. 19 05:58:52 web-12 sshd[812]: ",
        "Fri Jul 19 05:58:52 2019 authpriv.info sshd[812]: ",
    ],
)
def test_the_lines_of_a_program_stay_its_own(line):
    assert bare(f"{line}{TEXT}") == (TEXT, f"{FOREIGN}sshd[812]")
    assert bare(f"{line}{STAMP}{TEXT}")[1] == f"{FOREIGN}sshd[812]"


def test_a_virtual_machines_own_log_is_not_its_guests():
    assert bare(f"2019-07-19T05:58:52.123Z| vmx| I125: {TEXT}") == (TEXT, f"{FOREIGN}vmx")


def test_an_applications_level_is_no_host_of_the_kernel():
    assert bare(f"2024-03-05 10:11:18 pool {TEXT}")[1] == f"{FOREIGN}BUG"


def test_a_process_of_two_words_is_no_program_on_a_host():
    line = "Web Content[8123]: segfault at 18 ip 00007f9a rsp 00007ffc error 6"
    assert bare(f"[   12.345678] {line}") == (line, STAMPED)


@pytest.mark.parametrize(
    "line", [" tcp_ack+0x12/0x40", "RIP: 0010:tcp_ack+0x12/0x40", " [<ffffffff81234567>] tcp_ack+0x1/0x2",
             " <IRQ>", "Modules linked in: tun", "Workqueue: events foo"],
)  # fmt: skip
def test_a_line_without_a_prefix_is_left_alone(line):
    assert bare(line) == (line, "")


def test_a_second_stamp_is_a_line_printed_into_another():
    assert bare(f"{STAMP}[   12.345679] {TEXT}") == (f"[   12.345679] {TEXT}", "T123")


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        ("\x1b[1mBUG: so\x1b[0mft lockup", TEXT),
        ("#033[1mBUG: so#033[0mft lockup", TEXT),
        ("\\u001b[1mBUG: so\\\\u001b[0mft lockup", TEXT),
        ("BUG: so^[[0mft lockup", TEXT),
        ("\u200bB\u200dU\u2063G\ufeff: so\xadft\ufe0f lockup", TEXT),
        ("\\ufeffBUG: so\\u200bft lockup", TEXT),
        ("&amp;lt;TASK&amp;gt; &quot;&#39;&#x27;&nbsp;", "<TASK> \"'' "),
        ("\u201cit\u2019s\u201d \u2014 \u2026", '"it\'s" -- ...'),
        ("a<br>\nb<br />", "a\nb"),
    ],
)
def test_characters_are_mended(spelled, plain):
    assert clean(spelled) == plain


def test_a_line_break_as_an_entity_adds_no_line():
    assert clean("a&#10;b") == "a\\nb"


LINES = [f"{STAMP}{TEXT}", f"{STAMP}CPU: 1 PID: 12", f"{STAMP}Call Trace:"]
JOINED = "\n".join(LINES)


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"log": JOINED}),
        json.dumps({"log": json.dumps({"message": JOINED})}),
        json.dumps(JOINED),
        json.dumps({"alerts": [{"annotations": {"description": JOINED}}]}),
        f'  "description": {json.dumps(JOINED)},',
        "Jul  4 12:00:01 web-12 app: " + json.dumps({"msg": JOINED}),
        json.dumps({"MESSAGE": list(JOINED.encode())}),
        "\\n".join(json.dumps({"log": f"{line}\n"}) for line in LINES),
        "\\r\\n".join(LINES),
        "\\\\\\\\n".join(LINES),
        "<br/>".join(LINES),
        "<pre><code>" + "<br>".join(LINES) + "</code></pre>",
        " ".join(LINES),
        "#012".join(LINES),
    ],
)
def test_a_line_that_holds_several_is_taken_apart(line):
    assert [piece for piece, _ in pieces(line)] == LINES


def test_run_on_lines_are_split_at_any_kind_of_stamp():
    for stamp in ("[  T123] ", "[Tue Jul  4 12:00:01 2023] ", "[  +0.000012] ", "[Jul 4 12:00] "):
        lines = [f"{stamp}line {n}" for n in range(4)]
        assert [piece for piece, _ in pieces(" ".join(lines))] == lines


def test_escapes_of_the_kernels_log_are_undone():
    assert list(pieces("4,1,2,-;a\\x09b\\x5cc \\xc3\\xa4")) == [("4,1,2,-;a\tb\\c \xe4", "")]


def test_a_single_written_break_of_a_program_is_its_own():
    line = 'Jul  4 12:00:01 web-12 app[8]: no "C:\\new" here'
    assert list(pieces(line)) == [(line, "")]


def test_all_that_a_program_wrote_stays_its_own():
    line = f"Jul  4 12:00:01 web-12 app[8]: a\\n{STAMP}{TEXT}\\nc"
    contexts = [bare(piece, context)[1] for piece, context in pieces(line)]
    assert contexts == [f"{FOREIGN}app[8]"] * 3


def test_the_fields_of_the_journal_tell_who_wrote_a_line():
    kernel = json.dumps({"MESSAGE": TEXT, "_TRANSPORT": "kernel"})
    program = json.dumps({"MESSAGE": TEXT, "SYSLOG_IDENTIFIER": "sshd", "_PID": "812"})
    assert list(pieces(kernel)) == [(TEXT, STAMPED)]
    assert list(pieces(program)) == [(TEXT, f"{FOREIGN}sshd[812]")]


def items(text: str) -> list[tuple[str, int]]:
    return [(item.text, item.number) for item in whole(text)]


def test_soft_breaks_of_mail_are_undone_and_lines_keep_their_numbers():
    text = f"{'a' * 70}=3D=\nBUG=E2=80=99s=\n end\nnext=20"
    assert cut_up(text)
    assert items(text) == [("a" * 70 + "=BUG's end", 0), ("next ", 3)]


def test_mail_is_decoded_once():
    assert items(json.dumps("pid=3D6085 and cpu=3D41\\n")) == [("pid=6085 and cpu=41", 0)]


def test_quoted_mail_is_put_together_without_its_marks():
    assert items(f"> {'a' * 70}=3D=\n> b\n> c") == [(f"> {'a' * 70}=b", 0), ("> c", 2)]


def test_an_equals_sign_at_the_end_of_an_ordinary_line_joins_nothing():
    assert not cut_up("console=\ncpu=1 x=y\nage=3 z=w\n")


def test_fragments_of_netconsole_are_joined_by_their_number():
    head = "4,1799,616001,-,caller=T1"
    text = f"{head},ncfrag=0/9;BUG: \n6,1800,5,-;x\n{head},ncfrag=5/9;soft"
    assert items(text) == [(f"{head};BUG: soft", 0), ("6,1800,5,-;x", 1)]


def test_partial_lines_of_containers_are_joined():
    head = "2023-07-04T12:00:01.5Z stdout"
    text = f"{head} P BUG: so\n{head.replace('out', 'err')} F x\n{head} F ft\n{head} F y"
    assert [one for one, _ in items(text)] == [
        f"{head} F BUG: soft", f"{head.replace('out', 'err')} F x", f"{head} F y"
    ]  # fmt: skip


BROKEN = """\
> [   12.345678] BUG: unable to handle kernel NULL pointer dereference at
> 0000000000000018
> [   12.345679] IP: [<ffffffffa01234567>] lane_retrain_everything_there_is+0x12/0x40
> [   12.345680] CPU: 1 PID: 12
>
> -- \n> somebody
"""


def test_lines_that_mail_broke_at_a_blank_are_joined():
    text = BROKEN.replace("lane_retrain_everything_there_is", "lane_retrain")
    assert cut_up(text)
    lines = text.split("\n")
    assert items(text)[:3] == [(f"{lines[0]} 0000000000000018", 0), (lines[2], 2), (lines[3], 3)]
    assert items(text)[-2][0] == "> somebody"


def test_where_a_line_is_longer_nothing_was_broken():
    assert not cut_up(BROKEN)


def test_a_line_that_had_room_for_the_next_word_was_not_broken():
    stamped = ["[   12.345678] BUG: soft", f"[   12.345679] {'x' * 60}", "[   12.345680] x"]
    assert not cut_up("\n".join([stamped[0], "lockup", *stamped[1:]]))


def test_an_indented_line_is_no_rest_of_the_one_before_it():
    stamped = [f"[   12.345678] {'x' * 60}", f"[   12.345679] {'x' * 60}"]
    assert not cut_up("\n".join([stamped[0], " tcp_ack+0x12/0x40", stamped[1], "\tx"]))


def test_ordinary_text_is_not_taken_for_a_cut_one():
    assert not cut_up(f"{JOINED}\nJul  4 12:00:01 web-12 app: MESSAGE [x]\n")


def test_numbers_and_evidence_speak_of_the_original_text():
    wrapped = "\n".join(
        ["first", json.dumps({"log": "[    1.000000] kernel BUG at mm/slab.c:12!\n"})]
    )
    (report,) = read(wrapped)
    assert (report.start, report.evidence[0].number) == (2, 2)
    assert report.evidence[0].text == wrapped.split("\n")[1]


def test_words_of_a_headline_that_were_cut_in_two_are_found():
    head = "4,1799,616001,-,caller=T1"
    text = f"{head},ncfrag=0/31;kernel B\n{head},ncfrag=8/31;UG at mm/slab.c:12!"
    (report,) = read(text)
    assert report.title.startswith("kernel BUG")
    assert report.start == 1


def test_lines_far_from_a_headline_are_left_alone():
    log = json.dumps({"log": "[    1.000000] kernel BUG at mm/slab.c:12!\n"})
    console = Console("\n".join([log] * 1000))
    console.unfold([Hit(900, (), "")])
    assert console.lines[400] == log
    assert console.lines[600].startswith("[    1.0")
