"""The command line, run for real: help, JSON, exit codes, sites, the wheel."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from bot.chat.grammar import VERBS
from bot.cli import COMMANDS, holdfast
from bot.demo import oops
from tests.acceptance.bot import HTTP, Bot, wait_for
from tests.machine import PATIENCE, free_port

ROOT = Path(__file__).resolve().parents[2]
CHANCE = random.Random(13)
START = "2026-01-01T00:00:00Z"
KEYS = ["id", "incident", "seq", "at", "kind", "key", "actor", "text", "data", "prev", "hash"]


def cli(
    *words: str, cwd: Path | None = None, url: str = "http://127.0.0.1:1", text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command without a configuration of its own."""
    env = {**os.environ, "HOLDFAST_URL": url, "PYTHONPATH": str(ROOT)}
    env.pop("HOLDFAST_CONFIG", None)
    return subprocess.run(
        [sys.executable, "-m", "bot", *words],
        env=env,
        cwd=cwd,
        input=text,
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
        check=False,
    )


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    """Return a bot with one incident: a crash that a runbook knows, on hosts that are down."""
    found = Bot(tmp_path_factory.mktemp("cli") / "site")
    lines = ["[web]", *(f"web-0{n} ansible_host=127.0.0.1 ansible_port=1" for n in (1, 2)), ""]
    (found.site / "inventory.ini").write_text("\n".join(lines))
    with found:
        text = oops.console(oops.SACK, "5.4.0", CHANCE)
        assert found.post(oops.crashed("web-01", text, START)).json()["incidents"] == ["INC-1"]
        wait_for(lambda: found.status()["runbook"] is not None, 20, found.log)
        yield found


def commands() -> list[list[str]]:
    """Return every command and subcommand of the program."""
    groups = {"runbook": ["lint", "test", "match", "list", "show"], "token": ["create", "revoke"]}
    groups["slack"] = ["manifest"]
    names = sorted({*COMMANDS, *VERBS})
    return [[], *([name] for name in names), *([g, s] for g, subs in groups.items() for s in subs)]


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words) or "holdfast")
def test_every_command_has_help(words: list[str]):
    answer = CliRunner().invoke(holdfast, [*words, "--help"], prog_name="holdfast")
    assert answer.exit_code == 0, answer.output
    assert f"Usage: holdfast {' '.join(words)}".strip() in answer.output
    assert len(answer.output.splitlines()) > 3


def test_help_of_the_real_program_names_every_command():
    answer = cli("--help")
    assert answer.returncode == 0
    assert {*COMMANDS, *VERBS} <= set(answer.stdout.split())
    assert cli("help").stdout == answer.stdout
    assert cli("help", "approve").stdout == cli("approve", "--help").stdout
    unknown = cli("help", "aprove")
    assert (unknown.returncode, "did you mean 'approve'?" in unknown.stderr) == (2, True)


def test_json_is_what_is_published(bot: Bot):
    asked = [
        ["status", "INC-1", "--json"],
        ["hosts", "INC-1", "--json"],
        ["incidents", "--json"],
        ["timeline", "INC-1", "--json"],
    ]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda words: bot.cli(*words), asked))
    assert [a.returncode for a in answers] == [0, 0, 0, 0]
    status, hosts, incidents = (json.loads(answer.stdout) for answer in answers[:3])
    assert status["signature"] == {"kind": "bug", "function": "tcp_shifted_skb", "module": None}
    wanted = "id state severity commander signature proposals hosts waves hold"
    assert set(wanted.split()) <= set(status)
    outcomes = "owed applied verified not_applicable failed rolled_back unknown"
    assert set(status["hosts"]) == set(outcomes.split())
    assert set(status["hold"]) >= {"state", "drift"}
    assert [row["id"] for row in incidents] == ["INC-1"]
    assert {"host", "outcome", "reason", "value", "boot_id", "at", "lane"} <= set(hosts[0])
    entries = [json.loads(line) for line in answers[3].stdout.strip().split("\n")]
    assert len(entries) >= 3
    assert all(list(entry) == KEYS for entry in entries)
    assert all(list(entry["actor"]) == ["id", "name", "via"] for entry in entries)
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert all(entry["at"].endswith("Z") for entry in entries)


def test_an_entry_is_one_json_line_whatever_its_text(bot: Bot):
    with bot.client(bot.tokens("sam")["sam"]) as client:
        client.say(["note", "INC-1", "one\u2028two\u0085three\u2029four\nfive"])
    lines = bot.cli("timeline", "INC-1", "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))


def test_a_chat_in_a_pipe_says_by_its_status_that_the_bot_is_away():
    assert cli("chat", text="status\n").returncode == 3


def test_crash_texts_and_runbooks_need_no_running_bot(tmp_path: Path):
    log = tmp_path / "console.log"
    log.write_text(oops.console(oops.SACK, "5.4.0", CHANCE))
    asked = [
        ["read", str(log), "--json"],
        ["runbook", "match", str(log), "--runbooks", str(ROOT / "runbooks"), "--json"],
        ["runbook", "list", str(ROOT / "runbooks"), "--json"],
        ["runbook", "lint", str(ROOT / "runbooks"), "--json"],
    ]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda words: cli(*words), asked))
    assert [a.returncode for a in answers] == [0, 0, 0, 0], [a.stderr for a in answers]
    reports, matched, books, problems = (json.loads(answer.stdout) for answer in answers)
    assert reports[0]["function"] == "tcp_shifted_skb"
    assert set(matched) == {"report", "matches", "near"}
    best = matched["matches"][0]
    assert best["runbook"] == "tcp-sack-panic"
    assert {"runbook", "score", "evidence"} <= set(best)
    assert all({"line", "text"} == set(line) for line in best["evidence"])
    assert all({"runbook", "clause", "why"} == set(near) for near in matched["near"])
    assert len(books) >= 15
    assert problems == []


EXITS = [
    (["read", "{console}"], 0),
    (["read", "{quiet}"], 1),
    (["runbook", "match", "{quiet}", "--json"], 1),
    (["runbook", "match", "{console}", "--label", "rack=r1"], 0),
    (["runbook", "match", "{console}", "--label", "rack"], 2),
    (["runbook", "show", "tcp-sack-panik"], 1),
    (["statsu"], 2),
    (["read", "{home}/nowhere.log"], 2),
    (["serve", "--listen", "nowhere"], 2),
    (["token", "create", "dana"], 2),
    (["timeline", "verify"], 2),
    (["slack", "manifest"], 0),
    (["status"], 3),
    (["intake", "{console}"], 3),
]


def test_exit_codes_tell_found_nothing_wrong_and_away(tmp_path: Path):
    (tmp_path / "console").write_text(oops.console(oops.SACK, "5.4.0", CHANCE))
    (tmp_path / "quiet").write_text("Jan  1 00:00:00 web-01 systemd[1]: Started.\n")
    places = {"home": tmp_path, "console": tmp_path / "console", "quiet": tmp_path / "quiet"}

    def code(words: list[str]) -> tuple[int, str, str]:
        asked = [word.format(**places) for word in words]
        answer = cli(*asked, cwd=tmp_path, text="status\n")
        return answer.returncode, answer.stdout, answer.stderr

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(code, [words for words, _ in EXITS]))
    wrong = [
        (words, wanted, answer)
        for (words, wanted), answer in zip(EXITS, answers, strict=True)
        if answer[0] != wanted or "Traceback" in answer[2]
    ]
    assert wrong == []
    said = answers[[words for words, _ in EXITS].index(["status"])][2]
    assert "the bot cannot be reached" in said
    assert "is 'holdfast serve' running? HOLDFAST_URL says where" in said
    assert len(said.splitlines()) == 1


def test_a_command_that_is_no_command_is_asked_back():
    assert "did you mean 'status'?" in cli("statsu").stderr.lower().replace('"', "'")


def test_init_lays_out_a_site_with_which_the_bot_serves(tmp_path: Path):
    site = tmp_path / "site"
    assert cli("init", str(site)).returncode == 0
    again = cli("init", str(site))
    assert again.returncode == 1
    assert "there is a configuration already" in again.stderr
    config = yaml.safe_load((site / "holdfast.yml").read_text())
    assert set(config["people"]) == {"alice", "bob"}
    port = free_port()
    env = {key: value for key, value in os.environ.items() if key != "HOLDFAST_CONFIG"}
    command = [sys.executable, "-m", "bot", "serve", "--listen", f"127.0.0.1:{port}"]
    with (site / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=site, stdout=log, stderr=log, env={**env, "PYTHONPATH": str(ROOT)}
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: HTTP.get(f"{url}/healthz").is_success, 30, (site / "log").read_text)
        assert HTTP.get(f"{url}/healthz").json()["warnings"] == {}
        token = cli("token", "create", "alice", cwd=site)
        assert token.stdout.startswith("hf_")
        bearer = {"Authorization": f"Bearer {token.stdout.strip()}"}
        asked = {"line": "who"}
        assert HTTP.post(f"{url}/api/commands", json=asked, headers=bearer).is_success
        assert cli("token", "revoke", "alice", cwd=site).stdout == "revoked: 1 token of alice\n"
        refused = HTTP.post(f"{url}/api/commands", json=asked, headers=bearer)
        assert refused.status_code == 403
        assert "this token is not known" in refused.text
        assert "no user 'nobody'" in cli("token", "revoke", "nobody", cwd=site).stderr
        assert (site / "state").stat().st_mode & 0o077 == 0
    finally:
        process.terminate()
        process.wait(timeout=60 * PATIENCE)
    assert process.returncode in {0, -15}
    assert (site / "log").read_text().count("\n") == 1


def test_chat_reads_commands_from_a_pipe(bot: Bot):
    lines = "incidents\n\nstat-us INC-1\nnote INC-1 x\nstatus INC-1\nquit\nincidents\n"
    answer = cli("chat", url=bot.url, text=lines)
    assert answer.returncode == 2  # the worst of what was said: bad input
    assert answer.stdout.count("1 incidents") == 1
    assert "unknown command 'stat-us'. Next: did you mean 'status'?" in answer.stdout
    assert "note needs to know who you are" in answer.stdout
    assert "INC-1 · open" in answer.stdout
    assert "\x1b" not in answer.stdout


def test_pasted_text_is_taken_from_a_pipe(bot: Bot):
    text = oops.console(oops.SACK, "5.4.0", CHANCE).replace("tcp_shifted_skb", "acme_paste")
    answer = cli("intake", "--host", "web-02", "--json", url=bot.url, text=text)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == {"accepted": 1, "duplicate": 0, "incidents": ["INC-2"]}
    again = cli("intake", "--host", "web-02", url=bot.url, text=text)
    assert (again.returncode, again.stdout) == (0, "0 accepted, 1 duplicate: INC-2\n")


@pytest.fixture
def copy(bot: Bot, tmp_path: Path) -> Path:
    """Return a site whose database is a copy, free to be tampered with."""
    (tmp_path / "state").mkdir()
    shutil.copy(bot.site / "holdfast.yml", tmp_path)
    shutil.copy(bot.site / "state" / "timeline.key", tmp_path / "state")
    with (
        sqlite3.connect(bot.site / "state" / "holdfast.db") as source,
        sqlite3.connect(tmp_path / "state" / "holdfast.db") as target,
    ):
        source.backup(target)
    source.close()
    target.close()
    return tmp_path


def verify(site: Path, *words: str) -> tuple[int, dict[str, Any]]:
    asked = ["--config", str(site / "holdfast.yml"), "timeline", "verify", *words, "--json"]
    answer = CliRunner().invoke(holdfast, asked, standalone_mode=False, catch_exceptions=False)
    return answer.return_value, json.loads(answer.output)


def tamper(site: Path, *statements: str) -> None:
    """Change the database behind the bot's back: first the triggers have to go."""
    with sqlite3.connect(site / "state" / "holdfast.db") as connection:
        with pytest.raises(sqlite3.Error):
            connection.execute(statements[0])
        triggers = connection.execute("select name from sqlite_master where type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"drop trigger {name}")
        for statement in statements:
            assert connection.execute(statement).rowcount > 0
    connection.close()


def test_an_untouched_timeline_is_intact_and_names_its_head(copy: Path):
    code, said = verify(copy, "INC-1")
    assert code == 0
    assert said["intact"] is True
    assert verify(copy, "INC-1", "--head", said["head"])[0] == 0
    assert verify(copy, "INC-1", "--head", said["head"][:12])[0] == 0


def test_a_changed_row_is_found(copy: Path):
    tamper(copy, "update events set kind = 'note.added' where incident = 'INC-1' and seq = 2")
    code, said = verify(copy, "INC-1")
    assert (code, said["intact"]) == (1, False)
    assert "entry 2 (note.added) was changed" in said["text"]


def test_changed_words_are_found(copy: Path):
    tamper(copy, "update payloads set body = replace(body, 'web-01', 'web-02')")
    code, said = verify(copy, "INC-1")
    assert code == 1
    assert "the content of entry 2 (alert.received) was changed" in said["text"]


def test_a_removed_row_is_found(copy: Path):
    tamper(copy, "delete from events where incident = 'INC-1' and seq = 2")
    code, said = verify(copy, "INC-1")
    assert code == 1
    assert "entry 2 is missing" in said["text"]


def test_a_cut_tail_is_found_with_a_head_that_was_noted_elsewhere(copy: Path):
    head = verify(copy, "INC-1")[1]["head"]
    last = int(head.partition(":")[0])
    tamper(copy, f"delete from events where incident = 'INC-1' and seq >= {last}")
    assert verify(copy, "INC-1")[0] == 0
    code, said = verify(copy, "INC-1", "--head", head)
    assert code == 1
    assert "its tail was cut or rewritten" in said["text"]


def test_the_wheel_holds_everything_that_a_site_needs(tmp_path: Path):
    tree = tmp_path / "tree"
    for name in ("bot", "playbooks", "runbooks"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*build, "-w", str(tmp_path), str(tree)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("holdfast-*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(unpacked)
    wanted = {
        "bot/py.typed",
        "bot/candidates/modules.yml",
        "bot/candidates/sysctls.yml",
        "bot/web/templates/incident.html",
        "bot/web/templates/index.html",
        "bot/web/templates/base.html",
        "bot/web/templates/page.css",
        "bot/store/migrations/env.py",
        "bot/store/migrations/versions/v1_first.py",
    }
    assert wanted <= names
    for kind in ("playbooks", "runbooks"):
        own = {p.relative_to(ROOT).as_posix() for p in (ROOT / kind).rglob("*") if p.is_file()}
        assert {f"bot/_bundled/{name}" for name in own} <= names
    assert "bot/_bundled/playbooks/files/sysctl.sh" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "docs/"))]

    env = {**os.environ, "PYTHONPATH": str(unpacked)}
    site = tmp_path / "site"
    made = subprocess.run(
        [sys.executable, "-P", "-m", "bot", "init", str(site)],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert (site / "playbooks" / "files" / "sysctl.sh").is_file()
    assert (site / "runbooks" / "network" / "tcp-sack-panic.yml").is_file()
