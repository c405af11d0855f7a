"""The verdict on tests that ended well: their report must say that some ran."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slipway.catalog import Service
from slipway.errors import PolicyFailed
from slipway.stages.checkout import DEPENDENCIES
from slipway.stages.sequence import release_of
from slipway.stages.test import DATABASE, INTEGRATION, REMOVED, UNIT, verdict


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


def test_integration_tests_have_their_database_on_a_private_network(service: Service) -> None:
    options, order = INTEGRATION.options(service), release_of(service)
    assert options["network"].endswith("-test")
    assert DATABASE in order.earlier(INTEGRATION)
    assert INTEGRATION in order.earlier(REMOVED)
    assert (DATABASE.gates, REMOVED.gates, INTEGRATION.gates, UNIT.gates) == (False, False, True, True)
    assert UNIT.command(service) == ["/opt/slipway/bin/unit", service.test.unit.path]


def test_service_whose_tests_need_no_database_gets_none(changed: Callable[..., Service]) -> None:
    integration = changed("test").test.integration.model_copy(update={"database": False})
    alone = changed("test", integration=integration)
    order = release_of(alone)
    assert DATABASE not in order.stages
    assert REMOVED not in order.stages
    assert "network" not in INTEGRATION.options(alone)
    assert DEPENDENCIES in order.earlier(INTEGRATION)
