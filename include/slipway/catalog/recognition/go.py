"""What a Go module says: what locks it, its tests, and whether something describes its API."""

from __future__ import annotations

import re
from datetime import date

from slipway.catalog.recognition import starting
from slipway.catalog.recognition.findings import Files, Found, Guess

TAGGED = re.compile(r"^//go:build\b.*\bintegration\b", re.MULTILINE)


def go(files: Files, today: date) -> Found:
    """Give what a repository says of a Go service."""
    found = Found()
    found.known["stack"] = Guess("go", "go.mod")
    found.known["build.lint"] = Guess({}, "gofmt")
    found.known["build.analyze"] = Guess({}, "go vet")
    tests = files.matching("*_test.go")
    tagged = [path for path in tests if TAGGED.search(files.text(path))]
    plain = [path for path in tests if path not in tagged]
    found.known["test.unit"] = (
        Guess({}, plain[0]) if plain else Guess({"left_out": "no tests are written yet"}, "no *_test.go")
    )
    if tagged:
        composed = starting.database(files)
        because = f"go:build integration in {tagged[0]}" + (f", {composed}" if composed else "")
        found.known["test.integration"] = Guess({"database": True} if composed else {}, because)
    else:
        none = "no integration tests are written yet"
        found.known["test.integration"] = Guess({"left_out": none}, "no *_test.go with go:build integration")
    starting.undescribed(found, "nothing in the repository describes its API (OpenAPI)", today)
    return found
