"""Names of Rust functions: both spellings, and whatever looks like one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.crash.letters import MAX_DEPTH, MAX_NAME
from bot.crash.rust import MAX_SYMBOL, demangle

NAMES = {
    # functions, methods, methods of traits
    "_RNvNtCsa1b2_6holdup4door4open": "holdup::door::open",
    "_RNvMs3_NtCshgDM7dBCdno_11rust_binder7processNtB5_7Process10update_ref": (
        "<rust_binder::process::Process>::update_ref"
    ),
    "_RNvXs1_CscPPBqWtAqum_11ashmem_rustNtB5_6AshmemNtNtCs43vyB533jt3_6kernel10miscdevice"
    "10MiscDevice4mmap": "<ashmem_rust::Ashmem as kernel::miscdevice::MiscDevice>::mmap",
    "_RNvYhNtC6holdup4Lock4take": "<u8 as holdup::Lock>::take",
    # closures and shims keep their numbers, names that begin with a digit their underscore not
    "_RNCNvC6holdup5spawn0": "holdup::spawn::{closure#0}",
    "_RNCNvC6holdup5spawns_0": "holdup::spawn::{closure#1}",
    "_RNSNvC6holdup5spawn6vtable": "holdup::spawn::{shim:vtable#0}",
    "_RNvC6_123foo3bar": "123foo::bar",
    # generic arguments: with a colon before a value's, without before a type's
    "_RINvC6holdup4takehE": "holdup::take::<u8>",
    "_RMC6holdupINtB0_4RinghE": "<holdup::Ring<u8>>",
    "_RINvC6holdup4takeL_E": "holdup::take::<'_>",
    "_RINvC6holdup4takehEC5other": "holdup::take::<u8>",
    # types
    "_RINvC6holdup4takeRhQtPmOyE": "holdup::take::<&u8, &mut u16, *const u32, *mut u64>",
    "_RINvC6holdup4takeShAaj10_E": "holdup::take::<[u8], [i8; 16]>",
    "_RINvC6holdup4takeTEThEThbEuE": "holdup::take::<(), (u8,), (u8, bool), ()>",
    "_RINvC6holdup4takeFUKChEuE": 'holdup::take::<unsafe extern "C" fn(u8)>',
    "_RINvC6holdup4takeFK6sysv64EhE": 'holdup::take::<extern "sysv64" fn() -> u8>',
    "_RINvC6holdup4takeFG_RL0_hEuE": "holdup::take::<for<'a> fn(&'a u8)>",
    "_RINvC6holdup4takeDNtB2_4LockEL_E": "holdup::take::<dyn holdup::Lock>",
    "_RINvC6holdup4takeDINtB2_4LockhEp4Itemtp3KeymNtB2_4SendEL_E": (
        "holdup::take::<dyn holdup::Lock<u8, Item = u16, Key = u32> + holdup::Send>"
    ),
    "_RINvC6holdup4takeDNtB2_4Lockp4ItemtEL_E": "holdup::take::<dyn holdup::Lock<Item = u16>>",
    # constants
    "_RMC0INtC8arrayvec8ArrayVechKj7b_E": "<arrayvec::ArrayVec<u8, 123>>",
    "_RINvC6holdup4takeKanb_Kb1_Kb0_Kc76_Kca_Kc2202_KpE": (
        r"holdup::take::<-11, true, false, 'v', '\n', '∂', _>"
    ),
    "_RINvC6holdup4takeKo123456789abcdef01_E": "holdup::take::<0x123456789abcdef01>",
    "_RINvC6holdup4takeKe6f6f7073_E": 'holdup::take::<{*"oops"}>',
    # what the linker or the optimiser added
    "_RNvC6holdup4open.llvm.9D1C9369": "holdup::open",
    "_RNvC6holdup4open.cold": "holdup::open",
    "_RNvC6holdupu9trger_qra": "holdup::trger_qra",
    # the legacy spelling
    "_ZN4core9panicking5panic17h0123456789abcdefE": "core::panicking::panic",
    "_ZN4core9panicking5panic17h0123456789abcdefE.llvm.123": "core::panicking::panic",
    "_ZN66_$LT$core..option..Option$LT$T$GT$$u20$as$u20$core..fmt..Debug$GT$3fmt"
    "17h0123456789abcdefE": "<core::option::Option<T> as core::fmt::Debug>::fmt",
    "_ZN6holdup5spawn28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE": (
        "holdup::spawn::{{closure}}"
    ),
}
OTHERS = (
    "",
    "_R",
    "_RN",
    "_ZN",
    "tcp_shifted_skb",
    "_RX_not_rust",
    "_raw_spin_lock",
    "_ZN3foo3barE",  # C++
    "_ZN3foo3barEv",
    "_ZN9foo17h0123456789abcdefE",
    "_ZN4$XX$17h0123456789abcdefE",
    "_ZN7$ud800$17h0123456789abcdefE",
    "_RNvC6holdup9open",
    "_RNvC6holdup4open?",
    "_RNvC6holdup4openB",
    "_RNvB_4open",
    "_RNvB9_4open",
    "_RN1C6holdup4open",
    "_RNvCs!_6holdup4open",
    "_RNvC6höldup4open",
    "_RINvC6holdup4takeL0_E",
    "_RINvC6holdup4takeKb2_E",
    "_RINvC6holdup4takeKcd800_E",
    "_RINvC6holdup4takeKc110000_E",
    "_RINvC6holdup4takeKe6_E",
    "_RINvC6holdup4takeKhg_E",
    "_RINvC6holdup4takeKVE",
    "_RINvC6holdup4takeh",
    "_RINvC6holdup4takeDNtB2_4LockE",
    f"_RINvC6holdup4take{'S' * 2 * MAX_DEPTH}hE",
    f"_RINvC6holdup4takeFG{'z' * 5}_EuE",
    f"_RNvC6holdup4open{'.' * MAX_SYMBOL}",
)
PIECES = [
    *"BCDEFGIKLMNQRSTUVXYOPA",
    "Nv",
    "Nt",
    "B_",
    "B0_",
    "B2_",
    "s_",
    "1a",
    "4open",
    "_",
    "h",
    "j7_",
]


@pytest.mark.parametrize("symbol", NAMES)
def test_a_symbol_is_read_as_people_write_the_name(symbol):
    assert demangle(symbol) == NAMES[symbol]


@pytest.mark.parametrize("symbol", OTHERS)
def test_what_is_no_rust_symbol_has_no_name(symbol):
    assert demangle(symbol) is None


def test_references_back_that_double_at_each_step_do_not_explode():
    symbol, inner = "_RINvC1a1f", "h"
    at = len(symbol) - 2
    for _ in range(60):
        symbol += f"T{inner}{inner}E"
        inner, at = f"B{_base62(at)}", len(symbol) - 2
    assert demangle(f"{symbol}E") is None


def test_a_long_chain_of_references_back_ends_at_the_depth():
    symbol = "_RINvC1a1fDNtB2_1TEL_"
    target = symbol.index("D") - 1
    for _ in range(2 * MAX_DEPTH):
        at = len(symbol) - 2
        symbol += f"B{_base62(target)}"
        target = at
    assert demangle(f"{symbol}E") is None


def _base62(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if number == 0:
        return "_"
    text, number = "", number - 1
    while number or not text:
        text, number = digits[number % 62] + text, number // 62
    return f"{text}_"


@given(st.lists(st.sampled_from(PIECES), max_size=200).map("".join))
def test_a_hostile_symbol_never_raises_and_its_name_is_bounded(pieces):
    for symbol in (f"_R{pieces}", f"_RINvC1a1f{pieces}E", f"_ZN{pieces}17h0123456789abcdefE"):
        name = demangle(symbol)
        assert name is None or 0 < len(name) <= MAX_NAME


@given(st.text(max_size=60), st.sampled_from(("_R", "_ZN", "_RNv", "")))
def test_any_text_is_a_name_or_none(text, start):
    name = demangle(start + text)
    assert name is None or name.isprintable()


@given(st.sampled_from(sorted(NAMES)), st.data())
def test_a_symbol_that_was_cut_never_raises(symbol, data):
    cut = demangle(symbol[: data.draw(st.integers(0, len(symbol)))])
    assert cut is None or len(cut) <= MAX_NAME
