"""What of a changelog runs, as the stages ask for it; and which phase a plan takes."""

from __future__ import annotations

import io
import tarfile
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.catalog import load_catalog
from slipway.errors import PolicyFailed, Transient
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
    known = sidecar.policy(_service(), {})
    assert " --contexts test" in known
    assert sidecar.policy(_service(gate_contexts=("test", "rows")), {}) != known
    assert sidecar.policy(_service(labels="!slow"), {}) != known
    assert sidecar.policy(_service(contexts=("other",)), {}) == known


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
        self.turn, self.holder = 7, None

    def latest_evidence(self, gate: str, tree: str, limit: int) -> list[Any]:
        assert (gate, limit) == ("deploy.pending", migrations.ANSWERS)
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

    def lane_turn(self, service: str, environment: str) -> int:
        return self.turn

    def lane_holder(self, service: str, environment: str) -> Any:
        return self.holder


@pytest.fixture
def books(monkeypatch: pytest.MonkeyPatch) -> Books:
    made = Books()
    monkeypatch.setattr("slipway.stages.connections.ledger", lambda: made)
    monkeypatch.setattr("slipway.stages.connections.platform", lambda: SimpleNamespace(environment="staging"))
    return made


def _context(*, fresh: bool = False, tries: int = 1) -> Any:
    return {
        "params": {"fresh": fresh, "service": "ai-generation"},
        "dag": SimpleNamespace(tags={"release"}),
        "dag_run": SimpleNamespace(run_id="ai-generation.1"),
        "ti": SimpleNamespace(try_number=tries),
    }


def _asked(told: Any, *, fresh: bool = False, **words: Any) -> tuple[str | None, given.Pending]:
    pod = migrations.PendingPod(service=_service(**words), task_id="pending")
    context = _context(fresh=fresh)
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


class Database:
    """What is asked, and how often."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        self.refuses = False
        monkeypatch.setattr(migrations.MigrationPod, "told", lambda pod, context: self.told_by(pod, context))
        monkeypatch.setattr("slipway.stages.lanes.held", lambda _context: None)
        monkeypatch.setattr("slipway.stages.xcom.find", lambda _ti, _kind: self.ahead)
        self.ahead: given.Asked | None = None

    def told_by(self, pod: migrations.PendingPod, context: Any) -> Any:
        pod.begins(context)
        self.times += 1
        if self.refuses:
            raise Transient("it does not answer", code="pod.failed")
        return ANSWER


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, books: Books) -> Database:
    return Database(monkeypatch)


def ahead() -> given.Asked | None:
    return migrations.AskPod(service=_service(), task_id="asked").result(_context())


def pending(tries: int = 1) -> given.Pending:
    pod = migrations.PendingPod(service=_service(), task_id="pending")
    return pod.result(_context(tries=tries))


def test_database_that_was_asked_ahead_is_not_asked_again_in_the_lane(
    database: Database, books: Books
) -> None:
    database.ahead = ahead()
    assert database.ahead is not None
    books.turn += 1  # it is this run that has the lane now
    assert pending().revision == ANSWER["revision"]
    assert (database.times, len(books.seen)) == (1, 1)


@pytest.mark.parametrize(
    ("turns", "tries", "later_s"),
    [(2, 1, 0), (1, 2, 0), (1, 1, migrations.ASKED_FOR_S + 1)],
    ids=["another had the lane", "cleared or tried again", "long ago"],
)
def test_database_is_asked_again_where_the_answer_may_not_hold_any_more(
    database: Database, books: Books, turns: int, tries: int, later_s: float
) -> None:
    found = ahead()
    assert found is not None
    database.ahead = found.model_copy(update={"at": found.at - later_s})
    books.turn += turns
    pending(tries)
    assert database.times == 2


def test_database_that_somebody_may_change_now_is_not_asked_ahead(database: Database, books: Books) -> None:
    books.holder = SimpleNamespace(run_id="another")
    assert ahead() is None
    assert database.times == 0


def test_database_that_does_not_answer_ahead_decides_nothing(database: Database) -> None:
    database.refuses = True
    assert ahead() is None
    with pytest.raises(Transient):
        pending()


def test_what_asks_ahead_does_not_wait_long_for_a_node() -> None:
    service = _service()
    assert service.deploy.rollout.timeout_s > migrations.AHEAD_S
    assert migrations.AskPod(service=service, task_id="asked").startup_timeout_s == migrations.AHEAD_S


def test_pods_get_the_changelog_of_the_commit_and_no_image_of_the_service(
    monkeypatch: pytest.MonkeyPatch, accepted: given.Accepted, source: Any
) -> None:
    source.content["migrations/a.sql"] = b"SELECT 1"
    service = _service()
    monkeypatch.setattr(migrations, "get_current_context", lambda: {"ti": None})
    monkeypatch.setattr("slipway.stages.xcom.take", lambda _ti, _kind: accepted)
    monkeypatch.setattr(
        "slipway.stages.connections.Outside", lambda: SimpleNamespace(repository=lambda _where: source)
    )
    pod = migrations.PendingPod(service=service, task_id="pending")
    assert pod.files is not None
    with tarfile.open(fileobj=io.BytesIO(pod.files()["changelog.tgz"])) as tar:
        assert tar.getnames() == ["migrations/a.sql"]
    assert "initContainers" not in pod.manifest["spec"]
