"""The verdict on tests that ended well: their report must say that some ran."""

from __future__ import annotations

import pytest

from slipway.errors import PolicyFailed
from slipway.stages.test import verdict


def junit(cases: str, **counts: int) -> dict[str, bytes]:
    attributes = " ".join(f'{name}="{value}"' for name, value in counts.items())
    return {
        "junit.xml": f'<testsuites><testsuite name="t" time="1.5" {attributes}>{cases}</testsuite></testsuites>'.encode()
    }


CASE = '<testcase classname="a" name="b" time="1.5"/>'


def test_tests_that_ran_pass() -> None:
    assert verdict(junit(CASE, tests=1)) == "1 tests passed, 0 skipped, in 1.5 s"


@pytest.mark.parametrize(
    "cases", ["", '<testcase classname="a" name="b"><skipped/></testcase>'], ids=["none", "all skipped"]
)
def test_no_test_that_ran_is_a_failure_whatever_the_counts_say(cases: str) -> None:
    with pytest.raises(PolicyFailed, match="no test ran"):
        verdict(junit(cases, tests=7))


def test_a_report_that_is_missing_or_too_large_to_be_kept_is_a_failure() -> None:
    with pytest.raises(PolicyFailed, match=r"no /out/junit.xml of at most"):
        verdict({"other.txt": b""})


@pytest.mark.parametrize(
    "content",
    [
        b"<testsuites>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><testsuites>&a;</testsuites>',
        b"<report/>",
        b'<testsuite><testcase name="a" time="soon"/></testsuite>',
        b"\xff",
    ],
    ids=["broken", "entities", "another format", "no number", "no text"],
)
def test_a_hostile_report_is_a_failure(content: bytes) -> None:
    with pytest.raises(PolicyFailed, match=r"junit.xml cannot be read"):
        verdict({"junit.xml": content})


def test_a_report_with_a_failure_fails_though_the_gate_ended_well() -> None:
    with pytest.raises(PolicyFailed, match="1 that failed"):
        verdict(junit(CASE + '<testcase classname="a" name="c"><failure>no</failure></testcase>', failures=0))
