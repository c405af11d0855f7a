"""A real Postgres, migrated by Liquibase, in DATABASE_URL. Without it these tests fail, never skip."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from ai_generation.app import create_app
from ai_generation.settings import Settings


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The service's own settings: a SettingsError here says which variable is missing."""
    return Settings.from_environment()


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[TestClient]:
    """The service on that database."""
    with TestClient(create_app(settings)) as client:
        yield client
