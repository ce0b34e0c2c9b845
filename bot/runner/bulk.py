"""The bulk lane's network: commands on many hosts over asyncssh, in one loop of this process.

The only importer of asyncssh. Nothing runs between calls of ``Batch``: the loop is driven by the
thread that owns it, so Ansible may fork workers at any other time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal as signals
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncssh
from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.known_hosts import SSHKnownHosts
from asyncssh.mac import get_mac_algs
from asyncssh.packet import SSHPacketLogger
from asyncssh.public_key import get_public_key_algs

from bot.runner.lane import FLOOD, Bounded, Fallback, Link

HANDSHAKES = 50
"""Connections that are being opened at once: more would only make each other time out."""

_PARAMETERS = {
    "ciphers": "encryption_algs",
    "macs": "mac_algs",
    "hostkeyalgorithms": "server_host_key_algs",
    "pubkeyacceptedalgorithms": "signature_algs",
}
_CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"]
_CIPHERS += ["aes128-ctr", "aes192-ctr", "aes256-ctr"]
"""ssh's own default set, those first that cost asyncssh least."""
# It puts each packet into words before it asks whether anybody wants to read them.
SSHPacketLogger._log_packet = lambda *_: None  # type: ignore[method-assign] # noqa: SLF001
_Refused = (
    asyncssh.PermissionDenied,
    asyncssh.HostKeyNotVerifiable,
    asyncssh.KeyExchangeFailed,
    asyncssh.ProtocolNotSupported,
    asyncssh.IllegalUserName,
    asyncssh.ChannelOpenError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended. ``status`` is its exit status, 128 + n after a signal."""

    status: int
    stdout: bytes
    stderr: bytes
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The host could not be reached, or was lost before it said how the command ended.

    ``why`` holds ``connect to host``, as ssh says it, if no session came about: nothing was sent.
    """

    why: str


Answer = Done | Unreachable | Fallback
"""A ``Fallback`` means that nothing was sent: ssh itself may know another way in."""


def able() -> dict[str, Collection[str]]:
    """Return the algorithms that the bulk lane has, by the ssh setting that chooses them."""

    def names(algorithms: Collection[bytes]) -> set[str]:
        return {a.decode() for a in algorithms}

    keys = names(get_public_key_algs())
    return {
        "kexalgorithms": names(get_kex_algs()),
        "ciphers": names(get_encryption_algs()),
        "macs": names(get_mac_algs()),
        "hostkeyalgorithms": keys,
        "pubkeyacceptedalgorithms": keys,
    }


class _Command(asyncssh.SSHClientSession[bytes]):
    """One command without input or terminal."""

    def __init__(self) -> None:
        self.out, self.err = Bounded(), Bounded()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.flooded = False
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        (self.out if datatype is None else self.err).add(data)
        if self.out.size + self.err.size > FLOOD and self._channel and not self.flooded:
            self.flooded = True
            self._channel.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncssh's interface
        if not self.ended.done():
            self.ended.set_result(None)

    def answer(self, channel: asyncssh.SSHClientChannel[bytes]) -> Answer:
        """Say how it ended: an end without a status is a lost host, never a failed command."""
        out, err = self.out.bytes(), self.err.bytes()
        if self.flooded:
            note = f"it printed more than {FLOOD >> 20} MiB and was cut off"
            return Done(status=1, stdout=out, stderr=err, note=note)
        status, signal = channel.get_exit_status(), channel.get_exit_signal()
        if signal is not None:
            number = getattr(signals, f"SIG{signal[0]}", 0)
            note = f"it was ended by SIG{signal[0]}"
            return Done(status=128 + number, stdout=out, stderr=err, note=note)
        if status is None:
            return Unreachable("the connection was lost before the command had ended")
        return Done(status=status, stdout=out, stderr=err)


@dataclass(slots=True)
class _Credentials:
    """Keys and known hosts, each file read once."""

    keys: dict[str, asyncssh.SSHKeyPair | None] = field(default_factory=dict)
    known: dict[tuple[str, ...], SSHKnownHosts] = field(default_factory=dict)
    options: dict[Link, asyncssh.SSHClientConnectionOptions] = field(default_factory=dict)


class Links:
    """Connections of this process, kept from one task to the next."""

    def __init__(self, forks: int) -> None:
        self.loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(forks)
        self._opening = asyncio.Semaphore(min(forks, HANDSHAKES))
        self._kept: dict[Link, asyncssh.SSHClientConnection] = {}
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._files = _Credentials()
        asyncssh.set_log_level("CRITICAL")

    def refusal(self, link: Link) -> str:
        """Say why these keys and known hosts cannot be used here; '' if they can."""
        with contextlib.suppress(OSError):
            try:
                self._options(link)
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
                return str(error)
            return ""
        return "a key file cannot be read"

    def start(self, link: Link, command: str, begun: Callable[[], None]) -> asyncio.Task[Answer]:
        """Begin to run a command; ``begun`` is called when the answer can only be ours."""
        task = self.loop.create_task(self._run(link, command, begun))
        task.add_done_callback(self._stop)
        return task

    def turn(self, seconds: float = 0.0) -> None:
        """Let the loop work until a command has ended, or this long; it goes round at least once."""
        timer = self.loop.call_later(seconds, self.loop.stop) if seconds else None
        if timer is None:
            self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        if timer is not None:
            timer.cancel()

    def _stop(self, _: object) -> None:
        self.loop.stop()

    def drop(self, link: Link) -> None:
        """Forget a kept connection, as ``meta: reset_connection`` asks for."""
        if link in self._kept:
            self._kept.pop(link).abort()

    async def _run(self, link: Link, command: str, begun: Callable[[], None]) -> Answer:
        async with self._slots:
            try:
                connection = await self._connection(link)
            except _Refused as error:
                return Fallback(f"{type(error).__name__}: {error.reason}"[:200])
            except (OSError, asyncssh.Error, TimeoutError) as error:
                begun()
                return Unreachable(f"connect to host {link.host}: {_reason(error, link.timeout)}")
            return await self._command(link, connection, command, begun)

    async def _command(
        self,
        link: Link,
        connection: asyncssh.SSHClientConnection,
        command: str,
        begun: Callable[[], None],
    ) -> Answer:
        try:
            session = _Command()
            channel, _ = await connection.create_session(
                lambda: session, command, encoding=None, env=dict(link.environment)
            )
        except _Refused as error:
            connection.abort()
            return Fallback(f"{type(error).__name__}: {error.reason}"[:200])
        except (OSError, asyncssh.Error) as error:
            begun()
            return Unreachable(f"the connection was lost: {error}")
        begun()
        channel.write_eof()
        await session.ended
        answer = session.answer(channel)
        if isinstance(answer, Done) and not session.flooded and len(self._kept) < self._most:
            # Nobody waits for it now, and over a fleet keepalives are most of what there is to do.
            connection.set_keepalive(0)
            self._kept[link] = connection
        else:
            connection.abort()
        return answer

    async def _connection(self, link: Link) -> asyncssh.SSHClientConnection:
        kept = self._kept.pop(link, None)
        if kept is not None:
            await asyncio.sleep(0)
            if not kept.is_closed():
                kept.set_keepalive(link.keepalive)
                return kept
        async with self._opening:
            return await asyncssh.connect(link.host, link.port, options=self._options(link))

    def _options(self, link: Link) -> asyncssh.SSHClientConnectionOptions:
        link = replace(link, host="")  # no option depends on it
        if link not in self._files.options:
            chosen = {_PARAMETERS[name]: list(names) for name, names in link.algorithms}
            self._files.options[link] = asyncssh.SSHClientConnectionOptions(
                config=None,
                username=link.user,
                client_keys=[k for k in map(self._key, link.keys) if k is not None] or None,
                agent_path=link.agent or None,
                known_hosts=self._known(link),
                host_key_alias=link.alias or None,
                kex_algs=list(link.kex),
                connect_timeout=link.timeout or None,
                login_timeout=link.timeout or 120,
                keepalive_interval=link.keepalive,
                keepalive_count_max=max(1, link.keepalives),
                preferred_auth="publickey",
                **{"encryption_algs": _CIPHERS, **chosen},
            )
        return self._files.options[link]

    def _key(self, name: str) -> asyncssh.SSHKeyPair | None:
        """Return a key, or None if there is no such file. One that is locked is an error."""
        if name not in self._files.keys:
            path = Path(os.path.expanduser(name))  # noqa: PTH111 - as ssh does
            found = asyncssh.load_keypairs(str(path)) if path.exists() else [None]
            self._files.keys[name] = found[0]
        return self._files.keys[name]

    def _known(self, link: Link) -> Callable[..., object] | None:
        if link.known is None:
            return None
        if link.known not in self._files.known:
            known = SSHKnownHosts()
            for path in map(Path, link.known):
                if path.is_file():
                    known.load(path.read_text())
            self._files.known[link.known] = known
        known = self._files.known[link.known]
        # By name alone, as ssh does: the address that a name leads to proves nothing.
        return lambda host, _addr, port: known.match(host, "", port)[:3]


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no SSH session within {timeout:g} s"
    return str(error) or type(error).__name__


def environment() -> Mapping[str, str]:
    """Return this process's environment: what ssh would send from."""
    return os.environ
