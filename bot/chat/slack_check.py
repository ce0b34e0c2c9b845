"""``holdfast slack check``: whether Slack lets the bot do what it is configured to do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bot.chat.slack_manifest import WHY, scopes
from bot.chat.slack_web import SlackError, Web
from bot.config import SlackPart
from bot.errors import HoldfastError

INSTALL = "install the app again with the manifest of 'holdfast slack manifest'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. ``next`` says what to do; '' if nothing."""

    what: str
    next: str = ""

    @property
    def ok(self) -> bool:
        """True when nothing has to be done."""
        return not self.next


def check(
    web: Web,
    config: SlackPart,
    people: Mapping[str, str],
    groups: Sequence[str],
    open_socket: Callable[[], None],
) -> Iterator[Finding]:
    """Yield what was found: tokens, scopes, channels, user groups, people.

    ``people`` are Slack user ids by person, ``groups`` the user groups of the configuration.
    ``open_socket`` asks Slack for a socket with the app token and raises if it gives none.
    """
    given = yield from _bot_token(web, config)
    yield from _entrance(config, open_socket)
    if given is None:
        return
    yield from _scopes(given)
    for name in dict.fromkeys([*filter(None, [config.channel]), *config.alert_channels]):
        yield _channel(web, name)
    if not config.channel and not config.alert_channels:
        yield Finding(what="no channel is configured", next="set slack.channel")
    if config.alert_channels and not config.alert_bots:
        yield Finding(what="no bot's messages count as alerts", next="set slack.alert_bots")
    for group in groups:
        yield _tried(f"user group {group}", partial(_members, web, group))
    for person, user in people.items():
        yield _tried(f"{person} is {user}", partial(_person, web, user))
    for user in config.invite:
        yield _tried(f"slack.invite {user}", partial(_person, web, user))


def _bot_token(web: Web, config: SlackPart) -> Generator[Finding, None, set[str] | None]:
    """Look at the bot's token and return its scopes; None if it is of no use."""
    if not config.bot_token:
        yield Finding(what="there is no bot token", next="set SLACK_BOT_TOKEN (xoxb-…)")
        return None
    try:
        me = web.whoami()
    except SlackError as error:
        hint = "copy the bot token again: OAuth & Permissions, Bot User OAuth Token"
        yield Finding(what=f"the bot token is refused: {error.code}", next=hint)
        return None
    except HoldfastError as error:
        yield Finding(what=error.what, next="check slack.api_url and the way out of this machine")
        return None
    yield Finding(what=f"the bot token is {me.get('user')}'s in {me.get('team')}")
    return {scope.strip() for scope in str(me.get("scopes") or "").split(",")} - {""}


def _entrance(config: SlackPart, open_socket: Callable[[], None]) -> Iterator[Finding]:
    """Look whether Slack can reach the bot at all."""
    if not config.app_token:
        if config.signing_secret:
            yield Finding(what="Slack comes by HTTP, to /slack/events at the bot's url")
        else:
            hint = "set SLACK_APP_TOKEN (xapp-…), or SLACK_SIGNING_SECRET for HTTP"
            yield Finding(what="Slack has no way to the bot", next=hint)
        return
    hint = "make an app-level token with connections:write, and turn Socket Mode on"
    try:
        open_socket()
    except SlackError as error:
        yield Finding(what=f"the app token is refused: {error.code}", next=hint)
    except HoldfastError as error:
        yield Finding(what=error.what, next="check slack.api_url and the way out of this machine")
    else:
        yield Finding(what="the app token opens a socket")


def _scopes(given: set[str]) -> Iterator[Finding]:
    if not given:
        yield Finding(what="this server does not say which scopes the token has")
        return
    missing = [scope for scope in scopes() if scope not in given]
    for scope in missing:
        yield Finding(what=f"the scope {scope} is missing: {WHY[scope]}", next=INSTALL)
    if more := sorted(given - set(scopes())):
        yield Finding(what=f"scopes that the bot does not use: {', '.join(more)}")
    if not missing:
        yield Finding(what=f"all {len(scopes())} scopes are there")


def _channel(web: Web, name: str) -> Finding:
    def look() -> str:
        channel = web.channel(web.channel_id(name))
        if channel.archived:
            return "it is archived: unarchive it, or name another one under slack"
        return "" if channel.member else f"in Slack, say there: /invite @holdfast ({channel.name})"

    return _tried(f"channel {name}", look)


def _members(web: Web, group: str) -> str:
    found = web.group_members(group)
    return "" if found else "nobody is in it: add people in Slack, or take it out"


def _person(web: Web, user: str) -> str:
    found = web.person(user)
    if found.get("deleted"):
        return "that account is deactivated: correct the id, or take the person out"
    return "that is a bot: name the person's own id" if found.get("is_bot") else ""


def _tried(what: str, look: Callable[[], str]) -> Finding:
    """Return a finding; Slack's refusal is one too."""
    try:
        return Finding(what=what, next=look())
    except SlackError as error:
        hint = INSTALL if error.code == "missing_scope" else "correct it in holdfast.yml"
        return Finding(what=f"{what}: Slack says {error.code}", next=hint)
    except HoldfastError as error:
        return Finding(what=f"{what}: {error.what}", next=error.next or "correct it")
