from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot.decide import KEPT, Action, Tempo, decide, due, following, spent
from bot.ports import Run
from tests.unit.log import DANA, Log

TEMPO = Tempo(retry_first=5, retry_max=60)


def actions(log: Log, *runs: Run, later: float = 0) -> list[Action]:
    return decide(log.fold(), runs, log.now + timedelta(seconds=later), TEMPO)


def verbs(log: Log, *runs: Run, later: float = 0) -> list[str]:
    return [a.verb for a in actions(log, *runs, later=later)]


def run(kind: str, state: str, *hosts: str, at: Log | None = None, **spec: object) -> Run:
    return Run(
        ident=f"{kind}-{state}-{'-'.join(hosts)}.1",
        incident="INC-1",
        kind=kind,
        hosts=hosts,
        state=state,
        spec=spec,
        finished_at=at.now if at and state == "finished" else None,
    )


def test_a_new_incident_is_matched_first():
    assert verbs(Log().opened()) == ["match"]


def test_a_request_is_probed_then_previewed_then_proposed():
    log = Log().opened().requested()
    assert verbs(log) == ["probe"]
    assert verbs(log, run("probe", "running", request=1)) == []
    log.probed()
    assert verbs(log) == ["preview"]
    log.add("dryrun.recorded", {"request": 1, "sha256": "x", "hosts": {}})
    assert verbs(log) == ["propose"]


def test_a_probe_that_reached_nobody_is_repeated_after_a_while():
    log = Log().opened().requested()
    log.add("exposure.probed", {"request": 1, "run": "p", "hosts": {}, "usable": False})
    tried = run("probe", "finished", at=log, request=1)
    assert verbs(log, tried) == []
    assert verbs(log, tried, later=10) == ["probe"]


def test_nothing_is_touched_without_an_approval():
    log = Log().opened().requested().probed().proposed()
    assert verbs(log) == ["review"]
    assert verbs(log, later=3600) == ["expire"]


def test_an_approved_proposal_starts_and_an_expired_one_does_not():
    log = Log().opened().requested().probed().proposed()
    log.add("approval.given", {"proposal": "P-1", "digest": "d" * 64, "complete": True}, DANA)
    assert verbs(log) == ["start"]
    assert verbs(log, later=3600) == ["expire"]


def test_the_canary_is_a_live_host_and_the_dead_are_owed_in_the_last_wave():
    log = Log().opened().requested().probed().crash("a").proposed().started()
    (wave,) = actions(log)
    assert (wave.verb, wave.wave, wave.hosts) == ("wave", 1, ("b",))
    log.wave(1, ["b"]).ended(1, b="verified").passed(1)
    wave = next(a for a in actions(log) if a.verb == "wave")
    assert (wave.hosts, wave.owed) == (("c", "d"), ("a",))


def test_a_canary_that_fails_halts_the_rollout():
    log = Log().opened().requested().probed().back("a").proposed().started()
    log.wave(1, ["a"]).ended(1, a="failed")
    halt = next(a for a in actions(log) if a.verb == "halt")
    assert "1 of 1 hosts not verified" in halt.why


def test_a_canary_that_vanishes_is_replaced_by_another_host():
    log = Log().opened().requested().probed().back("a").proposed().started()
    log.wave(1, ["a"]).ended(1, a="owed")
    again = actions(log)[0]
    assert (again.verb, again.wave, again.attempt, again.hosts) == ("wave", 1, 2, ("b",))


def test_hosts_of_unknown_fate_are_read_back_before_the_gate():
    log = Log().opened().requested().probed().back("a").proposed().started()
    log.wave(1, ["a"]).ended(1, a="unknown")
    assert actions(log, later=4) == []  # the write may still be at work there
    (back,) = actions(log, later=5)
    assert (back.verb, back.hosts) == ("readback", ("a",))
    assert actions(log, run("readback", "running", "a"), later=5) == []


def test_hosts_that_a_read_back_finds_verified_did_not_vanish():
    log = Log().opened().requested().probed().back("a").proposed().started()
    log.wave(1, ["a"]).ended(1, a="verified").passed(1)
    log.wave(2, ["b", "c", "d"]).ended(2, b="unknown", c="unknown", d="unknown")
    seen = {h: {"outcome": "verified", "boot_id": f"boot-{h}", "value": "0"} for h in "bcd"}
    log.add("hosts.updated", {"proposal": "P-1", "outcomes": seen})
    assert [a.verb for a in actions(log) if a.proposal] == ["pass"]


def test_a_host_in_doubt_is_read_and_not_written_to():
    log = Log().opened().requested().probed().back("a").proposed().started()
    log.wave(1, ["b"]).ended(1, b="verified").passed(1)
    cut = {"outcome": "owed", "unreachable": True, "doubt": True}
    log.wave(2, ["a", "c", "d"])
    fine = {h: {"outcome": "verified", "boot_id": f"boot-{h}", "value": "0"} for h in "cd"}
    log.add(
        "wave.finished", {"proposal": "P-1", "wave": 2, "run": "w2", "outcomes": {"a": cut, **fine}}
    ).passed(2)
    log.add("rollout.done", {"proposal": "P-1"})
    assert [a.verb for a in actions(log, later=2) if a.hosts == ("a",)] == []
    assert [a.verb for a in actions(log, later=5) if a.hosts == ("a",)] == ["readback"]
    nothing = {"outcome": "owed", "boot_id": "boot-a", "value": "1"}
    log.add("hosts.updated", {"proposal": "P-1", "outcomes": {"a": nothing}})
    late = [a.verb for a in actions(log, later=60) if a.hosts == ("a",)]
    assert late == ["readback"], "read too early: it is read again"
    log.now += timedelta(seconds=10)
    log.add("hosts.updated", {"proposal": "P-1", "outcomes": {"a": nothing}})
    assert [a.verb for a in actions(log, later=60) if a.hosts == ("a",)] == ["retry"]


def test_a_lost_run_is_noticed_before_anything_else():
    log = Log().opened().requested().probed().back("a").proposed().started().wave(1, ["a"])
    assert verbs(log, run("wave", "lost", "a")) == ["lost"]


def test_a_lost_wave_is_read_back_and_only_then_tried_on_what_is_left():
    log = Log().opened().requested().probed().back("a").proposed().started().wave(1, ["a"])
    log.add("run.failed", {"run": "wave-lost-a.1", "why": "heartbeat lapsed"})
    log.add("wave.lost", {"proposal": "P-1", "wave": 1, "run": "w1", "hosts": ["a"]})
    lost = run("wave", "lost", "a")
    assert verbs(log, lost, later=5) == ["readback"]
    seen = {"outcome": "verified", "boot_id": "boot-a", "value": "0"}
    log.add("hosts.updated", {"proposal": "P-1", "outcomes": {"a": seen}})
    assert verbs(log, lost) == ["pass"]


def test_owed_hosts_are_retried_with_back_off_and_at_once_when_seen():
    log = Log().opened().requested().probed().crash("a").proposed().started()
    log.wave(1, ["b"]).ended(1, b="verified").passed(1)
    log.wave(2, ["c", "d"]).ended(2, c="verified", d="verified").passed(2)
    log.add("rollout.done", {"proposal": "P-1"})
    tried = run("retry", "finished", "a", at=log)
    assert "retry" not in verbs(log, tried, later=1)
    retry = next(a for a in actions(log, tried, later=6) if a.verb == "retry")
    assert (retry.hosts, retry.purpose) == (("a",), "retry")
    log.back("a")
    assert "retry" in verbs(log, tried)


def owed_for_hours(times: int, log: Log) -> list[Run]:
    """Return the retries of a host that is down, as they are kept: a minute between them."""
    runs: list[Run] = []
    for number in range(1, times + 1):
        ended = log.now + timedelta(minutes=number)
        ident = f"INC-1.P-1.retry.{number}"
        tried = run("retry", "finished", "a")
        runs.append(replace(tried, ident=ident, finished_at=ended))
        gone = set(spent(runs))
        runs = [r for r in runs if r.ident not in gone]
    return runs


def settled_but_for_a() -> Log:
    log = Log().opened().requested().probed().crash("a").proposed().started()
    log.wave(1, ["b"]).ended(1, b="verified").passed(1)
    log.wave(2, ["c", "d"]).ended(2, c="verified", d="verified").passed(2)
    return log.add("rollout.done", {"proposal": "P-1"})


def test_hours_of_retries_back_off_to_the_longest_pause_and_leave_few_runs():
    log = settled_but_for_a()
    runs = owed_for_hours(2000, log)
    assert len(runs) == KEPT
    assert following(runs) == 2001
    last = 2000 * 60
    assert "retry" not in verbs(log, *runs, later=last + 59)
    assert "retry" in verbs(log, *runs, later=last + 61)
    assert "retry" in verbs(log, *[replace(r, hosts=("a",)) for r in runs * 100], later=last + 61)


def test_a_crash_of_a_later_boot_begins_the_back_off_anew():
    log = settled_but_for_a()
    runs = owed_for_hours(20, log)
    log.now += timedelta(minutes=20, seconds=10)
    log.crash("a")
    assert "retry" in verbs(log, *runs)
    again = replace(runs[-1], ident="INC-1.P-1.retry.21", finished_at=log.now + timedelta(0, 1))
    assert "retry" not in verbs(log, *runs, again, later=5)
    assert "retry" in verbs(log, *runs, again, later=7)


def test_only_runs_that_decide_nothing_any_more_are_forgotten():
    def many(kind: str, state: str = "finished", *hosts: str, **spec: object) -> list[Run]:
        tried = run(kind, state, *hosts, at=None, **spec)
        return [replace(tried, ident=f"{kind}.{state}.{n}") for n in range(KEPT + 3)]

    for kind in ("wave", "preview"):
        assert spent(many(kind, "finished", "a", request=1)) == []
    for state in ("running", "queued", "lost"):
        assert spent(many("retry", state, "a")) == []
    assert len(spent(many("check", "finished", "a"))) == 3
    assert len(spent(many("probe", "finished", "a", request=1))) == 3
    alone = replace(run("retry", "finished", "a", "z"), ident="retry.0")
    gone = spent([alone, *many("retry", "finished", "a")])
    assert len(gone) == 3
    assert alone.ident not in gone  # it is z's only one


def test_no_owed_host_is_written_to_before_the_canary_has_passed():
    log = Log().opened().requested().probed().crash("a").proposed().started().wave(1, ["b"])
    wave = run("wave", "running", "b")
    assert "retry" not in verbs(log, wave, later=100)


def test_a_verified_host_that_crashes_is_owed_again_for_the_reboot():
    log = Log().opened().requested().probed().back("a").proposed().started().done().crash("c")
    assert log.fold().hosts["c"].outcome == "owed"
    retry = next(a for a in actions(log, later=6) if a.verb == "retry")
    assert (retry.hosts, retry.purpose) == (("c",), "reboot")


def test_the_hold_is_checked_at_its_interval():
    log = Log().opened().requested().probed().back("a").proposed().started().done()
    assert "check" not in verbs(log, later=29)
    check = next(a for a in actions(log, later=30) if a.verb == "check")
    assert check.hosts == ("a", "b", "c", "d")
    assert "check" not in verbs(log, run("check", "running", "a"), later=60)


def test_drift_is_restored():
    log = Log().opened().requested().probed().back("a").proposed().started().done()
    log.add("hold.drifted", {"host": "c", "value": "1", "boot_id": "boot-c", "same_boot": True})
    retry = next(a for a in actions(log) if a.verb == "retry")
    assert (retry.hosts, retry.purpose) == (("c",), "restore")


def test_after_an_abort_only_unknown_hosts_are_read_and_nothing_is_written():
    log = Log().opened().requested().probed().back("a").proposed().started().wave(1, ["a"])
    log.add("rollout.aborted", {"proposal": "P-1"}, DANA)
    log.ended(1, a="unknown")
    assert verbs(log, later=1000) == ["readback"]


def test_a_released_hold_writes_and_checks_nothing_any_more():
    log = Log().opened().requested().probed().back("a").proposed().started().done()
    log.add("hold.released", {"proposal": "P-1"}, DANA)
    log.crash("c")
    assert verbs(log, later=1000) == []


def test_a_paused_rollout_starts_no_wave_and_a_resumed_one_does():
    log = Log().opened().requested().probed().back("a").proposed().started()
    log.wave(1, ["a"]).ended(1, a="verified").passed(1)
    log.add("rollout.paused", {"proposal": "P-1"}, DANA)
    assert "wave" not in verbs(log)
    log.add("rollout.resumed", {"proposal": "P-1"}, DANA)
    assert "wave" in verbs(log)


def test_a_halt_that_a_commander_waves_through_goes_on():
    log = Log().opened().requested().probed().back("a").proposed().started()
    log.wave(1, ["a"]).ended(1, a="failed")
    log.add("rollout.halted", {"proposal": "P-1", "why": "1 failed"})
    assert "wave" not in verbs(log)
    log.add("rollout.resumed", {"proposal": "P-1"}, DANA)
    wave = next(a for a in actions(log) if a.verb == "wave")
    assert wave.wave == 2


def test_hosts_without_the_knob_are_in_no_wave():
    log = Log().opened().requested().probed(d="not_applicable").back("a").proposed().started()
    state = log.fold()
    assert state.hosts["d"].outcome == "not_applicable"
    log.wave(1, ["a"]).ended(1, a="verified").passed(1)
    wave = next(a for a in actions(log) if a.verb == "wave")
    assert wave.hosts == ("b", "c")


def test_there_is_always_a_next_look_while_something_is_owed():
    log = Log().opened().requested().probed().crash("a").proposed().started()
    state = log.fold()
    when = due(state, [], log.now, TEMPO)
    assert when is not None
    assert when <= log.now + timedelta(seconds=TEMPO.look)


def test_a_run_that_is_live_is_not_started_twice():
    log = Log().opened().requested().probed().crash("a").proposed().started()
    wave = actions(log)[0]
    log.wave(1, list(wave.hosts))
    live = run("wave", "running", *wave.hosts)
    assert verbs(log, live) == []
    assert verbs(log, replace(live, state="queued")) == []


def test_owed_hosts_are_retried_although_the_first_canary_vanished():
    log = Log().opened().requested().probed().back("a").proposed().started()
    log.wave(1, ["a"]).ended(1, a="owed").wave(1, ["b"], "w1b").ended(1, b="verified").passed(1)
    log.wave(2, ["c", "d"]).ended(2, c="verified", d="verified").passed(2)
    log.add("rollout.done", {"proposal": "P-1"})
    retry = next(a for a in actions(log, later=30) if a.verb == "retry")
    assert (retry.hosts, retry.purpose) == (("a",), "retry")


def begun(**changes: object) -> Log:
    return Log().opened().requested().probed().back("a").proposed(**changes).started()


def gate(**parts: object) -> dict[str, object]:
    crashes = {"limit": 0, "settle_seconds": 0}
    return {"max_failed": 0, "max_lost": "10%", "crash_after_apply": crashes, **parts}


CHECK = {"title": "errors", "playbook": "look.yml", "where": "wave", "prometheus": None}
BESIDE = {**CHECK, "title": "beside", "where": "localhost"}


def test_a_large_wave_is_several_runs_side_by_side_within_the_cap():
    waves = {"order": list("abcd"), "sizes": [4], "rule": ["100%"], "shard": 2, "max_parallel": 3}
    log = begun(waves=waves)
    first, second = actions(log)
    assert (first.part, first.hosts, first.planned) == (1, ("a", "b"), ("a", "b", "c", "d"))
    assert (second.part, second.hosts, second.planned) == (2, ("c",), ())
    data = {"proposal": "P-1", "wave": 1, "attempt": 1, "run": "w1", "hosts": ["a", "b"]}
    log.add("wave.started", {**data, "planned": list("abcd")})
    live = [run("wave", "running", "a", "b", purpose="first", proposal="P-1")]
    assert actions(log, replace(live[0], ident="w1")) == [second]
    log.add("wave.started", {**data, "run": "w2", "hosts": ["c"]})
    live.append(run("wave", "running", "c", purpose="first", proposal="P-1"))
    full = [replace(r, ident=f"w{n}") for n, r in enumerate(live, 1)]
    assert actions(log, *full) == []
    log.ended(1, c="verified")
    (third,) = actions(log, full[0])
    assert (third.part, third.hosts) == (3, ("d",))


def test_no_further_run_of_a_wave_starts_once_its_limits_are_broken():
    waves = {"order": list("abcd"), "sizes": [4], "rule": ["100%"], "shard": 1, "max_parallel": 1}
    log = begun(waves=waves)
    data = {"proposal": "P-1", "wave": 1, "attempt": 1, "run": "w1", "hosts": ["a"]}
    log.add("wave.started", {**data, "planned": list("abcd")}).ended(1, a="failed")
    (halt,) = actions(log)
    assert (halt.verb, halt.why) == ("halt", "1 of 4 hosts not verified (limit 0): a: ")


def test_the_canary_soaks_before_its_gate_and_a_crash_ends_it_at_once():
    log = begun(gate=gate(soak_seconds=60)).wave(1, ["a"]).ended(1, a="verified")
    (soak,) = actions(log)
    assert soak.verb == "soak"
    until = log.now + timedelta(seconds=60)
    log.add("gate.soaking", {"proposal": "P-1", "wave": 1, "until": until.isoformat()})
    assert verbs(log, later=50) == []
    state = log.fold()
    assert due(state, [], log.now, TEMPO) <= log.now + timedelta(seconds=30)  # type: ignore[operator]
    assert due(state, [], until - timedelta(seconds=9), TEMPO) == until
    passed = next(a for a in actions(log, later=60) if a.verb == "pass")
    assert "soaked for 60 s" in passed.why
    halted = next(a for a in actions(log.crash("a"), later=1) if a.verb == "halt")
    assert "1 crashes on hosts that already had the value" in halted.why


def test_every_check_is_asked_in_its_order_and_its_answer_is_in_the_gate():
    log = begun(gate=gate(checks=[CHECK, BESIDE])).wave(1, ["a"]).ended(1, a="verified")
    (ask,) = actions(log)
    assert (ask.verb, ask.check, ask.hosts) == ("ask", 0, ("a",))
    asked = run("ask", "running", "a", asks=["P-1", 1, 1, 0])
    assert verbs(log, asked) == []
    told = {"proposal": "P-1", "wave": 1, "ok": True}
    log.add("gate.checked", {**told, "check": 0, "why": "1 say yes"})
    (ask,) = actions(log)
    assert (ask.verb, ask.check, ask.hosts) == ("ask", 1, ("localhost",))
    log.add("gate.checked", {**told, "check": 1, "why": "1 say yes"})
    (passed,) = actions(log)
    assert passed.verb == "pass"
    assert passed.why.endswith("(limit 1); errors: 1 say yes; beside: 1 say yes")


def test_a_check_that_says_no_halts_and_the_next_is_not_asked():
    log = begun(gate=gate(checks=[CHECK, BESIDE])).wave(1, ["a"]).ended(1, a="verified")
    told = {"proposal": "P-1", "wave": 1, "check": 0, "ok": False, "why": "9 (max 5)"}
    (halt,) = actions(log.add("gate.checked", told))
    assert (halt.verb, halt.why) == ("halt", "check 'errors': 9 (max 5)")


def test_a_check_that_nobody_answers_is_asked_again_and_then_halts():
    log = begun(gate=gate(checks=[CHECK])).wave(1, ["a"]).ended(1, a="verified")
    tries = [
        replace(run("ask", "finished", "a", at=log, asks=["P-1", 1, 1, 0]), ident=f"ask.{n}")
        for n in range(3)
    ]
    assert verbs(log, tries[0], later=1) == []
    (again,) = [a for a in actions(log, tries[0], later=6) if a.verb == "ask"]
    assert again.part == 2
    (halt,) = [a for a in actions(log, *tries, later=60) if a.verb == "halt"]
    assert halt.why == "check 'errors' was not answered by 3 runs"


def test_a_check_waits_for_a_host_that_is_down_just_then():
    log = begun(gate=gate(checks=[CHECK])).wave(1, ["a"]).ended(1, a="verified")
    log.add("alert.received", {"host": "a", "down": True})
    assert "ask" not in verbs(log)
    assert "pass" not in verbs(log)
    assert "ask" in verbs(log.back("a"))


def test_a_pool_without_a_host_to_spare_halts_and_one_that_may_recover_waits_a_while():
    waves = {"order": list("abcd"), "sizes": [4], "rule": ["100%"], "pools": {"web": list("abcd")}}
    (halt,) = actions(begun(waves={**waves, "min_survivors": 4}))
    assert halt.verb == "halt"
    assert "pool web: 4 of its 4 hosts are live and untouched or verified" in halt.why
    log = begun(waves={**waves, "min_survivors": 3})
    log.add("alert.received", {"host": "d", "down": True})
    assert "wave" not in verbs(log)
    assert "halt" not in verbs(log, later=500)
    (halt,) = [a for a in actions(log, later=601) if a.verb == "halt"]
    assert "for 600 s" in halt.why
    assert "wave" in verbs(log.back("d"))
