"""Deliveries are on record once, wait until they are settled, and tell when a forge was last heard."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from slipway.catalog import Service
from slipway.errors import PolicyFailed, Transient
from slipway.intake.settling import Settler
from slipway.ledger import Ledger, deliveries, wishes
from slipway.release import run_id
from slipway.release.obstacles import Dag, Obstacle, of_dag

A, B, C = "a" * 40, "b" * 40, "c" * 40
MAIN = "refs/heads/main"


def take(ledger: Ledger, delivery: str, told: str = A, service: str = "svc") -> None:
    deliveries.take(ledger, service, "gitea", delivery, ref=MAIN, told=told)


class Outside:
    """Git and Airflow, as settling asks them."""

    def __init__(self, ledger: Ledger, head: str = A, queue: str = "newest") -> None:
        self.at, self.started, self.dag = head, [], Dag("release_svc")
        self.history = {A, B}
        self.error: Exception | None = None
        source = SimpleNamespace(branch="main")
        self.service = cast(
            "Service", SimpleNamespace(service="svc", dag_id="release_svc", queue=queue, source=source)
        )
        self.settler = Settler(ledger, "staging", lambda _service: self, self)

    def head(self, branch: str) -> str:
        assert branch == "main"
        if self.error:
            raise self.error
        return self.at

    def on_branch(self, commit: str, branch: str) -> bool:
        return commit in self.history and branch == "main"

    def obstacles(self, _service: Service, _commit: str) -> Sequence[Obstacle]:
        return of_dag(self.dag)

    def start(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        assert (dag_id, conf["ref"]) == ("release_svc", MAIN)
        self.started.append(run_id)

    def settle(self, ledger: Ledger) -> None:
        if waiting := deliveries.waiting(ledger).get("svc"):
            self.settler.settle(self.service, waiting)


def test_same_delivery_is_on_record_once(ledger: Ledger) -> None:
    for _ in range(3):
        take(ledger, "one")
    take(ledger, "two", B)
    take(ledger, "one", service="other")
    waiting = deliveries.waiting(ledger)
    assert [one.told for one in waiting["svc"]] == [A, B]
    assert len(waiting["other"]) == 1


def test_many_deliveries_are_settled_by_one_look_at_git_whatever_they_tell(ledger: Ledger) -> None:
    outside = Outside(ledger, head=B)
    for number in range(20):
        take(ledger, str(number), C)
    outside.settle(ledger)
    assert outside.started == [run_id("svc", B)]
    assert deliveries.waiting(ledger) == {}
    assert [one.run_id for one in deliveries.heard(ledger, "svc")] == [run_id("svc", B)]


def test_delivery_of_what_was_asked_for_already_starts_it_once_more_only_if_it_has_not_begun(
    ledger: Ledger,
) -> None:
    outside = Outside(ledger)
    for delivery in ("one", "two"):
        take(ledger, delivery)
        outside.settle(ledger)
    assert outside.started == [run_id("svc", A)] * 2  # Airflow has a run of that id already
    ledger.begin("svc", "staging", A, run_id("svc", A), ref=MAIN)
    take(ledger, "three")
    outside.settle(ledger)
    assert len(outside.started) == 2


def test_branch_that_goes_back_is_released_again(ledger: Ledger) -> None:
    outside = Outside(ledger)
    for number, head in enumerate((A, B, A)):
        outside.at = head
        take(ledger, str(number), head)
        outside.settle(ledger)
    assert outside.started == [run_id("svc", A), run_id("svc", B), run_id("svc", A, 1)]


def test_where_every_commit_counts_each_that_git_has_is_released_in_order(ledger: Ledger) -> None:
    outside = Outside(ledger, head=B, queue="every-commit")
    for number, told in enumerate((A, C, B)):
        take(ledger, str(number), told)
    outside.settle(ledger)
    assert outside.started == [run_id("svc", A), run_id("svc", B)]
    assert wishes.newer(ledger, run_id("svc", A)) == run_id("svc", B)


def test_deliveries_wait_while_git_is_away_or_the_dag_is_broken(ledger: Ledger) -> None:
    outside = Outside(ledger)
    take(ledger, "one")
    outside.error = Transient("away", code="git.failed")
    with pytest.raises(Transient):
        outside.settle(ledger)
    outside.error, outside.dag = None, Dag("release_svc", has_import_errors=True)
    outside.settle(ledger)
    assert outside.started == []
    assert len(deliveries.waiting(ledger)["svc"]) == 1
    outside.dag = Dag("release_svc", is_paused=True)
    outside.settle(ledger)
    assert outside.started == [run_id("svc", A)]


def test_branch_that_has_gone_settles_what_waits(ledger: Ledger) -> None:
    outside = Outside(ledger)
    take(ledger, "one")
    outside.error = PolicyFailed("no branch", code="source.branch-missing")
    outside.settle(ledger)
    assert outside.started == []
    assert deliveries.waiting(ledger) == {}


def test_what_came_while_it_was_looked_waits_on(ledger: Ledger) -> None:
    take(ledger, "one")
    waiting = deliveries.waiting(ledger)["svc"]
    take(ledger, "two", B)
    deliveries.settle(ledger, "svc", waiting[-1].id, None)
    assert [one.told for one in deliveries.waiting(ledger)["svc"]] == [B]


def test_only_what_is_settled_is_forgotten(ledger: Ledger) -> None:
    take(ledger, "one")
    deliveries.forget(ledger, 0)
    assert len(deliveries.waiting(ledger)["svc"]) == 1
    deliveries.settle(ledger, "svc", deliveries.waiting(ledger)["svc"][-1].id, None)
    deliveries.forget(ledger, 0)
    assert deliveries.heard(ledger, "svc") == []
