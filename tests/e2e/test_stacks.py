"""Services of other stacks, written as their communities do and knowing nothing of Slipway, from push to healthy."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.release import Status
from slipway_sandbox.part import Sandbox
from slipway_sandbox.project import Project


@pytest.mark.parametrize("name", ["links", "notes"])
def test_service_of_another_stack_is_released(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    project = Project(sandbox, tmp_path / name, name)
    project.configure()
    pushed = project.push(f"Release {name}")
    assert pushed.state == "success", pushed.release.reason
    assert pushed.release.status == Status.PASSED
    assert project.version()["commit"] == pushed.commit
    digests = project.digests(pushed.commit)
    assert len(set.union(*digests.values())) == 1, digests
