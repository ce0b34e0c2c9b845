"""Alertmanager's webhook, version 4 (https://prometheus.io/docs/alerting/latest/configuration/)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.alert.alert import Alert, Status
from bot.errors import BadInputError


class _Alert(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: Status
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    startsAt: str = ""  # noqa: N815 - the sender's field name
    fingerprint: str = ""
    generatorURL: str = ""  # noqa: N815 - the sender's field name


class _Webhook(BaseModel):
    model_config = ConfigDict(extra="ignore")

    version: str
    alerts: list[_Alert] = Field(min_length=1)
    truncatedAlerts: int = 0  # noqa: N815 - the sender's field name


def read(body: bytes, host_labels: Sequence[str]) -> list[Alert]:
    """Read a webhook body; unknown fields are ignored. Raises ``BadInputError``."""
    try:
        hook = _Webhook.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        raise BadInputError(
            f"this is not an Alertmanager webhook: {first['msg']}",
            where=place,
            next="send Alertmanager's webhook_config format, version 4; nothing was recorded",
        ) from None
    if hook.version != "4":
        raise BadInputError(
            f"webhook version {hook.version!r} is not known",
            where="version",
            next="send version 4; nothing was recorded",
        )
    return [_alert(one, host_labels, hook.truncatedAlerts) for one in hook.alerts]


def _alert(one: _Alert, host_labels: Sequence[str], cut: int) -> Alert:
    text = "\n".join(one.annotations.values())
    name = one.fingerprint or _fingerprint(one.labels)
    return Alert(
        key=f"alertmanager/{name}/{one.startsAt}/{one.status}",
        source="alertmanager",
        status=one.status,
        name=one.labels.get("alertname", ""),
        host=host_of(one.labels, host_labels),
        text=text,
        labels=one.labels,
        link=one.generatorURL,
        cut=cut,
        started_at=one.startsAt,
    )


def host_of(labels: Mapping[str, str], host_labels: Sequence[str]) -> str:
    """Return the value of the first label that names a host."""
    return next((labels[name] for name in host_labels if labels.get(name)), "")


def _fingerprint(labels: Mapping[str, str]) -> str:
    pairs = "\0".join(f"{key}\1{labels[key]}" for key in sorted(labels))
    return hashlib.sha256(pairs.encode()).hexdigest()[:16]
