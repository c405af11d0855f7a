"""What a Maven project says: its tests, what it checks itself with, and whether something describes its API.

Which plugins are for which stage the toolbox decides by the same names (`toolboxes/toolbox-java/lib/maven_gate.py`); here it is
told what there is none for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from fnmatch import fnmatch

from slipway.catalog.recognition import starting
from slipway.catalog.recognition.findings import Files, Found, Guess

CHECKS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "build.lint": ("no linter is configured", ("maven-checkstyle-plugin", "spotless-maven-plugin")),
    "build.analyze": (
        "the compiler checks types; nothing else is configured",
        ("spotbugs-maven-plugin", "maven-pmd-plugin"),
    ),
}
UNIT = ("Test*.java", "*Test.java", "*Tests.java", "*TestCase.java")
INTEGRATION = ("IT*.java", "*IT.java", "*ITCase.java")
"""The names of tests that Surefire and Failsafe look for by themselves."""

DESCRIBES = "springdoc-openapi"
DESCRIBED = "/v3/api-docs"


def java(files: Files, today: date) -> Found:
    """Give what a repository says of a Java service."""
    found = Found()
    found.known["stack"] = Guess("java", "pom.xml")
    poms = files.matching("pom.xml", "*/pom.xml")
    for word, (none, plugins) in CHECKS.items():
        named = [(one, path) for one in plugins for path in poms if f">{one}<" in files.text(path)]
        found.known[word] = (
            Guess({}, f"{named[0][0]} in {named[0][1]}")
            if named
            else Guess({"left_out": none}, f"neither {' nor '.join(plugins)} in pom.xml")
        )
    unit, integration = (_tests(files, names) for names in (UNIT, INTEGRATION))
    found.known["test.unit"] = (
        Guess({}, unit[0])
        if unit
        else Guess({"left_out": "no tests are written yet"}, "no *Test.java in src/test")
    )
    runs = next((path for path in poms if ">maven-failsafe-plugin<" in files.text(path)), None)
    composed = starting.database(files)
    if runs and integration:
        because = ", ".join(filter(None, (f"maven-failsafe-plugin in {runs}", integration[0], composed)))
        found.known["test.integration"] = Guess({"database": True} if composed else {}, because)
    else:
        none = "no integration tests are written yet"
        found.known["test.integration"] = Guess(
            {"left_out": none}, "no *IT.java that maven-failsafe-plugin runs"
        )
    _described(found, files, poms, composed, today)
    return found


def _tests(files: Files, names: tuple[str, ...]) -> list[str]:
    below = [one for one in files.texts if one.startswith("src/test/") or "/src/test/" in one]
    return sorted(one for one in below if any(fnmatch(one.rpartition("/")[2], name) for name in names))


def _described(found: Found, files: Files, poms: list[str], composed: str | None, today: date) -> None:
    """Say where the service describes its API, and how it is started; if nothing says so, that it cannot be tried by that."""
    jar = _jar(files.text("pom.xml"))
    named = next((path for path in poms if f">{DESCRIBES}" in files.text(path)), None)
    if not named or not jar or len(poms) > 1:
        starting.undescribed(found, "nothing in pom.xml describes its API (springdoc-openapi)", today)
        return
    found.known["scan.dynamic.command"] = Guess(["java", "-jar", f"target/{jar}.jar"], "pom.xml")
    found.known["scan.dynamic.openapi"] = Guess(DESCRIBED, f"{DESCRIBES} in {named}")
    starting.port(files, found)
    if "scan.dynamic.port" not in found.known:
        found.known["scan.dynamic.port"] = Guess(8080, "Spring Boot's own")
    if composed:
        found.known["scan.dynamic.database"] = Guess(True, composed)


def _jar(pom: str) -> str | None:
    """Give the name of what a pom packages, without its suffix; None if it is put together from what is said elsewhere."""
    if final := re.search(r"<finalName>\s*([^<$\s]+)\s*</finalName>", pom):
        return final[1]
    own = re.sub(r"<(parent|dependencies|dependencyManagement|build|profiles)>.*?</\1>", "", pom, flags=re.S)
    named = [re.search(rf"<{word}>\s*([^<$\s]+)\s*</{word}>", own) for word in ("artifactId", "version")]
    return "-".join(one[1] for one in named if one) if all(named) else None
