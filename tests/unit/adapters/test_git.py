"""Git as an adapter, against real repositories in a folder."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipway.adapters.git import FILE_LIMIT, NOTES_REF, Repository
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


# --- exact refs ---
STRAYS = (
    "feature/refs/heads/main",
    "refs/heads/main",
    "x/main",
    "heads/main",
    "-main",
    "Main",
    "maın",
    "main\u2028",
    "m",
)


def stray_commit(work: Path, reference: str) -> str:
    """Push a commit that is on no other branch to a reference; give it."""
    git(work, "checkout", "--quiet", "--detach")
    git(work, "commit", "--quiet", "--allow-empty", "-m", f"Not meant for main but for {reference!r}")
    git(work, "push", "--quiet", "../remote.git", f"HEAD:{reference}")
    commit = git(work, "rev-parse", "HEAD")
    git(work, "checkout", "--quiet", "main")
    return commit


@pytest.mark.parametrize("name", STRAYS)
def test_branch_whose_name_resembles_the_release_branch_counts_for_nothing(
    repository: Repository, work: Path, name: str
) -> None:
    stray, head = stray_commit(work, f"refs/heads/{name}"), git(work, "rev-parse", "main")
    git(work, "tag", "-a", "-m", "a tag", "refs/heads/main", stray)
    git(work, "push", "--quiet", "../remote.git", "refs/tags/refs/heads/main")
    assert repository.head("main") == head
    assert repository.on_branch(head, "main")
    assert not repository.on_branch(stray, "main")
    assert repository.resolve(stray[:12], "main") == []
    git(work.parent / "remote.git", "update-ref", "-d", "refs/heads/main")
    with pytest.raises(PolicyFailed, match="no branch main"):
        repository.head("main")


PIECES = st.sampled_from(
    ["refs", "heads", "tags", "notes", "main", "Main", "MAIN", "maın", "mäin", "main\u2028x", "main\u00a0x", "HEAD",
     "feature", "-", "ma", "main-2", "main{", "remotes", "origin"]
)  # fmt: skip
PARTS = st.lists(PIECES, max_size=3).flatmap(
    lambda parts: st.sampled_from(
        [["main"], ["heads", "main"], ["refs", "heads", "main"], ["refs", "heads", "mäin"]]
    ).map(lambda tail: ["refs", *parts, *tail])
)
NAMES = (PARTS | st.lists(PIECES, min_size=1, max_size=5).map(lambda parts: ["refs", *parts])).map("/".join)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    others=st.sets(NAMES, max_size=6), there=st.booleans(), branch=st.sampled_from(["main", "mäin", "x/main"])
)
def test_only_the_ref_of_that_very_name_counts(
    repository: Repository, work: Path, tmp_path: Path, others: set[str], there: bool, branch: str
) -> None:
    """Whatever else a server has: references of other names, tags (which git tells with what they peel to), its HEAD."""
    exact, main, remote = f"refs/heads/{branch}", git(work, "rev-parse", "main"), tmp_path / "remote.git"
    if not (remote / "refs/tags/annotated").exists():
        git(work, "tag", "-a", "-m", "a tag", "annotated", stray_commit(work, "refs/heads/stray"))
        git(work, "push", "--quiet", "../remote.git", "annotated")
    tag, stray = (git(work, "rev-parse", f"annotated{kind}") for kind in ("", "^{}"))
    (remote / "refs/heads/main").unlink(missing_ok=True)
    told = {one: f"{tag} {one}\n^{stray}\n" if "tags" in one else f"{stray} {one}\n" for one in others}
    told |= {exact: f"{main} {exact}\n"} if there else {}
    if not there:
        told.pop(exact, None)
    listed = "# pack-refs with: peeled fully-peeled sorted \n" + "".join(
        told[one] for one in sorted(told, key=str.encode)
    )
    (remote / "packed-refs").write_bytes(listed.encode())
    if there:
        assert repository.head(branch) == main
    else:
        with pytest.raises(PolicyFailed, match=f"no branch {branch}"):
            repository.head(branch)


def test_notes_are_read_and_written_beside_a_branch_of_their_full_name(
    repository: Repository, work: Path
) -> None:
    stray = stray_commit(work, f"refs/heads/{NOTES_REF}")
    head = repository.head("main")
    assert repository.note(head) is None
    assert repository.write_note(head, "slipway: passed\n")
    assert repository.note(head) == "slipway: passed\n"
    told = git(work, "ls-remote", "../remote.git", f"refs/heads/{NOTES_REF}").split("\t")
    assert told == [stray, f"refs/heads/{NOTES_REF}"]
