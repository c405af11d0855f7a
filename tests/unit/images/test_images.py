"""Keys of images, and what is taken from this machine's package clients."""

import shutil
import stat
from pathlib import Path

import pytest

from slipway_sandbox import images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(images.FOLDER, tmp_path / "images"))


def test_key_depends_on_content_alone(folder: Path) -> None:
    assert images.keys(folder) == images.keys()


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("toolbox-scan/bin/sast", {"toolbox-scan"}),
        ("shared/gate/gate.py", {"toolbox-scan", "toolbox-python"}),
        ("base-python/Dockerfile", set(images.IMAGES) - {"base-debian"}),
        ("base-debian/Dockerfile", set(images.IMAGES)),
        ("shared/build/apt-install", set(images.IMAGES) - {"base-debian"}),
    ],
)
def test_change_touches_the_images_that_hold_it_and_those_above(
    folder: Path, file: str, changed: set[str]
) -> None:
    before = images.keys(folder)
    with (folder / file).open("a") as text:
        text.write("# changed\n")
    after = images.keys(folder)
    assert {name for name in after if after[name] != before[name]} == changed


def test_executable_bit_and_base_are_part_of_the_key(folder: Path) -> None:
    before = images.keys(folder)
    (folder / "toolbox-scan/bin/sast").chmod(stat.S_IRUSR)
    assert images.keys(folder)["toolbox-scan"] != before["toolbox-scan"]
    given = images.keys(folder, "debian:bookworm-slim")
    assert all(given[name] != before[name] for name in before)


def test_every_install_is_locked_by_hash() -> None:
    for listed in images.FOLDER.rglob("*.in"):
        lines = [line.split("#")[0].strip() for line in listed.with_suffix(".txt").read_text().splitlines()]
        pins = [number for number, line in enumerate(lines) if "==" in line]
        assert pins, listed
        assert all(lines[number + 1].startswith("--hash=sha256:") for number in pins), listed


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
    assert images._apt_sources(tmp_path) == (
        "Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n\n"
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
    )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine whose only settings are in a home folder of its own."""
    for name in (
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_CERT",
        "UV_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "VIRTUAL_ENV",
        "PIP_CONFIG_FILE",
        "XDG_CONFIG_HOME",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(images, "_apt_conf", lambda: "")
    return tmp_path


def test_login_of_an_index_is_kept_out_of_the_environment(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://someone:hidden@index.example:8443/simple")
    environment = images.index_environment()
    assert (
        environment["PIP_INDEX_URL"] == environment["UV_DEFAULT_INDEX"] == "https://index.example:8443/simple"
    )
    assert environment["NETRC"] == "/run/slipway-ca/netrc"
    assert not any("hidden" in value for value in environment.values())
    files = images._index_files(images.PackageClients.of_this_machine())
    assert files["netrc"] == "machine index.example login someone password hidden\n"


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
    secrets = images.PackageClients.of_this_machine().secrets()
    assert secrets["maven_settings"] == (
        "<settings><servers><server><id>own</id><password>a&lt;b</password></server></servers></settings>"
    )
    assert secrets["pip_conf"].endswith("cert = /run/secrets/ca\nindex-url = https://index.example/simple\n")
    assert "find-links" not in secrets["pip_conf"]
    assert secrets["ca"].startswith("-----BEGIN")
    assert secrets["npmrc"] == "registry=https://npm.example/\n//npm.example/:_authToken=abc\n"
    assert images.index_environment()["PIP_CERT"] == "/run/slipway-ca/ca.crt"


def test_failed_command_tells_last_lines_and_where_all_of_it_is(tmp_path: Path) -> None:
    with pytest.raises(
        images.ImageError, match=r"(?s)docker build x failed \(exit 3\); all of it is in .*x.log.*the reason"
    ):
        images._run(
            ["sh", "-c", "echo the reason >&2; exit 3"],
            "docker build x",
            {"PATH": "/usr/bin:/bin"},
            output=tmp_path / "x.log",
        )
    with pytest.raises(images.ImageError, match="apt-get install mmdebstrap"):
        images._run(["mmdebstrap"], "mmdebstrap", {"PATH": str(tmp_path)})
