"""The HTTP interface without a database: what needs none, and what is said when there is none."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from prompt_library import __version__
from prompt_library.app import create_app
from prompt_library.schema import works_from
from prompt_library.settings import Settings
from prompt_library.telemetry import MAX_BODY_BYTES

# Port 1 of loopback: nothing listens there, so every connection is refused at once.
SETTINGS = Settings("postgresql://127.0.0.1:1/none", database_timeout_s=0.2, commit="c0ffee", build="17")
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(SETTINGS)) as client:
        yield client


def test_process_is_healthy_but_not_ready_without_a_database(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "not available" in ready.json()["detail"]


def test_version_tells_commit_build_and_needed_schema(client: TestClient) -> None:
    assert client.get("/version").json() == {
        "service": "prompt-library",
        "version": __version__,
        "commit": "c0ffee",
        "build": "17",
        "schema_revision": works_from()[0],
    }


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/prompts", {"name": "a", "template": ""}),
        ("GET", "/prompts", None),
        ("GET", "/prompts/a", None),
        ("GET", "/prompts/a/versions/1", None),
        ("POST", "/prompts/a/render", {}),
    ],
)
def test_request_without_a_database_is_503_and_names_no_host(
    client: TestClient, method: str, path: str, body: object
) -> None:
    response = client.request(method, path, json=body)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "127.0.0.1" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"name": "a"},
        {"name": "", "template": ""},
        {"name": "A", "template": ""},
        {"name": "a" * 65, "template": ""},
        {"name": "a\n", "template": ""},
        {"name": "-a", "template": ""},
        {"name": "a", "template": 1},
        {"name": "a", "template": "NUL \0"},
        {"name": "a", "template": "x" * 8001},
        {"name": "a", "template": "", "note": "x" * 201},
        {"name": "a", "template": "", "version": 1},
    ],
)
def test_prompt_outside_the_schema_is_422(client: TestClient, body: object) -> None:
    assert client.post("/prompts", json=body).status_code == 422


def test_mistake_in_a_template_is_told_with_its_place(client: TestClient) -> None:
    response = client.post("/prompts", json={"name": "a", "template": "only\n$5"})
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert problem["loc"] == ["body", "template"]
    assert "line 2, column 1: '$5' begins no variable" in problem["msg"]


@pytest.mark.parametrize(
    "body",
    [
        {"variables": {"A": ""}},
        {"variables": {"a": 1}},
        {"variables": {"a": "NUL \0"}},
        {"variables": {"a": "x" * 8001}},
        {"variables": {f"a{n}": "" for n in range(65)}},
        {"version": 0},
        {"version": True},
        {"version": "1"},
        {"version": 2**31},
        {"unknown": 1},
    ],
)
def test_values_outside_the_schema_are_422(client: TestClient, body: object) -> None:
    assert client.post("/prompts/a/render", json=body).status_code == 422


@pytest.mark.parametrize(
    "path", ["/prompts/A", "/prompts/a/versions/0", "/prompts/a/versions/x", "/prompts?limit=101",
             "/prompts?after=A", "/prompts?variable=A", "/prompts/a%00", "/prompts/a%0A"],
)  # fmt: skip
def test_path_or_query_outside_the_schema_is_422(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 422


@pytest.mark.parametrize(
    "raw",
    [
        b'{"name": "a", "template": "\\ud800"}',
        b'{"name": "a", "template": "", "\\ud800": 1}',
        b'{"name": "a", "template": NaN}',
    ],
)
def test_input_that_cannot_be_echoed_is_422(client: TestClient, raw: bytes) -> None:
    assert client.post("/prompts", content=raw, headers=JSON).status_code == 422


@pytest.mark.parametrize("raw", [b"\xff", b"[" * 10_000])
def test_body_that_is_not_json_is_400_or_422(client: TestClient, raw: bytes) -> None:
    assert client.post("/prompts", content=raw, headers=JSON).status_code in (400, 422)


def test_body_beyond_the_bound_is_413(client: TestClient) -> None:
    raw = b'"' + b"x" * MAX_BODY_BYTES + b'"'
    assert client.post("/prompts", content=raw, headers=JSON).status_code == 413


def test_metrics_count_by_route_not_by_path() -> None:
    with TestClient(create_app(SETTINGS)) as client:
        client.get("/prompts/A")
        client.get("/no/such/page")
        client.request("INVENTED", "/version")
        text = client.get("/metrics").text
    assert 'http_requests_total{method="GET",route="/prompts/{name}",status="422"} 1.0' in text
    assert 'http_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'method="other"' in text
    assert 'prompt_library_build_info{build="17",commit="c0ffee"' in text


def test_openapi_documents_every_answer() -> None:
    paths = create_app(SETTINGS).openapi()["paths"]
    answers = {
        f"{method} {path}": set(operation["responses"])
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert answers["post /prompts"] == {"200", "201", "400", "413", "422", "503"}
    assert answers["get /prompts"] == {"200", "422", "503"}
    assert answers["get /prompts/{name}"] == {"200", "404", "422", "503"}
    assert answers["get /prompts/{name}/versions/{version}"] == {"200", "404", "422", "503"}
    assert answers["post /prompts/{name}/render"] == {"200", "400", "404", "413", "422", "503"}
    assert answers["get /readyz"] == {"200", "503"}
