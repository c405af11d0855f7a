"""Prompts and their versions, stored in a real Postgres."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from fastapi.testclient import TestClient

from prompt_library.settings import Settings

Add = Callable[..., int]


def test_prompt_is_stored_and_read_back(client: TestClient, name: str) -> None:
    made = client.post("/prompts", json={"name": name, "template": "Dear ${who}", "note": "First"})
    assert made.status_code == 201
    body = made.json()
    assert (body["version"], body["variables"], body["note"]) == (1, ["who"], "First")
    assert made.headers["location"] == f"/prompts/{name}/versions/1"
    for path in (f"/prompts/{name}", made.headers["location"]):
        assert client.get(path).json() == body


def test_each_text_is_a_version_and_old_ones_stay(client: TestClient, name: str, add: Add) -> None:
    assert [add("one"), add("two"), add("one")] == [1, 2, 3]
    assert client.get(f"/prompts/{name}").json()["version"] == 3
    texts = [client.get(f"/prompts/{name}/versions/{n}").json()["template"] for n in (1, 2, 3)]
    assert texts == ["one", "two", "one"]


def test_what_the_newest_version_says_already_makes_no_other(client: TestClient, name: str, add: Add) -> None:
    assert add("one") == 1
    again = client.post("/prompts", json={"name": name, "template": "one"})
    assert (again.status_code, again.json()["version"]) == (200, 1)
    assert add("one", note="now with a note") == 2


@pytest.mark.parametrize(
    "text", ["", "é 漢字 🚢", "' ; drop table prompts; --", "%s {0} {{ x }}\t\n", "x" * 8000, "🚢" * 8000]
)
def test_any_text_is_stored_as_it_came(client: TestClient, name: str, add: Add, text: str) -> None:
    add(text)
    assert client.get(f"/prompts/{name}").json()["template"] == text
    assert client.post(f"/prompts/{name}/render", json={}).json()["text"] == text


def test_prompt_or_version_that_is_not_there_is_404(client: TestClient, name: str, add: Add) -> None:
    for path in (f"/prompts/{name}", f"/prompts/{name}/versions/1"):
        assert client.get(path).status_code == 404
    add("one")
    response = client.get(f"/prompts/{name}/versions/2")
    assert (response.status_code, response.json()["detail"]) == (
        404,
        f"there is no version 2 of prompt {name}",
    )
    assert client.post(f"/prompts/{name}/render", json={"version": 2}).status_code == 404


def test_prompt_is_rendered_by_its_newest_or_by_a_named_version(
    client: TestClient, name: str, add: Add
) -> None:
    add("Dear ${who}")
    add("Hi ${who}")
    values = {"variables": {"who": "Ada $who"}}
    assert client.post(f"/prompts/{name}/render", json=values).json() == {
        "name": name,
        "version": 2,
        "text": "Hi Ada $who",
    }
    older = client.post(f"/prompts/{name}/render", json={**values, "version": 1.0})
    assert older.json()["text"] == "Dear Ada $who"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "the template needs a"),
        ({"a": "", "b": ""}, "the template has no b; it needs a"),
        ({"a": "x" * 8000}, "longer than 100000 characters"),
    ],
)
def test_values_that_do_not_fit_the_template_are_422(
    client: TestClient, name: str, add: Add, given: dict[str, str], says: str
) -> None:
    add("$a" * 20)
    response = client.post(f"/prompts/{name}/render", json={"variables": given})
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert says in problem["msg"]


def test_list_goes_through_all_prompts_page_by_page(client: TestClient, name: str) -> None:
    wanted = [f"{name}-{n}" for n in range(5)]
    for one in wanted:
        client.post("/prompts", json={"name": one, "template": "x"})
    found, after = [], name
    for _ in range(3):
        page = client.get("/prompts", params={"after": after, "limit": 2}).json()
        found += [one["name"] for one in page["prompts"]]
        if not (after := page["next"]):
            break
    assert found[:5] == wanted


def test_prompts_are_found_by_a_variable_of_their_newest_version(
    client: TestClient, name: str, add: Add
) -> None:
    variable = name.replace("-", "_")
    add(f"${{{variable}}}")
    found = client.get("/prompts", params={"variable": variable}).json()
    assert [(one["name"], one["latest"]) for one in found["prompts"]] == [(name, 1)]
    assert found["next"] is None
    add("now without it")
    assert client.get("/prompts", params={"variable": variable}).json()["prompts"] == []


def test_versions_made_at_once_are_numbered_without_a_gap(
    client: TestClient, name: str, settings: Settings
) -> None:
    texts = [f"text {n}" for n in range(settings.pool_max * 6)]
    with ThreadPoolExecutor(settings.pool_max * 3) as threads:
        made = list(
            threads.map(lambda text: client.post("/prompts", json={"name": name, "template": text}), texts)
        )
    assert {response.status_code for response in made} == {201}
    assert sorted(response.json()["version"] for response in made) == list(range(1, len(texts) + 1))


def test_same_text_sent_twice_at_once_is_one_version(client: TestClient, name: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(
            threads.map(lambda _: client.post("/prompts", json={"name": name, "template": "x"}), range(8))
        )
    assert sorted(response.status_code for response in made) == [200] * 7 + [201]
    assert {response.json()["version"] for response in made} == {1}


def test_index_of_variables_is_valid(settings: Settings) -> None:
    query = "select indisvalid from pg_index where indexrelid = 'prompt_versions_variables'::regclass"
    with psycopg.connect(settings.conninfo()) as connection:
        assert connection.execute(query).fetchone() == (True,)
