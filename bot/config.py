"""The site's configuration: ``holdfast.yml``, read strictly, all errors at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bot.approval.policy import Person
from bot.approval.roles import ROLES
from bot.approval.settings import ApprovalPart, RolesPart
from bot.duration import Duration, seconds
from bot.errors import BadInputError
from bot.runbook.marks import Marked, MarkedError
from bot.runbook.marks import read as read_yaml
from bot.runbook.pattern import check_pattern

__all__ = ["Config", "Duration", "PersonPart", "find", "load", "seconds"]

OURS = ("HOLDFAST_", "SLACK_", "PG")
"""Beginnings of the environment variables that are the bot's own and never leave it."""


def _shareable(name: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
        raise ValueError(f"{name!r} is no name of an environment variable")
    if name.startswith((*OURS, "ANSIBLE_")):
        raise ValueError(f"{name} is not for playbooks: name no {', '.join(OURS)} or ANSIBLE_ here")
    return name


def _redaction(pattern: str) -> str:
    try:
        return check_pattern(pattern)
    except ValueError as error:
        raise ValueError(f"{pattern!r} {error}") from None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabasePart(_Part):
    """Where events live."""

    url: str = "sqlite:///state/holdfast.db"


class FleetPart(_Part):
    """Which hosts there are and how Ansible reaches them."""

    inventory: str = "inventory"
    targets: str = "all"
    pools: list[str] = Field(default_factory=list)
    aliases: dict[str, str] = Field(default_factory=dict)
    forks: int = Field(default=50, ge=1, le=500)
    connect_timeout: int = Field(default=5, ge=1, le=120)
    ssh_options: list[str] = Field(
        default_factory=lambda: [
            "ControlMaster=no",
            "ServerAliveInterval=2",
            "ServerAliveCountMax=3",
            "KexAlgorithms=curve25519-sha256,ecdh-sha2-nistp256,"
            "diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256",
        ]
    )
    run_timeout: Duration = 600.0
    ansible_cfg: str | None = None
    vault_password_file: str | None = None
    ignore_variables: list[str] = Field(default_factory=list)
    environment: list[Annotated[str, AfterValidator(_shareable)]] = Field(default_factory=list)


class RetryPart(_Part):
    """Back-off for hosts that are owed the value."""

    first: Duration = 5.0
    max: Duration = 300.0


def _server(value: str | None) -> str | None:
    """Take the URL of a server; it enters proposals, so it may hold no password."""
    if value is None or re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", value):
        return value and value.rstrip("/")
    raise ValueError(
        f"{value!r} is no plain URL such as http://prometheus:9090, without a password"
    )


class GatePart(_Part):
    """What the gates of rollouts may ask."""

    prometheus_url: Annotated[str | None, AfterValidator(_server)] = None


class HoldPart(_Part):
    """Overrides every runbook's check interval, where the site wants another."""

    interval: Duration | None = None


class IntakePart(_Part):
    """The HTTP door for alerts."""

    token: str | None = None
    host_labels: list[str] = Field(
        default_factory=lambda: ["host", "hostname", "nodename", "node", "instance"]
    )


class PersonPart(_Part):
    """One person. The key in ``people`` is the stable id."""

    name: str = ""
    roles: list[Literal["responder", "approver", "commander"]] = Field(default_factory=list)
    slack: str | None = None


class SlackPart(_Part):
    """Slack through Socket Mode (``app_token``) or signed HTTP (``signing_secret``).

    The three secrets may come from SLACK_BOT_TOKEN, SLACK_APP_TOKEN and SLACK_SIGNING_SECRET.
    """

    bot_token: str | None = None
    app_token: str | None = None
    signing_secret: str | None = None
    api_url: str = "https://slack.com/api/"
    channel: str | None = None
    alert_channels: list[str] = Field(default_factory=list)
    alert_bots: list[str] = Field(default_factory=list)
    replay: Duration = 86400.0
    own_channels: bool = False
    channel_prefix: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,20}$")] = "inc"
    invite: list[str] = Field(default_factory=list)
    status_every: Duration = 1800.0
    pin_emoji: Annotated[str, Field(pattern=r"^[a-z0-9_+'-]{1,100}$")] = "pushpin"
    typed_above: int = Field(default=100, ge=0)


class Config(_Part):
    """All of ``holdfast.yml``. Relative paths are relative to the file's directory."""

    database: DatabasePart = DatabasePart()
    state: str = "state"
    runbooks: str = "runbooks"
    playbooks: str = "playbooks"
    overrides: dict[str, dict[str, dict[str, str | int | bool]]] = Field(default_factory=dict)
    fleet: FleetPart = FleetPart()
    people: dict[str, PersonPart] = Field(default_factory=dict)
    roles: RolesPart = RolesPart()
    approvals: ApprovalPart = ApprovalPart()
    retry: RetryPart = RetryPart()
    gate: GatePart = GatePart()
    hold: HoldPart = HoldPart()
    intake: IntakePart = IntakePart()
    slack: SlackPart = SlackPart()
    redact: list[Annotated[str, AfterValidator(_redaction)]] = Field(default_factory=list)
    url: str = "http://127.0.0.1:8420"
    base: Path = Field(default=Path(), exclude=True)
    file: Path = Field(default=Path("holdfast.yml"), exclude=True)

    def path(self, name: str) -> Path:
        """Resolve a configured path against the configuration file's directory."""
        return (self.base / Path(name).expanduser()).resolve()

    @property
    def state_dir(self) -> Path:
        """Where pinned playbooks, run directories and the timeline key live."""
        return self.path(self.state)

    @property
    def persons(self) -> Mapping[str, Person]:
        """Everybody by stable id, with the roles that this file gives."""
        return {
            key: Person(
                id=key,
                name=part.name or key,
                roles=frozenset(part.roles)
                | {role for role in ROLES if key in getattr(self.roles, role).people},
            )
            for key, part in self.people.items()
        }

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The Slack user groups whose members have a role, by role."""
        found = {role: tuple(getattr(self.roles, role).slack_groups) for role in ROLES}
        return {role: groups for role, groups in found.items() if groups}


def find(explicit: str | None) -> Path:
    """Return the configuration file: ``--config``, ``HOLDFAST_CONFIG``, else ``./holdfast.yml``."""
    return Path(explicit or os.environ.get("HOLDFAST_CONFIG") or "holdfast.yml")


def load(file: Path, env: Mapping[str, str] | None = None) -> Config:
    """Read and check the configuration; raise one ``BadInputError`` with every problem."""
    env = os.environ if env is None else env
    marked = _read(file)
    found = [(error.line, error.what) for error in marked.problems]
    config: Config | None = None
    try:
        config = Config.model_validate({**marked.data, "base": file.resolve().parent, "file": file})
    except ValidationError as error:
        found += [(_line(marked, one["loc"]), _problem(one)) for one in error.errors()]
    if config is not None:
        found += [(_line(marked, path), what) for path, what in _unknown_people(config)]
    if config is None or found:
        first, *more = sorted(found)
        raise BadInputError(
            "; ".join([first[1], *(f"line {line}: {what}" for line, what in more)]),
            where=f"{file}:{first[0]}",
            next="mend the named keys and start again",
        )
    return _from_environment(config, env)


def _read(file: Path) -> Marked:
    """Return the file's mapping with its lines."""
    try:
        text = file.read_text()
        marked = read_yaml(text) if _says_something(text) else Marked(data={}, lines={})
    except FileNotFoundError:
        raise BadInputError(
            "there is no configuration file",
            where=str(file),
            next="run 'holdfast init DIR', or name one with --config or HOLDFAST_CONFIG",
        ) from None
    except (OSError, UnicodeDecodeError, MarkedError) as error:
        line = f":{error.line}" if isinstance(error, MarkedError) else ""
        raise BadInputError(
            f"the configuration cannot be read: {' '.join(str(error).split())}",
            where=f"{file}{line}",
            next="mend the file",
        ) from error
    if marked.data is None:
        return Marked(data={}, lines={})
    if not isinstance(marked.data, dict):
        raise BadInputError("the configuration must be a mapping", where=str(file), next="see docs")
    if own := sorted({"base", "file"} & marked.data.keys()):
        raise BadInputError(
            f"unknown key '{own[0]}'",
            where=f"{file}:{marked.line((own[0],))}",
            next="take it out",
        )
    return marked


def _says_something(text: str) -> bool:
    """Say whether there is more in the file than comments."""
    return any(
        line.strip() not in {"", "---"} for line in re.sub(r"(?m)#.*$", "", text).split("\n")
    )


def _line(marked: Marked, loc: tuple[Any, ...]) -> int:
    """Return the line of the deepest part of a location that is in the file."""
    return marked.line(tuple(part for part in loc if isinstance(part, str | int)))


def _unknown_people(config: Config) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield what names a person who is nobody, and Slack ids that two people share."""
    named: list[tuple[tuple[Any, ...], str]] = [
        (("roles", role, "people", at), name)
        for role in ROLES
        for at, name in enumerate(getattr(config.roles, role).people)
    ]
    named += [
        (("approvals", "rules", number, "people", at), name)
        for number, rule in enumerate(config.approvals.rules)
        for at, name in enumerate(rule.people)
    ]
    for path, name in named:
        if name not in config.people:
            close = difflib.get_close_matches(name, config.people, n=1)
            hint = f", did you mean '{close[0]}'?" if close else "; add them under 'people'"
            yield path, f"{_place(path)}: there is no person '{name}'{hint}"
    taken: dict[str, str] = {}
    for key, part in config.people.items():
        if part.slack and (other := taken.setdefault(part.slack, key)) != key:
            yield (
                ("people", key, "slack"),
                f"people.{key}.slack: {part.slack} is {other}'s already: one Slack user, one person",
            )


def _from_environment(config: Config, env: Mapping[str, str]) -> Config:
    """Let the environment override where a secret or a deployment says so."""
    database, slack = config.database, config.slack
    if url := env.get("HOLDFAST_DATABASE_URL"):
        database = database.model_copy(update={"url": url})
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"):
        if env.get(name):
            field = name.removeprefix("SLACK_").lower()
            slack = slack.model_copy(update={field: env[name]})
    url = database.url
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        path = config.path(url.removeprefix("sqlite:///"))
        database = database.model_copy(update={"url": f"sqlite:///{path}"})
    named = {
        key: getattr(config.fleet, key)
        for key in ("inventory", "ansible_cfg", "vault_password_file")
    }
    paths = {key: str(config.path(name)) for key, name in named.items() if name}
    fleet = config.fleet.model_copy(update=paths)
    return config.model_copy(update={"database": database, "slack": slack, "fleet": fleet})


def _place(loc: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in loc)


def _problem(error: Any) -> str:
    place = _place(error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{place}: {error['msg'].removeprefix('Value error, ')}"
    known = _known(error["loc"][:-1])
    close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
    hint = f", did you mean '{close[0]}'?" if close else ""
    return f"unknown key '{place}'{hint}"


def _known(path: tuple[Any, ...]) -> list[str]:
    """Return the keys that the part at a path has."""
    model: Any = Config
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        if field is not None:
            model = field.annotation
        while get_args(model):  # of a list or a mapping: what it holds
            model = get_args(model)[-1]
    fields = getattr(model, "model_fields", {})
    names = [field.alias or name for name, field in fields.items()]
    return [name for name in names if name not in {"base", "file"}]
