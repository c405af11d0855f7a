"""The Secret is made of what Vault has, if that is what the plan was made for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slipway.catalog import Service
from slipway.errors import Permanent, PolicyFailed
from slipway.release import given
from slipway.stages.secrets import SECRETS
from slipway.stages.stage import Run

CONFIGURED = given.Configured(revision="r", vault="3")


@pytest.fixture
def vault(world: Any, service: Service) -> dict[str, tuple[dict[str, Any], str]]:
    assert service.deploy.secret
    world.vault[f"services/{service.service}"] = ({service.deploy.secret.key: "s", "more": "m"}, "3")
    found: dict[str, tuple[dict[str, Any], str]] = world.vault
    return found


def test_only_the_named_key_reaches_the_cluster(
    run: Callable[..., Run], world: Any, service: Service, vault: Any
) -> None:
    secret = service.deploy.secret
    assert secret
    SECRETS.run(run(SECRETS, CONFIGURED))
    assert world.did == [("secret", service.deploy.namespace, secret.name, {secret.key: "s"})]


def test_key_that_vault_lacks_is_named(run: Callable[..., Run], service: Service, vault: Any) -> None:
    vault[f"services/{service.service}"] = ({"more": "m"}, "3")
    with pytest.raises(PolicyFailed, match=r"Vault's secret/services/ai-generation has no key"):
        SECRETS.run(run(SECRETS, CONFIGURED))


def test_secret_that_was_changed_since_the_plan_is_not_put(
    run: Callable[..., Run], world: Any, vault: Any
) -> None:
    with pytest.raises(Permanent, match="was changed since the plan"):
        SECRETS.run(run(SECRETS, CONFIGURED.model_copy(update={"vault": "2"})))
    assert world.did == []


def test_service_without_secret_has_no_such_stage(changed: Callable[..., Service]) -> None:
    assert not SECRETS.wanted(changed("deploy", secret=None))
