"""What a developer does: clone a repository of the sandbox, change files, commit, push over HTTP, and read what git says."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from slipway_sandbox.part import Sandbox
from slipway_sandbox.run import run

NOTES_REF = "refs/notes/slipway"
LITTER = shutil.ignore_patterns("__pycache__", ".*_cache", "*.egg-info", ".hypothesis", ".venv")
"""What tools leave in a folder of the examples: never part of a push."""


@dataclass(frozen=True)
class Developer:
    """One account's clone of one repository.

    :param server: another than the sandbox's git server, where it has the same accounts.
    """

    sandbox: Sandbox
    repository: str
    folder: Path
    account: str = "developer"
    server: str | None = None

    @property
    def url(self) -> str:
        """The repository's address, without credentials."""
        return f"{self.server or self.sandbox.git_url}/{self.repository}.git"

    @contextmanager
    def _signed_in(self) -> Iterator[list[str]]:
        where = urlsplit(self.url)
        password = (self.sandbox.layout.credentials / f"git-{self.account}").read_text().strip()
        with tempfile.TemporaryDirectory(prefix="slipway-push-") as folder:
            store = Path(folder) / "credentials"
            store.touch(mode=0o600)
            store.write_text(f"{where.scheme}://{self.account}:{password}@{where.netloc}\n")
            yield ["-c", "credential.helper=", "-c", f"credential.helper=store --file={store}"]

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run git in the clone; give what it wrote, standard error included (a hook's words come that way)."""
        with self._signed_in() as sign_in:
            who = [
                "-c",
                f"user.name={self.account}",
                "-c",
                f"user.email={self.account}@localhost",
                "-c",
                "commit.gpgsign=false",
            ]
            environment = {
                "GIT_TERMINAL_PROMPT": "0",
                "LC_ALL": "C.UTF-8",
                "NO_PROXY": "127.0.0.1",
                **neutral(),
            }
            done = run(
                ["git", *sign_in, *who, *arguments],
                what=f"git {arguments[0]}",
                env=environment,
                cwd=cwd or self.folder,
                timeout_s=60,
            )
        return (done.stdout + done.stderr).strip()

    def clone(self) -> None:
        """Make the clone anew, on `main`; an empty repository gives an empty one."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.git("clone", "--quiet", self.url, str(self.folder), cwd=self.folder.parent)
        if not self.git("branch", "--list", "main"):
            self.git("symbolic-ref", "HEAD", "refs/heads/main")

    def become(self, *sources: Path) -> None:
        """Make the clone's files those of the folders, later ones over earlier ones."""
        for entry in self.folder.iterdir():
            if entry.name != ".git":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for source in sources:
            shutil.copytree(source, self.folder, dirs_exist_ok=True, ignore=LITTER)

    def commit(self, message: str) -> str:
        """Commit everything, also nothing; give the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.head()

    def head(self) -> str:
        """Give the clone's newest commit."""
        return self.git("rev-parse", "HEAD")

    def push(self, reference: str = "main") -> str:
        """Push; give what git and the hook said."""
        return self.git("push", "origin", f"HEAD:refs/heads/{reference}")

    def there(self, reference: str) -> str | None:
        """Give what a reference points to on the server; `git ls-remote` takes its name for the end of others', too."""
        lines = self.git("ls-remote", "--refs", "origin", reference).split("\n")
        return {name: hash_ for hash_, _, name in (line.partition("\t") for line in lines)}.get(reference)

    def note(self, commit: str) -> str | None:
        """Give Slipway's note on a commit, as the server has it."""
        if (there := self.there(NOTES_REF)) is None:
            return None
        self.git("fetch", "--quiet", "origin", f"+{there}:{NOTES_REF}")
        noted = {line.split()[1] for line in self.git("notes", "--ref", NOTES_REF, "list").splitlines()}
        return self.git("notes", "--ref", NOTES_REF, "show", commit) if commit in noted else None


def neutral() -> dict[str, str]:
    """Keep the caller's own git settings out: the sandbox behaves alike on every machine."""
    return {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
