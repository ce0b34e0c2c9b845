"""Every golden file is read as its header says."""

from __future__ import annotations

import pytest

from bot.crash import read
from tests.unit.crash import golden


@pytest.mark.parametrize("path", golden.files(), ids=lambda path: path.stem)
def test_a_golden_log_is_read_as_its_header_says(path):
    header, log = golden.split(path)
    assert {k: str(v).strip() for k, v in golden.header(log).items()} == header


@pytest.mark.parametrize("path", golden.files(), ids=lambda path: path.stem)
def test_a_log_named_none_holds_no_crash_and_every_other_one_does(path):
    reports = read(golden.split(path)[1])
    assert bool(reports) is not path.stem.startswith("none_")


def test_the_flagship_oops_has_one_signature_from_kernel_3_10_to_6_1():
    titles, functions = set(), set()
    for path in golden.HERE.glob("null_deref_*tcp_estats*.txt"):
        (report,) = read(golden.split(path)[1])
        titles.add(report.title)
        functions.add((report.kind, report.function))
    assert titles == {
        "BUG: unable to handle kernel NULL pointer dereference in tcp_estats_update_mss"
    }
    assert len(functions) == 1
