"""What containers that fetch dependencies are told of this machine's package index."""

from pathlib import Path

import pytest

from slipway.toolboxes import clients
from slipway_sandbox import package_index


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
