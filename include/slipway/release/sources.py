"""What of a commit's files can be brought as it is: to the gates, to the image, and to whoever reads it by its path.

A commit stands for more than its blobs: links lead elsewhere, pointers and submodules name what lies on other servers,
attributes change what a checkout holds. What is judged and what is shipped must be one content, so what would be another
for one of them is refused, by path, when the sources are read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed

if TYPE_CHECKING:
    from slipway.catalog.platform import Packages

FILES_MOST, FILE_MOST, ALL_MOST = 50_000, 100_000_000, 1_000_000_000
"""How many files a commit may hold, and how many bytes one file and all of them may have."""

PATH_MOST, NAME_MOST = 1024, 255
"""Bytes of a path and of one name in it; the second is a limit of file systems (limits.h, NAME_MAX)."""

LINK_MOST, POINTER_MOST = 4095, 1023
"""Bytes of a link's target (PATH_MAX), and of a Git LFS pointer (its specification: less than 1024)."""

FILE, PROGRAM, LINK, SUBMODULE = "100644", "100755", "120000", "160000"

CACHES = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".tox", ".nox", ".venv"})
"""Folders that tools make and that no person commits."""

COMPILED = (".pyc", ".pyo", ".pyd", ".so")
"""What Python's import runs without a source (importlib.machinery.all_suffixes), so that no gate can read it."""

ENCRYPTED = frozenset({"git-crypt", "crypt", "transcrypt"})
"""Names that programs which encrypt files give to git's attribute `filter`."""

_POINTERS = (
    (
        re.compile(rb"version https://(git-lfs|hawser)\.github\.com/spec/v1\n(.*\n)?oid sha256:", re.DOTALL),
        "Git LFS",
    ),
    (re.compile(rb"/annex/objects/"), "git-annex"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_SHOWN = 20


@dataclass(frozen=True)
class Entry:
    """A file, link or submodule of a commit.

    :param path: with each byte that is no UTF-8 as a lone surrogate.
    :param mode: as git writes it, in octal.
    :param size: in bytes; 0 of a submodule.
    :param text: of a link its target, of a file of at most POINTER_MOST bytes its content; else empty.
    """

    path: str
    mode: str
    object: str
    size: int
    text: bytes = b""

    @property
    def target(self) -> str:
        """Where a link leads, as it is written."""
        return self.text.decode(errors="surrogateescape")


@dataclass(frozen=True)
class Refusal:
    """Why a commit is refused, in words, which reason it is (as of our errors), and what to do."""

    message: str
    code: str
    remedy: str


def refuse(found: Sequence[Refusal]) -> None:
    """Raise the first refusal, with the others after it.

    :raises PolicyFailed: if there is any.
    """
    if found:
        others = [one.message for one in found[1 : _SHOWN + 1]]
        if len(found) > _SHOWN + 1:
            others.append(f"… and {len(found) - _SHOWN - 1} more")
        raise PolicyFailed(found[0].message, code=found[0].code, remedy=found[0].remedy, lines=others)


def shown(path: str) -> str:
    """Give a path as it may stand in a message: what is no plain character in it is escaped."""
    plain = path if path.isprintable() else ascii(path)
    return plain if len(plain) <= 200 else f"{plain[:160]}…{plain[-30:]}"


def misshapen(entries: Sequence[Entry]) -> list[Refusal]:
    """Give what is refused by the list of files alone: names, kinds, how many and how large."""
    found = [one for entry in entries if (one := _kind(entry) or _name(entry.path) or _made(entry.path))]
    return [*found, *_twice(entries), *_bounds(entries)]


def _kind(entry: Entry) -> Refusal | None:
    path = shown(entry.path)
    if entry.mode == SUBMODULE:
        return Refusal(
            f"{path} is a submodule: its files are in another repository, and are not fetched",
            code="source.submodule",
            remedy="commit the files themselves (`git subtree add`), or install them as a package that the lock names",
        )
    if entry.mode not in (FILE, PROGRAM, LINK, "100664"):
        return Refusal(
            f"{path} has mode {shown(entry.mode)}, which is none of a file, a program or a link",
            code="source.mode-unknown",
            remedy="commit it anew with git itself",
        )
    if entry.mode == LINK and entry.size > LINK_MOST:
        return Refusal(
            f"{path} is a link of {entry.size} bytes: no system has links of more than {LINK_MOST}",
            code="source.link-too-long",
            remedy="commit a file in its place",
        )
    return None


def _name(path: str) -> Refusal | None:
    encoded, parts = path.encode(errors="surrogateescape"), path.split("/")
    if any(part in ("", ".", "..") or part.casefold() == ".git" for part in parts):
        return Refusal(
            f"{shown(path)} has a name that belongs to git or to the file system",
            code="source.name-reserved",
            remedy="rename it; such a commit is not made by git itself",
        )
    if not _is_text(path) or _CONTROL.search(path):
        return Refusal(
            f"{shown(path)} has a control character, a backslash or a byte that is no UTF-8 in its name",
            code="source.name-unclear",
            remedy="rename it: tools do not read such a name alike",
        )
    if len(encoded) > PATH_MOST or any(len(one) > NAME_MOST for one in encoded.split(b"/")):
        return Refusal(
            f"{shown(path)} has too long a name: a path may have {PATH_MOST} bytes, and each name in it {NAME_MOST}",
            code="source.name-too-long",
            remedy="rename it",
        )
    return None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _made(path: str) -> Refusal | None:
    *folders, name = path.split("/")
    if cache := next((one for one in folders if one in CACHES), None):
        return Refusal(
            f"{shown(path)} is in a folder {cache}, which tools make",
            code="source.cache-folder",
            remedy=f"take it out of the repository (`git rm -r --cached`), and put {cache}/ into .gitignore",
        )
    if name.endswith(COMPILED):
        return Refusal(
            f"{shown(path)} is compiled: Python's import would run it, and no gate can read it",
            code="source.compiled",
            remedy="commit its source, or install it as a package that the lock names",
        )
    return None


def _twice(entries: Sequence[Entry]) -> list[Refusal]:
    paths = Counter(entry.path for entry in entries)
    folders = {one for path in paths for one in accumulate(path.split("/")[:-1], lambda a, b: f"{a}/{b}")}
    return [
        Refusal(
            f"{shown(path)} is there twice in the commit",
            code="source.entry-twice",
            remedy="commit it anew with git itself; `git fsck` tells what else is wrong",
        )
        for path, count in paths.items()
        if count > 1 or path in folders
    ]


def _bounds(entries: Sequence[Entry]) -> list[Refusal]:
    found = []
    if not entries:
        found.append(
            Refusal("the commit holds no file", code="source.no-file", remedy="commit the service's files")
        )
    if len(entries) > FILES_MOST:
        found.append(
            Refusal(
                f"the commit holds {len(entries)} files, and may hold {FILES_MOST}",
                code="source.too-many-files",
                remedy="keep in the repository only what the service is made of",
            )
        )
    found += [
        Refusal(
            f"{shown(entry.path)} has {entry.size} bytes, and a file may have {FILE_MOST}",
            code="source.file-too-large",
            remedy="keep it elsewhere, and fetch it when the service starts or its base image is made",
        )
        for entry in entries
        if entry.size > FILE_MOST
    ]
    if (size := sum(entry.size for entry in entries)) > ALL_MOST:
        found.append(
            Refusal(
                f"the commit's files have {size} bytes, and may have {ALL_MOST}",
                code="source.too-large",
                remedy="keep in the repository only what the service is made of",
            )
        )
    return found


def misleading(entries: Sequence[Entry], read: Iterable[str] = ()) -> list[Refusal]:
    """Give what is refused by what small files and links say: pointers to other servers, links that lead out.

    :param read: paths that are read from git and from a folder, too: they must be files (or folders) themselves.
    """
    links = {entry.path: entry.target for entry in entries if entry.mode == LINK}
    found = [one for entry in entries if (one := _stands_in(entry))]
    found += [one for link in links if (one := _leads_out(link, links))]
    return found or [one for path in read if (one := through_link(path, links))]


def _stands_in(entry: Entry) -> Refusal | None:
    if entry.mode == LINK or not (keeper := pointer(entry.text)):
        return None
    return Refusal(
        f"{shown(entry.path)} is in {keeper}: the commit holds a pointer to it, and it is not fetched",
        code="source.pointer",
        remedy="commit the file itself, or fetch it when the service starts or its base image is made",
    )


def pointer(text: bytes) -> str | None:
    """Give what keeps the file that a small file stands for; None if it stands for itself."""
    return next((keeper for pattern, keeper in _POINTERS if pattern.match(text)), None)


def _leads_out(link: str, links: Mapping[str, str]) -> Refusal | None:
    end, target = led_to(link, links), links[link]
    if not target or "\0" in target:
        return Refusal(
            f"{shown(link)} is a link without a target that a file system could have",
            code="source.link-without-target",
            remedy="commit a file in its place",
        )
    if end is None:
        return Refusal(
            f"{shown(link)} is a link that leads out of the repository: to {shown(target)}",
            code="source.link-leads-out",
            remedy="commit what it leads to, or take it out of the repository",
        )
    if end == "":
        return Refusal(
            f"{shown(link)} is a link that leads in a circle: to {shown(target)}",
            code="source.link-in-a-circle",
            remedy="let it lead to a file, or take it out of the repository",
        )
    if end.split("/")[0].casefold() == ".git":
        return Refusal(
            f"{shown(link)} is a link that leads into .git: to {shown(target)}",
            code="source.link-into-git",
            remedy="commit what it leads to (of git-annex, too), or take it out of the repository",
        )
    return None


def led_to(link: str, links: Mapping[str, str]) -> str | None:
    """Give the path that a link leads to in the end, `.` for the top; "" for a circle, None for one that leads out.

    Each step must stay within, also where a later one would lead back in: tools that unpack go by the text alone, and
    the kernel by the links that it meets on the way.

    :param links: the target of each link of the commit, by path.
    """
    folder = link.split("/")[:-1]
    if _leaves(folder, links[link]):
        return None
    left, here, met = links[link].split("/")[::-1], folder, 0
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not here:
                return None
            here = here[:-1]
            continue
        here = [*here, part]
        if (target := links.get("/".join(here))) is not None:
            met += 1
            if met > 40:  # as many as the kernel follows (path_resolution(7))
                return ""
            here = here[:-1]
            if _leaves(here, target):
                return None
            left += target.split("/")[::-1]
    return "/".join(here) or "."


def _leaves(folder: Sequence[str], target: str) -> bool:
    depth = len(folder)
    for part in target.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            return True
    return target.startswith("/")


def through_link(path: str, links: Mapping[str, str]) -> Refusal | None:
    """Give why a path that the catalog names is refused: it, or a folder above it, is a link."""
    steps = list(accumulate(path.split("/"), lambda a, b: f"{a}/{b}"))
    for at, step in enumerate(steps):
        if step in links:
            end = led_to(step, links)
            rest = path[len(steps[at]) :]
            return Refusal(
                f"{path} is read by its path, but {shown(step)} is a link to {shown(links[step])}",
                code="source.path-through-link",
                remedy=f"name the file itself in the catalog: {shown(end)}{rest}"
                if end
                else "commit the file itself",
            )
    return None


def below(folder: str, entries: Iterable[Entry]) -> list[Refusal]:
    """Give the links below a folder that is copied without what lies beside it."""
    return [
        Refusal(
            f"{shown(entry.path)} is a link: {folder} is taken by itself, without what it leads to",
            code="source.link-in-folder",
            remedy="commit the file itself in its place",
        )
        for entry in entries
        if entry.mode == LINK and (folder == "." or entry.path.startswith(f"{folder}/"))
    ]


def converted(attributes: Mapping[str, Mapping[str, str]]) -> list[Refusal]:
    """Give what is refused by its attributes: what a checkout holds is not what the commit does.

    :param attributes: values of `filter` and `working-tree-encoding`, by path.
    """
    found = []
    for path, values in attributes.items():
        if (program := values.get("filter")) in ENCRYPTED:
            found.append(
                Refusal(
                    f"{shown(path)} is encrypted by {program}: the commit holds nothing that can be read",
                    code="source.encrypted",
                    remedy="keep secrets in Vault, and commit the rest as it is",
                )
            )
        encoding = values.get("working-tree-encoding", "unspecified")
        if encoding not in ("unspecified", "unset", "set") and encoding.upper() not in ("UTF-8", "UTF8"):
            found.append(
                Refusal(
                    f"{shown(path)} is {shown(encoding)} in a checkout, and UTF-8 in the commit, which is what is shipped",
                    code="source.encoded",
                    remedy="drop `working-tree-encoding` from .gitattributes, and commit the file anew",
                )
            )
    return found


def source_volume(tree: str) -> str:
    """Give the name of the volume of a tree's files. A volume of this name is never changed once it is complete.

    :param tree: the whole hash: a part of it could be made to fit another tree's. The number after it is raised when a
        tree comes to be brought into the volume in another way.
    """
    return f"slipway-src-{tree}_2"


_NODE = (("package.json", True), (".nvmrc", False), (".node-version", False))
_BESIDE = {
    "poetry.lock": (("pyproject.toml", True),),
    "go.mod": (("go.sum", False), ("vendor/modules.txt", False)),
    "pom.xml": (
        (".mvn/wrapper/maven-wrapper.properties", False),
        (".mvn/extensions.xml", False),
        (".mvn/maven.config", False),
    ),
    **dict.fromkeys(("package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock"), _NODE),
}
"""What is read beside a lock, by its name, and whether it has to be there: which package is for what, and what runs it."""


def lock_files(locks: Iterable[str], paths: Iterable[str] = ()) -> dict[str, bool]:
    """Give the files that locks are read from, and whether each has to be there.

    :param paths: all files of the tree: the modules of a Maven project have poms of their own.
    """
    locks, found = [*locks], dict[str, bool]()
    for one in locks:
        path = PurePosixPath(one)
        found |= {
            one: True,
            **{str(path.parent / name): needed for name, needed in _BESIDE.get(path.name, ())},
        }
    if "pom.xml" in locks:
        found |= dict.fromkeys(sorted(one for one in paths if one.endswith("/pom.xml")), True)
    return found


def dependencies_key(toolbox: str, locks: Sequence[bytes], packages: Packages | None = None) -> str:
    """Give the key of what is fetched for locks: of its volume, and of the image of wheels that is made of that.

    The locks' hashes say what is fetched, wherever it comes from; which of several wheels, and how it is laid out, the
    toolbox does. Their paths play no part.

    :param toolbox: the image that fetches, by digest.
    :param packages: the package proxies that it fetches from: what a package without a wheel is built with is theirs to say.
    """
    from_ = [packages.model_dump_json()] if packages else []
    return hashlib.sha256(
        json.dumps([toolbox, *(hashlib.sha256(lock).hexdigest() for lock in locks), *from_]).encode()
    ).hexdigest()
