"""Test: unit tests without network; integration tests with a throwaway Postgres on a private network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup

from slipway.adapters import engine
from slipway.errors import PolicyFailed
from slipway.stages import sidecar
from slipway.stages.container import ContainerOperator, toolbox

if TYPE_CHECKING:
    from slipway.catalog import Service


def verdict(reports: dict[str, bytes]) -> str:
    """Read junit.xml of tests that ended well: at least one must have run, and none may have failed.

    :raises PolicyFailed: if that is not so, or there is no such report within engine.REPORT_LIMIT.
    """
    import defusedxml.ElementTree
    from junitparser import JUnitXml

    if "junit.xml" not in reports:
        # the gate has read one before it ended well
        raise PolicyFailed(
            f"the tests left no /out/junit.xml of at most {engine.REPORT_LIMIT} bytes",
            code="tests.report-missing",
            remedy="see what else writes to /out, and whether tests print very much",
        )
    try:
        suites = JUnitXml.fromroot(defusedxml.ElementTree.fromstring(reports["junit.xml"]))
        suites.update_statistics()  # type: ignore[no-untyped-call]  # counts the cases, whatever the file says
        ran, wrong, took = suites.tests - suites.skipped, suites.failures + suites.errors, float(suites.time)
    except Exception as e:  # the file is pushed code's to write: whatever reading it raises is its fault
        raise PolicyFailed(f"the tests' junit.xml cannot be read: {e}", code="tests.report-unreadable") from e
    if wrong:
        raise PolicyFailed(
            f"the tests ended well, but their junit.xml has {wrong} that failed",
            code="tests.report-contradicts",
        )
    if ran <= 0:
        raise PolicyFailed(
            "no test ran", code="tests.none-ran", remedy="put tests where `test` in the catalog says"
        )
    return f"{ran} tests passed, {suites.skipped} skipped, in {took:.1f} s"


def test(service: Service) -> TaskGroup:
    """Give the group of the two gates, with the database's setup and teardown around the second."""
    plan = service.test
    with TaskGroup("test", group_display_name="Test", tooltip="Unit and integration tests") as group:
        ContainerOperator(
            task_id="unit",
            task_display_name="Unit tests",
            image=toolbox(f"toolbox-{service.toolbox}"),
            command=["/opt/slipway/bin/unit", plan.unit.path],
            timeout_s=plan.unit.timeout_s,
            verdict=verdict,
            policy="",
        )
        integration = ContainerOperator(
            task_id="integration",
            task_display_name="Integration tests",
            image=toolbox(f"toolbox-{service.toolbox}"),
            command=["/opt/slipway/bin/integration", plan.integration.path],
            timeout_s=plan.integration.timeout_s,
            network=sidecar.network_name("test") if plan.integration.database else "none",
            environment={"DATABASE_URL": sidecar.DATABASE_URL} if plan.integration.database else {},
            verdict=verdict,
            policy=sidecar.policy(service) if plan.integration.database else "",
        )
        if plan.integration.database:
            made = sidecar.database(service, "test", gate="test.integration")
            made >> integration >> sidecar.removed("test", made)
    return group


test.__test__ = False  # type: ignore[attr-defined]  # not a test case for pytest
