from typing import Any

import pytest

from slipway.stages.container import ContainerOperator


def gate(**changes: Any) -> ContainerOperator:
    plain = {
        "image": "toolbox@sha256:1",
        "command": ["check", "a"],
        "timeout_s": 60,
        "policy": "",
        "environment": {"A": "1"},
    }
    made = ContainerOperator(task_id="gate", **plain | changes)
    made.tree = "0" * 40
    return made


@pytest.mark.parametrize(
    "change",
    [
        {"image": "toolbox@sha256:2"},
        {"command": ["check", "b"]},
        {"timeout_s": 61},
        {"policy": "postgres@sha256:1"},
        {"environment": {"A": "2"}},
        {"memory": "2g"},
        {"cpus": 1.0},
        {"network": "slipway-run-test"},
        {"daily": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_evidence_is_of_all_that_decides(change: dict[str, Any]) -> None:
    assert gate(**change).key() != gate().key()
    assert gate(**change).key() == gate(**change).key()


def test_evidence_is_of_the_dependencies_and_not_of_the_run() -> None:
    one, other = gate(network="slipway-run-1-test"), gate(network="slipway-run-2-test")
    assert one.key() == other.key()
    other.dependencies = "slipway-deps-2"
    assert one.key() != other.key()
