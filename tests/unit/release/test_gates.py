"""Which program a gate runs; that stages run the same, tests/unit/stages/test_commands.py holds."""

from __future__ import annotations

from slipway.catalog import catalog_directory, load_service
from slipway.catalog.service import Commanded
from slipway.release import gates

EXAMPLE = load_service(catalog_directory() / "ai-generation.yaml")


def test_command_of_the_catalog_goes_before_the_stacks_own() -> None:
    own = Commanded(command=("make", "lint"), folder="app", report="out.sarif")
    assert gates.command("lint", Commanded()) == ["/opt/slipway/bin/lint"]
    assert gates.command("lint", own) == [
        *(
            "/opt/slipway/bin/command",
            "lint",
            "--folder",
            "app",
            "--report",
            "out.sarif",
            "--",
            "make",
            "lint",
        )
    ]


def test_gate_that_needs_a_database_is_not_alone() -> None:
    stages = [one.stage for one in gates.alone(EXAMPLE, 7, "Go npm")]
    assert "test.unit" in stages
    assert "test.integration" not in stages
    integration = EXAMPLE.test.integration.model_copy(update={"database": False})
    without = EXAMPLE.model_copy(
        update={"test": EXAMPLE.test.model_copy(update={"integration": integration})}
    )
    assert "test.integration" in [one.stage for one in gates.alone(without, 7)]


def test_scan_of_dependencies_knows_the_locks_and_how_old_advisories_may_be() -> None:
    one = next(one for one in gates.alone(EXAMPLE, 7, "Go npm") if one.stage == "scan.dependencies")
    assert list(one.command) == ["/opt/slipway/bin/dependencies", "requirements.txt", "requirements-dev.txt"]
    assert one.environment == {"SLIPWAY_ADVISORIES_MAX_AGE_DAYS": "7", "SLIPWAY_ADVISORIES_OF": "Go npm"}
    assert one.toolbox == gates.SCANNER
