"""What a Python project says: its locks, its linter and type checker, its tests, and how it is started."""

from __future__ import annotations

import re
from collections.abc import Iterator

from slipway.catalog.recognition import starting
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
    found.say("scan.dynamic.command", list(starting.starts(files, _command)))
    starting.port(files, found)
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
    database = starting.database(files)
    found.say(
        "test.integration",
        [
            Guess(
                {"path": whole} | ({"database": True} if database else {}),
                f"{whole}/" + (f", {database}" if database else ""),
            )
        ],
    )


def _command(words: list[str]) -> list[str] | None:
    """Give a command as it is in the throwaway container."""
    for one in (("uv", "run"), ("poetry", "run"), ("pdm", "run"), ("pipenv", "run")):
        if tuple(words[:2]) == one:
            words = words[2:]
    name = words[0].rpartition("/")[2] if words else ""
    return [f"{VENV}/{name}", *words[1:]] if name in STARTERS else None
