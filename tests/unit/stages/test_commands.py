"""What the catalog says is what runs: each command, in its folder, with its variables, within its bounds, in the same order."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from slipway.catalog import Service, catalog_directory, load_service
from slipway.catalog.service import Commanded, Integration, Unit
from slipway.release import Outcome, gates
from slipway.stages import checkout
from slipway.stages.build import BUILD
from slipway.stages.container import toolbox
from slipway.stages.gate import GATE
from slipway.stages.sequence import release_of
from slipway.stages.stage import Container
from slipway.stages.test import TEST, verdict

STAGES = {"build": ("compile", "lint", "analyze"), "test": ("unit", "integration")}
EXAMPLE = load_service(catalog_directory() / "ai-generation.yaml")
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)
PATHS = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True)
OWN = st.fixed_dictionaries(
    {"command": st.lists(WORDS, min_size=1, max_size=6), "timeout_s": st.integers(1, 14_400)},
    optional={
        "folder": PATHS,
        "report": PATHS,
        "environment": st.dictionaries(st.text(string.ascii_uppercase, min_size=1, max_size=8), WORDS),
    },
)
DEFAULT = st.fixed_dictionaries({"timeout_s": st.integers(1, 14_400)})
OUT = st.just({"left_out": "there is no such stage yet"})


def kind(name: str) -> type[Commanded]:
    return {"unit": Unit, "integration": Integration}.get(name, Commanded)


@st.composite
def services(draw: st.DrawFn) -> tuple[Service, dict[str, Any]]:
    """Give a service, and what its catalog says of each stage of build and test."""
    said = {f"{g}.{name}": draw(OWN | DEFAULT | OUT) for g, names in STAGES.items() for name in names}
    parts = {
        group: getattr(EXAMPLE, group).model_copy(
            update={name: kind(name).model_validate(said[f"{group}.{name}"]) for name in names}
        )
        for group, names in STAGES.items()
    }
    return EXAMPLE.model_copy(update=parts), said


def stages(service: Service) -> list[Container]:
    order = release_of(service).stages
    return [one for one in order if isinstance(one, Container) and one.group in (BUILD, TEST)]


@settings(max_examples=40, deadline=None)
@drawn(services())
def test_what_the_catalog_says_is_what_runs(drawn: tuple[Service, dict[str, Any]]) -> None:
    service, said = drawn
    found = {one.task_id: one for one in stages(service)}
    assert list(found) == [name for name, entry in said.items() if "left_out" not in entry]
    assert service.left_out == {n: entry["left_out"] for n, entry in said.items() if "left_out" in entry}
    for name, one in found.items():
        entry, command, options = said[name], list(one.command(service)), one.options(service)
        assert one.timeout_s is not None
        assert one.timeout_s(service) == entry["timeout_s"]
        assert entry.get("environment", {}).items() <= options.get("environment", {}).items()
        if "command" not in entry:
            assert command[0] == f"/opt/slipway/bin/{one.id}"
            continue
        at = command.index("--")
        assert command[:2] == ["/opt/slipway/bin/command", one.id]
        assert command[at + 1 :] == entry["command"]
        given = dict(zip(command[2:at:2], command[3:at:2], strict=True))
        assert given == {f"--{word}": entry[word] for word in ("folder", "report") if word in entry}
        assert ("verdict" in options) == (one.group is TEST and str(entry.get("report")).endswith(".xml"))


@settings(max_examples=10, deadline=None)
@drawn(services())
def test_every_stage_that_is_not_left_out_must_have_passed(drawn: tuple[Service, dict[str, Any]]) -> None:
    service, said = drawn
    order = release_of(service)
    assert {one for one in said if "left_out" not in said[one]} == {
        one for one in order.gating if one.split(".")[0] in STAGES
    }
    assert all(one in order.earlier(GATE) for one in stages(service))


def test_stage_runs_in_the_bounds_of_every_gate(changed: Callable[..., Service]) -> None:
    own = Unit(command=("make", "check"), folder="app", environment={"MODE": "test"}, timeout_s=42)
    service = changed("test", unit=own)
    unit = next(one for one in stages(service) if one.id == "unit")
    operator: Any = unit.operator(service, release_of(service))
    assert operator.command == [
        *("timeout", "--kill-after=10", "42", "/opt/slipway/bin/command", "unit"),
        *("--folder", "app", "--", "make", "check"),
    ]
    assert operator.network == "none"
    assert operator.environment["MODE"] == "test"
    assert "verdict" not in unit.options(service)


def test_variables_of_the_catalog_go_before_those_of_the_database(changed: Callable[..., Service]) -> None:
    url = "postgresql+psycopg://postgres:throwaway@database/service"
    own = Integration(database=True, environment={"DATABASE_URL": url})
    service = changed("test", integration=own)
    found = next(one for one in stages(service) if one.id == "integration").options(service)
    assert found["environment"]["DATABASE_URL"] == url
    assert found["verdict"] is verdict
    assert found["network"].endswith("-test")


def test_service_without_integration_tests_gets_no_database(changed: Callable[..., Service]) -> None:
    service = changed("test", integration=Integration(database=True, left_out="none are written yet"))
    assert not [one for one in release_of(service).stages if one.group is TEST and one.id != "unit"]


def test_what_is_left_out_is_on_record_as_such(
    changed: Callable[..., Service], run: Any, accepted: Any, world: Any, source: Any
) -> None:
    source.content |= {"requirements.txt": b"", "requirements-dev.txt": b""}
    service = changed("build", lint=Commanded(left_out="the team has no linter yet"))
    made = run(checkout.CHECKOUT, accepted)
    object.__setattr__(made, "service", service)
    checkout.CHECKOUT.run(made)
    told = [one for one in world.did if one[0] == "stage"]
    assert told == [
        ("stage", "build.lint", Outcome.SKIPPED, "left out in the catalog: the team has no linter yet")
    ]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"folder": "app"}, "belongs to a `command`"),
        ({"report": "junit.xml"}, "belongs to a `command`"),
        ({"command": ["make"], "left_out": "because of nothing"}, "a stage with a `command` is not left out"),
        ({"left_out": "no"}, "at least 10"),
        ({"command": []}, "at least 1"),
        ({"command": ["make", ""]}, "at least 1"),
        ({"command": ["make"], "folder": "../up"}, "without `..`"),
        ({"environment": {"A-B": "x"}}, "variable name"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Commanded.model_validate(wrong)


def test_stacks_own_program_has_its_arguments() -> None:
    assert gates.command("unit", Unit(), "tests") == ["/opt/slipway/bin/unit", "tests"]


@settings(max_examples=20, deadline=None)
@drawn(services())
def test_what_is_tried_is_what_a_release_runs(drawn: tuple[Service, dict[str, Any]]) -> None:
    service, _ = drawn
    order = release_of(service)
    tried = gates.alone(service, 7)
    assert {"scan.sast", "scan.dependencies", "scan.secrets", "scan.dockerfile"} <= {
        one.stage for one in tried
    }
    for one in tried:
        stage = next(each for each in order.stages if each.task_id == one.stage)
        assert isinstance(stage, Container)
        assert list(stage.command(service)) == list(one.command)
        assert stage.image(service) == toolbox(one.toolbox)
        assert stage.timeout_s is not None
        assert stage.timeout_s(service) == one.timeout_s
        variables = stage.options(service).get("environment", {})
        assert variables.keys() == one.environment.keys()
        if one.stage.partition(".")[0] in STAGES:
            assert variables == one.environment
    beside = {"test.integration"} if service.test.integration.database else set()
    assert set(order.gating) - {one.stage for one in tried} <= {"scan.dynamic", *beside}


def test_dependencies_are_fetched_alike() -> None:
    assert list(checkout.DEPENDENCIES.command(EXAMPLE)) == gates.fetch(EXAMPLE)
