"""Scans of stacks other than Python: semantic versions, advisories of npm and Go, which files the scanner reads."""

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import gate
import languages
import osv
import others
import pytest
import tree
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 27, tzinfo=UTC)
RECORD = {
    "id": "GHSA-1",
    "aliases": ["CVE-2026-1"],
    "summary": "it breaks",
    "database_specific": {"severity": "HIGH"},
    "affected": [
        {
            "package": {"ecosystem": "npm", "name": "ms"},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "2.1.4"}]}],
        }
    ],
}
ORDER = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "v1.2",
    "2.0.0+x",
]


@given(st.integers(0, len(ORDER) - 1), st.integers(0, len(ORDER) - 1))
def test_semantic_versions_have_their_order(one: int, other: int) -> None:
    assert (osv.Semantic(ORDER[one]) < osv.Semantic(ORDER[other])) == (one < other)


@given(st.text(max_size=20))
def test_any_text_is_a_version_or_refused(text: str) -> None:
    try:
        osv.Semantic(text)
    except ValueError:
        return


def kept(folder: Path, *records: object) -> Path:
    text = "".join(f"{json.dumps(one)}\n" for one in records)
    (folder / "npm.jsonl").write_text(text)
    told = {"source": "a mirror", "published": "2026-11-26T00:00:00+00:00", "records": len(records)}
    (folder / "npm.json").write_text(
        json.dumps({**told, "sha256": hashlib.sha256(text.encode()).hexdigest()})
    )
    return folder


def test_package_of_npm_is_held_against_its_records(tmp_path: Path) -> None:
    advisories = osv.Advisories(kept(tmp_path, RECORD), NOW, ecosystem=osv.NPM)
    packages = [
        others.Package(osv.NPM, "ms", version, ships)
        for version, ships in (("2.1.3", False), ("2.1.4", True), ("x", True))
    ]
    vulnerable, unreadable = others.found("package-lock.json", packages, advisories)
    assert (vulnerable.rule, vulnerable.severity, vulnerable.ships) == ("GHSA-1", "high", False)
    assert vulnerable.aliases == ("CVE-2026-1",)
    assert "update to 2.1.4" in vulnerable.advice
    assert unreadable.rule == "lock-pin"


def test_advisories_that_are_not_there_or_old_pass_nothing(tmp_path: Path) -> None:
    with pytest.raises(gate.CannotEvaluate, match="no advisories of Go here"):
        osv.Advisories(tmp_path, NOW, ecosystem=osv.GO)
    with pytest.raises(gate.CannotEvaluate, match="stale"):
        osv.Advisories(kept(tmp_path, RECORD), datetime(2027, 11, 27, tzinfo=UTC), ecosystem=osv.NPM)


def test_purls_are_as_their_specification_says() -> None:
    assert others.Package(osv.NPM, "@a/b", "1.0.0", True).purl == "pkg:npm/%40a/b@1.0.0"
    assert (
        others.Package(osv.GO, "golang.org/x/text", "0.4.0", True).purl
        == "pkg:golang/golang.org/x/text@0.4.0"
    )


@pytest.mark.parametrize(
    ("name", "text", "suffix"),
    [
        ("a.js", "", ".js"),
        ("a.MJS", "", ".js"),
        ("a.d.ts", "", ".ts"),
        ("a.tsx", "", ".tsx"),
        ("a.go", "", ".go"),
        ("A.java", "", ".java"),
        ("tool", "#!/usr/bin/env node\n", ".js"),
        ("a.py", "", None),
        ("a.txt", "", None),
    ],
)
def test_language_is_told_by_name_or_first_line(name: str, text: str, suffix: str | None) -> None:
    assert languages.known(tree.Content(name, io.BytesIO(text.encode()))) == suffix


def test_language_without_a_scanner_is_named() -> None:
    assert languages.unknown("src/A.kt") == "Kotlin"
    assert languages.unknown("a.go") is None


@given(st.binary(max_size=40))
def test_source_is_utf_8_or_a_finding(data: bytes) -> None:
    text, wrong = languages.source_text("a.ts", data)
    assert bool(wrong) != (text.encode() in (data, data.removeprefix(b"\xef\xbb\xbf")))
