"""Git as an adapter, against real repositories in a folder."""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipway.adapters.git import EARLIEST, FILE_LIMIT, LATEST, NOTES_REF, Repository
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


# --- one commit, one content ---
def pushed(work: Path, message: str = "More") -> str:
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--allow-empty", "-m", message)
    git(work, "push", "--quiet", "../remote.git", "main")
    return git(work, "rev-parse", "HEAD")


def packed(repository: Repository, commit: str) -> dict[str, tuple[int, bytes | str]]:
    """Give mode and content (or a link's target) of each file of the archive."""
    with repository.archive(commit) as tar, tarfile.open(fileobj=tar) as opened:
        found: dict[str, tuple[int, bytes | str]] = {}
        for one in opened:
            if one.isreg():
                content = opened.extractfile(one)
                assert content is not None
                found[one.name] = (one.mode, content.read())
            elif one.issym():
                found[one.name] = (one.mode, one.linkname)
        return found


@pytest.mark.parametrize(
    "attributes",
    [
        "* export-ignore", "* export-subst", "* text eol=crlf", "* text=auto eol=crlf", "* ident", "* filter=rot13",
        "[attr]all export-ignore export-subst ident\n* all", "* filter=lfs diff=lfs merge=lfs -text",
    ],
)  # fmt: skip
def test_archive_is_what_the_commit_holds_whatever_its_attributes_say(
    repository: Repository, work: Path, attributes: str
) -> None:
    texts = {"a.txt": b"$Id$ $Format:%H$\nsecond line\n", "sub/b.bin": b"\0\r\n\xff", "sub/deep/c.py": b""}
    for path, text in texts.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_bytes(text)
    (work / "run.sh").write_bytes(b"#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)
    (work / "to-a").symlink_to("a.txt")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "Files")
    # as somebody commits it whose git converts nothing: the attributes come later
    (work / ".gitattributes").write_text(attributes + "\n")
    git(work, "add", ".gitattributes")
    git(work, "commit", "--quiet", "-m", "Attributes")
    git(work, "push", "--quiet", "../remote.git", "main")
    head = git(work, "rev-parse", "HEAD")
    wanted: dict[str, tuple[int, bytes | str]] = {path: (0o644, text) for path, text in texts.items()}
    wanted |= {
        "m/a b.yaml": (0o644, b"a: 1\n"),
        ".gitattributes": (0o644, f"{attributes}\n".encode()),
        "run.sh": (0o755, b"#!/bin/sh\n"),
        "to-a": (0o777, "a.txt"),
    }
    assert packed(repository, head) == wanted
    assert repository.files(head, "sub") == {path: text for path, text in texts.items() if "/" in path}


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        (
            "data",
            "../../shared-data",
            "data is a link that leads out of the repository: to ../../shared-data",
        ),
        ("data", "/etc", "leads out of the repository"),
        ("m/back", "../../x", "leads out of the repository"),
        ("config", ".git/config", "leads into .git"),
        ("a", "a", "leads in a circle"),
    ],
)
def test_link_that_leads_out_is_refused_and_named(
    repository: Repository, work: Path, name: str, target: str, words: str
) -> None:
    (work / name).symlink_to(target)
    head = pushed(work)
    for read in (repository.tree, lambda commit: packed(repository, commit)):
        with pytest.raises(PolicyFailed, match=words):
            read(head)


def test_lfs_pointer_submodule_and_what_attributes_convert_are_refused(
    repository: Repository, work: Path
) -> None:
    (work / "m/model.bin").write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{7:064d}\nsize 52428800\n"
    )
    head = pushed(work)
    with pytest.raises(PolicyFailed, match=r"m/model\.bin is in Git LFS"):
        repository.tree(head)
    with pytest.raises(PolicyFailed, match=r"m/model\.bin is in Git LFS"):
        repository.files(head, "m")
    git(work, "rm", "--quiet", "m/model.bin")
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{head},m/common")
    git(work, "commit", "--quiet", "-m", "Submodule")
    git(work, "push", "--quiet", "../remote.git", "main")
    for read in (repository.tree, lambda commit: repository.files(commit, "m")):
        with pytest.raises(PolicyFailed, match="m/common is a submodule"):
            read(git(work, "rev-parse", "HEAD"))
    git(work, "rm", "--quiet", "--cached", "m/common")
    (work / "m/.gitattributes").write_text("*.yaml working-tree-encoding=UTF-16\n*.key filter=git-crypt\n")
    (work / "m/a.key").write_text("x")
    git(work, "add", "m/.gitattributes", "m/a.key")
    git(work, "commit", "--quiet", "-m", "Attributes")
    git(work, "push", "--quiet", "../remote.git", "main")
    head = git(work, "rev-parse", "HEAD")
    with pytest.raises(PolicyFailed, match=r"m/a b\.yaml is UTF-16 in a checkout") as caught:
        repository.tree(head)
    assert caught.value.lines == (
        "m/a.key is encrypted by git-crypt: the commit holds nothing that can be read",
    )


def test_what_is_read_by_its_path_is_the_file_itself(repository: Repository, work: Path) -> None:
    (work / "requirements").mkdir()
    (work / "requirements/prod.txt").write_text("x==1\n")
    (work / "requirements.txt").symlink_to("requirements/prod.txt")
    (work / "locks").symlink_to("requirements")
    (work / "m/link.yaml").symlink_to("a b.yaml")
    head = pushed(work)
    repository.tree(head)
    for path in ("requirements.txt", "locks/prod.txt"):
        with pytest.raises(PolicyFailed, match=f"{path} is read by its path, but .* is a link") as caught:
            repository.files(head, path)
        assert caught.value.remedy == "name the file itself in the catalog: requirements/prod.txt"
    with pytest.raises(PolicyFailed, match=r"m/link\.yaml is a link: m is taken by itself"):
        repository.files(head, "m")
    with pytest.raises(PolicyFailed, match=r"requirements\.txt is a link"):
        repository.files(head, ".")
    (work / "m/link.yaml").unlink()
    assert list(repository.files(pushed(work), "m")) == ["m/a b.yaml"]


def crafted(work: Path, *entries: tuple[str, str, bytes]) -> str:
    """Make and push a commit whose tree has these entries (mode, object, name), as no git makes one."""
    tree = b"".join(
        f"{mode} ".encode() + name + b"\0" + bytes.fromhex(object_) for mode, object_, name in entries
    )
    made = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        cwd=work, input=tree, capture_output=True, check=True,
    ).stdout.decode().strip()  # fmt: skip
    commit = git(work, "commit-tree", "-m", "Crafted", made)
    git(work, "push", "--quiet", "--force", "../remote.git", f"{commit}:refs/heads/main")
    return commit


def test_names_and_modes_that_no_git_makes_are_refused(repository: Repository, work: Path) -> None:
    blob, folder = git(work, "rev-parse", "HEAD:m/a b.yaml"), git(work, "rev-parse", "HEAD:m")
    for words, *entries in (
        ("belongs to git", ("100644", blob, b".git")),
        ("belongs to git or to the file system", ("40000", folder, b"..")),
        ("'a.nb' has a control character", ("100644", blob, b"a\nb")),
        (r"'.udcff' has a control character", ("100644", blob, b"\xff")),
        ("x is there twice", ("120000", blob, b"x"), ("40000", folder, b"x")),
        ("the commit holds no file",),
    ):
        with pytest.raises(PolicyFailed, match=words.replace("'a.nb'", r"'a\\nb'")):
            repository.tree(crafted(work, *entries))


def test_tree_that_holds_itself_a_million_times_is_refused_before_it_fills_the_memory(
    repository: Repository, work: Path
) -> None:
    made = git(work, "rev-parse", "HEAD:m")
    for _ in range(7):
        listing = "".join(f"040000 tree {made}\td{n}\n" for n in range(10))
        made = subprocess.run(
            ["git", "mktree"], cwd=work, input=listing, capture_output=True, text=True, check=True
        ).stdout.strip()
    commit = git(work, "commit-tree", "-m", "Bomb", made)
    git(work, "push", "--quiet", "--force", "../remote.git", f"{commit}:refs/heads/main")
    with pytest.raises(PolicyFailed, match=r"the list of the files of .* is longer than"):
        repository.tree(commit)


def test_archive_of_the_same_commit_is_the_same_bytes(repository: Repository, tmp_path: Path) -> None:
    head = repository.head("main")
    other = Repository(repository.url, "user", "p", tmp_path / "elsewhere")
    with repository.archive(head, "src/") as first, other.archive(head, "src/") as second:
        assert first.read() == second.read()


@pytest.mark.parametrize(
    ("claimed", "time"), [("0", EARLIEST), ("1700000000", 1_700_000_000), ("99999999999999999", LATEST)]
)
def test_time_that_no_archive_takes_is_given_as_the_nearest_that_does(
    repository: Repository, work: Path, claimed: str, time: int
) -> None:
    who = f"Test <test@localhost> {claimed} +0000"
    text = f"tree {git(work, 'rev-parse', 'HEAD^{tree}')}\nauthor {who}\ncommitter {who}\n\nOdd\n"
    (work / "commit").write_text(text)
    made = git(work, "hash-object", "-t", "commit", "-w", "--literally", "commit")
    git(work, "push", "--quiet", "--force", "../remote.git", f"{made}:refs/heads/main")
    assert repository.commit(made).time == time
    with repository.archive(made) as tar, tarfile.open(fileobj=tar) as opened:
        assert {one.mtime for one in opened} == {time}


def test_folder_that_counts_is_all_there_is(repository: Repository, work: Path) -> None:
    (work / "m" / ".gitattributes").write_text("*.yaml text\n")
    (work / "other.txt").write_text("other\n")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "More")
    git(work, "push", "--quiet", "../remote.git", "main")
    scoped = replace(repository, folder="m")
    head = scoped.head("main")
    assert scoped.commit(head).tree == git(work, "rev-parse", "HEAD:m")
    assert [one.path for one in scoped.tree(head)] == [".gitattributes", "a b.yaml"]
    assert list(scoped.files(head, "a b.yaml")) == ["a b.yaml"]
    assert scoped.files(head, "other.txt") == {}
    assert {name for name in packed(scoped, head) if "other" in name} == set()
    with pytest.raises(PolicyFailed, match="has no folder nowhere"):
        replace(repository, folder="nowhere").commit(head)
    with pytest.raises(PolicyFailed, match=r"has no folder other\.txt"):
        replace(repository, folder="other.txt").commit(head)


def test_same_content_has_the_same_object_whatever_the_commit(repository: Repository, work: Path) -> None:
    first = repository.head("main")
    (work / "b.txt").write_text("b\n")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "Beside it")
    git(work, "push", "--quiet", "../remote.git", "main")
    second = repository.head("main")
    repository.fetch(second)
    before, after = (repository.objects(one, ["m", "m/a b.yaml", "b.txt"]) for one in (first, second))
    assert before[:2] == after[:2]
    assert (before[2], after[2] is not None) == (None, True)
