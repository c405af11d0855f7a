"""Labels of generations, stored in a real Postgres."""

import pytest
from fastapi.testclient import TestClient


@pytest.mark.parametrize("label", [None, "nightly", "🚢" * 80])
def test_label_is_stored_and_read_back(client: TestClient, label: str | None) -> None:
    made = client.post("/generations", json={"prompt": "The tide", "label": label})
    assert (made.status_code, made.json()["label"]) == (201, label)
    assert client.get(made.headers["location"]).json()["label"] == label


def test_generation_without_a_label_has_none(client: TestClient) -> None:
    assert client.post("/generations", json={"prompt": "The tide"}).json()["label"] is None


@pytest.mark.parametrize("label", ["", "x" * 81, "NUL \0", 1])
def test_label_outside_its_bounds_is_422(client: TestClient, label: object) -> None:
    assert client.post("/generations", json={"prompt": "The tide", "label": label}).status_code == 422
