"""A Maven project as Maven expects it: its repository where it was fetched, and a home that may be written to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.sax.saxutils import escape

import gate
import poms
import tree

HOME = Path("/tmp/.m2")
REPOSITORY, MAVEN, PACKAGES = gate.DEPS / "repository", gate.DEPS / "maven", gate.DEPS / "packages.json"
OWN = Path("/opt/maven")
MACHINES = Path("/usr/lib/jvm")
WRAPPER = ".mvn/wrapper/maven-wrapper.properties"
OPTIONS = "-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dstyle.color=never -Djansi.mode=strip"


def project() -> poms.Project:
    """Read the poms of the source.

    :raises gate.Failed: if there is none at the top, or it wants a Java that is not here.
    """
    names = [gate.relative(path) for path in tree.files() if path.name == poms.NAME]
    if poms.NAME not in names:
        raise gate.Failed("there is no pom.xml at the top, where a Maven project begins")
    found = poms.Project.of({one: _text(gate.inside(one)) for one in names})
    wanted, there = found.java(), machines()
    if wanted and wanted[0] > max(there):
        raise gate.Failed(
            f"the project wants Java {wanted[0]} ({wanted[1]}), and this toolbox has {', '.join(map(str, there))}"
        )
    return found


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def machines() -> list[int]:
    """The Javas that are here, by their number."""
    found = [re.fullmatch(r"java-(\d+)-openjdk-\w+", one.name) for one in MACHINES.iterdir()]
    return sorted(int(match[1]) for match in found if match)


def version(properties: str) -> str | None:
    """The Maven that a wrapper's properties ask for; None if they name none.

    :raises gate.Failed: if they name another distribution.
    """
    match = re.search(r"^\s*distributionUrl\s*=\s*(\S+)", properties, re.MULTILINE)
    if not match:
        return None
    url = match[1].replace("\\:", ":")
    named = re.search(r"/org/apache/maven/apache-maven/([\w.-]+)/apache-maven-\1-bin\.(?:zip|tar\.gz)$", url)
    if not named:
        raise gate.Failed(
            f"{WRAPPER}: {url[:200]} is not Apache's own Maven: `mvn wrapper:wrapper -Dmaven=3.9.16` names one that is"
        )
    return named[1]


def settings(address: str, *, offline: bool) -> str:
    """What tells Maven where it asks: of all repositories that a project names, at one place."""
    return (
        f"<settings><interactiveMode>false</interactiveMode><offline>{str(offline).lower()}</offline><mirrors><mirror>"
        f"<id>packages</id><mirrorOf>*</mirrorOf><url>{escape(address)}</url></mirror></mirrors></settings>\n"
    )


def variables(home: Path) -> dict[str, str]:
    """The variables of Maven."""
    return {
        **os.environ,
        "MAVEN_OPTS": OPTIONS,
        "MAVEN_HOME": str(home),
        "PATH": f"{home}/bin:{os.environ['PATH']}",
        "CI": "true",
    }


def environment(_: Path) -> dict[str, str]:
    """Give the variables of a command of the project. Nothing is fetched any more.

    :raises gate.CannotEvaluate: if nothing was fetched.
    """
    if not (gate.DEPS / ".complete").is_file():
        raise gate.CannotEvaluate(
            "/deps is empty: fetch-dependencies has not filled the dependencies' volume"
        )
    if not HOME.is_dir():
        HOME.mkdir(parents=True)
        (HOME / "settings.xml").write_text(
            settings("http://nowhere.invalid/", offline=True), encoding="utf-8"
        )
        # links, since Maven notes beside an artifact whence it came, and the volume cannot be written to
        subprocess.run(["cp", "-rs", REPOSITORY, HOME / "repository"], check=True)
    return variables(MAVEN if MAVEN.is_dir() else OWN)


def begun(address: str) -> None:
    """Have an empty home, whose repository is the dependencies' volume."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    REPOSITORY.mkdir(exist_ok=True)
    (HOME / "settings.xml").write_text(settings(address, offline=False), encoding="utf-8")
    (HOME / "repository").symlink_to(REPOSITORY)
