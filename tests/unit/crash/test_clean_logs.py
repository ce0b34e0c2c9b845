"""Ordinary logs, generated as ``bench/clean_logs.py`` does, hold no crash."""

from __future__ import annotations

import pytest

from bench import clean_logs
from bot.crash import ALL, read
from bot.crash.report import NOTICES
from tests.unit.crash import golden

SIZE = 200_000


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_ordinary_logs_hold_no_crash_of_any_kind(seed, dense):
    assert read(clean_logs.text(seed, SIZE, dense=dense), kinds=ALL - NOTICES) == []


def test_a_crash_between_ordinary_logs_is_the_only_report():
    log = golden.split(golden.HERE / "sack_panic_4_15.txt")[1]
    before, after = (clean_logs.text(seed, SIZE // 4) for seed in (5, 6))
    (report,) = read(f"{before}\n{log}\n{after}")
    assert report.title == read(log)[0].title
    assert report.start > before.count("\n")


def test_ordinary_logs_are_equal_for_equal_seeds_and_as_long_as_asked():
    assert clean_logs.text(3, 50_000) == clean_logs.text(3, 50_000)
    assert clean_logs.text(3, 50_000) != clean_logs.text(4, 50_000)
    assert len(clean_logs.text(3, 50_000)) == 50_000


def test_dense_logs_hold_the_words_of_crashes_more_often():
    plain, dense = (clean_logs.text(3, SIZE, dense=dense) for dense in (False, True))
    assert 0 < plain.count("WARNING") < dense.count("WARNING") / 3
