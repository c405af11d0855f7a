"""The Secret that the service's pods read: made of what Vault has, if that is what the plan was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed
from slipway.release import given
from slipway.stages.apply import APPLY
from slipway.stages.config import planned_secret
from slipway.stages.deploy import DEPLOY
from slipway.stages.plan import PLAN
from slipway.stages.stage import CLUSTER, Run, Step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from slipway.catalog import Service


def read(run: Run) -> Mapping[str, Any]:
    """Read the service's secret in Vault."""
    return planned_secret(run.world, run.service, run.take(given.Configured))


def decide(service: Service, found: Mapping[str, Any]) -> dict[str, str]:
    """Give what the Secret is to hold.

    :raises PolicyFailed: if Vault has no such key.
    """
    secret = service.deploy.secret
    assert secret is not None
    value = found.get(secret.key)
    if not value:
        raise PolicyFailed(
            f"Vault's secret/services/{service.service} has no key {secret.key}",
            code="vault.key-missing",
            remedy="add it there, or correct `deploy.secret.key` in the catalog",
        )
    return {secret.key: value}


def act(run: Run, content: dict[str, str]) -> None:
    """Put the Secret into the cluster."""
    plan, service = run.service.deploy, run.service.service
    assert plan.secret is not None
    labels = {"app.kubernetes.io/part-of": service, "slipway/purpose": "service"}
    run.world.cluster().put_secret(plan.namespace, plan.secret.name, content, labels=labels)
    print(f"Secret {plan.namespace}/{plan.secret.name} is what Vault has")


SECRETS = Step(
    id="secrets",
    title="Secrets from Vault",
    group=DEPLOY,
    after=(PLAN,),
    before=(APPLY,),
    wanted=lambda service: service.deploy.secret is not None,
    needs=(given.Configured,),
    pool=CLUSTER,
    holds_lane=True,
    read=read,
    decide=decide,
    act=act,
)
