"""The configuration: read strictly, everything said at once."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import Config, find, load, seconds
from bot.errors import BadInputError
from bot.layout import CONFIG


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "holdfast.yml"


def refusal(file: Path, text: str | bytes) -> str:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInputError) as said:
        load(file, {})
    assert said.value.where.partition(":")[0] == str(file)
    assert said.value.next
    assert said.value.exit_code == 2
    return said.value.what


def test_an_empty_file_is_all_defaults(file: Path):
    file.write_text("")
    config = load(file, {})
    assert config.approvals.required == 1
    assert config.fleet.ssh_options[1:3] == ["ServerAliveInterval=2", "ServerAliveCountMax=3"]
    assert config.fleet.ssh_options[3].startswith("KexAlgorithms=curve25519-sha256,")
    assert config.intake.host_labels == ["host", "hostname", "nodename", "node", "instance"]


def test_the_file_that_init_writes_can_be_read(file: Path):
    file.write_text(CONFIG)
    config = load(file, {})
    assert set(config.persons) == {"alice", "bob"}
    assert config.persons["alice"].roles == {"commander"}


def test_paths_start_at_the_files_directory(file: Path):
    file.write_text("state: var\nrunbooks: /etc/books\n")
    config = load(file, {})
    assert config.state_dir == file.parent / "var"
    assert config.path(config.runbooks) == Path("/etc/books")
    assert config.database.url == f"sqlite:///{file.parent}/state/holdfast.db"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("peple: {}", "unknown key 'peple', did you mean 'people'?"),
        ("fleet: {inventroy: x}", "unknown key 'fleet.inventroy', did you mean 'inventory'?"),
        ("people: {a: {role: []}}", "unknown key 'people.a.role', did you mean 'roles'?"),
        ("hold: {intervl: 3s}", "unknown key 'hold.intervl', did you mean 'interval'?"),
        ("gate: {prometheus_url: prometheus:9090}", "is no plain URL such as http://"),
        ("gate: {prometheus_url: 'http://me:secret@p:9090'}", "without a password"),
        ("xyzzy: 1", "unknown key 'xyzzy'"),
        ("fleet: {forks: 0}", "fleet.forks: "),
        ("fleet: {forks: many}", "fleet.forks: "),
        ("approvals: {required: 0}", "approvals.required: "),
        ("approvals: {expiry: soon}", "'soon' is not a duration; write 30s, 5m or 2h"),
        ("approvals: {expiry: -5}", "approvals.expiry: "),
        ("approvals: {expiry: .inf}", "approvals.expiry: "),
        ("approvals: {expiry: .nan}", "approvals.expiry: "),
        ("people: {a: {roles: [king]}}", "people.a.roles.0: "),
        ("people: [a]", "people: "),
        ("overrides: {book: {do: {key: [1]}}}", "overrides.book.do.key"),
        ("- a", "the configuration must be a mapping"),
        ("state: 'never closed", "the configuration cannot be read: "),
        ("state: !!python/object/apply:os.system [true]", "the configuration cannot be read: "),
        (b"state: \xff\xfe", "the configuration cannot be read: "),
    ],
)
def test_what_is_wrong_is_named(file: Path, text: str | bytes, said: str):
    assert said in refusal(file, text)


def test_the_bots_own_fields_cannot_be_set_from_the_file(file: Path):
    assert "unknown key 'base'" in refusal(file, "base: /\nfile: x\n")


def test_every_problem_is_said_at_once(file: Path):
    said = refusal(file, "peple: {}\nfleet: {inventroy: x, forks: 0}\nhold: {interval: soon}\n")
    for part in ("peple", "inventroy", "forks", "soon"):
        assert part in said


def test_a_problem_is_one_line(file: Path):
    assert "\n" not in refusal(file, "state: 'never closed\nfleet: {\n")


def test_a_file_that_is_not_there_leads_to_init(file: Path):
    with pytest.raises(BadInputError) as said:
        load(file, {})
    assert said.value.what == "there is no configuration file"
    assert "holdfast init DIR" in said.value.next


def test_a_directory_is_no_configuration(tmp_path: Path):
    with pytest.raises(BadInputError, match="cannot be read"):
        load(tmp_path, {})


def test_the_environment_overrides_what_is_secret(file: Path):
    file.write_text("database: {url: 'sqlite:///a.db'}\nslack: {bot_token: from-file}\n")
    env = {"HOLDFAST_DATABASE_URL": "postgresql://u:p@db/x", "SLACK_BOT_TOKEN": "xoxb"}
    config = load(file, env)
    assert config.database.url == "postgresql://u:p@db/x"
    assert (config.slack.bot_token, config.slack.app_token) == ("xoxb", None)
    assert load(file, {"SLACK_BOT_TOKEN": ""}).slack.bot_token == "from-file"


def test_an_absolute_database_path_stays(file: Path):
    file.write_text("database: {url: 'sqlite:////var/lib/h.db'}\n")
    assert load(file, {}).database.url == "sqlite:////var/lib/h.db"


def test_the_file_is_named_by_option_then_environment_then_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HOLDFAST_CONFIG", raising=False)
    assert find(None) == Path("holdfast.yml")
    monkeypatch.setenv("HOLDFAST_CONFIG", "/etc/h.yml")
    assert find(None) == Path("/etc/h.yml")
    assert find("./mine.yml") == Path("mine.yml")


def test_a_person_without_a_name_goes_by_the_id(file: Path):
    file.write_text("people: {dana: {roles: [responder]}}\n")
    assert load(file, {}).persons["dana"].name == "dana"


@pytest.mark.parametrize(
    ("text", "value"),
    [("250ms", 0.25), ("30s", 30), (" 5m ", 300), ("1.5h", 5400), ("2d", 172800), (7, 7)],
)
def test_durations_have_units(text: object, value: float):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "30", "-1s", "1e3s", "5 m", "5M", None, True, []])
def test_anything_else_is_no_duration(text: object):
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str):
    with contextlib.suppress(ValueError):
        assert seconds(text) >= 0


def test_every_key_of_the_configuration_has_a_default():
    Config()


def test_the_url_of_prometheus_loses_its_last_slash(file: Path):
    file.write_text("gate: {prometheus_url: 'https://metrics.example/prom/'}")
    assert load(file, {}).gate.prometheus_url == "https://metrics.example/prom"
