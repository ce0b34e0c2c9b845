"""The tables of formats and rules are sound."""

from __future__ import annotations

import string

import pytest

from bot.crash.formats import FORMATS, QUIET, by_literal
from bot.crash.frames import name_of, names_of
from bot.crash.skips import SKIP, rule_of
from bot.crash.titles import anonymous


@pytest.mark.parametrize("entry", FORMATS, ids=range(len(FORMATS)))
def test_a_format_fills_every_name_of_its_titles(entry):
    groups = {"frame", "origin", *entry.pattern.groupindex}
    for detail in entry.details:
        groups |= set(detail.groupindex)
    for template in (entry.title, *entry.alts):
        assert {name for _, name, _, _ in string.Formatter().parse(template) if name} <= groups
    if "{frame}" in entry.title:
        assert entry.look.ways != ((),)


def test_what_to_keep_silent_about_belongs_to_a_known_literal():
    assert set(QUIET) <= set(by_literal())


def test_every_rule_has_a_name_and_no_rule_skips_what_matters():
    assert len({rule.name for rule in SKIP}) == len(SKIP)
    for guilty in ("tcp_estats_update_mss", "tcp_shifted_skb", "ipv6_rpl_srh_rcv", "bictcp_update"):
        assert rule_of(guilty) is None


@pytest.mark.parametrize(
    ("function", "part"),
    [
        ("skb_panic", "reports"),
        ("kmem_cache_free", "memory"),
        ("_raw_spin_lock_irqsave", "lock"),
        ("__list_del_entry_valid", "list"),
        ("refcount_warn_saturate", "reference"),
        ("memcpy_erms", "copies"),
    ],
)
def test_a_generic_function_is_skipped_by_the_rule_that_says_why(function, part):
    rule = rule_of(function)
    assert rule is not None
    assert part in rule


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("tcp_shifted_skb.isra.5+0x2/0x9", "tcp_shifted_skb"),
        ("foo.constprop.0.cold", "foo"),
        ("SyS_rmdir", "rmdir"),
        ("__x64_sys_futex", "sys_futex"),
        (".pseries_eeh_get_state", "pseries_eeh_get_state"),
    ],
)
def test_a_symbol_is_cut_to_its_stable_name(symbol, name):
    assert name_of(symbol) == name
    assert names_of(symbol)[0] == name


def test_titles_lose_what_differs_between_two_crashes():
    one = anonymous("panic at ffffffff81234567 in foo+0x12/0x40 a.c:12 CPU#3 after 17 s")
    two = anonymous("panic at ffffffff81000000 in foo+0x11/0x44 a.c:99 CPU#1 after 5 s")
    assert one == two == "panic at ADDR in foo a.c:LINE CPU after NUM s"
