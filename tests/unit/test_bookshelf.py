from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.errors import BadInputError
from bot.runbook.disk import read_file
from bot.runbook.load import load
from bot.runner import bookshelf
from bot.runner.bookshelf import Bookshelf
from tests.unit.runbook.texts import GOOD, negative

OTHER = negative("other", "{kind: oom}")


class Later:
    """A clock by which every change is old, or new."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def sleep(self, seconds: float) -> None:
        self.ahead += seconds


def shelf(root: Path, ahead: float = 60.0, overrides: dict[str, Any] | None = None) -> Bookshelf:
    return Bookshelf(root, overrides or {}, Later(ahead))


def ids(books: Bookshelf) -> list[str]:
    return [runbook.id for runbook in books.library().runbooks]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/example.yml").write_text(GOOD)
    return tmp_path


def test_a_change_that_has_come_to_rest_is_taken_over(root):
    books = shelf(root)
    assert ids(books) == ["example"]
    before = books.revision()
    (root / "net/other.yml").write_text(OTHER)
    assert ids(books) == ["example", "other"]
    assert books.revision() != before
    (root / "net/other.yml").unlink()
    books._seen_at = -bookshelf.SETTLE
    books._seen = books._look()
    assert ids(books) == ["example"]
    assert books.revision() == before


def test_a_file_that_is_still_being_written_is_not_used(root, monkeypatch):
    books = shelf(root, ahead=0.0)
    assert ids(books) == ["example"]
    half = OTHER[: len(OTHER) // 2]
    (root / "net/other.yml").write_text(half)
    for _ in range(3):
        assert ids(books) == ["example"]
        assert books.library().problems == ()
    (root / "net/other.yml").write_text(OTHER)
    assert ids(books) == ["example"]
    monkeypatch.setattr(bookshelf, "SETTLE", 0.0)
    assert ids(books) == ["example", "other"]


def test_a_file_that_changes_while_it_is_read_is_read_again(root, monkeypatch):
    books = shelf(root)
    ids(books)
    (root / "net/other.yml").write_text(OTHER[:40])

    def slow(texts, problems):
        monkeypatch.setattr("bot.runner.bookshelf.load", load)
        (root / "net/other.yml").write_text(OTHER)
        return load(texts, problems)

    monkeypatch.setattr("bot.runner.bookshelf.load", slow)
    assert ids(books) == ["example"]
    assert ids(books) == ["example", "other"]


def test_a_file_that_is_bad_at_rest_is_left_out_and_the_others_are_used(root):
    books = shelf(root)
    (root / "net/other.yml").write_text(OTHER)
    assert ids(books) == ["example", "other"]
    (root / "net/other.yml").write_text(OTHER.replace("title", "titlee"))
    assert ids(books) == ["example"]
    assert "unknown key 'titlee'" in "\n".join(map(str, books.library().problems))


def test_only_files_that_changed_are_read(root, monkeypatch):
    (root / "net/other.yml").write_text(OTHER)
    books = shelf(root)
    read: list[str] = []

    def noted(file):
        read.append(file.name)
        return read_file(file)

    monkeypatch.setattr("bot.runner.bookshelf.read_file", noted)
    ids(books)
    ids(books)
    (root / "net/other.yml").write_text(OTHER + "\n")
    ids(books)
    assert read == ["example.yml", "other.yml", "other.yml"]


def test_a_directory_that_vanishes_leaves_the_runbooks_before_and_says_so(root):
    books = shelf(root)
    ids(books)
    (root / "net").rename(root.parent / "away")
    root.rmdir()
    assert ids(books) == ["example"]
    assert "there is no runbook directory" in books.trouble
    root.mkdir()
    (root.parent / "away").rename(root / "net")
    assert ids(books) == ["example"]
    assert books.trouble == ""


def test_a_directory_that_was_never_there_is_an_error(tmp_path):
    with pytest.raises(BadInputError, match="no runbook directory"):
        shelf(tmp_path / "none").library()


def test_overrides_that_fit_no_more_keep_the_runbooks_before(root):
    books = shelf(root, overrides={"example": {"switch-off": {"value": "2"}}})
    assert books.library().runbooks[0].mitigations[0].variables["value"].value == "2"
    (root / "net/example.yml").write_text(GOOD.replace("id: switch-off", "id: switch"))
    assert books.library().runbooks[0].mitigations[0].id == "switch-off"
    assert "unknown mitigation 'example.switch-off'" in books.trouble
    with pytest.raises(BadInputError):
        shelf(root, overrides={"example": {"switch-off": {"value": "2"}}}).library()


def test_a_file_that_cannot_be_read_is_a_problem_of_its_own(root):
    (root / "net/odd.yml").symlink_to(root / "nowhere")
    books = shelf(root)
    assert ids(books) == ["example"]
    assert [problem.file for problem in books.library().problems] == [str(root / "net/odd.yml")]


def git(root: Path, *words: str) -> str:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        **{f"GIT_{who}_NAME": "A" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "a@example.org" for who in ("AUTHOR", "COMMITTER")},
    }
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


def test_a_clean_checkout_is_named_by_its_commit_and_a_changed_one_by_its_content(root):
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    first = git(root, "rev-parse", "HEAD").strip()
    books = shelf(root)
    assert books.revision() == first
    (root / "net/tests").mkdir()
    (root / "net/tests/new.log").write_text("not a runbook")
    (root / "net/other.yml").write_text(OTHER)
    assert books.revision().startswith("sha256:")
    git(root, "add", ".")
    git(root, "commit", "-qm", "second")
    again = shelf(root)
    assert again.revision() == git(root, "rev-parse", "HEAD").strip() != first


def test_a_checkout_that_git_is_working_on_is_left_alone(root):
    git(root, "init", "-q")
    books = shelf(root)
    ids(books)
    (root / ".git/index.lock").touch()
    (root / "net/other.yml").write_text(OTHER)
    assert ids(books) == ["example"]
    (root / ".git/index.lock").unlink()
    assert ids(books) == ["example", "other"]
