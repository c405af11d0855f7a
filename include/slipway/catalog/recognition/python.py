"""What a Python project says: its locks, its linter and type checker, its tests, and how it is started."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

from slipway.catalog.recognition.findings import Files, Found, Guess

TOOL_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
DEVELOPMENT = (
    *("requirements-dev.txt", "requirements_dev.txt", "dev-requirements.txt", "requirements-test.txt"),
    *("requirements/dev.txt", "requirements/test.txt", "test-requirements.txt"),
)
STARTERS = (
    "uvicorn",
    "gunicorn",
    "hypercorn",
    "granian",
    "fastapi",
    "flask",
    "waitress-serve",
    "python",
    "python3",
)
VENV = "/deps/venv/bin"


def python(files: Files) -> Found:
    """Give what a repository says of a Python service."""
    found = Found()
    found.say("source.dependencies", list(_locks(files)))
    _style(files, found)
    _tests(files, found)
    found.say("scan.dynamic.command", list(_starts(files)))
    port = next(iter(re.findall(r"^EXPOSE\s+(\d+)", files.text("Dockerfile"), re.M)), None)
    if port:
        found.known["scan.dynamic.port"] = Guess(int(port), "EXPOSE in Dockerfile")
    if files.has_folder("src"):
        found.known["scan.dynamic.environment"] = Guess({"PYTHONPATH": "src"}, "src/")
    return found


def _locks(files: Files) -> Iterator[Guess]:
    for one in TOOL_LOCKS:
        if one in files:
            yield Guess({"runtime": one, "development": one}, one)
    if "requirements.txt" in files and "==" in files.text("requirements.txt"):
        beside = next((one for one in DEVELOPMENT if one in files), "requirements.txt")
        yield Guess({"runtime": "requirements.txt", "development": beside}, f"requirements.txt, {beside}")


def _style(files: Files, found: Found) -> None:
    setup = {"setup.cfg": "[flake8]", "tox.ini": "[flake8]"}
    linters = {
        "ruff check .": files.configured("ruff", "ruff.toml", ".ruff.toml"),
        "flake8": files.configured("flake8", ".flake8", sections=setup),
        "pylint --recursive=y .": files.configured("pylint", ".pylintrc", "pylintrc"),
    }
    _told(found, "build.lint", linters, "no linter is configured")
    types = {
        "mypy" if "files" in files.pyproject.get("tool", {}).get("mypy", {}) else "mypy .": files.configured(
            "mypy", "mypy.ini", ".mypy.ini", sections={"setup.cfg": "[mypy]"}
        ),
        "pyright": files.configured("pyright", "pyrightconfig.json"),
    }
    _told(found, "build.analyze", types, "no type checker is configured")


def _told(found: Found, word: str, tools: dict[str, Iterator[str]], none: str) -> None:
    guesses = [
        Guess({"command": command.split()}, where)
        for command, places in tools.items()
        if (where := next(places, None))
    ]
    found.say(word, guesses or [Guess({"left_out": none}, none)])


def _tests(files: Files, found: Found) -> None:
    is_test = re.compile(r"(?:test_[^/]*|[^/]*_test)\.py$")
    tested = [path for path in files.texts if is_test.search(path)]
    folder = next((one for one in ("tests", "test") if any(p.startswith(f"{one}/") for p in tested)), None)
    unit = next(
        (f"{folder}/{one}" for one in ("unit", "unit_tests") if files.has_folder(f"{folder}/{one}")), folder
    )
    whole = next(
        (
            f"{folder}/{one}"
            for one in ("integration", "e2e")
            if any(p.startswith(f"{folder}/{one}/") for p in tested)
        ),
        None,
    )
    if unit is None:
        found.say("test.unit", [Guess({"left_out": "no tests are written yet"}, "no tests/test_*.py")])
    else:
        found.say("test.unit", [Guess({"path": unit}, f"{unit}/")])
    if whole is None:
        found.say(
            "test.integration",
            [Guess({"left_out": "no integration tests are written yet"}, "no tests/integration/")],
        )
        return
    database = _database(files)
    found.say(
        "test.integration",
        [
            Guess(
                {"path": whole} | ({"database": True} if database else {}),
                f"{whole}/" + (f", {database}" if database else ""),
            )
        ],
    )


def _database(files: Files) -> str | None:
    """Give the compose file that has a Postgres beside the service."""
    composed = files.matching("*compose*.yml", "*compose*.yaml")
    return next((one for one in composed if re.search(r"image:\s*[\"']?\S*postgres", files.text(one))), None)


def _starts(files: Files) -> Iterator[Guess]:
    """Give the commands that start the service, of the Dockerfile's last stage, or the Procfile."""
    stage = re.split(r"^FROM\s", files.text("Dockerfile").replace("\\\n", " "), flags=re.M)[-1]
    parts = {word: re.findall(rf"^{word}\s+(.+)$", stage, re.M) for word in ("ENTRYPOINT", "CMD")}
    words = [_words(parts[word][-1]) for word in parts if parts[word]]
    if words and (command := _command([one for some in words for one in some])):
        yield Guess(command, " and ".join(word for word in parts if parts[word]) + " in Dockerfile")
        return
    for line in re.findall(r"^web:\s*(.+)$", files.text("Procfile"), re.M):
        if command := _command(_words(line)):
            yield Guess(command, "Procfile")


def _words(text: str) -> list[str]:
    text = text.strip()
    try:
        found = json.loads(text) if text.startswith("[") else shlex.split(text)
    except ValueError:
        return []
    return [str(one) for one in found] if isinstance(found, list) else []


def _command(words: list[str]) -> list[str] | None:
    """Give a command as it is in the throwaway container; None if a shell, or a variable, has a part in it."""
    if (words[:1] and words[0].rpartition("/")[2] in ("sh", "bash")) or not words:
        return None
    if any(one in ("&&", "||", "|", ";") or "$" in one for one in words):
        return None
    while words and words[0] in ("exec", "tini", "--", "dumb-init"):
        words = words[1:]
    for one in (("uv", "run"), ("poetry", "run"), ("pdm", "run"), ("pipenv", "run")):
        if tuple(words[:2]) == one:
            words = words[2:]
    name = words[0].rpartition("/")[2] if words else ""
    return [f"{VENV}/{name}", *words[1:]] if name in STARTERS else None
