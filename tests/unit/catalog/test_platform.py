"""What jobs are told of the package proxies."""

from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from slipway.catalog.platform import Packages

ALL = Packages(
    container="slipway-packages-edge",
    pypi="http://pypi.packages/simple/",
    npm="http://npm.packages/",
    go="http://go.packages",
    maven="http://maven.packages/",
    debian="http://debian.packages/debian",
    debian_security="http://debian.packages/debian-security",
)


def test_jobs_ask_by_the_hosts_of_the_addresses() -> None:
    assert ALL.hosts == ("debian.packages", "go.packages", "maven.packages", "npm.packages", "pypi.packages")
    nexus = Packages(container="nexus", pypi="http://nexus:8081/repository/pypi/simple/")
    assert nexus.hosts == ("nexus",)


def test_clients_are_told_only_of_what_is_there() -> None:
    assert Packages(container="nexus").environment() == {}
    own = Packages(container="nexus", pypi="https://nexus.example/simple", go="https://nexus.example/go")
    assert own.environment() == {
        "PIP_INDEX_URL": "https://nexus.example/simple",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_DEFAULT_INDEX": "https://nexus.example/simple",
        "GOPROXY": "https://nexus.example/go",
    }
    assert ALL.environment()["PIP_TRUSTED_HOST"] == "pypi.packages"
    assert own.maven_settings() == own.debian_sources("bookworm") == ""


def test_apt_has_a_source_for_each_kind_of_suite() -> None:
    first, second = ALL.debian_sources("bookworm").split("\n\n")
    fields = [dict(line.split(": ", 1) for line in part.strip().splitlines()) for part in (first, second)]
    assert [one["URIs"] for one in fields] == [ALL.debian, ALL.debian_security]
    assert [one["Suites"] for one in fields] == ["bookworm bookworm-updates", "bookworm-security"]


@given(st.text("abc/&<>]!%?=é", max_size=20).map(lambda path: f"http://maven.packages/{path}"))
def test_maven_settings_are_xml_whatever_the_address(address: str) -> None:
    packages = Packages(container="x", maven=address)
    mirror = fromstring(packages.maven_settings()).find("mirrors/mirror")
    assert mirror is not None
    assert (mirror.findtext("mirrorOf"), mirror.findtext("url")) == ("*", address)
