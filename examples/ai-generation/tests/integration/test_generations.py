"""Generations, stored in a real Postgres."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from ai_generation.models import MAX_SEED, GenerationRequest
from ai_generation.settings import Settings
from ai_generation.store import Store


def test_generation_is_stored_and_read_back(client: TestClient) -> None:
    made = client.post("/generations", json={"prompt": "The harbour master", "max_words": 30, "seed": 7})
    assert made.status_code == 201
    body = made.json()
    assert body["status"] == "completed"
    assert 1 <= len(body["text"].split()) <= 30
    assert body["finished_at"] >= body["created_at"]
    read = client.get(made.headers["location"])
    assert (read.status_code, read.json()) == (200, body)


def test_seed_that_was_drawn_repeats_the_text(client: TestClient) -> None:
    first = client.post("/generations", json={"prompt": "The lamp"}).json()
    again = client.post("/generations", json={"prompt": "The lamp", "seed": first["seed"]}).json()
    assert again["text"] == first["text"]
    assert again["id"] != first["id"]


@pytest.mark.parametrize(
    "prompt", ["", "é 漢字 🚢", "' ; drop table generations; --", "%s {0}\t\n", "x" * 500, "🚢" * 500]
)
def test_any_text_is_stored_as_it_came(client: TestClient, prompt: str) -> None:
    made = client.post("/generations", json={"prompt": prompt, "max_words": 1.0, "seed": MAX_SEED})
    assert made.status_code == 201
    assert client.get(made.headers["location"]).json()["prompt"] == prompt


def test_unknown_id_is_404(client: TestClient) -> None:
    assert client.get(f"/generations/{uuid4()}").status_code == 404


def test_more_requests_at_once_than_connections_are_all_served(
    client: TestClient, settings: Settings
) -> None:
    requests = [{"prompt": "The tide", "seed": seed} for seed in range(settings.pool_max * 10)]
    with ThreadPoolExecutor(settings.pool_max * 3) as threads:
        made = list(threads.map(lambda body: client.post("/generations", json=body), requests))
    assert {response.status_code for response in made} == {201}
    assert len({response.json()["id"] for response in made}) == len(requests)


def test_job_is_durable_before_its_text_is_written(client: TestClient, settings: Settings) -> None:
    with Store(settings) as store:
        job = store.begin(GenerationRequest(prompt="The keel"), seed=1, model="test")
        assert client.get(f"/generations/{job.id}").json()["status"] == "running"
        assert store.complete(job.id, "is laid").text == "is laid"
    assert client.get(f"/generations/{job.id}").json()["status"] == "completed"


def test_database_refuses_a_completed_job_without_text(settings: Settings) -> None:
    with psycopg.connect(settings.conninfo()) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "insert into generations (status, prompt, max_words, seed) values ('completed', 'x', 1, 1)"
        )
