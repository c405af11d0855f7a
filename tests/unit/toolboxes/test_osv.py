"""Advisories are read as OSV's schema says, whoever exported them."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gate
import osv
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

EXPORT = Path(__file__).parent / "data/osv-export.jsonl"
NOW = datetime(2026, 7, 7, tzinfo=UTC)


def advisories(folder: Path, *records: object) -> osv.Advisories:
    text = "".join(json.dumps(record) + "\n" for record in records)
    digest = hashlib.sha256(text.encode()).hexdigest()
    metadata = {"source": "test", "published": NOW.isoformat(), "records": len(records), "sha256": digest}
    (folder / "pypi.jsonl").write_text(text)
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return osv.Advisories(folder, NOW, "10")


def record(*ranges: object, name: str = "a", ecosystem: str = "PyPI", **more: object) -> dict[str, Any]:
    entry = {"package": {"ecosystem": ecosystem, "name": name}, "ranges": list(ranges)}
    return {"id": "X-1", "affected": [entry], **more}


def span(*events: dict[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return {"type": kind, "events": list(events)}


@pytest.mark.parametrize(
    ("name", "version", "is_affected"),
    [
        ("demo", "3.0.0", False),
        ("demo", "1.0.0", True),
        ("gone", "1.0", False),
        ("mixed-case", "1.0", True),
        ("Mixed.Case", "1.0", True),
        ("spans", "2.5", False),
        ("spans", "3.0.5", True),
        ("limited", "1.9", True),
        ("limited", "3.0", False),
        ("backwards", "1.0", True),
        ("backwards", "3.0.0", False),
    ],
)
def test_osvs_own_export_is_read(tmp_path: Path, name: str, version: str, is_affected: bool) -> None:
    known = advisories(tmp_path, *map(json.loads, EXPORT.read_text().splitlines()))
    assert bool(known.query(name, version)) is is_affected


@pytest.mark.parametrize(
    ("one", "version", "is_affected"),
    [
        (record(span({"introduced": "0"}, {"fixed": "2.0"})), "1.9", True),
        (record(span({"introduced": "0"}, {"fixed": "2.0"})), "2.0", False),
        (record(span({"introduced": "0"}, {"fixed": "2.0"})), "2.0rc1", True),
        (record(span({"introduced": "0"}, {"fixed": "2.0"})), "0.dev0", True),
        (record(span({"introduced": "1.0"}, {"last_affected": "1.5"})), "1.5", True),
        (record(span({"introduced": "1.0"}, {"last_affected": "1.5"})), "1.5.1", False),
        (record(span({"introduced": "1.0"}, {"last_affected": "1.5"})), "1.5+cu118", True),
        (record(span({"introduced": "1.5"}, {"last_affected": "1.5"})), "2", False),
        (record(span({"introduced": "0"}, {"fixed": "2.0"})), "2.0+cu118", False),
        (record(span({"introduced": "1.0"})), "0.9", False),
        (record(span({"introduced": "1.0"})), "1!0.1", True),
        (record(span({"introduced": "0"}, {"fixed": "2.0"}, kind="SEMVER")), "1.9", True),
        (record(span({"introduced": "0"}, {"limit": "*"})), "9", True),
        (record(span({"introduced": "0"}, {"limit": "1"}, {"limit": "3"})), "2", True),
        (record(span({"introduced": "0"}), ecosystem="npm"), "1", False),
        (record(span({"introduced": "0"}), ecosystem="PyPI:mirror"), "1", True),
        (record(span({"introduced": "0"}, {"fixed": "1"}), span({"introduced": "2"})), "2", True),
        ({"id": "X", "affected": [{"ranges": [span({"introduced": "0"}, kind="GIT")]}]}, "1", False),
        (
            {
                "id": "X",
                "affected": [
                    {"package": {"ecosystem": "PyPI", "name": "a"}, "versions": ["3.00", "0.1-r3x"]}
                ],
            },
            "3.0",
            True,
        ),
        ({"id": "X"}, "1", False),
    ],
)
def test_ranges_and_lists_are_evaluated_as_the_schema_says(
    one: dict[str, Any], version: str, is_affected: bool
) -> None:
    assert any(found.affects(version) for found in osv.read(one).values()) is is_affected


VERSIONS = [*map(str, range(6)), "1.5", "2.0rc1", "3.post1"]
EVENTS = st.one_of(
    st.just({"introduced": "0"}),
    *(
        st.sampled_from(VERSIONS[1:]).map(lambda at, kind=kind: {kind: at})
        for kind in ("introduced", "fixed")
    ),
    *(
        st.sampled_from(VERSIONS[1:]).map(lambda at, kind=kind: {kind: at})
        for kind in ("last_affected", "limit")
    ),
)
ONE_OF_EACH = st.lists(EVENTS, min_size=1, max_size=6, unique_by=lambda event: next(iter(event.values())))


def by_the_schemas_words(version: Version, events: list[dict[str, str]]) -> bool:
    """https://ossf.github.io/osv-schema/#evaluation, word by word; its events are sorted, each at a version of its own."""
    limits = [event["limit"] for event in events if "limit" in event]
    if limits and not any(version < Version(limit) for limit in limits):
        return False
    vulnerable = False
    for event in sorted(events, key=lambda event: Version(next(iter(event.values())))):
        if "introduced" in event and (event["introduced"] == "0" or version >= Version(event["introduced"])):
            vulnerable = True
        elif "fixed" in event and version >= Version(event["fixed"]):  # noqa: SIM114 -- as it is written there
            vulnerable = False
        elif "last_affected" in event and version > Version(event["last_affected"]):
            vulnerable = False
    return vulnerable


@given(ONE_OF_EACH, st.sampled_from(VERSIONS))
def test_any_range_is_evaluated_by_the_schemas_words(events: list[dict[str, str]], version: str) -> None:
    if any("introduced" in event for event in events):
        found = osv.read(record(span(*events)))["a"].affects(version)
        assert found is by_the_schemas_words(Version(version), events)


BROKEN = [
    span({"introduced": "0"}, kind="CALENDAR"),
    span({"introduced": "0"}, {"mended": "2"}),
    span({"introduced": "0", "fixed": "2"}),
    span({"introduced": "0"}, {"fixed": "the next one"}),
    span({"fixed": "2"}),
    span(),
    {"type": "ECOSYSTEM"},
    "1.0",
]


@pytest.mark.parametrize("broken", BROKEN)
def test_record_that_cannot_be_read_is_named_where_its_package_is_used(
    tmp_path: Path, broken: object
) -> None:
    known = advisories(tmp_path, record(broken, name="My_Package"))
    assert not known.unreadable(["other"])
    (said,) = known.unreadable(["other", "my-package"])
    assert said.startswith("X-1 of my-package: ")


@pytest.mark.parametrize(
    "broken", [[], {"affected": []}, {"id": "X", "affected": [{"package": {"ecosystem": "PyPI"}}]}]
)
def test_record_whose_package_cannot_be_told_is_no_basis(tmp_path: Path, broken: object) -> None:
    with pytest.raises(gate.CannotEvaluate, match=r"record 2 of the advisories .* cannot be read"):
        advisories(tmp_path, record(), broken)


def test_probe_is_a_version_that_is_affected(tmp_path: Path) -> None:
    new = record(span({"introduced": "3"}), name="requests")
    old = record(span({"introduced": "0"}, {"fixed": "2.20"}), name="requests", id="X-2")
    assert advisories(tmp_path, new, old).sample() == ("requests", "2.0.0", "X-2")


def test_what_is_served_names_the_package_and_the_fix_as_pip_audit_looks_for_them(tmp_path: Path) -> None:
    one = record(
        span({"fixed": "2.0"}, {"introduced": "0"}), name="My_Package", aliases=["CVE-1"], details="bad"
    )
    (told,) = advisories(tmp_path, one).query("my.package", "1")
    assert told["affected"][0]["package"] == {"ecosystem": "PyPI", "name": "my-package"}
    assert told["affected"][0]["ranges"][0]["events"] == [{"introduced": "0"}, {"fixed": "2.0"}]
    assert (told["aliases"], told["summary"]) == (["CVE-1"], "bad")


CRITICAL = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
MEDIUM = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:H/PR:L/UI:N/S:U/C:L/I:L/A:N"}
HIGH_4 = {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"}


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"severity": [CRITICAL]}, "critical"),
        ({"severity": [MEDIUM]}, "medium"),
        ({"severity": [HIGH_4]}, "high"),
        ({"severity": [MEDIUM, CRITICAL]}, "critical"),
        (
            {"severity": [MEDIUM], "database_specific": {"severity": "CRITICAL"}},
            "medium",
        ),  # a vector is more exact
        (
            {
                "severity": [{"type": "CVSS_V3", "score": "nonsense"}],
                "database_specific": {"severity": "LOW"},
            },
            "low",
        ),
        ({"severity": [{"type": "Ubuntu", "score": "negligible"}]}, "unknown"),
        ({"severity": [None, {}, {"type": "CVSS_V3"}, {"type": "CVSS_V3", "score": 7}]}, "unknown"),
        ({"database_specific": {"severity": "moderate"}}, "medium"),
        ({"database_specific": {"severity": "urgent"}}, "unknown"),
        ({"database_specific": None}, "unknown"),
        ({}, "unknown"),
    ],
    ids=range(12),
)
def test_record_is_rated_by_its_worst_vector_or_its_databases_word(
    tmp_path: Path, more: dict[str, Any], word: str
) -> None:
    known = advisories(tmp_path, record(span({"introduced": "0"}), name="A", **more))
    assert known.severity("a", known.query("a", "1")[0]["id"]) == word
    assert known.severity("other", "x") == "unknown"
