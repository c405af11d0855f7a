"""What was planned is applied, unless the cluster has become another one; whose it is is known before it is so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slipway.adapters.cluster import Difference
from slipway.catalog import Service
from slipway.errors import PolicyFailed
from slipway.ledger import Release
from slipway.release import given
from slipway.release.plan import digest
from slipway.stages.apply import APPLY, migrates_first
from slipway.stages.stage import Run

DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "web"}}
LINES = ("-a", "+b")
PLAN = {"objects": [{"title": "Deployment/web", "sha": digest(LINES), "lines": list(LINES)}]}
CONFIGURED = given.Configured(revision="r", infra="sha256:infra")


@pytest.fixture
def planned(run: Callable[..., Run], world: Any, a_release: Callable[..., Release]) -> Any:
    world.of_ledger.releases[run(APPLY).run_id] = a_release(manifests=[DEPLOYMENT], plan=PLAN)
    world.of_cluster.differences = [Difference("Deployment/web", LINES)]
    return world


def test_it_is_on_record_as_deployed_before_it_is_applied(run: Callable[..., Run], planned: Any) -> None:
    found = APPLY.run(run(APPLY, CONFIGURED))
    assert found.changes == ("Deployment/web: changed",)
    assert [one[0] for one in planned.did] == ["update", "deployed", "apply"]
    assert planned.did[0][1] == {"infra_hash": "sha256:infra"}


def test_cluster_that_moved_since_the_plan_is_left_alone(run: Callable[..., Run], planned: Any) -> None:
    planned.of_cluster.differences = [Difference("Deployment/web", ("-a", "+c"))]
    with pytest.raises(PolicyFailed, match="Deployment/web: will change otherwise than planned") as e:
        APPLY.run(run(APPLY, CONFIGURED))
    assert e.value.code == "deploy.plan-outdated"
    assert planned.did == []


def test_second_try_finds_its_own_change_and_applies_again(run: Callable[..., Run], planned: Any) -> None:
    APPLY.run(run(APPLY, CONFIGURED))
    planned.of_cluster.differences = []
    planned.did.clear()
    APPLY.run(run(APPLY, CONFIGURED))
    assert [one[0] for one in planned.did] == ["deployed", "apply"]


def test_changesets_come_first_unless_the_catalog_says_after(changed: Callable[..., Service]) -> None:
    assert migrates_first(changed("deploy", order="before"))
    assert not migrates_first(changed("deploy", order="after"))
    assert not migrates_first(changed("deploy", migrations=None))
