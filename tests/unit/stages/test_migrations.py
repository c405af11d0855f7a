"""What of a changelog runs, as the stages ask for it; and which phase a plan takes."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.catalog import load_catalog
from slipway.release import given
from slipway.stages import migrations, sidecar
from slipway.stages.migrations import wanted


def _planned(*phases: str, **more: Any) -> given.Planned:
    told = [{"id": str(n), "phase": phase} for n, phase in enumerate(phases)]
    return given.Planned.load({"hash": "h", "changesets": told, "changesets_count": len(told), **more})


@pytest.mark.parametrize(
    ("planned", "first", "second"),
    [
        (_planned(), False, False),
        (_planned("expand"), True, False),
        (_planned("contract"), False, True),
        (_planned(callbacks_due=True), True, False),
        (_planned(baseline="0"), True, False),
        (_planned(baseline=None, callbacks_due=False), False, False),
        (_planned(changesets_count=50), True, True),
    ],
)
def test_phase_runs_if_anything_of_it_is_planned(planned: given.Planned, first: bool, second: bool) -> None:
    assert (wanted("expand", planned), wanted("contract", planned)) == (first, second)
    assert wanted("all", planned) is (first or second)


def _service(**words: Any) -> Any:
    service = load_catalog()["ai-generation"]
    assert service.deploy.migrations is not None
    changed = service.deploy.migrations.model_copy(update=words)
    return service.model_copy(update={"deploy": service.deploy.model_copy(update={"migrations": changed})})


def test_evidence_of_a_gate_is_of_the_contexts_that_its_database_had() -> None:
    known = sidecar.policy(_service())
    assert " --contexts test" in known
    assert sidecar.policy(_service(gate_contexts=("test", "rows"))) != known
    assert sidecar.policy(_service(labels="!slow")) != known
    assert sidecar.policy(_service(contexts=("other",))) == known


def test_pods_say_what_the_catalog_chose() -> None:
    service = _service(labels="!slow", baseline="::first::me")
    pod = migrations.PendingPod(service=service, task_id="pending")
    command = pod.manifest["spec"]["containers"][0]["command"]
    assert command[command.index("--labels") + 1] == "!slow"
    assert command[command.index("--baseline") + 1] == "::first::me"


def test_pods_context_is_the_environments_unless_the_catalog_names_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Staging:
        environment = "staging"

    monkeypatch.setattr("slipway.stages.connections.platform", lambda: Staging)

    def held(**words: Any) -> str | None:
        pod = migrations.PendingPod(service=_service(**words), task_id="pending")
        pod.begins({})  # type: ignore[arg-type]
        return pod.late_environment.get("CONTEXTS")

    assert held() == "staging"
    assert held(contexts=("staging", "eu")) == "staging,eu"
    assert held(engine="flyway") is None
