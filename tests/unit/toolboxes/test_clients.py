"""What is taken from this machine's package clients for builds."""

from pathlib import Path

import pytest

from slipway.toolboxes import clients

APT = """
# Types: deb
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://vendor.example/apt
Suites: bookworm
Components: main
Signed-By: /etc/apt/keyrings/vendor.gpg

Enabled: no
Types: deb
URIs: http://mirror.example/disabled
Suites: bookworm
Components: main
"""


def test_apt_sources_keep_debians_own_and_leave_out_the_rest(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(APT)
    (tmp_path / "sources.list.d/old.list.disabled").write_text(
        "deb http://old.example/debian bookworm main\n"
    )
    (tmp_path / "sources.list").write_text(
        "deb [arch=amd64] http://mirror.example/security bookworm-security main # ours\n"
        "deb http://mirror.example/debian trixie main\n"
        "deb-src http://mirror.example/debian bookworm main\n"
        "deb https://docker.example/debian bookworm stable\n"
    )
    assert clients._apt_sources(tmp_path) == (
        "Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n\n"
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
    )


def test_settings_of_files_and_environment_become_secrets(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "own.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    (machine / ".pip").mkdir()
    (machine / ".pip/pip.conf").write_text(
        f"[global]\nindex-url = https://index.example/simple\ncert = {machine}/own.crt\nfind-links = /local\n"
    )
    (machine / ".npmrc").write_text(
        "registry=https://npm.example/\n//npm.example/:_authToken=abc\ncafile=/elsewhere\nprefix=/usr\n"
    )
    (machine / ".m2").mkdir()
    (machine / ".m2/settings.xml").write_text(
        "<settings><!-- <server>old</server> --><servers><server><id>own</id>"
        "<password>${env.MAVEN_PASSWORD}</password></server></servers></settings>"
    )
    monkeypatch.setenv("MAVEN_PASSWORD", "a<b")
    secrets = clients.PackageClients.of_this_machine().secrets()
    assert secrets["maven_settings"] == (
        "<settings><servers><server><id>own</id><password>a&lt;b</password></server></servers></settings>"
    )
    assert secrets["pip_conf"].endswith("cert = /run/secrets/ca\nindex-url = https://index.example/simple\n")
    assert "find-links" not in secrets["pip_conf"]
    assert secrets["ca"].startswith("-----BEGIN")
    assert secrets["npmrc"] == "registry=https://npm.example/\n//npm.example/:_authToken=abc\n"
