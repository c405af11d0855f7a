"""Git as an adapter, against real repositories in a folder."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from slipway.adapters.git import FILE_LIMIT, Repository
from slipway.errors import PolicyFailed, Transient


def git(cwd: Path, *args: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *who, *args], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "work")
    folder = tmp_path / "work"
    (folder / "m").mkdir()
    (folder / "m" / "a b.yaml").write_text("a: 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "First")
    git(folder, "push", "--quiet", "../remote.git", "main")
    return folder


@pytest.fixture
def repository(tmp_path: Path, work: Path) -> Repository:
    return Repository(f"file://{tmp_path}/remote.git", "user", "p@ss/word", tmp_path / "mirrors")


def test_file_that_a_worker_should_not_keep_is_refused_and_named(repository: Repository, work: Path) -> None:
    (work / "m" / "large.yaml").write_bytes(b"x" * (FILE_LIMIT + 1))
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "Large")
    git(work, "push", "--quiet", "../remote.git", "main")
    head = repository.head("main")
    repository.fetch(head)
    with pytest.raises(PolicyFailed, match=rf"m/large\.yaml has {FILE_LIMIT + 1} bytes"):
        repository.files(head, "m")
    assert list(repository.files(head, "m/a b.yaml")) == ["m/a b.yaml"]


def test_commit_tree_and_files_are_those_of_the_remote(repository: Repository, work: Path) -> None:
    head = repository.head("main")
    commit = repository.commit(head)
    assert (commit.hash, commit.tree) == (
        git(work, "rev-parse", "HEAD"),
        git(work, "rev-parse", "HEAD^{tree}"),
    )
    assert (commit.subject, commit.author) == ("First", "Test")
    assert repository.files(head, "m") == {"m/a b.yaml": b"a: 1\n"}
    assert repository.files(head, "nothing") == {}
    with repository.archive(head, prefix="src/") as tar, tarfile.open(fileobj=tar) as opened:
        assert "src/m/a b.yaml" in opened.getnames()


def test_a_commit_pushed_later_is_fetched(repository: Repository, work: Path) -> None:
    repository.commit(repository.head("main"))
    git(work, "commit", "--quiet", "--allow-empty", "-m", "Second")
    git(work, "push", "--quiet", "../remote.git", "main")
    assert repository.commit(git(work, "rev-parse", "HEAD")).subject == "Second"


@pytest.mark.parametrize("commit", ["main", "0" * 39, "--upload-pack=x", "0" * 40])
def test_what_is_no_commit_of_it_is_refused(repository: Repository, commit: str) -> None:
    with pytest.raises(PolicyFailed):
        repository.commit(commit)


def test_missing_branch_and_missing_server_are_told_apart(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(PolicyFailed, match="no branch other"):
        repository.head("other")
    gone = Repository(f"file://{tmp_path}/gone.git", "user", "secret-word", tmp_path / "mirrors")
    with pytest.raises(Transient, match=r"gone.git: git ls-remote failed") as failed:
        gone.head("main")
    assert "secret-word" not in str(failed.value)


def test_a_note_is_written_once_and_on_top_of_others(
    repository: Repository, work: Path, tmp_path: Path
) -> None:
    head = repository.head("main")
    assert repository.note(head) is None
    assert repository.write_note(head, "slipway: passed\n") is True
    assert repository.write_note(head, "slipway: passed\n") is False
    other = Repository(repository.url, "user", "p", tmp_path / "elsewhere")
    assert other.note(head) == "slipway: passed\n"
    assert other.write_note(head, "slipway: failed\n") is True
    assert repository.note(head) == "slipway: failed\n"


def test_password_is_not_in_what_is_shown_of_a_repository(tmp_path: Path) -> None:
    assert "hunter2" not in repr(Repository("http://git/x.git", "slipway", "hunter2", tmp_path))
