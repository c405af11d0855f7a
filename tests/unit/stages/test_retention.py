"""What is past its days goes, and nothing that a release may need; one service keeps no other from being cleaned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.adapters.cluster import OfRun
from slipway.adapters.engine import Stored
from slipway.catalog import Retention, Service
from slipway.errors import Permanent, Transient
from slipway.release import given
from slipway.stages import retention
from slipway.stages.retention import Cleaning, of_engine, of_ledger, of_registry, of_runs

DAYS = 90


def stored(world: Any, kind: str, name: str, days: float = DAYS, **more: Any) -> Stored:
    known: dict[str, Any] = {"kind": kind, "name": name, "created": world.now() - timedelta(days=days)}
    blank: dict[str, Any] = {"digests": (), "bytes": 10, "run": None, "id": name}
    fields = Stored.__dataclass_fields__
    return Stored(**{key: value for key, value in {**blank, **known, **more}.items() if key in fields})


class Engine:
    """What is stored on it, and of runs. :param gone: what was removed."""

    def __init__(self, *things: Stored, of_runs: tuple[Stored, ...] = ()) -> None:
        self.things, self.runs, self.gone = things, of_runs, list[str]()

    def stored(self) -> list[Stored]:
        return list(self.things)

    def of_runs(self) -> list[Stored]:
        return list(self.runs)

    def remove(self, thing: Stored) -> bool:
        self.gone.append(thing.name)
        return True

    def prune_builds(self, days: int) -> tuple[int, int]:
        return 3, 30


@pytest.fixture
def at(world: Any, service: Service) -> Callable[..., Cleaning]:
    def made(engine: Any = None, running: int = 0, **more: Any) -> Cleaning:
        world.engine = lambda: engine
        world.platform = lambda: SimpleNamespace(
            environment="staging",
            images={"base-python": "base@sha256:1"},
            base_images={},
            registry=SimpleNamespace(address="registry:5000"),
        )
        known: dict[str, Any] = {
            "services": [service],
            "run_id": "refresh",
            "kept": Retention(),
            "world": world,
            "runs": SimpleNamespace(count=lambda dag_id, states: running),
            "workspaces": {},
            "goes_on": lambda service, run: run == "alive",
            "tell": lambda done: world.did.append(("told", done)),
        }
        return Cleaning(**{**known, **more})

    return made


def test_volumes_and_images_of_nothing_that_is_deployed_go_after_their_days(
    at: Callable[..., Cleaning], world: Any
) -> None:
    deployed = given.CheckedOut(
        tree="t", time=1, subject="s", volume="slipway-src-now", dependencies="slipway-deps-now"
    )
    kept = [
        stored(world, "volume", "slipway-src-now"),
        stored(world, "volume", "slipway-deps-now"),
        stored(world, "volume", "slipway-builder-web", days=0),
        stored(world, "volume", "slipway-image-young", days=0),
        stored(world, "image", "registry:5000/base", digests=("base@sha256:1",)),
        stored(world, "image", "somebody/elses"),
        stored(world, "volume", "slipway-src-young", days=0),
        stored(world, "volume", "slipway-schema-young", days=0),
    ]
    past = [
        stored(world, "volume", "slipway-src-old"),
        stored(world, "volume", "slipway-schema-old"),
        stored(world, "volume", "slipway-builder-old"),
        stored(world, "volume", "slipway-image-old"),
        stored(world, "image", "registry:5000/web:old"),
    ]
    engine = Engine(*kept, *past)
    found = of_engine(at(engine, workspaces={"web": deployed}))
    assert engine.gone == [one.name for one in past]
    assert [(one["what"], one["removed"], one["bytes"]) for one in found.rows] == [
        ("volumes", 4, 40),
        ("images", 1, 10),
        ("build layers", 3, 30),
    ]


def test_nothing_goes_while_a_release_runs(at: Callable[..., Cleaning], world: Any) -> None:
    engine = Engine(stored(world, "volume", "slipway-src-old"))
    found = of_engine(at(engine, running=1))
    assert engine.gone == []
    assert found.notes == ("a release of ai-generation runs: the rest waits for the next refresh",)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the ledger know two runs of the service, of which one goes on."""
    monkeypatch.setattr(
        retention.refreshes,
        "known",
        lambda _ledger, services: {"alive": services[0], "ended": services[0]},
    )


def of_run(world: Any, kind: str, run: str, **more: Any) -> OfRun:
    blank: dict[str, Any] = {"kind": kind, "name": f"slipway-{run}-{kind}", "run": run, "lease": None}
    blank["created"] = world.now() - timedelta(hours=3)
    return OfRun(**{**blank, **more})


def test_what_ended_runs_left_goes_with_its_lease_and_what_goes_on_keeps_its_own(
    at: Callable[..., Cleaning], world: Any, known: None
) -> None:
    things = tuple(
        stored(world, "container", f"slipway-{run}-x", days=0.2, run=run) for run in ("alive", "ended")
    )
    engine = Engine(of_runs=things)
    made = [of_run(world, "secret", "ended", lease="lease-1"), of_run(world, "pod", "alive")]
    world.of_cluster.of_runs = lambda _namespace: made
    world.of_cluster.delete = lambda kind, _namespace, name: world.did.append(("delete", kind, name))
    world.revoke = lambda lease: world.did.append(("revoke", lease))
    found = of_runs(at(engine))
    assert engine.gone == ["slipway-ended-x"]
    assert world.did == [("revoke", "lease-1"), ("delete", "secret", "slipway-ended-secret")]
    assert {one["what"]: one["removed"] for one in found.rows if one["removed"]} == {
        "containers": 1,
        "secrets": 1,
    }


def test_namespace_that_cannot_be_read_keeps_no_other_from_being_cleaned(
    at: Callable[..., Cleaning], world: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = service.model_copy(
        update={"service": "other", "deploy": service.deploy.model_copy(update={"namespace": "other"})}
    )
    monkeypatch.setattr(
        retention.refreshes,
        "known",
        lambda _ledger, _services: {"ended": service.service, "ended.2": "other"},
    )

    def of_namespace(namespace: str) -> list[OfRun]:
        if namespace == service.deploy.namespace:
            raise Transient("the API server is away", code="cluster.unreachable", remedy="see it")
        return [of_run(world, "pod", "ended.2")]

    world.of_cluster.of_runs = of_namespace
    world.of_cluster.delete = lambda kind, _namespace, name: world.did.append(("delete", kind))
    with pytest.raises(Permanent, match="the API server is away"):
        of_runs(at(Engine(), services=[service, other]))
    assert [one[0] for one in world.did] == ["delete", "told"]


def test_images_that_nobody_goes_back_to_go(
    at: Callable[..., Cleaning],
    world: Any,
    monkeypatch: pytest.MonkeyPatch,
    a_release: Callable[..., Any],
) -> None:
    digests = [f"sha256:{number}" for number in range(4)]
    tags = {f"t{number}": digest for number, digest in enumerate(digests)}
    gone: list[str] = []
    registry = SimpleNamespace(
        tags=lambda _repository: sorted(tags),
        digest=lambda _repository, tag: tags[tag],
        image=lambda _repository, _digest: SimpleNamespace(size=7),
        delete=lambda _repository, digest: gone.append(digest) or True,
    )
    monkeypatch.setattr(world, "registry", lambda: (registry, {}))
    active = replace(a_release(), digest=digests[0])
    monkeypatch.setattr(retention.refreshes, "active", lambda *_: active)
    published = [(f"c{number}", digest, None) for number, digest in enumerate(digests)]
    monkeypatch.setattr(retention.refreshes, "published", lambda *_: published)
    world.of_ledger.good_ones = lambda *_: []
    found = of_registry(at(kept=Retention(images=1)))
    assert digests[0] not in gone
    assert gone
    assert found.rows[0]["removed"] == len(gone)
    gone.clear()
    assert (
        "runs: the rest of its images waits" in of_registry(at(kept=Retention(images=1), running=1)).notes[0]
    )
    assert gone == []


def test_ledger_forgets_by_days(at: Callable[..., Cleaning], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def forget(_ledger: Any, days: int) -> dict[str, tuple[int, int]]:
        asked.append(days)
        return {"reports": (2, 20)}

    monkeypatch.setattr(retention.refreshes, "forget", forget)
    found = of_ledger(at(kept=Retention(evidence_days=5)))
    assert asked == [5]
    assert found.rows == ({"what": "reports", "removed": 2, "bytes": 20},)
