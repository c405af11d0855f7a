"""Git over HTTP: commits, trees and notes with Slipway's own account, and what that account may not do."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from docker.types import Mount

from slipway.adapters import engine as adapter
from slipway.adapters.git import NOTES_REF, Repository
from slipway.errors import Permanent, PolicyFailed, Transient
from slipway_sandbox.developer import Developer
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.part import Part, Sandbox
from slipway_sandbox.parts.git import Git as Server


@pytest.fixture
def developer(sandbox: Sandbox, parts: dict[str, Part], tmp_path: Path) -> Iterator[Developer]:
    """Gives a clone of a service repository of its own, with one pushed commit; no release comes of it."""
    server = parts["git"]
    assert isinstance(server, Server)
    name = f"services/trial-{uuid.uuid4().hex[:8]}"
    server._repository(name)
    try:
        clone = Developer(sandbox, name, tmp_path / "clone")
        clone.clone()
        (clone.folder / "a.txt").write_text("one\n")
        (clone.folder / "migrations").mkdir()
        (clone.folder / "migrations/changelog.yaml").write_text("databaseChangeLog: []\n")
        clone.commit("First: ümlaut")
        clone.push()
        yield clone
    finally:
        shutil.rmtree(server.repositories / f"{name}.git")


def opened(developer: Developer, mirrors: Path, password: str | None = None) -> Repository:
    account, file = developer.sandbox.git_account
    return Repository(developer.url, account, password or file.read_text().strip(), mirrors)


@pytest.fixture
def repository(developer: Developer, tmp_path: Path) -> Repository:
    """Gives the repository with Slipway's account, and a mirror of its own."""
    return opened(developer, tmp_path / "mirrors")


def test_branch_commit_and_files_are_read(developer: Developer, repository: Repository) -> None:
    head = developer.head()
    assert repository.head("main") == head
    commit = repository.commit(head)
    assert (commit.hash, commit.subject, commit.author) == (head, "First: ümlaut", "developer")
    assert commit.tree == developer.git("rev-parse", "HEAD^{tree}")
    assert repository.files(head, "migrations") == {"migrations/changelog.yaml": b"databaseChangeLog: []\n"}


def test_archive_is_the_same_bytes_for_the_same_commit(
    developer: Developer, repository: Repository, tmp_path: Path
) -> None:
    head = developer.head()
    with (
        repository.archive(head, "src/") as first,
        opened(developer, tmp_path / "other").archive(head, "src/") as second,
    ):
        assert first.read() == second.read()
        first.seek(0)
        with tarfile.open(fileobj=first) as tar:
            assert {one.name for one in tar if one.isreg()} == {"src/a.txt", "src/migrations/changelog.yaml"}


def test_new_commit_is_fetched_when_it_is_asked_for(developer: Developer, repository: Repository) -> None:
    repository.fetch()
    (developer.folder / "a.txt").write_text("two\n")
    newer = developer.commit("Second")
    with pytest.raises(PolicyFailed, match=f"no commit {newer}"):
        repository.commit(newer)
    developer.push()
    assert repository.commit(newer).subject == "Second"


def test_unknown_branch_and_half_a_hash_are_named(developer: Developer, repository: Repository) -> None:
    with pytest.raises(PolicyFailed, match="no branch nothing"):
        repository.head("nothing")
    with pytest.raises(PolicyFailed, match="not a full commit hash"):
        repository.commit(developer.head()[:12])


def test_wrong_password_is_told_without_it(developer: Developer, tmp_path: Path) -> None:
    wrong = f"wrong-{uuid.uuid4().hex}"
    refused = opened(developer, tmp_path / "mirrors", wrong)
    for call in (lambda: refused.head("main"), refused.fetch):
        with pytest.raises((Permanent, Transient)) as caught:
            call()
        assert wrong not in f"{caught.value}{caught.value.lines}"
        assert developer.url in caught.value.message
        assert "Vault" in caught.value.remedy


def test_server_that_is_not_there_is_transient(tmp_path: Path) -> None:
    with pytest.raises(Transient, match=r"127\.0\.0\.1:9"):
        Repository("http://127.0.0.1:9/services/x.git", "slipway", "x", tmp_path).head("main")


def test_note_is_written_once_replaced_and_read_by_everyone(
    developer: Developer, repository: Repository, tmp_path: Path
) -> None:
    head = developer.head()
    assert repository.note(head) is None
    assert repository.write_note(head, "slipway: running\n")
    assert not repository.write_note(head, "slipway: running\n")
    assert developer.note(head) == "slipway: running"
    # another worker, whose mirror knows of no notes yet
    assert opened(developer, tmp_path / "other").write_note(head, "slipway: passed\n")
    assert repository.note(head) == "slipway: passed\n"


def test_note_goes_on_top_of_another_writers(
    developer: Developer, repository: Repository, tmp_path: Path
) -> None:
    first = developer.head()
    second = developer.commit("Second")
    developer.push()
    assert repository.write_note(first, "slipway: passed\n")
    assert opened(developer, tmp_path / "other").write_note(second, "slipway: failed\n")
    assert (repository.note(first), repository.note(second)) == ("slipway: passed\n", "slipway: failed\n")


def test_slipways_account_may_not_push_a_branch(developer: Developer, repository: Repository) -> None:
    head = developer.head()
    repository.fetch(head)
    for push in (f"{head}:refs/heads/other", f"{head}:refs/tags/v1", ":refs/heads/main"):
        with pytest.raises(Transient, match="git push failed") as caught:
            repository._run("push", repository.url, push)
        assert "may push refs/notes/" in str(caught.value)
    assert developer.git("ls-remote", "--heads", "--tags", "origin").split()[1::2] == ["refs/heads/main"]


def test_password_lies_nowhere_in_the_mirror(developer: Developer, repository: Repository) -> None:
    repository.write_note(developer.head(), "slipway: passed\n")
    found = subprocess.run(
        ["grep", "-rlFe", repository.password, repository.mirrors], capture_output=True, text=True, timeout=20
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert NOTES_REF in developer.git("ls-remote", "origin")


def test_on_branch_is_what_the_server_has_now(developer: Developer, repository: Repository) -> None:
    first = developer.head()
    (developer.folder / "a.txt").write_text("two\n")
    second = developer.commit("Second")
    developer.push()
    assert repository.on_branch(first, "main")
    assert repository.on_branch(second, "main")
    assert not repository.on_branch("0" * 40, "main")
    # a forced push takes the second one off
    developer.git("reset", "--hard", first)
    developer.git("push", "--force", "origin", "HEAD:refs/heads/main")
    assert not repository.on_branch(second, "main")
    developer.git("push", "origin", f"{second}:refs/heads/feature/x")
    assert not repository.on_branch(second, "main")
    assert repository.on_branch(second, "feature/x")
    with pytest.raises(PolicyFailed, match="no branch nowhere"):
        repository.on_branch(first, "nowhere")


def test_resolve_gives_the_commits_of_the_branch_that_begin_so(
    developer: Developer, repository: Repository
) -> None:
    first = developer.head()
    (developer.folder / "a.txt").write_text("elsewhere\n")
    other = developer.commit("On another branch")
    developer.push("feature/x")
    assert repository.resolve(first[:7], "main") == [first]
    assert repository.resolve(other[:7], "main") == []
    tree = developer.git("rev-parse", "HEAD^{tree}")
    assert repository.resolve(tree[:12], "feature/x") == []


def test_notes_written_at_once_are_all_kept(developer: Developer, repository: Repository) -> None:
    commits = [developer.head()]
    for number in range(5):
        (developer.folder / "a.txt").write_text(f"{number}\n")
        commits.append(developer.commit(f"Number {number}"))
    developer.push()
    with ThreadPoolExecutor(len(commits)) as pool:
        assert all(pool.map(lambda commit: repository.write_note(commit, f"note on {commit}\n", 8), commits))
    assert [developer.note(commit) for commit in commits] == [f"note on {commit}" for commit in commits]


def test_volume_holds_what_the_commit_does_whatever_its_attributes_say(
    developer: Developer, repository: Repository, engine: Any, images: dict[str, str], unique: str
) -> None:
    files = {
        ".gitattributes": b"* export-ignore export-subst text eol=crlf ident\n",
        "b.txt": b"$Id$ $Format:%H$\n",
    }
    for path, content in files.items():
        (developer.folder / path).write_bytes(content)
    (developer.folder / "to-b").symlink_to("b.txt")
    (developer.folder / "migrations/up").symlink_to("../a.txt")
    head = developer.commit("Attributes")
    developer.push()
    image = images["toolbox-python"]
    adapter.ensure_image(engine, image)
    with repository.archive(head, "src/") as tar:
        assert adapter.fill_volume(engine, image, unique, "/workspace", tar)
    code = (
        "import json, pathlib; src = pathlib.Path('/workspace/src');"
        "print(json.dumps({str(p.relative_to(src)): p.read_text() for p in src.rglob('*') if p.is_file()}))"
    )
    mounts = [Mount("/workspace", unique, type="volume", read_only=True)]
    adapter.start(engine, unique, image, network_mode="none", command=["python3", "-c", code], mounts=mounts)
    assert adapter.wait_exit(engine, unique, 30) == 0
    assert json.loads(engine.logs(unique)) == {
        **{path: content.decode() for path, content in files.items()},
        "a.txt": "one\n",
        "to-b": "$Id$ $Format:%H$\n",
        "migrations/changelog.yaml": "databaseChangeLog: []\n",
        "migrations/up": "one\n",
    }


def test_branch_whose_full_name_ends_as_the_release_branchs_counts_for_nothing(
    developer: Developer, repository: Repository
) -> None:
    head = developer.head()
    stray = developer.git("commit-tree", "-p", "HEAD", "-m", "Not meant for main", "HEAD^{tree}")
    for name in ("feature/refs/heads/main", "a/main", "x\N{LINE SEPARATOR}main", f"x/{NOTES_REF}"):
        developer.git("push", "origin", f"{stray}:refs/heads/{name}")
    assert repository.head("main") == head
    assert repository.on_branch(head, "main")
    assert not repository.on_branch(stray, "main")
    assert repository.write_note(head, "slipway: passed\n")
    assert developer.note(head) == "slipway: passed"


def test_branch_that_git_takes_for_the_notes_is_named(
    developer: Developer, repository: Repository, parts: dict[str, Part]
) -> None:
    server, head, stray = parts["git"], developer.head(), f"refs/heads/{NOTES_REF}"
    assert isinstance(server, Server)
    with pytest.raises(SandboxError, match="git takes"):
        developer.git("push", "origin", f"HEAD:{stray}")
    # a server without that rule
    bare = server.repositories / f"{developer.repository}.git"
    git = ["git", "-c", "safe.directory=*", "--git-dir", bare]
    subprocess.run([*git, "update-ref", stray, head], check=True, timeout=20)
    assert repository.note(head) is None
    with pytest.raises(
        Permanent, match=f"{stray} is taken for {NOTES_REF} by git, so that no note can be pushed"
    ):
        repository.write_note(head, "slipway: passed\n")
    subprocess.run([*git, "update-ref", "-d", stray], check=True, timeout=20)
    assert repository.write_note(head, "slipway: passed\n")
