"""Which incident a crash belongs to, and how an alert's word for a host becomes a host."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot import crash
from bot.crash.report import CrashReport, Kind
from bot.fleet.inventory import HOST_NAME, Inventory, bare
from bot.incident.fold import fold
from bot.incident.grouping import AFTERMATH, home, touched
from bot.incident.state import Incident
from tests.unit.events import OOPS, START, Log

REPORT = crash.read(OOPS)[0]


def incident(name: str = "INC-1", host: str = "web-01") -> Incident:
    log = Log(name)
    log.crash(host)
    return fold(log.entries)


def other(**changes: object) -> CrashReport:
    return replace(REPORT, **changes)  # type: ignore[arg-type] # any field of a report


def test_the_same_function_is_the_same_incident_on_any_host_at_any_time():
    later = START + timedelta(days=3)
    assert home(REPORT, "db-03", [incident()], later) == "INC-1"
    assert home(REPORT, "", [incident()], later) == "INC-1"


def test_the_same_function_is_the_same_cause_whichever_way_it_faulted():
    assert home(other(kind=Kind.GPF, title="GPF in it"), "db-01", [incident()], START) == "INC-1"


@pytest.mark.parametrize("changes", [{"function": "tcp_sync_mss"}, {"module": "acme"}])
def test_another_function_or_module_is_another_incident(changes: dict[str, str]):
    assert home(other(**changes), "web-01", [incident()], START) is None


def test_a_bare_panic_soon_after_belongs_to_the_crash_of_the_same_host():
    panic = other(kind=Kind.PANIC, function=None, module=None, title="Fatal exception")
    known = incident()
    soon = known.crashes[0].at + AFTERMATH - timedelta(seconds=1)
    assert home(panic, "web-01", [known], soon) == "INC-1"
    assert home(panic, "web-01", [known], soon + timedelta(seconds=1)) is None
    assert home(panic, "web-02", [known], soon) is None
    assert home(panic, "", [known], soon) is None


@pytest.mark.parametrize("kind", [Kind.SOFT_LOCKUP, Kind.HARD_LOCKUP, Kind.RCU_STALL])
def test_a_lockup_in_another_function_soon_after_is_the_aftermath(kind: Kind):
    stuck = other(kind=kind, function="native_queued_spin_lock_slowpath", title="stuck")
    assert home(stuck, "web-01", [incident()], START) == "INC-1"
    assert home(stuck, "db-01", [incident()], START) is None


def test_a_text_that_was_cut_belongs_to_the_crash_of_the_same_host():
    torn = other(function="tcp_syn", title="torn", corrupted=True, corrupted_reason="cut")
    assert home(torn, "web-01", [incident()], START) == "INC-1"


def test_reports_without_a_function_are_the_same_by_their_title():
    log = Log()
    title = "Kernel panic: VFS: Unable to mount root fs"
    signature = {"kind": "panic", "function": None, "module": None}
    log.add("incident.opened", title, {"title": title, "signature": signature})
    panic = other(kind=Kind.PANIC, function=None, module=None, title=title)
    assert home(panic, "db-09", [fold(log.entries)], START) == "INC-1"
    assert home(replace(panic, title="another"), "db-09", [fold(log.entries)], START) is None


def test_a_resolved_incident_takes_nothing_in():
    over = incident()
    over.state = "resolved"
    assert home(REPORT, "web-01", [over], START) is None
    assert touched("web-01", [over]) == []


def test_of_two_open_incidents_the_newest_is_taken():
    assert home(REPORT, "web-01", [incident("INC-2"), incident("INC-1")], START) == "INC-2"


def test_an_alert_without_a_crash_concerns_every_open_incident_of_its_host():
    both = [incident("INC-2"), incident("INC-1"), incident("INC-3", "web-02")]
    assert touched("web-01", both) == ["INC-2", "INC-1"]
    assert touched("db-01", both) == []


FLEET = Inventory(
    hosts={
        "web-01": {"ansible_host": "10.0.0.1"},
        "web-02.dc1.example": {},
        "db-01.dc1": {},
        "db-01.dc2": {},
        "v6": {"ansible_host": "fd00::1"},
    },
    aliases={"www": "web-01", "lost": "web-99", "web-02.dc1.example": "web-01"},
)


@pytest.mark.parametrize(
    ("label", "host"),
    [
        ("web-01", "web-01"),
        (" web-01:9100 ", "web-01"),
        ("10.0.0.1:9100", "web-01"),
        ("[fd00::1]:9100", "v6"),
        ("fd00::1", "v6"),
        ("www:80", "web-01"),
        ("web-01.dc1.example", "web-01"),
        ("web-02", "web-02.dc1.example"),
        ("web-02.dc1.example", "web-02.dc1.example"),
        ("db-01", None),
        ("lost", None),
        ("", None),
        ("all", None),
        ("all:!none", None),
        ("web-01:!none", None),
        ("web-01:&web", None),
        ("web-01,web-02", None),
        ("web-0[12]", None),
        ("*", None),
        ("~web.*", None),
        ("@/etc/passwd", None),
        ("WEB-01", None),
        ("web-01\nweb-02", None),
    ],
)
def test_a_label_is_one_listed_host_or_nothing(label: str, host: str | None):
    assert FLEET.known(label) == host


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("h:9100", "h"),
        ("[::1]:9100", "::1"),
        ("::1", "::1"),
        ("all:!none", "all:!none"),
        (":9100", ":9100"),
        ("h:", "h:"),
        ("a:b:1", "a:b:1"),
    ],
)
def test_only_a_port_is_cut_off(label: str, name: str):
    assert bare(label) == name


@pytest.mark.parametrize("name", ["web-01", "10.0.0.1", "a", "A_b.c-1"])
def test_plain_names_may_be_used(name: str):
    assert HOST_NAME.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["", "-oProxyCommand=x", "a b", "a\n", "a:b", "*", "@f", "é", "a/b", ".a", "a-", "!a"]
)
def test_other_names_are_never_used(name: str):
    assert HOST_NAME.fullmatch(name) is None
