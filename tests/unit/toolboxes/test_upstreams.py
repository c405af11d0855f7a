"""Where the package proxies ask, and what nginx is told of it."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import Permanent, Transient
from slipway.toolboxes import upstreams
from slipway.toolboxes.clients import PackageClients
from slipway.toolboxes.upstreams import Kind, Upstream

SETTINGS = """<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0">
<servers><server><id>own</id><username>u</username><password>p</password></server></servers>
<mirrors><mirror><id>own</id><mirrorOf>*</mirrorOf><url>https://nexus.example/repository/maven/</url></mirror></mirrors></settings>"""

APT = """Types: deb
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://u:p@mirror.example/security
Suites: bookworm-security
Components: main
"""


@pytest.fixture
def clients(tmp_path: Path) -> PackageClients:
    ca = tmp_path / "ca.crt"
    ca.write_text("-----BEGIN CERTIFICATE-----\n")
    return PackageClients(
        ca,
        {"index-url": "https://us%40er:p%2Fw@nexus.example/repository/pypi/simple/"},
        "registry=https://npm.example/npm/\n//npm.example/npm/:_authToken=abc\n//other.example/:_authToken=no\n",
        APT,
        "",
        SETTINGS,
    )


def test_addresses_and_logins_are_those_of_the_clients(
    clients: PackageClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "off,https://go.example|direct")
    assert upstreams.of_this_machine(clients) == {
        Kind.PYPI: Upstream("https://nexus.example/repository/pypi/simple", "Basic dXNAZXI6cC93"),
        Kind.NPM: Upstream("https://npm.example/npm", "Bearer abc"),
        Kind.GO: Upstream("https://go.example"),
        Kind.MAVEN: Upstream("https://nexus.example/repository/maven", "Basic dTpw"),
        Kind.DEBIAN: Upstream("http://mirror.example/debian"),
        Kind.DEBIAN_SECURITY: Upstream("http://mirror.example/security", "Basic dTpw"),
    }


def test_a_client_that_is_not_here_and_was_told_of_no_index_has_none(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(machine))
    monkeypatch.setenv("MAVEN_HOME", str(machine))
    monkeypatch.delenv("GOPROXY", raising=False)
    found = upstreams.of_this_machine(PackageClients(pip={"index-url": "https://pypi.example/simple"}))
    assert set(found) <= {
        Kind.PYPI,
        Kind.MAVEN,
    }  # Debian's Maven, where it is installed, is looked for in its folder
    assert found[Kind.PYPI].url == "https://pypi.example/simple"


@pytest.mark.parametrize(
    ("page", "files"),
    [
        ('<a href="https://files.example/packages/a/pip.whl#sha256=1">', "https://files.example"),
        ('<a href="../../packages/pip.whl">', ""),
        ("", ""),
    ],
)
def test_files_of_a_python_index_are_where_its_pages_say(page: str, files: str) -> None:
    assert upstreams.files_of(page) == files


def test_files_on_another_host_than_their_index_get_no_login(clients: PackageClients) -> None:
    index = Upstream("https://pypi.example/simple", "Basic abc", "https://files.example")
    told = upstreams.configuration({Kind.PYPI: index}, clients)
    assert 'map "" $auth_files { default ""; }' in told["upstreams.conf"]
    assert told["rewrite-pypi.conf"] == "sub_filter 'https://files.example/' 'http://$host/files/';\n"
    assert 'map "" $up_npm { default ""; }' in told["upstreams.conf"]
    same = Upstream("https://pypi.example/simple", "Basic abc", "https://pypi.example")
    assert (
        'map "" $auth_files { default "Basic abc"; }'
        in upstreams.configuration({Kind.PYPI: same}, clients)["upstreams.conf"]
    )


def test_files_beside_their_index_are_asked_for_there(clients: PackageClients) -> None:
    told = upstreams.configuration({Kind.PYPI: Upstream("https://n.example/repository/pypi/simple")}, clients)
    assert 'map "" $up_beside { default "https://n.example/repository/pypi"; }' in told["upstreams.conf"]
    assert told["rewrite-pypi.conf"] == ""


def test_silent_index_keeps_its_files_where_they_were(
    clients: PackageClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(upstream: Upstream, _clients: PackageClients) -> Upstream:
        raise Transient("silent", code="packages.index-unreachable")

    monkeypatch.setattr(upstreams, "with_files", silent)
    url = "https://nexus.example/repository/pypi/simple"
    found, error = upstreams.known(clients, {url: "https://files.example"})
    assert found[Kind.PYPI].files == "https://files.example"
    assert error is not None
    with pytest.raises(Transient, match="silent"):
        upstreams.known(clients, {"https://another.example": ""})


LINE = re.compile(r'map "" \$[a-z_]+ \{ default "[^"$\\;{}\n]*"; \}')


ODD = st.text("ab1.:/@$\"'\\;{}#%?& \n\t\0é", max_size=30)


@given(ODD, ODD, ODD)
def test_nothing_in_an_address_or_a_login_becomes_an_instruction_of_nginx(
    host: str, user: str, token: str
) -> None:
    clients = PackageClients(ca=Path("/dev/null"))
    try:
        found = {
            Kind.PYPI: upstreams.of(f"https://{user}:{token}@{host}/simple"),
            Kind.NPM: upstreams.of(f"https://npm.example/{host}", f"Bearer {token}"),
        }
    except (Permanent, ValueError):
        return
    told = upstreams.configuration(found, clients)
    assert all(LINE.fullmatch(line) for line in told["upstreams.conf"].splitlines())
    assert re.fullmatch(r"(sub_filter '[^'$\\;\n]+/' 'http://\$host/';\n)?", told["rewrite-npm.conf"])


def test_login_is_in_no_error_and_no_representation() -> None:
    with pytest.raises(Permanent) as refused:
        upstreams.of("https://user:secret@host.example/a b")
    assert "secret" not in str(refused.value)
    with pytest.raises(Permanent) as refused:
        upstreams.of("https://host.example", "Bearer secret$x")
    assert "secret" not in str(refused.value)
    assert "secret" not in repr(Upstream("https://host.example", "Bearer secret"))
