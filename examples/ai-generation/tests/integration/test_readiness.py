"""Readiness against a real Postgres: the schema is looked for, and a lost connection is replaced."""

from dataclasses import replace

import psycopg
from fastapi.testclient import TestClient
from psycopg.conninfo import make_conninfo

from ai_generation.app import create_app
from ai_generation.schema import REQUIRED_REVISION
from ai_generation.settings import Settings


def test_service_is_ready_on_the_migrated_schema(client: TestClient) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()["schema_revision"]) == (200, REQUIRED_REVISION)


def test_service_is_not_ready_where_nothing_was_migrated(settings: Settings) -> None:
    empty = make_conninfo(settings.conninfo(), options="-c search_path=pg_temp")
    with TestClient(create_app(replace(settings, database_url=empty, database_url_file=None))) as client:
        ready = client.get("/readyz")
        made = client.post("/generations", json={"prompt": "The tide"})
    assert ready.status_code == 503
    assert REQUIRED_REVISION in ready.json()["detail"]
    assert made.status_code == 503


def test_connections_that_the_server_ended_are_replaced(client: TestClient, settings: Settings) -> None:
    assert client.get("/readyz").status_code == 200
    with psycopg.connect(settings.conninfo()) as connection:
        ended = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name like 'ai-generation %'"
        ).fetchall()
    assert ended
    assert client.post("/generations", json={"prompt": "The tide"}).status_code == 201
