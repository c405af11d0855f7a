"""What is stale asks for one release, of the branch's head if nobody has asked for that; a second try asks for no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from slipway.catalog import Service
from slipway.catalog.platform import Advisories
from slipway.errors import Permanent, Transient
from slipway.ledger import Release
from slipway.release import given
from slipway.stages import inspection
from slipway.stages.flow import flow
from slipway.stages.inspection import Finding, Seen, decide, looked
from slipway.stages.refresh import stages_of
from slipway.stages.stage import Run, Step

DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "web"}}


class Wishes:
    """The ledger's wishes and refreshes. :param did: what was asked for."""

    def __init__(self, deployed: Release | None) -> None:
        self.deployed, self.asked, self.did = deployed, dict[str, str](), list[Any]()

    def begin(self, *_: Any) -> None: ...

    def active(self, *_: Any) -> Release | None:
        return self.deployed

    def asked_for(self, _ledger: Any, _refresh: str, name: str, run_id: str | None = None) -> str | None:
        if run_id:
            self.asked.setdefault(name, run_id)
        return self.asked.get(name)

    def find(self, _ledger: Any, run_id: str) -> Any:
        assert self.deployed
        return SimpleNamespace(
            commit="c" * 40, ref="refs/heads/main", requested_at=self.deployed.requested_at
        )

    def ask(self, *arguments: Any, **more: Any) -> Any:
        self.did.append(more)
        assert self.deployed
        return SimpleNamespace(run_id="web.r1", requested_at=self.deployed.requested_at)


@pytest.fixture
def wishes(
    world: Any,
    service: Service,
    a_release: Callable[..., Release],
    monkeypatch: pytest.MonkeyPatch,
    config: Any,
) -> Wishes:
    """Gives what is asked for in a world where a good release is deployed, made with tonight's images."""
    images = world.platform().images
    secret = service.deploy.secret
    keys = dict.fromkeys((*service.config.variables, *([secret.key] if secret else [])), "s")
    world.vault[f"services/{service.service}"] = (keys, "3")
    if service.config.playbook:
        config.content[service.config.playbook] = b""
    release = a_release(
        run_id="web.1",
        digest="sha256:1",
        manifests=[DEPLOYMENT],
        images=images,
        config_revision="a" * 40,
        infra_hash=inspection.infra_hash(
            service, "a" * 40, {service.config.playbook or "": b""}, "3", images
        ),
    )
    world.of_ledger.releases["web.1"], world.of_ledger.good_run = release, "web.1"
    made = Wishes(release)
    monkeypatch.setattr(inspection, "refreshes", made)
    monkeypatch.setattr(inspection, "wishes", made)
    monkeypatch.setattr(
        inspection,
        "reconcile",
        SimpleNamespace(why_not=lambda *_: "web.1 is passed", ask=lambda *a, **k: made.ask(*a, **k)),
    )
    monkeypatch.setattr(
        inspection,
        "_configured",
        lambda _run, _release: SimpleNamespace(stale=(), left=()),
    )
    world.of_registry.images["sha256:1"] = SimpleNamespace(labels={}, size=1)
    platform = world.platform()
    platform.advisories, platform.image = Advisories(), platform.images.get
    monkeypatch.setattr(world, "platform", lambda: platform)
    return made


@pytest.fixture
def look(service: Service) -> Step[Any, Any]:
    [first, *_] = stages_of(service)
    assert isinstance(first, Step)
    return first


def test_service_that_is_as_it_should_be_asks_for_nothing(
    run: Callable[..., Run], wishes: Wishes, look: Step[Any, Any]
) -> None:
    found = look.run(run(look))
    assert (found.release, found.found, found.run_id) == (None, (), "web.1")
    assert wishes.did == []


def test_newer_toolbox_asks_for_the_same_commit_again_right_after_what_is_deployed(
    run: Callable[..., Run], wishes: Wishes, look: Step[Any, Any], world: Any
) -> None:
    world.platform().images = {**world.platform().images, "toolbox-scan": "registry/toolbox-scan@sha256:2"}
    found = look.run(run(look))
    [asked] = wishes.did
    assert (asked["again"], asked["is_head"]) == (True, False)
    assert wishes.deployed
    assert asked["requested_at"] > wishes.deployed.requested_at
    assert (found.release, found.commit) == ("web.r1", "a" * 40)
    assert found.found[0].startswith("stale: toolbox-scan is")


def test_head_that_nobody_asked_for_is_asked_for(
    run: Callable[..., Run],
    wishes: Wishes,
    look: Step[Any, Any],
    source: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source.at = "b" * 40
    monkeypatch.setattr(inspection.reconcile, "why_not", lambda *_: None)
    found = look.run(run(look))
    assert (found.commit, found.release) == ("b" * 40, "web.r1")
    assert "whose release nobody has started" in found.found[0]


def test_second_try_of_a_refresh_asks_for_no_other_release(
    run: Callable[..., Run], wishes: Wishes, look: Step[Any, Any], world: Any
) -> None:
    world.platform().images = {**world.platform().images, "toolbox-scan": "registry/toolbox-scan@sha256:2"}
    wishes.asked["ai-generation"] = "web.r0"
    found = look.run(run(look))
    assert (found.release, found.commit) == ("web.r0", "c" * 40)
    assert wishes.did == []


def test_git_that_does_not_answer_keeps_nothing_from_being_looked_after(
    run: Callable[..., Run], wishes: Wishes, look: Step[Any, Any], source: Any
) -> None:
    def away(_branch: str) -> str:
        raise Transient("git is away", code="git.unreachable")

    source.head = away
    assert look.run(run(look)).found == ("whether main has moved is not known: git is away",)


def test_nothing_deployed_is_skipped_and_a_record_that_is_not_whole_is_refused(
    run: Callable[..., Run], wishes: Wishes, look: Step[Any, Any], a_release: Callable[..., Release]
) -> None:
    wishes.deployed = a_release(run_id="web.1")
    with pytest.raises(Permanent, match=r"the record of web\.1 has no image or no manifests"):
        look.run(run(look))
    wishes.deployed = None
    with pytest.raises(AirflowSkipException, match="nothing is deployed"):
        look.run(run(look))


def test_what_was_found_is_said_in_order(a_release: Callable[..., Release]) -> None:
    seen = Seen(a_release(run_id="web.1"), ("old",), ("left",), "h", ("moved",), is_good=False)
    assert decide(None, seen) == Finding(  # type: ignore[arg-type]
        seen.release, ("web.1 is not a good release", "moved", "stale: old", "left"), "h", is_stale=True
    )


def test_stage_after_a_look_that_found_nothing_is_skipped(run: Callable[..., Run], service: Service) -> None:
    stages = stages_of(service)
    [workspace] = [one for one in stages if one.id == "workspace"]
    with pytest.raises(AirflowSkipException, match="nothing is known to be deployed"):
        looked(run(workspace, flow=flow(service, stages)))
    assert given.Looked in workspace.asks


@pytest.fixture
def configured(
    world: Any,
    service: Service,
    config: Any,
    a_release: Callable[..., Release],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Release]:
    """Gives what is deployed by the configuration that there is, in a world where nobody has gone back from any."""
    secret, images = service.deploy.secret, world.platform().images
    keys = dict.fromkeys((*service.config.variables, *([secret.key] if secret else [])), "s")
    world.vault[f"services/{service.service}"] = (keys, "3")
    playbook = service.config.playbook or "infra/site.yaml"
    config.content = {playbook: b"", f"{service.config.manifests}/web.yaml": b"one"}
    config.on_branch = lambda _commit, _branch: True
    past: list[Release] = []
    ledger = SimpleNamespace(releases=lambda *_: past, held=lambda *_: None, past=past)
    monkeypatch.setattr(world, "ledger", lambda: ledger)

    def made(**changed: Any) -> Release:
        infra = inspection.infra_hash(service, config.at, {playbook: b""}, "3", images)
        known: dict[str, Any] = {"config_revision": config.at, "infra_hash": infra, "images": images}
        return a_release(run_id="web.1", digest="sha256:1", manifests=[], **{**known, **changed})

    return made


def test_configuration_that_is_as_it_was_is_not_stale(
    run: Callable[..., Run], look: Step[Any, Any], configured: Callable[..., Release]
) -> None:
    found = inspection._configured(run(look), configured())
    assert (found.stale, found.left) == ((), ())


def test_changed_playbook_is_stale(
    run: Callable[..., Run], look: Step[Any, Any], configured: Callable[..., Release]
) -> None:
    assert inspection._configured(run(look), configured(infra_hash="sha256:other")).stale


def test_newer_revision_matters_only_if_the_manifests_are_others(
    run: Callable[..., Run], look: Step[Any, Any], configured: Callable[..., Release], config: Any
) -> None:
    older = configured(config_revision="0" * 40)
    assert inspection._configured(run(look), older).stale == ()
    config.files = lambda revision, folder: {
        path: revision.encode() if path.endswith("web.yaml") else text
        for path, text in config.content.items()
        if path.startswith(folder)
    }
    assert inspection._configured(run(look), older).stale


def test_revision_that_was_left_is_said_and_not_released_again(
    run: Callable[..., Run],
    look: Step[Any, Any],
    configured: Callable[..., Release],
    config: Any,
    world: Any,
    a_release: Callable[..., Release],
) -> None:
    config.files = lambda revision, folder: {
        path: revision.encode() if path.endswith("web.yaml") else text
        for path, text in config.content.items()
        if path.startswith(folder)
    }
    older = configured(config_revision="0" * 40)
    world.ledger().past.append(
        a_release(
            run_id="web.2",
            rolled_back_to="web.1",
            config_revision=config.at,
            started_at=older.started_at + timedelta(hours=1),
        )
    )
    found = inspection._configured(run(look), older)
    assert found.stale == ()
    assert "web.2" in found.left[0]
