"""Git over HTTP: a bare mirror per repository on the worker, commits and trees by their hashes, notes as commit status."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import quote, urlsplit

from slipway import process
from slipway.errors import Permanent, PolicyFailed, Transient
from slipway.release import sources

NOTES_REF = "refs/notes/slipway"
FILE_LIMIT, FILES_LIMIT = process.OUTPUT_LIMIT, 20_000_000
"""Bytes of a file that a release reads, such as a lock or a manifest, and of all in a folder."""
LISTING_LIMIT = 16_000_000
"""Bytes of a commit's list of files: about sources.FILES_MOST of them, and no tree that holds itself a million times."""
REFS_LIMIT = 64_000_000
"""Bytes of a server's list of refs that are looked at; of a longer one the end."""
EARLIEST, LATEST = 315_532_800, 4_102_444_800
"""From 1980, where zip archives begin, to 2100: when a commit can have been made, for files and images."""
_HASH = re.compile(r"[0-9a-f]{40}")
# what git says when it is a server's answer that a retry will not change (http.c, remote-curl.c)
_REFUSED = re.compile(
    r"Authentication failed|could not read (Username|Password)|error: 40[134]|repository .* not found"
)


@dataclass(frozen=True)
class Commit:
    """What a release needs to know of a commit: its hashes, when it was made (seconds since 1970), and its first line.

    A commit may claim any time; one that archives and file systems do not take is given as the nearest that they do.
    """

    hash: str
    tree: str
    time: int
    subject: str
    author: str


@dataclass(frozen=True)
class Repository:
    """A remote repository and the bare mirror of it that this worker keeps.

    :param url: without credentials.
    :param mirrors: folder of this worker for mirrors; one per URL is made in it and may be deleted at any time.
    :param folder: the one folder of it that counts, as if there were nothing else: paths are from there. Empty: all of it.
    """

    url: str
    username: str
    password: str = field(repr=False)
    mirrors: Path
    folder: str = ""

    @property
    def _mirror(self) -> Path:
        return self.mirrors / f"{hashlib.sha256(self.url.encode()).hexdigest()[:16]}.git"

    @contextmanager
    def _git(self) -> Iterator[list[str]]:
        """Give the start of a git command line that can sign in; the password lies in a file for as long as that is used."""
        parts = urlsplit(self.url)
        with tempfile.TemporaryDirectory(prefix="slipway-git-") as folder:
            store = Path(folder) / "credentials"
            store.touch(mode=0o600)
            store.write_text(
                f"{parts.scheme}://{quote(self.username, safe='')}:{quote(self.password, safe='')}@{parts.netloc}\n"
            )
            yield [
                "git",
                "-c",
                "credential.helper=",
                "-c",
                f"credential.helper=store --file={store}",
                "-c",
                "http.lowSpeedLimit=1000",
                "-c",
                "http.lowSpeedTime=20",
            ]

    def _run(
        self,
        *args: str,
        stdin: bytes | None = None,
        timeout_s: float = 60,
        cwd: Path | None = None,
        keep: int = process.OUTPUT_LIMIT,
    ) -> bytes:
        # GIT_TERMINAL_PROMPT: a refused login must fail, not wait for someone to type
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
        with self._git() as git:
            try:
                return process.run(
                    [*git, *args],
                    stdin=stdin,
                    timeout_s=timeout_s,
                    cwd=cwd or self._mirror,
                    environment=environment,
                    keep=keep,
                )
            except Transient as e:
                # what follows `remote:` is the server's hooks' and decides nothing
                own = [line for line in e.lines if not line.startswith("remote:")]
                said = own[-1] if own else str(e)
                if _REFUSED.search(said):
                    raise Permanent(
                        f"{self.url}: the git server refuses the account {self.username}: {said}",
                        code="git.account-refused",
                        remedy="correct secret/slipway/git in Vault, or give that account the right to read the repository",
                    ) from e
                raise Transient(
                    f"{self.url}: git {args[0]} failed: {said}",
                    code="git.failed",
                    remedy="see that the git server answers",
                    lines=e.lines,
                ) from e

    def head(self, branch: str) -> str:
        """Give the commit that ``branch`` points to on the server.

        :raises PolicyFailed: if there is no such branch.
        """
        found = self._ref(f"refs/heads/{branch}")
        if found is None:
            raise PolicyFailed(
                f"{self.url}: no branch {branch}",
                code="source.branch-missing",
                remedy="push it, or correct `branch` in the catalog",
            )
        return found

    def _ref(self, name: str) -> str | None:
        """Give what the server's ref of exactly this full name points to; None if there is none.

        What is given to ``git ls-remote`` is a pattern that may match the end of a name: with ``refs/heads/main`` it
        tells of ``refs/heads/feature/refs/heads/main``, too, which anybody may push. ``git fetch`` takes a full
        name that is not there for the end of one, too (gitrevisions(7)), so it is given hashes; see _explain for ``git push``.
        """
        with tempfile.TemporaryDirectory(prefix="slipway-git-") as folder:
            said = self._run("ls-remote", "--refs", self.url, name, cwd=Path(folder), keep=REFS_LIMIT)
        # by lines and tabs as git writes them: what str takes for the end of a line may be part of a name
        refs = {ref: hash_ for hash_, _, ref in (line.partition(b"\t") for line in said.split(b"\n"))}
        found = refs.get(name.encode(), b"").decode()
        return found if _HASH.fullmatch(found) else None

    def fetch(self, commit: str | None = None) -> None:
        """Bring the mirror up to date; if ``commit`` is there already, do nothing."""
        with self._locked():
            if not (self._mirror / "HEAD").exists():
                process.run(["git", "init", "--quiet", "--bare", self._mirror], timeout_s=20)
            if commit and self._has(commit):
                return
            self._run(
                "fetch",
                "--quiet",
                "--prune",
                "--no-tags",
                self.url,
                "+refs/heads/*:refs/slipway/heads/*",  # where no name of one is the short form of another ref
                timeout_s=300,
            )

    def on_branch(self, commit: str, branch: str) -> bool:
        """Tell whether ``commit`` is on ``branch`` as the server has it now.

        :param commit: a full hash; any other name of it is on no branch.
        :raises PolicyFailed: if there is no such branch.
        """
        head = self.head(branch)
        self.fetch(head)
        return bool(_HASH.fullmatch(commit)) and self._has(commit) and self._leads_to(commit, head)

    def _leads_to(self, commit: str, head: str) -> bool:
        # what of the commit's history is not in the head's: nothing, if the commit is in it itself
        return not self._run("rev-list", "--max-count=1", commit, f"^{head}", timeout_s=60).strip()

    def resolve(self, prefix: str, branch: str) -> list[str]:
        """Give the commits of ``branch`` whose hashes begin with ``prefix`` (4 hexadecimal digits or more), sorted.

        :raises PolicyFailed: if there is no such branch.
        """
        head = self.head(branch)
        self.fetch(head)
        named = self._run("rev-parse", f"--disambiguate={prefix}").decode().split()
        return sorted(one for one in named if self._has(one) and self._leads_to(one, head))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only one of this worker's processes that changes the mirror."""
        self.mirrors.mkdir(parents=True, exist_ok=True)
        with (self.mirrors / f"{self._mirror.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _has(self, commit: str) -> bool:
        said = process.run(
            ["git", "cat-file", "--batch-check"],
            stdin=f"{commit}^{{commit}}\n".encode(),
            cwd=self._mirror,
            timeout_s=20,
        )
        return b" commit " in said

    def commit(self, commit: str) -> Commit:
        """Give what is known of a full commit hash, fetching it first if need be.

        :raises PolicyFailed: if ``commit`` is no full hash, or no branch of the repository has it.
        """
        if not _HASH.fullmatch(commit):
            raise PolicyFailed(
                f"{commit!r} is not a full commit hash",
                code="source.commit-malformed",
                remedy="give all 40 hexadecimal digits",
            )
        self.fetch(commit)
        if not self._has(commit):
            raise PolicyFailed(
                f"{self.url}: no commit {commit}",
                code="source.commit-missing",
                remedy="push the commit, then release it",
            )
        shown = self._run("show", "--no-patch", "--format=%H%x00%T%x00%ct%x00%s%x00%an", commit).decode(
            errors="replace"
        )
        hash_, tree, time, subject, author = shown.strip("\n").split("\0")
        if self.folder:
            tree = self._folder_of(commit)
        return Commit(hash_, tree, min(max(int(time), EARLIEST), LATEST), subject, author)

    def _folder_of(self, commit: str) -> str:
        """Give the hash of the folder that counts.

        :raises PolicyFailed: if the commit has no such folder.
        """
        (found,) = self.objects(commit, [self.folder])
        kind, _, hash_ = (found or "").partition(" ")
        if kind != "tree":
            raise PolicyFailed(
                f"{commit} has no folder {self.folder}",
                code="source.folder-missing",
                remedy="commit it, or correct `source.path` in the catalog",
            )
        return hash_

    def objects(self, commit: str, paths: Sequence[str]) -> list[str | None]:
        """Give what a commit has at each of some paths, from its top: kind and hash, the same for the same content, or None."""
        said = process.run(
            ["git", "cat-file", "--batch-check=%(objecttype) %(objectname)"],
            stdin="".join(f"{commit}:{path}\n" for path in paths).encode(),
            cwd=self._mirror,
            timeout_s=20,
        )
        lines = said.decode(errors="replace").splitlines()
        return [None if line.endswith(" missing") else line for line in lines]

    def _treeish(self, commit: str) -> str:
        return f"{commit}:{self.folder}" if self.folder else commit

    def tree(self, commit: str) -> tuple[sources.Entry, ...]:
        """Give what a commit holds, sorted by path.

        :raises PolicyFailed: if it holds something that cannot be brought to gates and image as it is; see `sources`.
        """
        self.fetch(commit)
        entries = self._listed(commit, recursive=True)
        sources.refuse(sources.misshapen(entries))
        sources.refuse(sources.misleading(entries))
        if any(PurePosixPath(entry.path).name == ".gitattributes" for entry in entries):
            sources.refuse(sources.converted(self._attributes(commit, entries)))
        return tuple(entries)

    @contextmanager
    def archive(self, commit: str, prefix: str = "") -> Iterator[IO[bytes]]:
        """Give an open tar of the commit's files, each path after ``prefix``; the same commit gives the same bytes.

        What is in it is what the commit holds, byte by byte. `git archive` would leave out, fill in and convert files
        as the commit's own .gitattributes say (export-ignore, export-subst, eol, ident …), so it is not used.

        :raises PolicyFailed: as `tree` does.
        """
        entries, time = self.tree(commit), self.commit(commit).time
        with (
            tempfile.TemporaryFile(prefix="slipway-git-") as blobs,
            tempfile.TemporaryFile(prefix="slipway-git-") as packed,
        ):
            self._blobs(entries, blobs)
            blobs.seek(0)
            with tarfile.open(fileobj=packed, mode="w") as tar:
                _pack(tar, prefix, entries, blobs, time)
            packed.seek(0)
            yield packed

    def files(self, commit: str, folder: str) -> dict[str, bytes]:
        """Give every file below ``folder`` (or the one file of that name) at ``commit``, by its path, sorted.

        :raises PolicyFailed: if they are larger than FILE_LIMIT or FILES_LIMIT: a worker keeps them in memory; or if one
            is not the file itself, but a link, a submodule or a pointer to another server.
        """
        self.fetch(commit)
        above = [] if folder == "." else [str(one) for one in reversed(PurePosixPath(folder).parents)][1:]
        way = self._listed(commit, *above, folder)
        links = {entry.path: entry.target for entry in way if entry.mode == sources.LINK}
        if found := sources.through_link(folder, links):
            sources.refuse([found])
        entries = self._listed(commit, folder, recursive=True)
        sources.refuse(sources.misshapen(entries) if entries else [])
        sources.refuse([*sources.below(folder, entries), *sources.misleading(entries)])
        for entry in entries:
            if entry.size > FILE_LIMIT:
                raise PolicyFailed(
                    f"{entry.path} has {entry.size} bytes, and may have {FILE_LIMIT}",
                    code="source.read-too-large",
                    remedy="keep it elsewhere, or split it",
                )
        if (size := sum(entry.size for entry in entries)) > FILES_LIMIT:
            raise PolicyFailed(
                f"the files below {folder} have {size} bytes, and may have {FILES_LIMIT}",
                code="source.folder-too-large",
                remedy="keep there only what a release reads",
            )
        with tempfile.TemporaryFile(prefix="slipway-git-") as blobs:
            self._blobs(entries, blobs)
            blobs.seek(0)
            return {entry.path: _next(blobs, entry) for entry in entries}

    def _listed(self, commit: str, *paths: str, recursive: bool = False) -> list[sources.Entry]:
        """Give the files of a commit (at or below ``paths``), with the text of links and of small files, sorted by path."""
        listed = process.beginning(
            [
                "git",
                "ls-tree",
                "-z",
                "-l",
                *(["-r"] if recursive else []),
                self._treeish(commit),
                "--",
                *paths,
            ],
            limit=LISTING_LIMIT,
            timeout_s=60,
            environment={**os.environ, "GIT_LITERAL_PATHSPECS": "1"},
            cwd=self._mirror,
        )
        if len(listed) == LISTING_LIMIT:
            raise PolicyFailed(
                f"the list of the files of {commit} is longer than {LISTING_LIMIT} bytes",
                code="source.list-too-long",
                remedy=f"keep in the repository only what the service is made of: {sources.FILES_MOST} files at most",
            )
        entries = []
        for line in filter(None, listed.split(b"\0")):
            about, _, path = line.partition(b"\t")
            mode, kind, object_, size = about.decode().split()
            if kind != "tree":
                entries.append(
                    sources.Entry(
                        path.decode(errors="surrogateescape"),
                        mode,
                        object_,
                        int(size) if kind == "blob" else 0,
                    )
                )
        read = [entry for entry in entries if _is_read(entry)]
        with tempfile.TemporaryFile(prefix="slipway-git-") as blobs:
            self._blobs(read, blobs)
            blobs.seek(0)
            texts = {entry: _next(blobs, entry) for entry in read}
        return sorted((replace(one, text=texts.get(one, b"")) for one in entries), key=lambda one: one.path)

    def _blobs(self, entries: Iterable[sources.Entry], into: IO[bytes]) -> None:
        """Write the blobs of files and links, one after the other, each as `_next` reads it."""
        process.run(
            ["git", "cat-file", "--batch"],
            stdin="".join(f"{entry.object}\n" for entry in entries).encode(),
            stdout=into,
            cwd=self._mirror,
            timeout_s=120,
        )

    def _attributes(self, commit: str, entries: Iterable[sources.Entry]) -> dict[str, dict[str, str]]:
        """Give the attributes `filter` and `working-tree-encoding` of each file that has one, as the commit itself says."""
        with tempfile.TemporaryDirectory(prefix="slipway-git-") as folder:
            environment = {**os.environ, "GIT_INDEX_FILE": f"{folder}/index", "GIT_ATTR_NOSYSTEM": "1"}
            process.run(
                ["git", "read-tree", self._treeish(commit)],
                cwd=self._mirror,
                environment=environment,
                timeout_s=60,
            )
            git = ["git", "-c", f"core.attributesFile={os.devnull}"]
            said = process.run(
                [*git, "check-attr", "--cached", "--stdin", "-z", "filter", "working-tree-encoding"],
                stdin=b"".join(entry.path.encode() + b"\0" for entry in entries),
                cwd=self._mirror,
                environment=environment,
                timeout_s=60,
                keep=4 * LISTING_LIMIT,
            )
        words = [word.decode() for word in said.split(b"\0")[:-1]]
        found: dict[str, dict[str, str]] = {}
        for path, attribute, value in zip(words[::3], words[1::3], words[2::3], strict=True):
            if value not in ("unspecified", "unset"):
                found.setdefault(path, {})[attribute] = value
        return found

    def note(self, commit: str) -> str | None:
        """Give the note on ``commit`` under ``refs/notes/slipway``, as the server has it now."""
        self.fetch(commit)
        with self._locked():
            return self._note(commit)

    def _note(self, commit: str) -> str | None:
        if not self._fetch_notes():
            return None
        listed = self._run("notes", "--ref", NOTES_REF, "list").decode().split()
        return (
            self._run("notes", "--ref", NOTES_REF, "show", commit).decode()
            if commit in listed[1::2]
            else None
        )

    def _fetch_notes(self) -> bool:
        if (there := self._ref(NOTES_REF)) is None:
            return False
        self._run("fetch", "--quiet", "--no-tags", self.url, f"+{there}:{NOTES_REF}")
        return True

    def write_note(self, commit: str, text: str, attempts: int = 5) -> bool:
        """Put ``text`` as the note on ``commit`` and push it; False if it was there already.

        Another writer may push first: then the notes are fetched anew and the note is put on top of theirs.
        """
        self.fetch(commit)
        for attempt in range(attempts):
            # one lock for looking, writing and pushing: another release's look would take back what is not pushed yet
            with self._locked():
                if self._note(commit) == text:
                    return False
                who = ["-c", "user.name=Slipway", "-c", "user.email=slipway@localhost"]
                process.run(
                    ["git", *who, "notes", "--ref", NOTES_REF, "add", "--force", "--file=-", commit],
                    stdin=text.encode(),
                    cwd=self._mirror,
                    timeout_s=20,
                )
                try:
                    # all of the folder, where the mirror has this one: see _ref
                    self._run("push", "--quiet", self.url, "refs/notes/*:refs/notes/*")
                    return True
                except Transient as e:
                    if attempt == attempts - 1:
                        self._explain(e)
                        raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _explain(self, error: Transient) -> None:
        """Tell of a branch or tag that a push over HTTP takes for the notes, whatever its refspec says (git-send-pack(1))."""
        for kind in ("heads", "tags"):
            if self._ref(f"refs/{kind}/{NOTES_REF}"):
                raise Permanent(
                    f"{self.url}: refs/{kind}/{NOTES_REF} is taken for {NOTES_REF} by git, so that no note can be pushed",
                    code="git.notes-ref-taken",
                    remedy="delete it, and let the server refuse branches and tags whose names begin with refs/, as forges do",
                ) from error


def _is_read(entry: sources.Entry) -> bool:
    most = sources.LINK_MOST if entry.mode == sources.LINK else sources.POINTER_MOST
    return entry.mode != sources.SUBMODULE and entry.size <= most


def _next(blobs: IO[bytes], entry: sources.Entry) -> bytes:
    """Give the next blob of what `git cat-file --batch` wrote, which is that of ``entry``."""
    head = blobs.readline()
    if head != f"{entry.object} blob {entry.size}\n".encode():
        raise Transient(
            f"the mirror has no {entry.object} ({sources.shown(entry.path)}): git tells {head[:100]!r}",
            code="git.mirror-damaged",
            remedy="remove the folder of the mirror on this worker; it is made anew",
        )
    content = blobs.read(entry.size)
    blobs.read(1)
    return content


def _pack(
    tar: tarfile.TarFile, prefix: str, entries: Sequence[sources.Entry], blobs: IO[bytes], time: int
) -> None:
    """Write files, links and their folders into a tar, as a checkout by hand has them."""
    made: set[str] = set()
    for entry in entries:
        path = PurePosixPath(prefix) / entry.path
        for folder in [str(one) for one in reversed(path.parents)][1:]:
            if folder not in made:
                made.add(folder)
                tar.addfile(_member(folder, tarfile.DIRTYPE, 0o755, time))
        content = _next(blobs, entry)
        if entry.mode == sources.LINK:
            link = _member(str(path), tarfile.SYMTYPE, 0o777, time)
            link.linkname = entry.target
            tar.addfile(link)
        else:
            mode = 0o755 if entry.mode == sources.PROGRAM else 0o644
            file = _member(str(path), tarfile.REGTYPE, mode, time)
            file.size = len(content)
            tar.addfile(file, io.BytesIO(content))


def _member(path: str, kind: bytes, mode: int, time: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.mtime, info.uname, info.gname = kind, mode, time, "root", "root"
    return info
