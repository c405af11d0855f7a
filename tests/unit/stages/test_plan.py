"""The plan is made of what is deployed, what would change, and what database and playbook told; and put on record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slipway.adapters.cluster import Difference
from slipway.ledger import Release
from slipway.release import given, manifests
from slipway.stages.plan import PLAN, inventory
from slipway.stages.stage import Run

DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "web"}}
SERVICE_ = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "web"}}
PENDING = given.Pending(
    pending=({"id": "003", "phase": "expand"},),
    pending_count=1,
    pending_sha="sha",
    revision="002",
    waived=("it is small",),
)


def difference(**changes: Any) -> Any:
    known: dict[str, Any] = {"title": "Deployment/web", "lines": ("-a", "+b"), "owners": ()} | changes
    return Difference(**{name: known[name] for name in Difference.__dataclass_fields__ if name in known})


@pytest.fixture
def recorded(run: Callable[..., Run], world: Any, a_release: Callable[..., Release]) -> Any:
    """Gives a world with a release that is about to be planned, after one that is deployed."""
    at = run(PLAN)
    world.of_ledger.releases[at.run_id] = a_release(
        digest="sha256:new", config_revision="c2", manifests=[DEPLOYMENT]
    )
    world.of_ledger.releases["old"] = a_release(
        run_id="old", digest="sha256:old", config_revision="c1", manifests=[DEPLOYMENT, SERVICE_]
    )
    world.of_ledger.active_run = "old"
    world.of_cluster.differences = [difference()]
    return world


def test_plan_says_what_changes_and_is_on_record(run: Callable[..., Run], recorded: Any) -> None:
    recorded.of_cluster.stale = ["Service/web: deleted"]
    found = PLAN.run(run(PLAN, PENDING, given.Checked(changed=2, diff="+x")))
    [(_, known)] = recorded.did
    plan = known["plan"]
    assert plan["image"] == {"from": "sha256:old", "to": "sha256:new"}
    assert (plan["config_from"], plan["config"]) == ("c1", "c2")
    assert [one["title"] for one in plan["objects"]] == ["Deployment/web"]
    assert (plan["pruned"], plan["waived"]) == (["Service/web: deleted"], ["it is small"])
    assert plan["infra"] == {"changed": 2, "diff": ["+x"]}
    assert (known["plan_hash"], known["schema_revision"]) == (found.hash, "002")
    assert [(one.id, one.phase) for one in found.changesets] == [("003", "expand")]
    assert (found.changesets_count, found.changesets_sha) == (1, "sha")


def test_service_without_database_and_playbook_plans_neither(run: Callable[..., Run], recorded: Any) -> None:
    found = PLAN.run(run(PLAN))
    [(_, known)] = recorded.did
    assert (known["plan"]["infra"], found.changesets_count) == (None, 0)
    assert "schema_revision" not in known


def test_first_release_comes_from_nothing(run: Callable[..., Run], recorded: Any) -> None:
    recorded.of_ledger.active_run = None
    PLAN.run(run(PLAN))
    assert recorded.did[0][1]["plan"]["image"]["from"] is None


def test_same_world_gives_the_same_hash_and_another_one_another(
    run: Callable[..., Run], recorded: Any
) -> None:
    first = PLAN.run(run(PLAN, PENDING)).hash
    assert PLAN.run(run(PLAN, PENDING)).hash == first
    recorded.of_cluster.differences = [difference(lines=("-a", "+c"))]
    assert PLAN.run(run(PLAN, PENDING)).hash != first


def test_what_may_go_is_of_all_earlier_releases(run: Callable[..., Run], recorded: Any) -> None:
    at = run(PLAN)
    told = inventory(at, at.record())
    assert set(told["keep"]) == set(manifests.inventory([DEPLOYMENT]))
    assert len(told["inventory"]) == 2
    assert told["namespace"] == at.service.deploy.namespace
