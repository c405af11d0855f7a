"""Configuration is pinned by the first try, rendered as the catalog says, and refused before anything is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.catalog import Service
from slipway.errors import Permanent, PolicyFailed
from slipway.ledger import Release
from slipway.release import given
from slipway.stages import config as stage
from slipway.stages.config import CONFIG, infra_hash, planned_secret, vault_version
from slipway.stages.stage import Run

SOURCES = Path(__file__).parents[3] / "examples/ai-generation-config"


@pytest.fixture
def ready(world: Any, config: Any, service: Service) -> Any:
    """Gives a world whose config repository is the example's, and whose Vault has the service's secret."""
    config.content = {
        str(one.relative_to(SOURCES)): one.read_bytes() for one in sorted(SOURCES.rglob("*")) if one.is_file()
    }
    keys = {*service.config.variables, *([service.deploy.secret.key] if service.deploy.secret else [])}
    world.vault[f"services/{service.service}"] = (dict.fromkeys(keys, "s"), "3")
    return world


def test_manifests_are_rendered_with_the_image_and_put_on_record(
    run: Callable[..., Run], ready: Any, accepted: given.Accepted, pushed: given.Pushed
) -> None:
    at = run(CONFIG, accepted, pushed)
    found = CONFIG.run(at)
    assert (found.revision, found.vault) == ("a" * 40, "3")
    assert found.infra.startswith("sha256:")
    [(_, known)] = [one for one in ready.did if one[0] == "update"]
    images = [
        container["image"]
        for one in known["manifests"]
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    ]
    assert pushed.image in images
    assert known["config_revision"] == found.revision


def test_cleared_run_keeps_the_revision_of_its_first_try(
    run: Callable[..., Run],
    ready: Any,
    accepted: given.Accepted,
    pushed: given.Pushed,
    a_release: Callable[..., Release],
) -> None:
    at = run(CONFIG, accepted, pushed)
    ready.of_ledger.releases[at.run_id] = a_release(config_revision="b" * 40)
    assert CONFIG.run(at).revision == "b" * 40


def test_what_the_api_server_refuses_is_not_recorded(
    run: Callable[..., Run], ready: Any, accepted: given.Accepted, pushed: given.Pushed
) -> None:
    ready.of_cluster.refuses = PolicyFailed("no", code="cluster.manifest-refused")
    with pytest.raises(PolicyFailed, match="no"):
        CONFIG.run(run(CONFIG, accepted, pushed))
    assert ready.did == []


def test_commit_that_is_held_with_this_configuration_is_refused(
    run: Callable[..., Run], ready: Any, accepted: given.Accepted, pushed: given.Pushed
) -> None:
    ready.of_ledger.hold = SimpleNamespace(words=lambda: "since yesterday: it was bad")
    with pytest.raises(PolicyFailed, match="is held since yesterday: it was bad"):
        CONFIG.run(run(CONFIG, accepted, pushed))


def test_playbooks_hash_is_of_all_that_decides_what_it_does(service: Service) -> None:
    assert service.config.playbook
    files = {service.config.playbook: b"- hosts: all"}
    images = {"toolbox-ansible": "a"}

    def made(**other: Any) -> str | None:
        known = {"files": files, "version": "1", "images": images} | other
        return infra_hash(service, "r", **known)

    first = made()
    assert made() == first
    assert made(files={**files, "x": b""}) != first
    assert made(images={"toolbox-ansible": "b"}) != first
    assert (made(version="2") != first) is bool(service.config.variables)
    assert made(files=None) is None
    with pytest.raises(PolicyFailed, match="is not in the config repository at r"):
        made(files={"other": b""})


def test_service_without_secret_and_variables_asks_vault_nothing(
    world: Any, changed: Callable[..., Service]
) -> None:
    bare = changed("deploy", secret=None)
    bare = bare.model_copy(update={"config": bare.config.model_copy(update={"variables": ()})})
    assert vault_version(world, bare) is None  # the world's Vault has nothing


def test_secret_that_was_changed_since_the_plan_is_not_used(ready: Any, service: Service) -> None:
    for planned in ("3", None):  # runs of earlier versions have none
        assert planned_secret(ready, service, given.Configured(revision="r", vault=planned))
    with pytest.raises(Permanent, match="was changed since the plan: it is 3, planned was 2"):
        planned_secret(ready, service, given.Configured(revision="r", vault="2"))


def test_playbook_is_read_with_its_folder(
    ready: Any, service: Service, changed: Callable[..., Service]
) -> None:
    found = stage.playbook(ready, service, "r")
    assert found
    assert service.config.playbook in found
    assert stage.playbook(ready, changed("config", playbook=None), "r") is None
