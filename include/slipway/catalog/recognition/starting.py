"""What says how a service is started, and what runs beside it: its Dockerfile, Procfile and compose file."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from slipway.catalog.recognition.findings import Files, Found, Guess

UNDESCRIBED_DAYS = 180


def starts(files: Files, command: Callable[[list[str]], list[str] | None]) -> Iterator[Guess]:
    """Give the commands that start the service, of the Dockerfile's last stage, or the Procfile.

    :param command: gives words as they are in the throwaway container; None if they are none that it knows.
    """
    stage = re.split(r"^FROM\s", files.text("Dockerfile").replace("\\\n", " "), flags=re.M)[-1]
    parts = {word: re.findall(rf"^{word}\s+(.+)$", stage, re.M) for word in ("ENTRYPOINT", "CMD")}
    words = [_words(parts[word][-1]) for word in parts if parts[word]]
    if words and (found := _plain([one for some in words for one in some], command)):
        yield Guess(found, " and ".join(word for word in parts if parts[word]) + " in Dockerfile")
        return
    for line in re.findall(r"^web:\s*(.+)$", files.text("Procfile"), re.M):
        if found := _plain(_words(line), command):
            yield Guess(found, "Procfile")


def port(files: Files, found: Found) -> None:
    """Take the port that the Dockerfile names."""
    if named := next(iter(re.findall(r"^EXPOSE\s+(\d+)", files.text("Dockerfile"), re.M)), None):
        found.known["scan.dynamic.port"] = Guess(int(named), "EXPOSE in Dockerfile")


def database(files: Files) -> str | None:
    """Give the compose file that has a Postgres beside the service."""
    composed = files.matching("*compose*.yml", "*compose*.yaml")
    return next((one for one in composed if re.search(r"image:\s*[\"']?\S*postgres", files.text(one))), None)


def undescribed(found: Found, because: str, today: date) -> None:
    """Say that the service cannot be tried by a description of its API, as there is none: until a day, to be asked again."""
    found.known = {word: one for word, one in found.known.items() if not word.startswith("scan.dynamic.")}
    found.known["scan.dynamic.policy"] = Guess("off", because)
    found.known["scan.dynamic.reason"] = Guess("the service does not describe its API (OpenAPI)", "")
    found.known["scan.dynamic.until"] = Guess((today + timedelta(days=UNDESCRIBED_DAYS)).isoformat(), "")


def _words(text: str) -> list[str]:
    text = text.strip()
    try:
        found = json.loads(text) if text.startswith("[") else shlex.split(text)
    except ValueError:
        return []
    return [str(one) for one in found] if isinstance(found, list) else []


def _plain(words: list[str], command: Callable[[list[str]], list[str] | None]) -> list[str] | None:
    """Give a command; None if a shell, or a variable, has a part in it."""
    if (words[:1] and words[0].rpartition("/")[2] in ("sh", "bash")) or not words:
        return None
    if any(one in ("&&", "||", "|", ";") or "$" in one for one in words):
        return None
    while words and words[0] in ("exec", "tini", "--", "dumb-init"):
        words = words[1:]
    return command(words) if words else None
