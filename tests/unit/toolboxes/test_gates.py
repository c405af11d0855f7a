"""Decisions of the gate scripts that need no container."""

import hashlib
import json
import signal
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gate
import lock_pins
import osv
import pytest
import pytest_gate
import working_copy
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements

from slipway.release import sarif

HASH = "--hash=sha256:" + "a" * 64


def test_lock_with_hashes_markers_and_comments_is_read() -> None:
    text = f"# made by uv\nFoo_Bar==1.0 \\\n    {HASH} \\\n    {HASH}\n    # via x\n"
    text += f"baz[extra]==2 ; python_version < '3.12' {HASH}\n"
    pins, findings = lock_pins.parse("r.txt", text)
    assert not findings
    assert [(pin.name, pin.version, pin.line) for pin in pins] == [("foo-bar", "1.0", 2), ("baz", "2", 6)]
    assert pins[1].marker == 'python_version < "3.12"'


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (f"other==1 {HASH}\nrequests==2.0", "lock-hash"),
        (f"requests>=2.0 {HASH}", "lock-pin"),
        (f"requests==2.* {HASH}", "lock-pin"),
        (f"requests @ https://example.org/r.whl {HASH}", "lock-pin"),
        ("./local", "lock-pin"),
        ("-e .", "lock-option"),
        ("--extra-index-url https://example.org", "lock-option"),
        ("-r other.txt", "lock-option"),
        ("requests==2.0 --hash=md5:abc", "lock-option"),
        (f"requests==2.0 --config-settings=x {HASH}", "lock-option"),
        (f"requests===2.0 {HASH}", "lock-pin"),
        (f"requests==two {HASH}", "lock-pin"),
        (f"requests==2.0 ; nothing {HASH}", "lock-pin"),
        (f"requests==2.0 ; os_name == '${{X}}' {HASH}", "lock-pin"),
        (f"requests==2.0 {HASH} # said \\\nother==1 {HASH}", "lock-continuation"),
        (f"requests==2.0 \\ \n {HASH}", "lock-continuation"),
        (f"requests==2.0 {HASH}\x0cother==1 {HASH}", "lock-character"),
        (f"requests==2.0 {HASH}\u2028other==1 {HASH}", "lock-character"),
    ],
)
def test_lock_with_anything_but_pins_and_hashes_is_refused(line: str, rule: str) -> None:
    _, findings = lock_pins.parse("r.txt", line)
    assert findings[0].rule == rule


def test_lock_without_any_hash_pins_versions() -> None:
    pins, findings = lock_pins.parse("r.txt", "requests==2.0\nfoo[bar]==1 ; os_name == 'posix'\n")
    assert not findings
    assert [str(pin) for pin in pins] == ["requests==2.0", 'foo==1 ; os_name == "posix"']


@pytest.mark.parametrize("line", ["requests", "requests>=2", "requests~=2.0", "-r more.txt"])
def test_requirements_that_are_no_lock_are_refused(line: str) -> None:
    (finding,) = lock_pins.parse("r.txt", line)[1]
    assert finding.rule in ("lock-pin", "lock-option")


@pytest.mark.parametrize("text", ["", "# a service that needs the standard library only\n"])
def test_empty_lock_is_legal(text: str) -> None:
    assert lock_pins.parse("r.txt", text) == ([], [])


@pytest.mark.parametrize("version", ["2024.07.04", "v2024.7.4", "2024.7.4"])
def test_versions_are_told_as_versions(version: str) -> None:
    (pin,), findings = lock_pins.parse(
        "r.txt", f"certifi=={version} {HASH.upper().replace('--HASH=SHA', '--hash=sha')}"
    )
    assert not findings
    assert (pin.version, pin.hashes) == ("2024.7.4", ("a" * 64,))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_lock_is_decoded_by_its_byte_order_mark(encoding: str) -> None:
    text, wrong = lock_pins.decoded("r.txt", f"a==1 {HASH}\r\n".encode(encoding))
    assert (text, wrong) == (f"a==1 {HASH}\r\n", None)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("a==1".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"# \xf8\n", "not UTF-8"),
        (b"\xff\xfea", "not UTF-16"),
        (b"# coding: utf-7\n", "says that it is in utf-7"),
    ],
)
def test_lock_in_another_encoding_is_named_as_such(data: bytes, says: str) -> None:
    text, wrong = lock_pins.decoded("r.txt", data)
    assert not text
    assert wrong
    assert says in wrong.message


ODDITIES = ["a==1", "b_C==02.0", "==", " ", "  ", "\n", "\r", "\\", "\\\n", "#", " # x", HASH, f" {HASH}", "\x0c", "-r x",
            ";", "os_name", "'", "\t", "\ufeff", "\x85", "--", "$X", "[e]", "1", "===", ".*", "@", "\xa0", "\u2028"]  # fmt: skip


@given(st.lists(st.sampled_from(ODDITIES), max_size=12).map("".join) | st.text())
def test_what_is_read_of_a_lock_is_what_pip_reads_of_it(text: str) -> None:
    pins, findings = lock_pins.parse("r.txt", text)
    if findings:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("pushed", text), ("written", "".join(f"{pin}\n" for pin in pins))):
            path = Path(folder, name)
            path.write_bytes(content.encode())
            read = [(one.requirement, one.options) for one in parse_requirements(str(path), PipSession())]
            found = [
                (canonicalize_name(Requirement(text).name), str(Version(Requirement(text).specifier.__str__()[2:])),
                 tuple(options.get("hashes", {}).get("sha256", ())))
                for text, options in read
            ]  # fmt: skip
            assert found == [(pin.name, pin.version, pin.hashes) for pin in pins]


def _advisories(folder: Path, taken: datetime, **changed: object) -> Path:
    record = {
        "id": "X-1",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "a"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}],
            }
        ],
    }
    text = json.dumps(record) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    metadata = {"source": "test", "published": taken.isoformat(), "records": 1, "sha256": digest, **changed}
    (folder / "pypi.jsonl").write_text(text)
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder


NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_advisories_of_the_allowed_age_answer_by_normalised_name(tmp_path: Path) -> None:
    known = osv.Advisories(_advisories(tmp_path, NOW - timedelta(days=10)), NOW, "10")
    assert [record["id"] for record in known.query("A", "1")] == ["X-1"]
    assert known.query("a", "2") == known.query("b", "1") == []


@pytest.mark.parametrize(
    ("age_days", "allowed", "changed", "says"),
    [
        (11, "10", {}, "stale"),
        (31, "", {}, "stale"),
        (1, "many", {}, "no number of days"),
        (1, "10", {"records": 2}, "promises 2"),
        (1, "10", {"sha256": "0"}, "not those that metadata.json describes"),
        (1, "10", {"published": "yesterday"}, "missing or broken"),
        (1, "10", {"published": "2026-02-28T00:00:00"}, "no time zone"),
    ],
)
def test_advisories_that_are_stale_or_not_whole_are_no_basis(
    tmp_path: Path, age_days: int, allowed: str, changed: dict[str, object], says: str
) -> None:
    folder = _advisories(tmp_path, NOW - timedelta(days=age_days), **changed)
    with pytest.raises(gate.CannotEvaluate, match=says):
        osv.Advisories(folder, NOW, allowed)


def test_missing_advisories_are_no_basis(tmp_path: Path) -> None:
    with pytest.raises(gate.CannotEvaluate, match="missing or broken"):
        osv.Advisories(tmp_path, NOW, "10")


def _junit(*cases: str) -> str:
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"


GOOD, SKIPPED = '<testcase classname="t" name="a"/>', '<testcase classname="t" name="s"><skipped/></testcase>'
BAD = (
    '<testcase classname="tests.unit.test_a" name="b"><failure message="assert 1 == 2">'
    "tests/unit/test_a.py:7: in b\nE   assert 1 == 2</failure></testcase>"
)


def test_report_with_passed_tests_passes() -> None:
    assert pytest_gate.judged(_junit(GOOD, SKIPPED), 0, "tests/unit") == gate.Verdict(
        "1 tests of tests/unit, 1 skipped", []
    )


def test_report_with_a_failure_names_place_and_assertion() -> None:
    (finding,) = pytest_gate.judged(_junit(GOOD, BAD), 1, "tests/unit").findings
    assert str(finding) == "tests/unit/test_a.py:7: tests.unit.test_a::b: assert 1 == 2"


def test_failure_in_a_library_names_the_services_own_place_and_a_full_disk_what_to_do() -> None:
    said = (
        "tests/unit/test_a.py:4: in b\n    path.write_bytes(b'')\n/usr/lib/python3.11/pathlib.py:1069: in open\n"
        "    io.open()\nE   OSError: [Errno 28] No space left on device"
    )
    case = (
        f'<testcase classname="tests.unit.test_a" name="b"><failure message="x">{said}</failure></testcase>'
    )
    (finding,) = pytest_gate.judged(_junit(case), 1, "tests/unit").findings
    first, advice = str(finding).splitlines()
    assert (
        first == "tests/unit/test_a.py:4: tests.unit.test_a::b: OSError: [Errno 28] No space left on device"
    )
    assert "a gate may write to /tmp only" in advice


@pytest.mark.parametrize(
    ("junit", "code", "says"),
    [
        ("", 0, "no report"),
        ("", 4, "refused its options"),
        (_junit(), 5, "no test ran"),
        (_junit(SKIPPED), 0, "no test ran"),
        (_junit(GOOD), 1, "ended with 1"),
        ("<testsuites>", 0, "cannot be read"),
        ('<!DOCTYPE x [<!ENTITY y "z">]><testsuites/>', 0, "declarations"),
    ],
)
def test_report_that_proves_nothing_fails(junit: str, code: int, says: str) -> None:
    with pytest.raises(gate.Failed, match=says):
        pytest_gate.judged(junit, code, "tests/unit")


@pytest.mark.parametrize("code", [-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGTERM, -signal.SIGUSR1])
def test_crash_of_the_tests_is_their_own_fault(code: int) -> None:
    with pytest.raises(gate.Failed, match=f"crashed .signal {-code}."):
        working_copy.refuse_signal(code, "the tests")


@pytest.mark.parametrize("code", [2, 3, 77, 124, 137, 139])
def test_no_exit_code_that_tests_give_themselves_is_a_fault_of_the_platform_or_a_pass(code: int) -> None:
    working_copy.refuse_signal(code, "the tests")
    with pytest.raises(gate.Failed):
        pytest_gate.judged(_junit(GOOD), code, "tests/unit")
    with pytest.raises(gate.Failed):
        pytest_gate.judged("", code, "tests/unit")


def test_only_what_the_machine_may_have_killed_is_tried_again() -> None:
    with pytest.raises(gate.CannotEvaluate, match="signal 9"):
        working_copy.refuse_signal(-signal.SIGKILL, "the tests")


def test_findings_become_sarif() -> None:
    run = gate.sarif(
        "sast", [gate.Finding("a.py", 3, "r1", "bad", "mend it"), gate.Finding("b.py", 0, "r1", "bad")]
    )["runs"][0]
    assert run["tool"]["driver"]["rules"] == [{"id": "r1"}]
    places = [result["locations"][0]["physicalLocation"].get("region") for result in run["results"]]
    assert places == [{"startLine": 3}, None]
    assert run["results"][0]["message"]["text"] == "bad What to do: mend it"


def told(folder: Path, monkeypatch: pytest.MonkeyPatch, *findings: gate.Finding) -> list[Any]:
    monkeypatch.setattr(gate, "SOURCE", folder)
    report: Any = gate.sarif("sast", findings)
    return list(report["runs"][0]["results"])


def test_report_tells_a_finding_by_the_text_of_its_line_wherever_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(line: int, text: str) -> str:
        (tmp_path / "a.py").write_text(text)
        [one] = told(tmp_path, monkeypatch, gate.Finding("a.py", line, "r", "m"))
        return str(one["partialFingerprints"]["slipwayContext/v1"])

    first = known(1, "run(x)\n")
    assert known(3, "\n\n    run(x)  \n") == first
    assert known(1, "run(y)\n") != first


@pytest.mark.parametrize(
    "finding",
    [
        gate.Finding("gone.py", 3, "r", "m"),
        gate.Finding("a.py", 9, "r", "m"),
        gate.Finding("a.py", 0, "r", "m"),
        gate.Finding("lib.zip!a.py", 1, "r", "m"),
        gate.Finding("nul\0.py", 1, "r", "m"),
        gate.Finding("odd\udcff name.py", 1, "r", "m"),
    ],
)
def test_report_of_whatever_place_is_written_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finding: gate.Finding
) -> None:
    (tmp_path / "a.py").write_text("x\n")
    told(tmp_path, monkeypatch, finding)
    [read] = sarif.findings(json.dumps(gate.sarif("sast", [finding])).encode(), "scan.sast")
    assert (read.line, read.rule, read.message) == (finding.line, "r", "m")


def test_what_a_gate_says_of_a_finding_is_what_it_is_judged_by() -> None:
    said = gate.Finding(
        "requirements.txt",
        4,
        "GHSA-1",
        "pyyaml 5.3: old",
        "update",
        severity="critical",
        context="pyyaml",
        aliases=("CVE-1",),
        ships=False,
    )
    [read] = sarif.findings(json.dumps(gate.sarif("dependencies", [said])).encode(), "scan.dependencies")
    assert (read.path, read.line, read.names) == ("requirements.txt", 4, ("GHSA-1", "CVE-1"))
    assert (read.severity, read.ships, read.advice) == ("critical", False, "update")
