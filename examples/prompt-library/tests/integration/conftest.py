"""A real Postgres, migrated by Flyway, in DATABASE_URL. Without it these tests fail, never skip."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from prompt_library.app import create_app
from prompt_library.settings import Settings


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The service's own settings: a SettingsError here says which variable is missing."""
    return Settings.from_environment()


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[TestClient]:
    """The service on that database."""
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def name() -> str:
    """A name that no prompt has yet."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def add(client: TestClient, name: str) -> Callable[..., int]:
    """Stores a version of the prompt `name`; gives its number."""

    def added(template: str, note: str | None = None) -> int:
        response = client.post("/prompts", json={"name": name, "template": template, "note": note})
        assert response.status_code in (200, 201), response.text
        return int(response.json()["version"])

    return added
