"""Pushes of the example service through the whole sequence. The sandbox must run (`make up`): a missing part is a failure.

Each release of the example's story is pushed once a session, when the first test asks for it, and after those before it.
"""

from __future__ import annotations

import pytest

from e2e import story
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
def migrated(project: Project) -> story.Migrated:
    """A push of new source with a new changeset, which has been released."""
    return story.migrate(project)


@pytest.fixture(scope="session")
def first(migrated: story.Migrated) -> Pushed:
    """A good push that has been released: the same."""
    return migrated.pushed


@pytest.fixture(scope="session")
def failing(project: Project, first: Pushed) -> story.Failing:
    """A push of a test that fails, after it."""
    return story.push_failing(project)


@pytest.fixture(scope="session")
def unheard(project: Project, failing: story.Failing) -> story.Unheard:
    """A push of code alone after both, which the reconciler found."""
    return story.push_unheard(project)


@pytest.fixture(scope="session")
def deployed(project: Project) -> str:
    """Whatever commit serves and was released well; one is pushed if there is none."""
    return story.deployed(project)
