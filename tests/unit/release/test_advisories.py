"""Advisories as the scanner reads them: cut down, of one ecosystem, and refused as a whole if a record is none."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.release import advisories


def record(name: str = "ms", ecosystem: str = "npm", **more: Any) -> dict[str, Any]:
    spans = [
        {"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "2.1.4"}]},
        {"type": "GIT", "repo": "https://example.org", "events": [{"introduced": "0"}]},
    ]
    entry = {"package": {"ecosystem": ecosystem, "name": name, "purl": "pkg:npm/ms"}, "ranges": spans}
    return {
        "id": "GHSA-1",
        "modified": "2026-11-26T00:00:00Z",
        "details": "long",
        "affected": [entry],
        **more,
    }


def test_records_are_cut_to_what_a_verdict_needs_and_dated_by_the_newest() -> None:
    other = record(ecosystem="PyPI", id="GHSA-2", modified="2026-11-27T01:00:00Z")
    gone = record(id="GHSA-3", withdrawn="2026-01-01T00:00:00Z")
    found = advisories.export("npm", "a mirror", [record(severity=[{"type": "X"}]), other, gone])
    assert [one["id"] for one in found.records] == ["GHSA-1"]
    [entry] = found.records[0]["affected"]
    assert [span["type"] for span in entry["ranges"]] == ["SEMVER"]
    assert found.records[0]["summary"] == "long"
    assert found.records[0]["severity"] == [{"type": "X"}]
    assert found.published == datetime(2026, 11, 27, 1, tzinfo=UTC)


def test_files_are_those_that_the_scanner_reads() -> None:
    files = advisories.export("npm", "a mirror", [record()]).files()
    said = json.loads(files["npm.json"])
    assert said["records"] == 1
    assert said["sha256"] == hashlib.sha256(files["npm.jsonl"]).hexdigest()
    assert said["published"] == "2026-11-26T00:00:00+00:00"


@pytest.mark.parametrize(
    "broken",
    [
        "text",
        {"affected": []},
        {"id": 1, "affected": []},
        record(modified="yesterday"),
        record(modified="2026-11-26T00:00:00"),
        {**record(), "affected": [{"package": {"ecosystem": "npm"}}]},
        {**record(), "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "ranges": [{}]}]},
    ],
)
def test_export_with_a_record_that_is_none_is_refused_whole(broken: Any) -> None:
    with pytest.raises(advisories.Malformed, match="none of OSV's"):
        advisories.export("npm", "a mirror", [record(), broken])


def test_export_of_another_ecosystem_is_no_export() -> None:
    with pytest.raises(advisories.Malformed, match="no record of Go"):
        advisories.export("Go", "a mirror", [record()])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["id", "affected", "package", "ranges", "modified", "x"]), inner
            )
        ),
    )
)
def test_anything_is_read_or_refused(anything: Any) -> None:
    with pytest.raises(advisories.Malformed):
        advisories.export("npm", "a mirror", [anything])


SIGNED = "Origin: Debian\nSuite: oldstable-security\nVersion: 12\nDate: Wed, 25 Nov 2026 02:22:30 UTC\n"
PACKAGES = """Package: libssl3
Source: openssl
Version: 3.0.17-1~deb12u3
Description: x
 Package: not one

Package: python3.11
Version: 3.11.2-6+deb12u7

Package: linux-image-6.1
Source: linux-signed-amd64 (6.1.140+1)
Version: 6.1.140-1
"""


def test_updates_of_debians_security_archive_are_advisories_of_what_is_older() -> None:
    found = advisories.of_debian([advisories.suite(SIGNED, PACKAGES)])
    assert found.releases == ["12"]
    assert found.published == datetime(2026, 11, 25, 2, 22, 30, tzinfo=UTC)
    fixed = {
        one["affected"][0]["package"]["name"]: one["affected"][0]["ranges"][0]["events"][1]["fixed"]
        for one in found.records
    }
    assert fixed == {
        "openssl": "3.0.17-1~deb12u3",
        "python3.11": "3.11.2-6+deb12u7",
        "linux-signed-amd64": "6.1.140+1",
    }


@pytest.mark.parametrize(
    ("signed", "packages"), [("Version: 12\n", PACKAGES), (SIGNED, ""), (SIGNED, "\n\n")]
)
def test_lists_that_say_nothing_are_refused(signed: str, packages: str) -> None:
    with pytest.raises(advisories.Malformed):
        advisories.of_debian([advisories.suite(signed, packages)])
