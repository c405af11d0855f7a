"""The HTTP interface without a database: what needs none, and what is said when there is none."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from ai_generation import __version__
from ai_generation.app import create_app
from ai_generation.observe import MAX_BODY_BYTES
from ai_generation.schema import REQUIRED_REVISION
from ai_generation.settings import Settings

# Port 1 of loopback: nothing listens there, so every connection is refused at once.
SETTINGS = Settings("postgresql://127.0.0.1:1/none", database_timeout_s=0.2, commit="c0ffee", build="17")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(SETTINGS)) as client:
        yield client


def test_process_is_healthy_without_a_database(client: TestClient) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_version_tells_commit_and_build(client: TestClient) -> None:
    body = client.get("/version").json()
    assert body["commit"] == "c0ffee"
    assert body["build"] == "17"
    assert body["version"] == __version__
    assert body["schema_revision"] == REQUIRED_REVISION


def test_service_is_not_ready_without_a_database(client: TestClient) -> None:
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "not available" in response.json()["detail"]


def test_request_without_a_database_is_503_and_names_no_host(client: TestClient) -> None:
    response = client.post("/generations", json={"prompt": "The tide"})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "127.0.0.1" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": "x" * 501},
        {"prompt": "NUL \0"},
        {"prompt": 1},
        {"prompt": "x", "max_words": 0},
        {"prompt": "x", "max_words": 201},
        {"prompt": "x", "max_words": "40"},
        {"prompt": "x", "max_words": True},
        {"prompt": "x", "max_words": 1.5},
        {"prompt": "x", "seed": -1},
        {"prompt": "x", "seed": 2**31},
        {"prompt": "x", "unknown": 1},
        [],
        None,
    ],
)
def test_request_outside_the_schema_is_422(client: TestClient, body: object) -> None:
    assert client.post("/generations", json=body).status_code == 422


@pytest.mark.parametrize(
    "raw",
    [
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "x", "\\ud800": 1}',
        b'{"prompt": "x", "seed": NaN}',
        b'{"prompt": "x", "max_words": 1e999}',
    ],
)
def test_input_that_cannot_be_echoed_is_422(client: TestClient, raw: bytes) -> None:
    response = client.post("/generations", content=raw, headers={"Content-Type": "application/json"})
    assert response.status_code == 422


@pytest.mark.parametrize("raw", [b"\xff", b"[" * 10_000])
def test_body_that_is_not_json_is_400_or_422(client: TestClient, raw: bytes) -> None:
    response = client.post("/generations", content=raw, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)


def test_body_beyond_the_bound_is_413(client: TestClient) -> None:
    raw = b'"' + b"x" * MAX_BODY_BYTES + b'"'
    response = client.post("/generations", content=raw, headers={"Content-Type": "application/json"})
    assert response.status_code == 413


def test_id_that_is_no_uuid_is_422(client: TestClient) -> None:
    assert client.get("/generations/7").status_code == 422


def test_metrics_count_by_route_not_by_path() -> None:
    with TestClient(create_app(SETTINGS)) as client:
        client.get("/version")
        client.get("/generations/7")
        client.get("/no/such/page")
        client.request("INVENTED", "/version")
        text = client.get("/metrics").text
    assert 'http_requests_total{method="GET",route="/version",status="200"} 1.0' in text
    assert 'http_requests_total{method="GET",route="/generations/{generation_id}",status="422"} 1.0' in text
    assert 'http_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'method="other"' in text
    assert 'ai_generation_build_info{build="17",commit="c0ffee"' in text


def test_openapi_publishes_the_bounds() -> None:
    fields = create_app(SETTINGS).openapi()["components"]["schemas"]["GenerationRequest"]["properties"]
    assert (fields["max_words"]["minimum"], fields["max_words"]["maximum"]) == (1, 200)
    assert (fields["seed"]["anyOf"][0]["minimum"], fields["seed"]["anyOf"][0]["maximum"]) == (0, 2**31 - 1)
    assert fields["prompt"]["maxLength"] == 500
    assert "pattern" in fields["prompt"]


def test_openapi_documents_every_answer() -> None:
    paths = create_app(SETTINGS).openapi()["paths"]
    assert set(paths["/generations"]["post"]["responses"]) == {"201", "400", "413", "422", "503"}
    assert set(paths["/generations/{generation_id}"]["get"]["responses"]) == {"200", "404", "422", "503"}
    assert set(paths["/readyz"]["get"]["responses"]) == {"200", "503"}
