"""Pushes of the example service through the whole sequence. The sandbox must run (`make up`): a missing part is a failure."""

from __future__ import annotations

import pytest

from slipway_sandbox.lifecycle import Progress, open_sandbox, status
from slipway_sandbox.part import Sandbox
from slipway_sandbox.project import Project, Pushed


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """The running sandbox."""
    opened = open_sandbox(progress=Progress(quiet=True))
    missing = {
        name: part["problem"]
        for name, part in status(opened).items()
        if part["state"] not in ("running", "external")
    }
    assert not missing, f"these parts of the sandbox do not work: {missing}; run `make up`"
    return opened


@pytest.fixture(scope="session")
def project(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The example service, its deployment configured."""
    opened = Project(sandbox, tmp_path_factory.mktemp("clone") / "ai-generation")
    opened.configure()
    return opened


@pytest.fixture(scope="session")
def first(project: Project) -> Pushed:
    """A good push that has been released."""
    return project.push("Release the example")
