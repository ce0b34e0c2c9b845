"""Bad input and much input, over real HTTP against the real process."""

from __future__ import annotations

import json
import os
import random
import socket
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.demo import oops
from bot.errors import HoldfastError
from bot.web.http import LIMIT
from tests.acceptance.bot import HTTP, PEOPLE, Bot, wait_for

CHANCE = random.Random(11)
START = "2026-01-01T00:00:00Z"
KILLS = 10 if os.environ.get("HOLDFAST_SOAK") else 5
HOSTS = """\
local-01 ansible_connection=local
[web]
web-01 ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_common_args="-F none"
web-02 ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_common_args="-F none"
"""
RUNBOOK = """\
id: acme-{name}
title: The ring of the Acme card
summary: Made for this test.
owners: [network]
match:
  kind: bug
  function: acme_{name}
applies_if:
  probe: sysctl-read.yml
{key}:
  - id: switch-off
    title: Switch it off
    playbook: {playbook}
    variables:
      key: {{value: net.ipv4.tcp_sack, type: sysctl_key}}
      value: {{value: "0", type: sysctl_value}}
    risk: low
    residual: None that is known.
    reversible: true
    rollback: {rollback}
    verify: sysctl-read.yml
    targets: crashed
"""


def runbook(
    name: str,
    key: str = "mitigations",
    playbook: str = "sysctl-set.yml",
    rollback: str = "sysctl-unset.yml",
) -> str:
    """Return a runbook for a crash in ``acme_<name>``."""
    text = RUNBOOK.format(
        name=name.replace("_", "-"), key=key, playbook=playbook, rollback=rollback
    )
    return text.replace(f"function: acme_{name.replace('_', '-')}", f"function: acme_{name}")


def console(name: str) -> str:
    """Return a crash in ``acme_<name>``, which only this test knows."""
    return oops.console(oops.SACK, "6.1.0", CHANCE).replace("tcp_shifted_skb", f"acme_{name}")


def rows(bot: Bot) -> tuple[int, int]:
    """Count what the database knows of incidents and alerts."""
    with sqlite3.connect(bot.site / "state" / "holdfast.db") as connection:
        found = connection.execute(
            "select (select count(*) from incidents), (select count(*) from alerts)"
        ).fetchone()
    connection.close()
    return found[0], found[1]


def error(answer: httpx.Response, status: int) -> dict[str, str]:
    """Return the one clear error of an answer."""
    assert answer.status_code == status, answer.text
    found: dict[str, str] = answer.json()["error"]
    assert {"what", "where", "next"} <= set(found)
    assert found["what"]
    assert found["next"]
    return found


def alive(bot: Bot) -> None:
    assert HTTP.get(f"{bot.url}/healthz", timeout=30).json()["ok"] is True


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    """Return a bot whose fleet is down but for one host, and four runbooks of which three are no good."""
    found = Bot(tmp_path_factory.mktemp("intake") / "site", retry={"first": "5m", "max": "5m"})
    (found.site / "inventory.ini").write_text(HOSTS)
    books = found.site / "runbooks" / "acme"
    books.mkdir()
    (books / "good.yml").write_text(runbook("poll"))
    (books / "typo.yml").write_text(runbook("typo", key="mitigaton"))
    (books / "gone.yml").write_text(runbook("gone", playbook="nowhere.yml"))
    (books / "stuck.yml").write_text(runbook("stuck", rollback="nowhere.yml"))
    with found:
        yield found


FIRING = {"status": "firing", "labels": {"alertname": "X"}, "annotations": {}}
MALFORMED = {
    "not JSON": b"BUG: kernel NULL pointer dereference",
    "nothing": b"",
    "half of it": b'{"version": "4", "alerts": [{"status": "fir',
    "no UTF-8": b'{"version": "4", "alerts": "\xff\xfe"}',
    "a list": b"[]",
    "null": b"null",
    "no version": json.dumps({"alerts": [FIRING]}).encode(),
    "another version": json.dumps({"version": "5", "alerts": [FIRING]}).encode(),
    "a version that is a number": json.dumps({"version": 4, "alerts": [FIRING]}).encode(),
    "no alerts": json.dumps({"version": "4"}).encode(),
    "empty alerts": json.dumps({"version": "4", "alerts": []}).encode(),
    "alerts that are a text": json.dumps({"version": "4", "alerts": "all"}).encode(),
    "an alert that is a text": json.dumps({"version": "4", "alerts": ["web-01"]}).encode(),
    "an unknown status": json.dumps(
        {"version": "4", "alerts": [FIRING, {**FIRING, "status": "burning"}]}
    ).encode(),
    "labels that are a list": json.dumps(
        {"version": "4", "alerts": [{**FIRING, "labels": ["host"]}]}
    ).encode(),
    "an annotation that is a number": json.dumps(
        {"version": "4", "alerts": [{**FIRING, "annotations": {"console": 5}}]}
    ).encode(),
    "half a surrogate pair": b'{"version": "4", "alerts": [{"status": "\\ud800"}]}',
    "depth without end": b'{"version": "4", "alerts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_webhook_that_cannot_be_read_is_refused_whole(bot: Bot, body: bytes):
    before = rows(bot)
    answer = HTTP.post(f"{bot.url}/intake/alertmanager", content=body, timeout=60)
    found = error(answer, 400)
    assert "nothing was recorded" in found["next"]
    assert rows(bot) == before
    alive(bot)


def test_the_error_names_the_very_alert_that_is_wrong(bot: Bot):
    body = MALFORMED["an unknown status"]
    found = error(HTTP.post(f"{bot.url}/intake/alertmanager", content=body), 400)
    assert found["where"] == "alerts.1.status"


@pytest.mark.parametrize("route", ["/intake/alertmanager", "/intake/text", "/api/commands"])
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(bot: Bot, route: str):
    before = rows(bot)
    host, _, port = bot.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        head = f"POST {route} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
        sock.sendall(head.encode())
        answer = sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert rows(bot) == before
    alive(bot)


@pytest.mark.parametrize("route", ["/intake/alertmanager", "/intake/text", "/api/commands"])
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_is_refused_also_when_it_comes_in_chunks(
    bot: Bot, route: str, declared: bool
):
    before = rows(bot)
    block = console("large").encode().ljust(65_536)
    whole = block * (LIMIT // len(block)) + b"x"
    chunks = (whole[i : i + 65_536] for i in range(0, len(whole), 65_536))
    answer = HTTP.post(f"{bot.url}{route}", content=whole if declared else chunks, timeout=60)
    found = error(answer, 413)
    assert found["where"] == route
    assert rows(bot) == before
    alive(bot)


def test_a_body_of_exactly_the_limit_is_taken(bot: Bot):
    body = console("limit").encode().ljust(LIMIT)
    answer = HTTP.post(f"{bot.url}/intake/text?host=web-01", content=body, timeout=60)
    assert answer.status_code == 202
    assert len(answer.json()["incidents"]) == 1


def test_a_text_without_anything_in_it_is_refused(bot: Bot):
    error(HTTP.post(f"{bot.url}/intake/text", content=b" \n"), 400)
    quiet = bot.cli("intake", "--host", "web-01", "/dev/null")
    assert quiet.returncode == 2
    assert "there is no text" in quiet.stderr


def test_bytes_that_are_no_text_are_taken_as_far_as_they_can_be_shown(bot: Bot):
    body = console("bytes").encode() + b"\x00\xff\xfe\x1b[31m\r\n"
    answer = HTTP.post(f"{bot.url}/intake/text?host=web%00-01", content=body, timeout=60)
    assert answer.status_code == 202, answer.text
    (incident,) = answer.json()["incidents"]
    assert bot.status(incident)["signature"]["function"] == "acme_bytes"


def test_labels_with_a_null_character_are_one_clear_answer(bot: Bot):
    alert = oops.crashed("web-01", console("null"), START + "\x00")
    alert["labels"]["odd"] = "a\x00b"
    answer = bot.post(alert)
    assert answer.status_code in {202, 400}, answer.text
    if answer.status_code == 400:
        error(answer, 400)
    alive(bot)


@pytest.mark.parametrize("path", ["/nowhere", "/intake", "/incidents/INC-999", "/incidents/x/y/z"])
def test_an_unknown_route_or_incident_is_404_with_what_to_do(bot: Bot, path: str):
    error(HTTP.get(f"{bot.url}{path}"), 404)


def test_a_wrong_method_is_405_with_what_to_do(bot: Bot):
    error(HTTP.get(f"{bot.url}/intake/alertmanager"), 405)


@pytest.mark.parametrize(
    "body",
    [
        b"status",
        b"[]",
        b"{}",
        b'{"line": 5}',
        b'{"words": ["status", 5]}',
        b'{"words": "status"}',
        b"[" * 200_000,
        b'{"line": "note INC-1 \\ud800"}',
    ],
)
def test_a_command_that_cannot_be_read_is_one_clear_error(bot: Bot, body: bytes):
    answer = HTTP.post(f"{bot.url}/api/commands", content=body, timeout=60)
    assert answer.status_code in {400, 403}, answer.text
    error(answer, answer.status_code)
    alive(bot)


ERRORS: list[tuple[str, str, int, str, str]] = [
    ("approv P-1", "", 2, "unknown command 'approv'", "did you mean 'approve'?"),
    ("note INC-1 x", "hf_wrong", 1, "this token is not known", "token create YOU"),
    ("note INC-1 x", "", 1, "note needs to know who you are", "HOLDFAST_TOKEN"),
    ("status INC-999", "", 1, "INC-999", "incidents"),
    ("details P-999", "", 1, "there is no proposal P-999", "status"),
    ("approve INC-1", "dana", 2, "approve takes a proposal (P-1), not INC-1", "approve"),
    ("approve P-999", "dana", 1, "there is no proposal P-999", "status"),
    ("propose INC-1 acme-pol", "dana", 1, "there is no runbook 'acme-pol'", "runbook list"),
    ("status INC-1 --colour", "", 2, "status has no option --colour", "status [INC-1]"),
    ("severity INC-1 sev9", "sam", 2, "'sev9' is no severity", "sev1"),
    ("note INC-999 x", "sam", 1, "INC-999", "incidents"),
    ("note INC-1", "sam", 2, "note needs TEXT", "usage: note [INC-1] TEXT"),
    ("assign INC-1 commander mallory", "sam", 2, "unknown person 'mallory'", "people"),
    ("hosts INC-1 burnt", "", 2, "'burnt' is no outcome", "owed"),
]


@pytest.mark.parametrize(("line", "who", "code", "what", "hint"), ERRORS)
def test_every_wrong_command_is_one_clear_error_with_what_next(
    bot: Bot, line: str, who: str, code: int, what: str, hint: str
):
    bot.post(oops.crashed("web-01", console("first"), START))
    token = bot.tokens(who)[who] if who in PEOPLE else who
    with bot.client(token) as client, pytest.raises(HoldfastError) as said:
        client.line(line)
    assert said.value.exit_code == code
    assert what in said.value.what
    assert hint in said.value.next


def test_a_token_is_made_only_for_a_person_of_the_configuration(bot: Bot):
    answer = bot.cli("token", "create", "mallory")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "unknown user 'mallory'. Next: add them under 'people'" in answer.stderr
    assert "alex, dana, sam" in answer.stderr


def test_a_runbook_that_cannot_be_read_is_left_out_loudly_and_the_others_work(bot: Bot):
    hint = "unknown key 'mitigaton', did you mean 'mitigations'?"
    assert f"typo.yml:10: {hint}" in (bot.site / "serve.log").read_text()
    warnings = HTTP.get(f"{bot.url}/healthz").json()["warnings"]["runbooks"]
    assert [w for w in warnings if hint in w]
    (incident,) = bot.post(oops.crashed("web-01", console("typo"), START)).json()["incidents"]
    wait_for(lambda: bot.status(incident)["runbook"] is not None, 20)
    known = [one["runbook"] for one in bot.status(incident)["runbook"]["candidates"]]
    assert known == ["unknown-panic"]  # which is shipped, and of any panic
    linted = bot.cli("runbook", "lint", str(bot.site / "runbooks"))
    assert linted.returncode == 1
    assert hint in linted.stdout
    assert "there is no playbook 'nowhere.yml'" in linted.stdout


def test_a_playbook_that_is_missing_means_no_proposal(bot: Bot):
    (incident,) = bot.post(oops.crashed("local-01", console("gone"), START)).json()["incidents"]
    wait_for(lambda: "proposal.failed" in bot.log(incident), 60, lambda: bot.log(incident))
    assert bot.status(incident)["proposals"] == []
    assert "No proposal" in bot.cli("status", incident).stdout
    alive(bot)


def test_a_playbook_that_is_missing_is_named(bot: Bot):
    again = oops.crashed("local-01", console("gone"), "2026-01-03T00:00:00Z")
    (incident,) = bot.post(again).json()["incidents"]
    wait_for(lambda: "proposal.failed" in bot.log(incident), 60, lambda: bot.log(incident))
    assert "nowhere.yml" in bot.log(incident)


def test_a_rollback_playbook_that_is_missing_is_found_before_anybody_can_approve(bot: Bot):
    (incident,) = bot.post(oops.crashed("local-01", console("stuck"), START)).json()["incidents"]
    wait_for(
        lambda: "proposal.failed" in bot.log(incident) or bool(bot.status(incident)["proposals"]),
        60,
        lambda: bot.log(incident),
    )
    assert bot.status(incident)["proposals"] == []
    assert "nowhere.yml" in bot.log(incident)


def test_a_fleet_that_does_not_answer_gets_no_proposal_and_the_next_alert_is_taken(bot: Bot):
    (incident,) = bot.post(oops.crashed("web-01", console("poll"), START)).json()["incidents"]
    wait_for(lambda: "1 unreachable" in bot.log(incident), 60, lambda: bot.log(incident))
    assert bot.status(incident)["proposals"] == []
    assert "no host has this knob" not in bot.log(incident)
    assert bot.post(oops.crashed("web-02", console("poll"), START)).status_code == 202
    alive(bot)


def test_a_fleet_that_does_not_answer_is_said_where_people_look(bot: Bot):
    (incident,) = bot.post(oops.crashed("web-01", console("poll"), "2026-01-02T00:00:00Z")).json()[
        "incidents"
    ]
    wait_for(lambda: "1 unreachable" in bot.log(incident), 60, lambda: bot.log(incident))
    said = bot.cli("status", incident).stdout
    assert "unreachable" in said or "not answer" in said


def test_alerts_that_the_sender_left_out_are_noted(bot: Bot):
    hook = {**oops.webhook(oops.crashed("web-01", console("cut"), START)), "truncatedAlerts": 7}
    answer = HTTP.post(f"{bot.url}/intake/alertmanager", json=hook)
    (incident,) = answer.json()["incidents"]
    assert sum(e["data"].get("cut", 0) for e in bot.timeline(incident)) == 7


def test_a_duplicate_is_counted_and_changes_nothing(bot: Bot):
    alert = oops.crashed("web-01", console("twice"), START)
    first = bot.post(alert, alert).json()
    assert (first["accepted"], first["duplicate"]) == (1, 1)
    (incident,) = first["incidents"]
    again = bot.post(alert).json()
    assert again == {"accepted": 0, "duplicate": 1, "incidents": [incident]}
    assert bot.status(incident)["cascade"]["crashes"] == 1


def test_alerts_of_one_name_that_fire_again_are_a_crash_of_their_own(bot: Bot):
    bot.post(oops.crashed("web-01", console("again"), START))
    answer = bot.post(oops.crashed("web-01", console("again"), "2026-01-01T00:05:00Z")).json()
    (incident,) = answer["incidents"]
    cascade = bot.status(incident)["cascade"]
    assert (cascade["crashes"], cascade["crashed"], cascade["repeat"]) == (2, 1, ["web-01"])


def test_two_hundred_posts_at_once_are_each_counted_exactly_once(bot: Bot):
    text = console("storm")
    alerts = [oops.crashed(f"node-{n:03d}", text, START) for n in range(100)]
    before = rows(bot)
    with ThreadPoolExecutor(20) as pool, httpx.Client(verify=False, timeout=240) as http:

        def post(alert: dict[str, Any]) -> dict[str, Any]:
            route = f"{bot.url}/intake/alertmanager"
            answer = http.post(route, json=oops.webhook(alert))
            assert answer.status_code == 202, answer.text
            found: dict[str, Any] = answer.json()
            return found

        answers = list(pool.map(post, random.Random(5).sample(alerts * 2, 200)))
    assert sum(a["accepted"] for a in answers) == sum(a["duplicate"] for a in answers) == 100
    (incident,) = {name for a in answers for name in a["incidents"]}
    cascade = bot.status(incident)["cascade"]
    assert cascade["crashes"] == cascade["crashed"] == cascade["crashed_10m"] == 100
    assert cascade["unknown_hosts"] == [f"node-{n:03d}" for n in range(100)]
    assert rows(bot) == (before[0] + 1, before[1] + 100)
    assert bot.cli("timeline", "verify", incident).returncode == 0


def test_the_count_of_alerts_left_out_is_kept_also_when_the_first_of_them_is_known(bot: Bot):
    first = oops.crashed("web-01", console("cut_again"), START)
    bot.post(first)
    second = oops.crashed("web-02", console("cut_again"), START)
    hook = {**oops.webhook(first, second), "truncatedAlerts": 7}
    answer = HTTP.post(f"{bot.url}/intake/alertmanager", json=hook)
    (incident,) = answer.json()["incidents"]
    assert sum(e["data"].get("cut", 0) for e in bot.timeline(incident)) == 7


def test_what_was_accepted_survives_a_sigkill_at_that_very_moment(tmp_path: Path):
    bot = Bot(tmp_path / "site")
    bot.start()
    try:
        for number in range(KILLS):
            alert = oops.crashed(f"web-{number:02d}", console("kill"), START)
            assert bot.post(alert).status_code == 202
            bot.kill()
            bot.start()
            again = bot.post(alert).json()
            assert again == {"accepted": 0, "duplicate": 1, "incidents": ["INC-1"]}
        crashed = [e["data"]["host"] for e in bot.timeline() if e["kind"] == "alert.received"]
        assert crashed == [f"web-{n:02d}" for n in range(KILLS)]
        assert bot.cli("timeline", "verify", "INC-1").returncode == 0
    finally:
        bot.stop()


def test_an_inventory_that_cannot_be_read_is_one_clear_error_until_it_is_mended(tmp_path: Path):
    bot = Bot(tmp_path / "site")
    token = bot.tokens("sam")["sam"]
    source = bot.site / "inventory.ini"
    (bot.site / "runbooks" / "good.yml").write_text(runbook("poll"))

    def failures() -> list[str]:
        return [e["text"] for e in bot.timeline() if e["kind"] == "proposal.failed"]

    with bot:
        bot.post(oops.crashed("web-01", console("poll"), START))
        wait_for(lambda: len(failures()) == 1, 20, bot.log)
        assert f"{source}: there is no inventory. Next: set fleet.inventory" in failures()[0]
        said = bot.cli("status", "INC-1").stdout
        assert "there is no inventory" in said
        assert "propose INC-1" in said
        assert "there is no inventory" in HTTP.get(f"{bot.url}/healthz").text

        source.write_text("#!/bin/sh\necho the cloud is away >&2\nexit 3\n")
        source.chmod(source.stat().st_mode | stat.S_IXUSR)
        assert bot.cli("propose", "INC-1", token=token).returncode == 0
        wait_for(lambda: len(failures()) == 2, 30, bot.log)
        assert "ansible-inventory cannot read it" in failures()[1]
        alive(bot)
        answer = bot.post(oops.crashed("web-02", console("poll"), START))
        assert (answer.status_code, answer.json()["incidents"]) == (202, ["INC-1"])

        source.chmod(0o600)
        source.write_text("[web]\n-oProxyCommand=true\nweb-01\n")
        assert bot.cli("propose", "INC-1", token=token).returncode == 0
        wait_for(lambda: len(failures()) == 3, 30, bot.log)
        assert "host names that cannot be used: ['-oProxyCommand" in failures()[2]
    assert "Traceback" not in (bot.site / "serve.log").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"overrides": {"tcp-sack-panic": {"disable-sack": {"vale": "0"}}}},
            "overrides: unknown variable 'tcp-sack-panic.disable-sack.vale', did you mean",
        ),
        (
            {"fleet": {"inventroy": "x"}, "approval": {}, "hold": {"interval": "soon"}},
            "unknown key 'fleet.inventroy', did you mean 'inventory'?",
        ),
    ],
)
def test_a_bad_configuration_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], said: str
):
    answer = Bot(tmp_path / "site", **change).cli("serve", "--listen", "127.0.0.1:0")
    assert answer.returncode == 2
    assert said in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert answer.stdout == ""
