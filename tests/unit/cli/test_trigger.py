"""What `slipway release` says of what it is asked for, before anything is started; git is real, Airflow is not reached."""

import hashlib
import os
import shutil
import subprocess
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slipway.cli import main
from slipway.cli.trigger import _end

ROOT = Path(__file__).parents[3]
NOWHERE = "0123456789abcdef0123456789abcdef01234567"


class Origin:
    """The service's repository on a git server, here a folder."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.clone = folder / "services/ai-generation.git", folder / "clone"
        self.bare.parent.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.bare), cwd=folder)
        self.git("clone", "--quiet", str(self.bare), str(self.clone), cwd=folder)

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        who = {
            f"GIT_{who}_{what}": "x@localhost"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(
            ["git", "-c", "commit.gpgsign=false", *arguments],
            cwd=cwd or self.clone,
            env={"PATH": os.environ["PATH"], "HOME": str(self.clone), "GIT_CONFIG_SYSTEM": os.devnull, **who},
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        return done.stdout.strip()

    def commit(self, message: str, branch: str = "main") -> str:
        self.git("checkout", "--quiet", "-B", branch)
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        self.git("push", "--quiet", "--force", "origin", branch)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Origin:
    """Gives the repository, and a caller who may sign in to git; Airflow is where nobody listens."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name in ("git-slipway", "airflow-hook"):
        (credentials / name).write_text("hunter2")
    for name, value in {
        "SLIPWAY_CREDENTIALS": credentials,
        "SLIPWAY_CACHE": tmp_path / "cache",
        "GIT_URL": f"file://{tmp_path}",
        "AIRFLOW_URL": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, str(value))
    for name in ("SLIPWAY_CATALOG", "SLIPWAY_AIRFLOW_USER", "SLIPWAY_GIT_USER"):
        monkeypatch.delenv(name, raising=False)
    return Origin(tmp_path)


def release(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["release", *arguments])


def refused(*arguments: str) -> str:
    """Gives the message with which it is refused: the caller's fault, one message, and what to do."""
    result = release(*arguments)
    assert result.exit_code == 2, result.output
    assert "What to do: " in result.output
    assert "hunter2" not in result.output
    return result.output


def accepted(*arguments: str) -> None:
    """The commit is good: the next thing that is asked is Airflow, which does not answer here."""
    result = release(*arguments)
    assert result.exit_code == 3, result.output
    assert "Airflow at http://127.0.0.1:1 cannot be reached" in result.output


def test_unknown_service_is_told_with_what_was_meant() -> None:
    said = refused("ai-generaton")
    assert said.startswith(
        "Error: The catalog has no service `ai-generaton`; did you mean `ai-generation`?\n"
    )
    assert "has: ai-generation, links, notes, prompt-library. `slipway new` adds one." in said
    for name in ("nothing-alike", ""):
        assert "did you mean" not in refused("--", name)


def test_another_services_broken_file_is_no_obstacle(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "include/services", tmp_path / "catalog")
    (tmp_path / "catalog/broken.yaml").write_text("service: [")
    monkeypatch.setenv("SLIPWAY_CATALOG", str(tmp_path / "catalog"))
    accepted("ai-generation", origin.commit("one"))
    assert "broken.yaml:2:1: not YAML" in refused("broken")


def test_head_full_hash_and_prefix_of_the_branch_are_releasable(origin: Origin) -> None:
    first, head = origin.commit("one"), origin.commit("two")
    for commit in ((), (head,), (first,), (first[:8],), (first[:8].upper(),)):
        accepted("ai-generation", *commit)


@pytest.mark.parametrize(
    "text",
    ["HEAD~1", "main", "v1.0", "abc", "", "z" * 40, f"{NOWHERE}0", "refs/heads/main", "--upload-pack=x"],
)
def test_what_is_no_hash_is_refused_before_anybody_is_asked(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_URL", f"file://{tmp_path}/nowhere")
    assert f"`{text}` is not a commit: 4 to 40 hexadecimal digits are." in refused(
        "ai-generation", "--", text
    )


def test_option_that_is_not_ours_never_reaches_git(origin: Origin) -> None:
    result = release("ai-generation", "--upload-pack=x")
    assert result.exit_code == 2
    assert "No such option" in result.output


def test_prefix_of_several_commits_names_them(origin: Origin) -> None:
    first = origin.commit("one")
    tree, who = origin.git("rev-parse", "HEAD^{tree}"), "x <x@localhost>"
    for number in count():  # a commit whose hash begins alike
        text = f"tree {tree}\nparent {first}\nauthor {who} {number} +0000\ncommitter {who} 1 +0000\n\ntwo\n"
        named = hashlib.sha1(f"commit {len(text)}\0{text}".encode()).hexdigest()  # noqa: S324 - git's own
        if named[:4] == first[:4]:
            break
    (origin.clone / "two").write_text(text)
    assert origin.git("hash-object", "-t", "commit", "-w", "two") == named
    origin.git("push", "--quiet", "origin", f"{named}:refs/heads/main")
    said = refused("ai-generation", first[:4])
    assert f"{first[:4]} fits 2 commits on branch main of file://" in said
    assert first in said
    assert named in said
    accepted("ai-generation", first)


def test_commit_that_is_not_on_the_branch_says_so(origin: Origin) -> None:
    origin.commit("good")
    other = origin.commit("other", branch="feature")
    origin.git("checkout", "--quiet", "main")
    origin.git("tag", "-a", "-m", "a tag", "v1")
    origin.git("push", "--quiet", "origin", "v1")
    tag, tree = origin.git("rev-parse", "v1"), origin.git("rev-parse", "HEAD^{tree}")
    for commit in (NOWHERE, NOWHERE[:9], other, other[:9], tag, tree):
        said = refused("ai-generation", commit)
        assert said.startswith(f"Error: {commit} is not on branch main of file://")


def test_commit_that_a_forced_push_took_off_the_branch_is_not_released(origin: Origin) -> None:
    base, dropped = origin.commit("base"), origin.commit("dropped")
    accepted("ai-generation", dropped)
    origin.git("reset", "--quiet", "--hard", base)
    origin.commit("instead")
    assert f"{dropped} is not on branch main" in refused("ai-generation", dropped)


def test_deleted_branch_is_told(origin: Origin) -> None:
    commit = origin.commit("one")
    accepted("ai-generation", commit)
    origin.git("config", "receive.denyDeleteCurrent", "warn", cwd=origin.bare)
    origin.git("push", "--quiet", "origin", ":main")
    for arguments in ((), (commit,), (commit[:8],)):
        assert "no branch main" in refused("ai-generation", *arguments)


def test_missing_credentials_name_their_files(origin: Origin, tmp_path: Path) -> None:
    commit = origin.commit("one")
    for name in ("airflow-hook", "git-slipway"):
        (tmp_path / "credentials" / name).unlink()
        assert f"{tmp_path}/credentials/{name} cannot be read" in refused("ai-generation", commit)


def test_mirror_that_cannot_be_kept_is_told(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = origin.commit("one")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "file"))
    assert "cannot be kept in" in refused("ai-generation", first)


def test_end_is_told_with_stage_reason_and_nothing_that_commands_the_terminal() -> None:
    ended = {"status": "failed", "stage": "test.unit", "reason": "test.unit failed: a\x1b[2Jb\n  more"}
    assert (
        _end("web.1", ended)
        == "web.1 failed at test.unit\ntest.unit failed: a\N{REPLACEMENT CHARACTER}[2Jb\n  more"
    )
    assert _end("web.1", {"status": "passed"}) == "web.1 passed"
    assert _end("web.1", {"status": "superseded", "superseded_by": "web.2"}) == "web.1 superseded by web.2"


def test_git_server_that_does_not_answer_is_no_fault_of_the_caller(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_URL", "http://127.0.0.1:1")
    result = release("ai-generation")
    assert result.exit_code == 3
    assert "git ls-remote failed" in result.output
