"""Fills /deps with what a Maven project's build takes: its dependencies, its plugins, and what these take when they run."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree  # noqa: ICN001
from xml.sax.saxutils import escape

import gate
import maven_gate
import maven_project
import poms
import working_copy
from maven_project import REPOSITORY

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0"
TROUBLE = re.compile(
    r"Connect(?:ion)? (?:to \S+ .*)?(?:refused|timed out|reset)|Read timed out|Unknown host|status(?: code)?:? 5\d\d|"
    r"No route to host|No space left"
)
MISSING = re.compile(r"Could not find artifact (\S+)")
LISTED = re.compile(
    r"\s+([\w.-]+):([\w.-]+):[\w-]+:(?:[\w.-]+:)?([\w.+-]+):(compile|runtime|provided|test|system)\b.*"
)
QUICKLY = ("-Daether.dependencyCollector.impl=bf",)
"""Poms are asked for side by side."""

UNCHECKED = (
    "-DskipTests",
    *(f"-D{one}.skip=true" for one in ("checkstyle", "spotbugs", "pmd", "cpd", "jacoco")),
    "-Dspotless.check.skip=true",
)
BESIDE = {
    "org.junit.platform:junit-platform-engine": "org.junit.platform:junit-platform-launcher",
    "org.junit.jupiter:junit-jupiter-api": "org.junit.jupiter:junit-jupiter-engine",
}
"""What Surefire takes besides when it runs, in the version of what the project has."""

PROVIDERS = {
    "org.junit.platform:junit-platform-engine": ("surefire-junit-platform",),
    "org.junit.jupiter:junit-jupiter-api": ("surefire-junit-platform",),
    "junit:junit": ("surefire-junit4", "surefire-junit47"),
    "org.testng:testng": ("surefire-testng",),
}
"""How Surefire runs tests of each kind, in its own version."""

Packages = Sequence[Mapping[str, object]]


def dynamic(packages: Packages, repository: Path = REPOSITORY) -> list[str]:
    """What tests take when they run, though no pom names it, as coordinates.

    :param packages: what the project has.
    """
    found = {f"{BESIDE[str(one['name'])]}:{one['version']}" for one in packages if one["name"] in BESIDE}
    runners = {
        jar.parent.name
        for plugin in ("maven-surefire-plugin", "maven-failsafe-plugin")
        for jar in (repository / f"org/apache/maven/plugins/{plugin}").glob("*/*.jar")
    }
    providers = {provider for one in packages for provider in PROVIDERS.get(str(one["name"]), ())}
    found |= {f"org.apache.maven.surefire:{one}:{version}" for one in providers for version in runners}
    return sorted(found)


def taking(artifacts: Sequence[str]) -> str:
    """A pom whose `validate` takes artifacts with what they depend on, each by itself: one need not fit another."""
    executions = "".join(
        f"<execution><id>{number}</id><phase>validate</phase><goals><goal>get</goal></goals>"
        f"<configuration><artifact>{escape(one)}</artifact></configuration></execution>"
        for number, one in enumerate(artifacts)
    )
    group, name, version = PLUGIN.split(":")
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>slipway</groupId><artifactId>taking</artifactId>"
        "<version>1</version><packaging>pom</packaging><build><plugins><plugin>"
        f"<groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>"
        f"<executions>{executions}</executions></plugin></plugins></build></project>\n"
    )


def listed(text: str) -> Packages:
    """The packages that `dependency:list` tells, each once; what any module ships is shipped."""
    found: dict[tuple[str, str], bool] = {}
    for line in text.splitlines():
        if match := LISTED.fullmatch(line):
            key = f"{match[1]}:{match[2]}", match[3]
            found[key] = found.get(key, False) or match[4] in ("compile", "runtime")
    return [
        {"name": name, "version": version, "ships": ships} for (name, version), ships in sorted(found.items())
    ]


def inexact(repository: Path = REPOSITORY) -> list[gate.Finding]:
    """What was asked for without a version: then Maven has asked the registry which ones there are."""
    found = []
    for file in sorted(repository.glob("**/maven-metadata-*.xml")):
        try:
            told = ElementTree.parse(file).getroot()  # noqa: S314 -- entities are not expanded without a DTD of ours
        except (ElementTree.ParseError, OSError):
            continue
        if told.find("versioning/versions") is not None:
            name = f"{told.findtext('groupId')}:{told.findtext('artifactId')}"
            what = f"{name} is taken in whichever version is newest: no pom.xml names one, or a range of them is asked for"
            advice = "name its version: of a plugin where it stands, of a dependency's dependency in <dependencyManagement>"
            found.append(gate.Finding(poms.NAME, 0, "lock-version", what, advice, context=name))
    return found


def key(texts: Iterable[str]) -> str:
    """What /deps is filled for."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def wrapped(address: str, properties: str) -> str | None:
    """Put the Maven that a wrapper asks for into /deps, and give its version; None if the toolbox's own is the one.

    :raises gate.Failed: if it is not there, or not the one whose hash the wrapper says.
    :raises gate.CannotEvaluate: if it cannot be fetched.
    """
    version = maven_project.version(properties)
    if version is None or (maven_project.OWN / f"lib/maven-core-{version}.jar").is_file():
        return None
    url = f"{address.rstrip('/')}/org/apache/maven/apache-maven/{version}/apache-maven-{version}-bin.zip"
    archive = Path("/tmp/maven.zip")
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:  # noqa: S310 -- the platform's address
            archive.write_bytes(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise gate.Failed(f"{maven_project.WRAPPER}: there is no Maven {version}") from error
        raise gate.CannotEvaluate(f"Maven {version} cannot be fetched: {error}") from error
    except OSError as error:
        raise gate.CannotEvaluate(f"Maven {version} cannot be fetched: {error}") from error
    wanted = re.search(r"^\s*distributionSha256Sum\s*=\s*([0-9a-f]{64})\s*$", properties, re.MULTILINE)
    if wanted and hashlib.sha256(archive.read_bytes()).hexdigest() != wanted[1]:
        raise gate.Failed(
            f"{maven_project.WRAPPER}: Maven {version} has another hash than distributionSha256Sum"
        )
    with zipfile.ZipFile(archive) as packed:
        packed.extractall("/tmp/maven")
    Path(f"/tmp/maven/apache-maven-{version}").rename("/tmp/maven/one")
    shutil.rmtree(maven_project.MAVEN, ignore_errors=True)  # of an attempt that was ended
    code, _, err = gate.run(["cp", "-r", "/tmp/maven/one", maven_project.MAVEN], cwd=Path("/tmp"))
    if code:
        raise gate.CannotEvaluate(f"Maven {version} cannot be kept:\n{gate.last(err)}")
    (maven_project.MAVEN / "bin/mvn").chmod(0o755)
    archive.unlink()
    return version


def fetch(address: str, project: poms.Project) -> Packages:
    """Build the project once, without its tests, and take what its tests and checks take besides. Gives its packages.

    :raises gate.Failed: if it cannot be built, or names what is not there.
    :raises gate.CannotEvaluate: if the registry cannot be asked.
    """
    maven_project.begun(address)
    copy, told = working_copy.made(), Path("/tmp/listed")
    variables = maven_project.variables(
        maven_project.MAVEN if maven_project.MAVEN.is_dir() else maven_project.OWN
    )

    def mvn(goals: Sequence[str], *, needed: bool = True) -> None:
        code, out, err = gate.run(["mvn", "-B", "-C", "-ntp", *QUICKLY, *goals], variables, cwd=copy)
        if code and needed:
            _refuse(goals, code, out + err)

    said = [f"-DoutputFile={told}", "-DappendOutput=true"]
    mvn(["package", f"{PLUGIN}:go-offline", f"{PLUGIN}:list", *said, *UNCHECKED])
    packages = listed(told.read_text(encoding="utf-8", errors="replace") if told.is_file() else "")
    if besides := dynamic(packages):
        Path("/tmp/taking.xml").write_text(taking(besides), encoding="utf-8")
        mvn(["-f", "/tmp/taking.xml", "validate"])
    for stage in maven_gate.CHECKS:
        if goals := maven_gate.checked(stage, project):
            mvn([*goals, "-fn"], needed=False)  # what they find is their gate's to tell
    return packages


def _refuse(goals: Sequence[str], code: int, said: str) -> None:
    lines = said.splitlines()
    shown = f"`mvn {' '.join(goals[:1])}`"
    more = "\n  ".join(maven_gate.said(lines))
    if TROUBLE.search(said):
        raise gate.CannotEvaluate(
            f"the package proxy for Maven cannot be reached or read (exit {code}):\n{more}"
        )
    if missing := MISSING.search(said):
        raise gate.Failed(
            f"{missing[1]} is not in the registry: repositories that a pom.xml names are not asked, but the platform's only"
        )
    places = [str(one) for one in maven_gate.places(lines)][:20]
    more = "\n  ".join(places) or more
    raise gate.Failed(
        f"the project cannot be built ({shown} ended with {code}), which is how all that it takes is fetched when its "
        f"poms are new:\n  {more}"
    )


def kept(packages: Packages) -> None:
    """Keep what the packages are, for the scan and the bill of materials."""
    maven_project.PACKAGES.write_text(json.dumps(packages, indent=1) + "\n", encoding="utf-8")
