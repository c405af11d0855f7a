"""What an attack needs to know of a description: its operations, which want a sign-in, and where they are."""

import json
from pathlib import Path
from typing import Any

import openapi
import pytest
from hypothesis import given
from hypothesis import strategies as st


def described(**more: Any) -> dict[str, Any]:
    paths = {"/a": {"get": {"responses": {"200": {}}}, "parameters": [], "summary": "s"}, "/b": {"post": {}}}
    return {"paths": paths, **more}


def test_operations_are_named_by_method_and_path() -> None:
    assert openapi.operations(described()) == ["GET /a", "POST /b"]


@pytest.mark.parametrize(
    ("everywhere", "own", "is_secured"),
    [
        (None, None, False),
        ([{"bearer": []}], None, True),
        (None, [{"bearer": []}], True),
        ([{"bearer": []}], [], False),  # open, by its own word
        (None, [{"bearer": []}, {}], False),  # also without
        (None, "nonsense", False),
    ],
)
def test_sign_in_is_wanted_where_the_description_says_so_and_may_be_refused(
    everywhere: Any, own: Any, is_secured: bool
) -> None:
    description = described(**({} if everywhere is None else {"security": everywhere}))
    operation = description["paths"]["/a"]["get"]
    if own is not None:
        operation["security"] = own
    assert ("GET /a" in openapi.sign_in(description)) is is_secured
    assert ("401" in operation["responses"]) is is_secured


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({}, ""),
        ({"servers": []}, ""),
        ({"servers": [{"url": "/"}]}, ""),
        ({"servers": [{"url": "/api/v1/"}]}, "/api/v1"),
        ({"servers": [{"url": "https://shop.example.test/api"}]}, "/api"),
        ({"servers": [{"url": "https://{host}/api"}]}, ""),
        ({"servers": ["nonsense"]}, ""),
        ({"basePath": "/v2"}, "/v2"),
    ],
)
def test_whatever_host_is_named_only_its_path_counts(more: dict[str, Any], path: str) -> None:
    assert openapi.base_path(described(**more)) == path


def test_answers_are_told_by_operation_without_those_to_other_methods(tmp_path: Path) -> None:
    def recorded(label: str, *cases: tuple[str, int | None]) -> str:
        recorder = {
            "label": label,
            "cases": {str(n): {"value": {"method": method}} for n, (method, _) in enumerate(cases)},
            "interactions": {
                str(n): {"response": {"status_code": code} if code else None}
                for n, (_, code) in enumerate(cases)
            },
        }
        return json.dumps({"ScenarioFinished": {"recorder": recorder}})

    events = tmp_path / "events.ndjson"
    lines = [
        '{"Initialize": {}}',
        '{"ScenarioFinished": {"recorder": {"label": "GET /a"}}}',
        recorded("GET /a", ("GET", 401), ("TRACE", 405), ("GET", None)),
        recorded("GET /a", ("GET", 200)),
        recorded("POST /b", ("POST", 403)),
    ]
    events.write_text("\n".join(lines))
    assert openapi.answers(events) == {"GET /a": {401, 200}, "POST /b": {403}}


@given(
    st.dictionaries(
        st.sampled_from(["/a", "/b"]),
        st.none()
        | st.text(max_size=2)
        | st.dictionaries(
            st.sampled_from(["get", "x-note", "parameters"]),
            st.none()
            | st.dictionaries(
                st.sampled_from(["responses", "security"]), st.none() | st.lists(st.none(), max_size=1)
            ),
        ),
    )
)
def test_odd_descriptions_are_read_without_a_crash(paths: dict[str, Any]) -> None:
    description = {"paths": paths}
    assert set(openapi.sign_in(description)) <= set(openapi.operations(description))
