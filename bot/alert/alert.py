"""One message of an alerting system about one host or service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """Whether the alert is on or over."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert as received. ``key`` tells a repeat from a new one.

    ``host`` is the sender's word for the host ('' if it named none); ``text`` is whatever may
    hold console output; ``cut`` counts alerts that the sender left out of the same message: what is counted is a lower
    bound then.
    """

    key: str
    source: str
    status: Status = Status.FIRING
    name: str = ""
    host: str = ""
    text: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    link: str = ""
    cut: int = 0
    started_at: str = ""
