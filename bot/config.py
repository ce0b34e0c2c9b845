"""The site's configuration: ``holdfast.yml``, read strictly, all errors at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bot.approval.policy import Person
from bot.errors import BadInputError
from bot.runbook.pattern import check_pattern

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: object) -> float:
    """Read ``30s``, ``5m``, ``2h`` or a plain number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write 30s, 5m or 2h")
    return float(match[1]) * _UNITS[match[2]]


Duration = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=366 * 86400)]


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
    environment: list[Annotated[str, AfterValidator(_shareable)]] = Field(default_factory=list)


class ApprovalPart(_Part):
    """Site-wide floor for approvals, and how long a proposal waits for them."""

    required: int = Field(default=1, ge=1)
    expiry: Duration = 1800.0


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
        """Everybody by stable id."""
        return {
            key: Person(id=key, name=part.name or key, roles=frozenset(part.roles))
            for key, part in self.people.items()
        }


def find(explicit: str | None) -> Path:
    """Return the configuration file: ``--config``, ``HOLDFAST_CONFIG``, else ``./holdfast.yml``."""
    return Path(explicit or os.environ.get("HOLDFAST_CONFIG") or "holdfast.yml")


def load(file: Path, env: Mapping[str, str] | None = None) -> Config:
    """Read and check the configuration; raise one ``BadInputError`` with every problem."""
    env = os.environ if env is None else env
    try:
        raw = yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        raise BadInputError(
            "there is no configuration file",
            where=str(file),
            next="run 'holdfast init DIR', or name one with --config or HOLDFAST_CONFIG",
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInputError(
            f"the configuration cannot be read: {' '.join(str(error).split())}",
            where=str(file),
            next="mend the file",
        ) from error
    if not isinstance(raw, dict):
        raise BadInputError("the configuration must be a mapping", where=str(file), next="see docs")
    if own := sorted({"base", "file"} & raw.keys()):
        raise BadInputError(f"unknown key '{own[0]}'", where=str(file), next="take it out")
    try:
        config = Config.model_validate({**raw, "base": file.resolve().parent, "file": file})
    except ValidationError as error:
        raise BadInputError(
            "; ".join(_problem(e) for e in error.errors()),
            where=str(file),
            next="mend the named keys and start again",
        ) from None
    return _from_environment(config, env)


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


def _problem(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{place}: {error['msg']}"
    known = _known(error["loc"][:-1])
    close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
    hint = f", did you mean '{close[0]}'?" if close else ""
    return f"unknown key '{place}'{hint}"


def _known(path: tuple[Any, ...]) -> list[str]:
    model: Any = Config
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field is not None else PersonPart
    return [name for name in getattr(model, "model_fields", {}) if name not in {"base", "file"}]
