"""What containers that fetch dependencies are told of this machine's package index."""

from pathlib import Path

import pytest

from slipway.toolboxes import clients
from slipway_sandbox import package_index


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
    monkeypatch.setattr(clients, "_apt_conf", lambda: "")
    return tmp_path


def test_login_of_an_index_is_kept_out_of_the_environment(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://someone:hidden@index.example:8443/simple")
    environment = package_index.index_environment()
    assert (
        environment["PIP_INDEX_URL"] == environment["UV_DEFAULT_INDEX"] == "https://index.example:8443/simple"
    )
    assert environment["NETRC"] == "/run/slipway-ca/netrc"
    assert not any("hidden" in value for value in environment.values())
    files = package_index._index_files(clients.PackageClients.of_this_machine())
    assert files["netrc"] == "machine index.example login someone password hidden\n"


def test_certificate_of_the_index_is_a_file_of_the_volume(machine: Path) -> None:
    (machine / "own.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    (machine / ".pip").mkdir()
    (machine / ".pip/pip.conf").write_text(f"[global]\ncert = {machine}/own.crt\n")
    assert package_index.index_environment()["PIP_CERT"] == "/run/slipway-ca/ca.crt"
