"""Reads locked requirements files, strictly: pins, all with hashes or none, and nothing else.

A pushed lock must not choose where packages come from, nor run code: options, addresses, paths and source builds are
refused. So is whatever pip, uv and pip-audit could read otherwise than this does; and they are given what was read, not
the file (`written`), so that what is judged is what is installed.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tool_locks
from gate import Failed, Finding, inside
from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from tool_locks import RUNTIME

PIN = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\[[A-Za-z0-9,._ -]*\])?\s*==\s*([^\s;,*]+)\s*(?:;\s*(.*?))?\s*$"
)
HASH = re.compile(r"--hash[= ]sha256:([0-9a-fA-F]{64})$")
MADE = "`uv lock`, `poetry lock`, `pdm lock`, `pipenv lock` or `uv pip compile --generate-hashes` make one: commit it"
ADVICE = "make the lock with `uv pip compile --generate-hashes --only-binary :all:`"
PLAIN = "save it in UTF-8, without it"
BOMS = (  # the longer first; pip decodes these, too
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
COOKIE = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
SAME = {"utf8", "utf-8", "ascii", "us-ascii"}


@dataclass(frozen=True)
class Pin:
    """One package of a lock."""

    name: str  # normalised as PEP 503 asks
    version: str  # normalised as PEP 440 asks: 2024.07.04 is 2024.7.4
    line: int
    marker: str = ""
    hashes: tuple[str, ...] = ()

    def __str__(self) -> str:
        marker = f" ; {self.marker}" if self.marker else ""
        return " ".join(
            [f"{self.name}=={self.version}{marker}", *(f"--hash=sha256:{one}" for one in self.hashes)]
        )


def read(name: str, part: str = RUNTIME) -> tuple[list[Pin], list[Finding]]:
    """The pins of a lock file of the source tree, and what is wrong with it. A lock may be empty.

    A missing lock is the service's fault.

    :param part: of a lock that holds both: what the service needs, or what its development needs besides (all of it).
    """
    text, wrong = _text(name)
    if wrong:
        return [], [wrong]
    if not tool_locks.known(name):
        return parse(name, text)
    beside = {one: _text(one)[0] for one in tool_locks.needs(name) if inside(one).is_file()}
    packages, findings = tool_locks.read(name, text, beside, part)
    return [Pin(one, version, 0, "", hashes) for one, version, hashes in packages], findings


def _text(name: str) -> tuple[str, Finding | None]:
    path = inside(name)
    if not path.is_file():
        raise Failed(f"{name} is missing: the catalog names it as a lock of dependencies; {MADE}")
    return decoded(name, path.read_bytes())


def inputs(names: Iterable[str]) -> list[Path]:
    """The files that locks are read from."""
    found = [one for name in names for one in (name, *tool_locks.needs(name))]
    return [path for path in map(inside, found) if path.is_file()]


def written(pins: Iterable[Pin], path: Path) -> Path:
    """Write pins as a lock file that every tool reads alike."""
    path.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    return path


def decoded(name: str, data: bytes) -> tuple[str, Finding | None]:
    """Give a lock's text as pip decodes it: by its byte order mark, or UTF-8; and what is wrong with it."""
    encoding = "utf-8"
    for mark, marked in BOMS:
        if data.startswith(mark):
            data, encoding = data.removeprefix(mark), marked
            break
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return "", Finding(
            name, line, "lock-encoding", f"it is not {encoding.upper()}: {error.reason}", PLAIN
        )
    if "\0" in text:
        what = "it has NUL characters: it is UTF-16 without a byte order mark, or no text"
        return "", Finding(name, 1, "lock-encoding", what, PLAIN)
    for number, line in enumerate(text.split("\n")[:2], 1):
        if (match := COOKIE.match(line)) and match[1].lower() not in SAME:
            return "", Finding(name, number, "lock-encoding", f"it says that it is in {match[1]}", PLAIN)
    return text, None


def parse(name: str, text: str) -> tuple[list[Pin], list[Finding]]:
    """The pins of a lock's text, and what is wrong with it."""
    pins, findings = [], []
    lines = _logical_lines(text)
    # of a lock without any hash the versions are pinned, and what is fetched for them first; half of one is a mistake
    hashed = any("--hash" in line for _, line, _ in lines)
    for number, line, odd in lines:
        rule, what, advice = odd or _wrong(line, hashed)
        if rule:
            findings.append(Finding(name, number, rule, what, advice))
        elif line:
            match, hashes = _parts(line)
            version, marker = str(Version(match[2])), str(Marker(match[3])) if match[3] else ""
            pins.append(Pin(canonicalize_name(match[1]), version, number, marker, hashes))
    return pins, findings


Wrong = tuple[str, str, str]
RIGHT: Wrong = ("", "", "")


def _parts(line: str) -> tuple[re.Match[str], tuple[str, ...]]:
    requirement, *options = re.split(r"\s+(?=--)", line)
    match = PIN.fullmatch(requirement.strip())
    assert match
    return match, tuple(HASH.fullmatch(option.strip())[1].lower() for option in options)  # type: ignore[index]


def _wrong(line: str, hashed: bool) -> Wrong:
    """What is wrong with a logical line: rule, message, advice."""
    if not line:
        return RIGHT
    requirement, *options = re.split(r"\s+(?=--)", line)
    match = PIN.fullmatch(requirement.strip())
    if requirement.startswith("-"):
        what = f"`{requirement[:80]}` is not allowed"
        return "lock-option", what, "the platform decides where packages come from: remove it"
    if not match:
        return "lock-pin", f"`{requirement[:80]}` is not a pin (name==version)", ADVICE
    try:
        Version(match[2])
        if match[3]:
            Marker(match[3])
    except InvalidVersion:
        arbitrary = match[2].startswith("=")
        what = "`===` compares text" if arbitrary else f"{match[2][:80]} is no version (PEP 440)"
        return "lock-pin", f"{match[1]}: {what}", "pin with `==` and the version that the index has"
    except InvalidMarker:
        return "lock-pin", f"{match[1]}: `{match[3][:80]}` is no marker (PEP 508)", ADVICE
    if "$" in line:
        return "lock-pin", f"{match[1]}: `$` may stand for a variable of the environment", "remove it"
    if not options and hashed:
        return "lock-hash", f"{requirement} has no hash, and others have", ADVICE
    if bad := [option for option in options if not HASH.fullmatch(option.strip())]:
        return "lock-option", f"{match[1]}: `{bad[0][:80]}` is not a sha256 hash", ADVICE
    return RIGHT


def _logical_lines(text: str) -> list[tuple[int, str, Wrong | None]]:
    """Lines without comments, continued ones joined as pip joins them, each with what is odd about it."""
    lines: list[tuple[int, str, Wrong | None]] = []
    kept, began, odd = "", 0, None
    for number, raw in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        odd = odd or _odd(raw)
        line = re.sub(r"(^|\s+)#.*$", "", raw)
        began = began or number
        is_continued = raw.endswith("\\") and line == raw
        kept += line.removesuffix("\\") if is_continued else line
        if not is_continued:
            if kept.strip() or odd:
                lines.append((began, kept.strip(), odd))
            kept, began, odd = "", 0, None
    return [*lines, (began, kept.strip(), odd)] if kept.strip() or odd else lines


def _odd(line: str) -> Wrong | None:
    """What readers of locks take differently: characters that end lines for some, and odd ends of lines."""
    for char in line:
        if (
            unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs") or char in "\x85\xa0"
        ) and char != "\t":
            what = f"has U+{ord(char):04X} ({unicodedata.name(char, 'a control character')})"
            return "lock-character", what, "remove it"
    if re.search(r"\\\\$|\\\s+$", line) or (line.endswith("\\") and re.search(r"\S\s+#", line)):
        return (
            "lock-continuation",
            "ends with a backslash that some tools take for a continuation, and some not",
            ADVICE,
        )
    return None
