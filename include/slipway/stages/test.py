"""Test: unit tests without network; integration tests with a throwaway Postgres on a private network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup

from slipway.errors import PolicyFailed, Transient
from slipway.stages import sidecar
from slipway.stages.container import ContainerOperator, toolbox

if TYPE_CHECKING:
    from slipway.catalog import Service


def verdict(reports: dict[str, bytes]) -> str:
    """Read junit.xml of tests that ended well: at least one must have run.

    :raises PolicyFailed: if none did. :raises Transient: if there is no readable report: then nothing is known.
    """
    import defusedxml.ElementTree
    from junitparser import JUnitXml

    if "junit.xml" not in reports:
        raise Transient("the tests left no /out/junit.xml")
    try:
        suites = JUnitXml.fromroot(defusedxml.ElementTree.fromstring(reports["junit.xml"]))
    except (defusedxml.DefusedXmlException, defusedxml.ElementTree.ParseError) as e:
        raise PolicyFailed(f"the tests' junit.xml cannot be read: {e}") from e
    suites.update_statistics()  # type: ignore[no-untyped-call]  # counts the cases, whatever the file says
    ran = suites.tests - suites.skipped
    if ran <= 0:
        raise PolicyFailed("no test ran", remedy="put tests where `test` in the catalog says")
    return f"{ran} tests passed, {suites.skipped} skipped, in {suites.time:.1f} s"


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
            made >> integration >> sidecar.removed("test").as_teardown(setups=made)
    return group


test.__test__ = False  # type: ignore[attr-defined]  # not a test case for pytest
