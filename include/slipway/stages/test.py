"""Test: unit tests without network; integration tests with throwaway parts on a private network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slipway.adapters import engine
from slipway.errors import PolicyFailed
from slipway.release import given
from slipway.stages import commands, sidecar, throwaway
from slipway.stages.checkout import DEPENDENCIES
from slipway.stages.stage import Group

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.catalog.service import Commanded


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


TEST = Group(id="test", title="Test", tooltip="Unit and integration tests", after=(DEPENDENCIES,), gates=True)


def _has_parts(service: Service) -> bool:
    """Tell whether something runs beside the integration tests."""
    integration = service.test.integration
    return bool(integration.database or integration.services) and integration.left_out is None


def _judged(said: Commanded) -> dict[str, Any]:
    """Give what reads the report of tests, where there is one of tests: a command of the service's own may have none."""
    reported = said.command is None or (said.report or "").endswith(".xml")
    return {"verdict": verdict} if reported else {}


def _beside(service: Service) -> dict[str, Any]:
    """Give what the integration tests have beside them."""
    said = service.test.integration
    if not _has_parts(service):
        return _judged(said)
    database = {"DATABASE_URL": throwaway.DATABASE_URL} if said.database else {}
    return {
        **_judged(said),
        "network": sidecar.network_name(TEST.id),
        "environment": {**database, **sidecar.told(said.services)},
        "policy": sidecar.policy(service, said.services),
    }


UNIT = commands.gate(
    TEST,
    "unit",
    "Unit tests",
    needs=(given.Accepted, given.Workspace),
    arguments=lambda service: (service.test.unit.path,),
    options=lambda service: _judged(service.test.unit),
)

INTEGRATION = commands.gate(
    TEST,
    "integration",
    "Integration tests",
    needs=(given.Accepted, given.Workspace),
    arguments=lambda service: (service.test.integration.path,),
    options=_beside,
)

DATABASE = sidecar.database(INTEGRATION, wanted=_has_parts)
REMOVED = sidecar.removed(INTEGRATION, DATABASE, wanted=_has_parts)
