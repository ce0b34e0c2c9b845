"""A real PostgreSQL for tests: a private throw-away server, or the one that is named.

``HOLDFAST_DATABASE_URL`` names a server to use; every test then gets a fresh schema in that
database. Without it a cluster is made in a temporary directory, reached by a Unix socket only.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest

from tests.machine import PATIENCE

NAME = "holdfast"


class NoServerError(Exception):
    """Why there is no PostgreSQL here."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Return the URL of a running server's database; skip, or in CI fail, if there is none."""
    try:
        with server() as url:
            yield url
    except NoServerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must test PostgreSQL: {error}")
        pytest.skip(f"no PostgreSQL: {error}")


@contextmanager
def server() -> Iterator[str]:
    """Yield the URL of the server that is named, or of a new one that lives as long as this."""
    if named := _named():
        yield named
        return
    binaries = _binaries()
    place = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
    try:
        prefix = _unprivileged(place)
        with _cluster(binaries, place, prefix):
            yield f"postgresql://{NAME}@/postgres?" + urlencode({"host": str(place)})
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def fresh(url: str) -> Iterator[str]:
    """Yield the URL of a new, empty schema in the database.

    In a server that is to stay it is dropped afterwards.
    """
    schema = f"test_{os.getpid()}_{time.monotonic_ns()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    joint = "&" if "?" in url else "?"
    try:
        yield f"{url}{joint}options={quote(f'-csearch_path={schema}')}"
    finally:
        if _named():
            _drop(url, schema)


def _named() -> str:
    """Return the URL of the server that the environment names, as psycopg reads it; '' if none."""
    url = os.environ.get("HOLDFAST_DATABASE_URL", "")
    return url.replace("+psycopg", "", 1) if url.startswith("postgres") else ""


def _drop(url: str, schema: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


def _binaries() -> Path:
    """Return the directory of the newest server's programs."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    for place in [*map(Path, os.environ.get("PATH", "").split(os.pathsep)), *places]:
        if all(os.access(place / name, os.X_OK) for name in ("initdb", "postgres")):
            return place
    raise NoServerError("initdb and postgres are not installed")


def _version(place: Path) -> float:
    name = place.parent.name
    return float(name) if name.replace(".", "", 1).isdigit() else 0.0


def _unprivileged(place: Path) -> list[str]:
    """Return the command prefix of a user that is not root, and give that user the directory.

    PostgreSQL refuses root. Inside a user namespace other users may not exist: there a further
    namespace, in which we are called something else, will do.
    """
    if os.geteuid() != 0:
        return []
    for user in ("postgres", "nobody"):
        change = ["setpriv", f"--reuid={user}", f"--regid={_group(user)}", "--clear-groups", "--"]
        if _works(change):
            shutil.chown(place, user, _group(user))
            return change
    other = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    if _works(other):
        return other
    raise NoServerError("it may not run as root, and no other user can be had")


def _group(user: str) -> str:
    return {"nobody": "nogroup"}.get(user, user)


def _works(prefix: list[str]) -> bool:
    try:
        return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextmanager
def _cluster(binaries: Path, place: Path, prefix: list[str]) -> Iterator[None]:
    """Make a cluster and serve it from a child process, which ends with this process."""
    data, log = place / "data", place / "log"
    initdb = [binaries / "initdb", "-D", data, "-U", NAME, "-A", "trust", "-E", "UTF8"]
    made = subprocess.run(
        [*prefix, *map(str, initdb), "--locale=C", "--no-sync"],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
    )
    if made.returncode:
        raise NoServerError(f"initdb failed: {made.stderr.strip()[-500:]}")
    # The server ends with us even if we are killed; where setpriv is missing it just may not.
    tied = ["setpriv", "--pdeathsig=INT", "--"]
    prefix = [*prefix, *(tied if _works(tied) else [])]
    serve = [binaries / "postgres", "-D", data, "-k", place, "-c", "listen_addresses="]
    # Tests kill clients, never the machine: nothing is lost without fsync, and much time is won.
    settings = ["-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=80"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*prefix, *map(str, serve), *settings], stdout=output, stderr=output, cwd=place
        ) as process,
    ):
        try:
            _await(process, place, log)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30 * PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(process: subprocess.Popen[bytes], place: Path, log: Path) -> None:
    end = time.monotonic() + 30 * PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            psycopg.connect(host=str(place), user=NAME, dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise NoServerError(f"the server did not start: {log.read_text()[-500:]}")
