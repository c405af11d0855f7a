"""Readiness against a real Postgres: the schema is looked for, and a lost connection is replaced."""

from dataclasses import replace

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg.conninfo import make_conninfo

from prompt_library.app import create_app
from prompt_library.schema import works_from
from prompt_library.settings import Settings
from prompt_library.store import SchemaError, Store


def test_service_is_ready_on_the_migrated_schema(client: TestClient) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()["schema_revision"]) == (200, works_from()[0])


def test_service_is_not_ready_where_nothing_was_migrated(settings: Settings) -> None:
    empty = make_conninfo(settings.conninfo(), options="-c search_path=pg_temp")
    with TestClient(create_app(replace(settings, database_url=empty))) as client:
        ready = client.get("/readyz")
        made = client.post("/prompts", json={"name": "a", "template": ""})
    assert (ready.status_code, made.status_code) == (503, 503)
    assert works_from()[0] in ready.json()["detail"]


def test_service_is_not_ready_before_its_own_migration(settings: Settings) -> None:
    with (
        Store(settings, ("V999__later.sql", "999")) as store,
        pytest.raises(SchemaError, match=r"^V999__later\.sql is needed and was not run"),
    ):
        store.check()


def test_connections_that_the_server_ended_are_replaced(client: TestClient, settings: Settings) -> None:
    assert client.get("/readyz").status_code == 200
    with psycopg.connect(settings.conninfo()) as connection:
        ended = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name like 'prompt-library %'"
        ).fetchall()
    assert ended
    assert client.get("/prompts").status_code == 200
