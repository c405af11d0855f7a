"""Accepting a push: what is released, what is refused on record, and what ends for a newer one before it has begun."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.catalog.platform import Advisories
from slipway.errors import PolicyFailed, SlipwayError, Superseded, Transient
from slipway.release import Contender, Status
from slipway.stages import accept, connections, runs

START = datetime(2026, 1, 1, tzinfo=UTC)
COMMIT, HEAD, MAIN = "a" * 40, "b" * 40, "refs/heads/main"
OWN = Contender("svc.own", COMMIT, START, running=True)
NEWER = Contender("svc.newer", HEAD, START + timedelta(seconds=5), begun=False)
SERVICE: Any = SimpleNamespace(
    service="svc", revision="7", source=SimpleNamespace(branch="main", counting=(), forge=None)
)


class FakeLedger:
    """Remembers what was begun; what it answers a test has put there."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, dict[str, Any]]] = []
        self.images: dict[str, str] | None = None
        self.known: Any = None
        self.hold: Any = None
        self.others: list[Contender] = []
        self.later: list[Contender] = []

    def record(self, _run_id: str) -> Any:
        return self.known

    def begin(self, _service: str, _environment: str, commit: str, *_: str, **more: Any) -> None:
        self.begun.append((commit, more))

    def update(self, _run_id: str, *, images: dict[str, str]) -> None:
        self.images = images

    def held(self, *_: Any) -> Any:
        return self.hold

    def queued(self, _run_id: str) -> tuple[Contender, list[Contender]]:
        return OWN, list(self.others)

    def newer(self, _run_id: str) -> list[Contender]:
        return self.later


class FakeRepository:
    """A repository with one branch."""

    url = "git://svc"

    def __init__(self) -> None:
        self.on, self.asked_head = {COMMIT, HEAD}, 0

    def head(self, branch: str) -> str:
        assert branch == "main"
        self.asked_head += 1
        return HEAD

    def on_branch(self, commit: str, branch: str) -> bool:
        return branch == "main" and commit in self.on


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    found = FakeLedger()
    platform = SimpleNamespace(
        environment="staging",
        images={"toolbox": "r/t@sha256:1"},
        advisories=Advisories(),
        image=lambda name: f"r/{name}@sha256:2",
        packages=None,
        base_images={},
    )
    monkeypatch.setattr(connections, "ledger", lambda: found)
    monkeypatch.setattr(connections, "platform", lambda: platform)
    monkeypatch.setattr(runs.rollbacks, "find", lambda _ledger, _run: None)
    monkeypatch.setattr(accept.wishes, "newer", lambda _ledger, _run: None)
    return found


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> FakeRepository:
    found = FakeRepository()
    monkeypatch.setattr(connections, "repository", lambda _source: found)
    return found


def context(*, report: str | None = None, **params: Any) -> dict[str, Any]:
    """Give what Airflow tells the task. :param report: how the run's report has ended, if it has."""
    ti = SimpleNamespace(
        dag_id="release_svc",
        run_id=OWN.run_id,
        get_dagrun_state=lambda _dag, _run: "queued",
        get_task_states=lambda *, dag_id, run_ids: {one: {"report": report} for one in run_ids},
    )
    return {
        "params": {"commit": COMMIT, "ref": MAIN, **params},
        "dag_run": SimpleNamespace(run_id=OWN.run_id, run_after=START),
        "dag": SimpleNamespace(tags={"release"}),
        "ti": ti,
    }


def test_commit_of_the_branch_is_accepted_with_the_toolboxes_of_now(
    ledger: FakeLedger, repository: FakeRepository
) -> None:
    found = accept.accepted(context(), SERVICE)
    assert (found.service, found.commit, found.ref) == ("svc", COMMIT, MAIN)
    known = {
        "toolbox": "r/t@sha256:1",
        "base-python": "r/base-python@sha256:2",
        "scanner": "r/toolbox-scan@sha256:2",
    }
    # the scanner as the toolbox brings it, where the platform names no source of advisories
    assert found.images == ledger.images == known
    assert ledger.begun == [(COMMIT, {"requested_at": START, "is_head": False, "catalog": "7"})]
    assert repository.asked_head == 0


def test_head_is_released_if_no_commit_is_named(ledger: FakeLedger, repository: FakeRepository) -> None:
    assert accept.accepted(context(commit=None, ref=None), SERVICE).commit == HEAD
    assert ledger.begun[0][1]["is_head"]


def test_cleared_run_stays_with_its_commit(ledger: FakeLedger, repository: FakeRepository) -> None:
    ledger.known = SimpleNamespace(commit=COMMIT)
    assert accept.accepted(context(commit=None), SERVICE).commit == COMMIT
    assert (len(ledger.begun), repository.asked_head) == (1, 0)


def test_record_that_has_ended_is_not_opened_by_this_task_alone(
    ledger: FakeLedger, repository: FakeRepository
) -> None:
    ledger.known = SimpleNamespace(commit=COMMIT)
    accept.accepted(context(report="success"), SERVICE)
    assert ledger.begun == []


def refused(**params: Any) -> SlipwayError:
    with pytest.raises(SlipwayError) as e:
        accept.accepted(context(**params), SERVICE)
    return e.value


def test_refusals_are_on_record_too(ledger: FakeLedger, repository: FakeRepository) -> None:
    wrong = refused(ref="refs/heads/other")
    assert isinstance(wrong, PolicyFailed)
    assert wrong.code == "source.branch-not-released"
    repository.on = set()
    assert refused().code == "source.not-on-branch"
    ledger.hold = SimpleNamespace(words=lambda: "since today")
    assert refused().code == "commit.held"
    assert len(ledger.begun) == 3


def test_outdated_push_runs_nothing(ledger: FakeLedger, repository: FakeRepository) -> None:
    ledger.others = [NEWER]
    ended = refused()
    assert isinstance(ended, Superseded)
    assert (ended.by, ended.code) == (NEWER.run_id, "release.superseded")
    assert len(ledger.begun) == 1


def test_held_newer_one_ends_nobody(ledger: FakeLedger, repository: FakeRepository) -> None:
    ledger.others = [replace(NEWER, held=True)]
    assert accept.accepted(context(), SERVICE).commit == COMMIT


def test_commit_that_a_forced_push_took_away_ends_for_that_push(
    ledger: FakeLedger, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.on = {HEAD}
    monkeypatch.setattr(accept.wishes, "newer", lambda _ledger, _run: NEWER.run_id)
    not_begun = refused()
    assert isinstance(not_begun, Transient)
    assert not_begun.code == "release.newer-not-begun"
    ledger.later = [replace(NEWER, begun=True)]
    moved = refused()
    assert isinstance(moved, Superseded)
    assert (moved.by, moved.code) == (NEWER.run_id, "release.superseded-by-move")


class Monorepo(FakeRepository):
    """A repository whose commits have something at paths."""

    def __init__(self, **paths: dict[str, str]) -> None:
        super().__init__()
        self.paths = paths

    def objects(self, commit: str, paths: Any) -> list[str | None]:
        return [self.paths[commit[0]].get(one) for one in paths]


ONE_OF_SEVERAL: Any = SimpleNamespace(
    service="svc", revision="7", source=SimpleNamespace(branch="main", counting=("services/svc", "lib"))
)
DEPLOYED = SimpleNamespace(status=Status.PASSED, commit=COMMIT, catalog="7")


def since(
    ledger: Any, repository: Any, active: Any, *, service: Any = ONE_OF_SEVERAL, **params: Any
) -> str | None:
    ledger.active = lambda *_: active
    context = {"params": params, "dag_run": SimpleNamespace(run_id="svc.own")}
    return accept.unchanged_since(context, service, repository, HEAD)


SAME = {"services/svc": "tree 1", "lib": "tree 2"}


def test_push_that_touches_nothing_of_the_service_is_unchanged(ledger: FakeLedger) -> None:
    assert since(ledger, Monorepo(a=SAME, b=SAME), DEPLOYED) == COMMIT


@pytest.mark.parametrize("path", ["services/svc", "lib"])
def test_push_that_touches_a_path_that_counts_is_released(ledger: FakeLedger, path: str) -> None:
    assert since(ledger, Monorepo(a=SAME, b={**SAME, path: "tree 3"}), DEPLOYED) is None


@pytest.mark.parametrize(
    "active",
    [
        None,
        SimpleNamespace(status=Status.FAILED, commit=COMMIT, catalog="7"),
        SimpleNamespace(status=Status.PASSED, commit=HEAD, catalog="7"),
        SimpleNamespace(status=Status.PASSED, commit=COMMIT, catalog="6"),
    ],
)
def test_what_is_not_deployed_so_is_released(ledger: FakeLedger, active: Any) -> None:
    assert since(ledger, Monorepo(a=SAME, b=SAME), active) is None


def test_nothing_is_unchanged_where_another_release_may_still_be_deployed(ledger: FakeLedger) -> None:
    ledger.others = [replace(NEWER, begun=True, running=True)]
    assert since(ledger, Monorepo(a=SAME, b=SAME), DEPLOYED) is None
    ledger.others = [replace(NEWER, begun=True, running=False)]
    assert since(ledger, Monorepo(a=SAME, b=SAME), DEPLOYED) == COMMIT


def test_who_asks_for_all_gates_gets_a_release(ledger: FakeLedger) -> None:
    assert since(ledger, Monorepo(a=SAME, b=SAME), DEPLOYED, fresh=True) is None
    assert since(ledger, Monorepo(a=SAME, b=SAME), DEPLOYED, service=SERVICE) is None
