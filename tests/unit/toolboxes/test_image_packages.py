"""Packages of Debian and npm in an image: what is known of them stops, unless the platform's base brings it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gate
import image_layers
import image_packages
import osv
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slipway.release import advisories

RELEASE = {"usr/lib/os-release": b'ID=debian\nVERSION_ID="12"\n'}
OLD = b"Package: libssl3\nStatus: install ok installed\nSource: openssl (3.0.1-1)\nVersion: 3.0.1-1+b1\n\n"
NEW = OLD.replace(b"3.0.1-1", b"3.0.17-1~deb12u3")
GONE = b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
SIGNED = "Version: 12\nDate: Wed, 25 Nov 2026 02:22:30 UTC\n"
LISTED = "Package: libssl3\nSource: openssl\nVersion: 3.0.17-1~deb12u3\n"
DPKG = "var/lib/dpkg/status"


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    export = advisories.of_debian([advisories.suite(SIGNED, LISTED)])
    for name, content in export.files().items():
        (tmp_path / name).write_bytes(content)
    _here(monkeypatch, tmp_path)
    return tmp_path


def _here(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    real, wanted = osv.Advisories, osv.is_wanted
    monkeypatch.setattr(
        osv, "Advisories", lambda ecosystem: real(folder, max_age_days="36500", ecosystem=ecosystem)
    )
    monkeypatch.setattr(osv, "is_wanted", lambda ecosystem: wanted(ecosystem, folder))


def image(texts: Mapping[str, bytes], below: Mapping[str, bytes] | None = None) -> image_layers.Image:
    return image_layers.Image("", [], [], {**RELEASE, **texts}, dict(below or {}))


@pytest.mark.usefixtures("known")
def test_package_that_is_older_than_debians_update_stops_and_a_newer_one_does_not() -> None:
    [found] = image_packages.look(image({DPKG: OLD + GONE}), "package-lock.json").findings
    assert (found.path, found.severity) == (DPKG, "high")
    assert found.rule == "DEBIAN-12-SECURITY-openssl-3.0.17-1~deb12u3"
    assert "apt-get upgrade" in found.advice
    looked = image_packages.look(image({DPKG: NEW}), "package-lock.json")
    assert not looked.findings
    assert (
        looked.said
        == "1 packages of Debian; 0 packages of npm are not judged: there are no advisories of them here"
    )


@pytest.mark.usefixtures("known")
def test_what_the_platforms_base_brings_is_told_and_what_a_layer_adds_stops() -> None:
    [told] = image_packages.look(image({DPKG: OLD}, {DPKG: OLD}), "go.mod").findings
    assert (told.severity, "bases update" in told.advice) == ("medium", True)
    [stops] = image_packages.look(image({DPKG: OLD}, {DPKG: NEW}), "go.mod").findings
    assert stops.severity == "high"


@pytest.mark.usefixtures("known")
def test_release_that_the_advisories_are_not_of_is_no_verdict() -> None:
    other = image({DPKG: OLD, "usr/lib/os-release": b"ID=debian\nVERSION_ID=11\n"})
    with pytest.raises(gate.CannotEvaluate, match="Debian 11, and the advisories are of 12"):
        image_packages.look(other, "go.mod")


def test_advisories_that_the_platform_has_a_source_of_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _here(monkeypatch, tmp_path)
    assert not image_packages.look(image({DPKG: OLD}), "go.mod").findings
    monkeypatch.setenv("SLIPWAY_ADVISORIES_OF", "Debian npm")
    with pytest.raises(gate.CannotEvaluate, match="no advisories of Debian here"):
        image_packages.look(image({DPKG: OLD}), "go.mod")


def test_packages_of_npm_are_judged_where_the_lock_has_not_named_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = {"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "2.1.4"}]}
    affected = [{"package": {"ecosystem": "npm", "name": "ms"}, "ranges": [span]}]
    record: dict[str, Any] = {"id": "GHSA-1", "modified": "2026-11-26T00:00:00Z", "affected": affected}
    for name, content in advisories.export("npm", "x", [record]).files().items():
        (tmp_path / name).write_bytes(content)
    _here(monkeypatch, tmp_path)
    there = {
        f"app/node_modules/{name}/package.json": json.dumps(said).encode()
        for name, said in {
            "ms": {"name": "ms", "version": "2.1.3"},
            "fine": {"name": "ms", "version": "2.1.4"},
            "odd": {"name": "odd", "version": "x"},
            "none": [],
        }.items()
    }
    [found] = image_packages.look(image(there), "go.mod").findings
    assert (found.path, found.rule, found.severity) == (
        "app/node_modules/ms/package.json",
        "GHSA-1",
        "unknown",
    )
    [told] = image_packages.look(image(there, there), "go.mod").findings
    assert told.severity == "medium"
    locked = {
        "lockfileVersion": 3,
        "packages": {"node_modules/ms": {"version": "2.1.3", "integrity": "sha512-x"}},
    }
    monkeypatch.setattr(gate, "SOURCE", tmp_path)
    (tmp_path / "package-lock.json").write_text(json.dumps(locked))
    assert not image_packages.look(image(there), "package-lock.json").findings


PART = st.text("019az.+~-", max_size=5)
VERSIONS = st.builds("{}{}{}".format, st.sampled_from(["", "0:", "1:"]), st.sampled_from("019"), PART).filter(
    lambda text: not text.endswith("-")
)


@pytest.mark.skipif(not shutil.which("dpkg"), reason="dpkg is Debian's")
@given(st.lists(VERSIONS, min_size=2, max_size=2))
@example(["1.0", "1.0~rc1"])
@example(["0", "0~"])
@example(["1.0-0", "1.0"])
@example(["1.0-1", "1.0-1+b1"])
@example(["3.0.9-1", "3.0.17-1~deb12u3"])
@example(["1:1", "2"])
def test_versions_have_dpkgs_order(two: list[str]) -> None:
    one, other = map(osv.Debians, two)
    word = "lt" if one < other else "eq" if one == other else "gt"
    done = subprocess.run(
        ["dpkg", "--compare-versions", two[0], word, two[1]], check=False, capture_output=True
    )
    assert done.returncode == 0, (two, word, done.stderr)


@given(st.text(max_size=12))
def test_any_text_is_a_version_of_debian_or_refused(text: str) -> None:
    try:
        osv.Debians(text)
    except ValueError:
        return
