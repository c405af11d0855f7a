"""Maven projects in their toolbox: which versions are exact, what tests take besides, and what Maven says of files."""

from pathlib import Path

import maven_fetch
import maven_gate
import maven_project
import maven_versions
import poms
import pytest
from gate import Failed
from hypothesis import given
from hypothesis import strategies as st

POM = """<?xml version="1.0"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <groupId>com.example</groupId><artifactId>shop</artifactId><version>1.0-SNAPSHOT</version>
  <properties><java.version>17</java.version><gson.version>2.14.0</gson.version></properties>
  <dependencies>
    <dependency><groupId>com.google.code.gson</groupId><artifactId>gson</artifactId>
      <version>${gson.version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId></dependency>
  </dependencies>
</project>
"""
MODULE = """<project><parent><groupId>com.example</groupId><artifactId>shop</artifactId><version>1.0-SNAPSHOT</version></parent>
  <artifactId>web</artifactId>
  <dependencies><dependency><groupId>com.example</groupId><artifactId>core</artifactId><version>1.0-SNAPSHOT</version></dependency>
  </dependencies></project>
"""
CORE = MODULE.replace("<artifactId>web<", "<artifactId>core<").replace(
    "<artifactId>core</artifactId><version>1.0", "<artifactId>web</artifactId><version>1.0"
)


def test_exact_versions_and_the_projects_own_modules_are_a_lock() -> None:
    found = poms.Project.of({"pom.xml": POM, "web/pom.xml": MODULE, "core/pom.xml": CORE})
    assert not found.findings
    assert found.java() == (17, "java.version")


@pytest.mark.parametrize("said", ["[2.0,3.0)", "(,2]", "LATEST", "RELEASE", "2.15.0-SNAPSHOT"])
def test_version_that_is_not_one_is_a_finding_where_it_stands(said: str) -> None:
    for text, line in ((POM.replace("${gson.version}", said), 7), (POM.replace(">2.14.0<", f">{said}<"), 7)):
        (finding,) = poms.Project.of({"pom.xml": text}).findings
        assert (finding.path, finding.line, finding.rule) == ("pom.xml", line, "lock-version")
        assert "com.google.code.gson:gson" in finding.message


@pytest.mark.parametrize(
    "text", ["", "<a>", "<settings/>", '<!DOCTYPE project [<!ENTITY a "b">]><project/>', "<a>" * 200]
)
def test_what_is_no_pom_is_a_finding(text: str) -> None:
    (finding,) = poms.Project.of({"pom.xml": text}).findings
    assert finding.rule == "lock-form"


@given(
    st.text(max_size=200)
    | st.sampled_from([POM, MODULE]).flatmap(lambda one: st.integers(0, len(one)).map(lambda n: one[:n]))
)
def test_any_pom_is_read_or_a_finding(text: str) -> None:
    found = poms.Project.of({"pom.xml": text, "web/pom.xml": MODULE})
    assert len(found.poms) + sum(one.rule == "lock-form" for one in found.findings) == 2
    found.java()
    found.plugins()


def test_java_of_the_compiler_plugin_counts() -> None:
    plugin = (
        "<build><plugins><plugin><artifactId>maven-compiler-plugin</artifactId><configuration><source>1.8</source>"
        "</configuration></plugin></plugins></build></project>"
    )
    found = poms.Project.of({"pom.xml": POM.replace("java.version", "x").replace("</project>", plugin)})
    assert found.java() == (8, "<source> of maven-compiler-plugin")


@pytest.mark.parametrize(
    ("url", "version"),
    [
        (
            "https\\://a.example/maven2/org/apache/maven/apache-maven/3.9.9/apache-maven-3.9.9-bin.zip",
            "3.9.9",
        ),
        (
            "https://a.example/org/apache/maven/apache-maven/4.0.0-rc-1/apache-maven-4.0.0-rc-1-bin.tar.gz",
            "4.0.0-rc-1",
        ),
    ],
)
def test_wrapper_names_its_maven(url: str, version: str) -> None:
    assert maven_project.version(f"wrapperVersion=3.3.2\ndistributionUrl={url}\n") == version
    assert maven_project.version("") is None
    with pytest.raises(Failed, match="not Apache's own Maven"):
        maven_project.version("distributionUrl=https://a.example/mvnd-1.0-linux.zip\n")


def test_what_tests_take_besides_has_the_projects_and_surefires_versions(tmp_path: Path) -> None:
    jar = tmp_path / "org/apache/maven/plugins/maven-surefire-plugin/3.5.4/a.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    packages = [
        {"name": "org.junit.jupiter:junit-jupiter-api", "version": "5.14.4"},
        {"name": "org.junit.platform:junit-platform-engine", "version": "1.14.4"},
    ]
    assert maven_fetch.dynamic(packages, tmp_path) == [
        "org.apache.maven.surefire:surefire-junit-platform:3.5.4",
        "org.junit.jupiter:junit-jupiter-engine:5.14.4",
        "org.junit.platform:junit-platform-launcher:1.14.4",
    ]
    assert maven_fetch.dynamic([{"name": "junit:junit", "version": "4.13.2"}], tmp_path) == [
        "org.apache.maven.surefire:surefire-junit47:3.5.4",
        "org.apache.maven.surefire:surefire-junit4:3.5.4",
    ]
    poms.parsed(maven_fetch.taking(["a:b:1", "<"]))


def test_packages_are_told_once_and_ship_if_any_module_ships_them() -> None:
    text = (
        "The following files have been resolved:\n"
        "   com.google.code.gson:gson:jar:2.14.0:test -- module com.google.gson\n"
        "   com.google.code.gson:gson:jar:2.14.0:compile -- module com.google.gson\n"
        "   io.netty:netty-epoll:jar:linux-x86_64:4.2.1.Final:runtime\n"
        "   org.junit.jupiter:junit-jupiter:jar:5.14.4:test\n"
    )
    assert maven_fetch.listed(text) == [
        {"name": "com.google.code.gson:gson", "version": "2.14.0", "ships": True},
        {"name": "io.netty:netty-epoll", "version": "4.2.1.Final", "ships": True},
        {"name": "org.junit.jupiter:junit-jupiter", "version": "5.14.4", "ships": False},
    ]


def test_what_was_taken_in_whichever_version_is_a_finding(tmp_path: Path) -> None:
    for folder, text in (
        (
            "a/b",
            "<metadata><groupId>a</groupId><artifactId>b</artifactId><versioning><versions/></versioning></metadata>",
        ),
        ("org/apache/maven/plugins", "<metadata><plugins/></metadata>"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "maven-metadata-packages.xml").write_text(text)
    (finding,) = maven_fetch.inexact(tmp_path)
    assert finding.context == "a:b"


SAID = """[INFO] Compiling
[ERROR] COMPILATION ERROR :
[ERROR] /tmp/src/src/main/java/A.java:[5,9] cannot find symbol
[ERROR] /tmp/src/src/main/java/A.java:[5,9] cannot find symbol
[ERROR] /tmp/src/src/main/java/B.java:14: Line is longer than 100 characters (found 109). [LineLength]
[ERROR] src/main/java/B.java:[14] (sizes) LineLength: Line is longer than 100 characters (found 109).
[WARN] src/main/java/C.java:[3,1] (imports) AvoidStarImport: no
[ERROR] -> [Help 1]
""".splitlines()


def test_places_are_told_once() -> None:
    assert [(one.path, one.line, one.rule) for one in maven_gate.places(SAID)] == [
        ("src/main/java/A.java", 5, "javac"),
        ("src/main/java/B.java", 14, "LineLength"),
    ]
    assert len(maven_gate.places(SAID, ("ERROR", "WARN"))) == 3
    assert "[ERROR] -> [Help 1]" not in maven_gate.said(SAID)


CHECKSTYLE = "<build><plugins><plugin><artifactId>maven-checkstyle-plugin</artifactId>{}</plugin></plugins></build></project>"


@pytest.mark.parametrize(
    ("more", "goals"),
    [("", ["checkstyle:check"]), ("<executions><execution/></executions>", ["verify", "-DskipTests"])],
)
def test_checks_that_are_bound_to_a_phase_run_with_it(more: str, goals: list[str]) -> None:
    found = poms.Project.of({"pom.xml": POM.replace("</project>", CHECKSTYLE.format(more))})
    assert maven_gate.checked("lint", found) == goals
    assert maven_gate.checked("analyze", found) == []


ORDER = [
    "1-alpha-1",
    "1-alpha2",
    "1-beta",
    "1-M1",
    "1-rc1",
    "1-SNAPSHOT",
    "1.0.0",
    "1-sp",
    "1-xyz",
    "1.0.1.Final",
    "1.2",
    "1.10",
    "33.0.0-android",
    "33.0.0-jre",
]


@given(st.integers(0, len(ORDER) - 1), st.integers(0, len(ORDER) - 1))
def test_versions_have_mavens_order(one: int, other: int) -> None:
    first, second = (maven_versions.MavenVersion(ORDER[at]) for at in (one, other))
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1.0.0"), ("1.0.0.GA", "1"), ("2.0.RELEASE", "2.0-final"), ("1.0-CR1", "1.0-rc-1")],
)
def test_versions_that_are_one_are_equal(one: str, other: str) -> None:
    assert maven_versions.MavenVersion(one) == maven_versions.MavenVersion(other)


@given(st.text(max_size=30))
def test_any_text_is_a_version_of_mavens_or_refused(text: str) -> None:
    try:
        maven_versions.MavenVersion(text)
    except ValueError:
        return
