"""What of a changelog runs, as the stages ask for it; and which phase a plan takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from slipway.catalog import load_catalog
from slipway.errors import PolicyFailed
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
        pod.begins({"params": {"fresh": True}})  # type: ignore[typeddict-item]
        return pod.late_environment.get("CONTEXTS")

    assert held() == "staging"
    assert held(contexts=("staging", "eu")) == "staging,eu"
    assert held(engine="flyway") is None


ANSWER: dict[str, Any] = {
    **dict.fromkeys(migrations.TOLD),
    "pending": [],
    "pending_count": 0,
    "pending_sha": "0" * 64,
    "revision": "c.sql::1::me",
    "callbacks": [],
    "callbacks_due": False,
    "left_out": [],
    "left_out_count": 0,
    "applied": [{"id": "c.sql::1::me", "phase": "expand"}],
    "applied_count": 1,
    "lint": [],
    "lint_count": 0,
    "works_from": None,
    "of": "a" * 64,
}


class Books:
    """What of the ledger the question takes."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.seen: list[Any] = []

    def latest_evidence(self, gate: str, tree: str, limit: int) -> list[Any]:
        assert (gate, limit) == ("pending", migrations.ANSWERS)
        return [one for one in self.kept.values() if one.tree == tree]

    def evidence(self, key: str) -> Any:
        return self.kept.get(key)

    def record_evidence(
        self, key: str, gate: str, outcome: Any, run_id: str, tree: str, seconds: float, *, report: Any
    ) -> None:
        self.kept.setdefault(key, SimpleNamespace(tree=tree, report=report))

    def applied(self, *told: Any, **more: Any) -> None:
        self.seen.append(told)

    def update(self, run_id: str, **values: Any) -> None: ...


@pytest.fixture
def books(monkeypatch: pytest.MonkeyPatch) -> Books:
    made = Books()
    monkeypatch.setattr("slipway.stages.connections.ledger", lambda: made)
    monkeypatch.setattr("slipway.stages.connections.platform", lambda: SimpleNamespace(environment="staging"))
    return made


def _asked(told: Any, *, fresh: bool = False, **words: Any) -> tuple[str | None, given.Pending]:
    pod = migrations.PendingPod(service=_service(**words), task_id="pending")
    context: Any = {
        "params": {"fresh": fresh, "service": "ai-generation"},
        "dag": SimpleNamespace(tags={"release"}),
        "dag_run": SimpleNamespace(run_id="ai-generation.1"),
    }
    pod.begins(context)
    return pod.late_environment.get("KNOWN"), pod.ended(context, told)


def test_an_answer_about_a_database_is_offered_to_who_asks_the_same_again(books: Books) -> None:
    known, first = _asked(ANSWER)
    assert known == ""
    known, second = _asked({"of": ANSWER["of"], "known": True})
    assert known == ANSWER["of"]
    assert second == first
    assert len(books.seen) == 2  # what the database has is remembered each time


def test_no_answer_is_offered_to_who_wants_a_fresh_one_or_asks_otherwise(books: Books) -> None:
    _asked(ANSWER)
    assert _asked(ANSWER, fresh=True)[0] is None
    assert _asked(ANSWER, labels="!slow")[0] == ""
    assert _asked(ANSWER, contexts=("eu",))[0] == ""


def test_what_a_pod_says_to_be_known_and_nobody_knows_is_no_answer(books: Books) -> None:
    with pytest.raises(PolicyFailed, match="did not tell"):
        _asked({"of": "b" * 64, "known": True})


def test_an_answer_that_is_of_nothing_firm_is_not_kept(books: Books) -> None:
    _asked({**ANSWER, "of": None})
    assert books.kept == {}
