"""A world for stages: what they ask is what a test has put there, and what they change is told in order.

``run(STAGE, given.Pushed(…))`` gives a stage's run in it, with what earlier stages gave, through the same JSON as Airflow keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from types import SimpleNamespace
from typing import IO, Any

import pytest

from slipway.adapters.cluster import Rollout
from slipway.adapters.engine import Made, Recipe
from slipway.catalog import Service, catalog_directory, load_service
from slipway.ledger import Release, Stage
from slipway.ledger.records import Hold
from slipway.release import Outcome, Status, given
from slipway.stages.sequence import release_of
from slipway.stages.stage import Run
from slipway.stages.stage import Stage as Declared

COMMIT, RUN_ID = "a" * 40, "ai-generation.aaaaaaaaaaaa"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGES = {
    name: f"registry/{name}@sha256:1"
    for name in (
        *("base-python", "image-builder", "toolbox-python", "toolbox-scan", "toolbox-ansible"),
        *("toolbox-migrations", "toolbox-postgres"),
    )
}


def release(**known: Any) -> Release:
    """Give a record, of which only what matters need be said."""
    nothing = dict.fromkeys(
        (
            *("tree", "image", "digest", "config_revision", "infra_hash", "schema_revision_before"),
            *("schema_revision", "manifests", "superseded_by", "reason", "stage", "ready_at", "finished_at"),
        )
    )
    fixed: dict[str, Any] = {
        "run_id": RUN_ID,
        "service": "ai-generation",
        "environment": "staging",
        "commit": COMMIT,
        "ref": "refs/heads/main",
        "status": Status.RUNNING,
        "attempts": 1,
        "requested_at": NOW,
        "started_at": NOW,
    }
    return Release(**{**nothing, **fixed, **known})


@dataclass
class Ledger:
    """Remembers releases by run id. :param did: what was written, in order."""

    did: list[Any]
    releases: dict[str, Release] = field(default_factory=dict)
    active_run: str | None = None
    good_run: str | None = None
    hold: Any = None

    def record(self, run_id: str) -> Release | None:
        return self.releases.get(run_id)

    def active(self, _service: str, _environment: str) -> Release | None:
        return self.releases.get(self.active_run or "")

    def last_good(self, _service: str, _environment: str) -> Release | None:
        return self.releases.get(self.good_run or "")

    def deployed_ones(self, _service: str, _environment: str) -> list[Release]:
        return [one for run_id, one in self.releases.items() if run_id != RUN_ID]

    def held(self, *_what: Any) -> Any:
        return self.hold

    def first_request(self, _service: str, _commit: str) -> datetime:
        return NOW

    def update(self, run_id: str, **known: Any) -> None:
        self.did.append(("update", known))
        self.releases[run_id] = replace(self.releases[run_id], **known)

    def stage(
        self,
        run_id: str,
        name: str,
        outcome: Outcome,
        seconds: float,
        reason: str | None,
        *,
        code: str | None = None,
    ) -> None:
        self.did.append(("stage", name, outcome, reason))
        known = self.releases[run_id]
        self.releases[run_id] = replace(
            known, stages=(*known.stages, Stage(name, outcome, seconds, reason, NOW, code=code))
        )

    def finish(self, run_id: str, status: Status, **known: Any) -> Release:
        self.did.append(("finish", status))
        self.releases[run_id] = replace(self.releases[run_id], status=status, **known)
        return self.releases[run_id]

    def ready(self, run_id: str) -> None:
        self.did.append(("ready", run_id))

    def deployed(self, run_id: str) -> None:
        self.did.append(("deployed", run_id))
        self.active_run = run_id

    @contextmanager
    def exclusive(self, name: str, timeout_s: float) -> Iterator[None]:
        self.did.append(("exclusive", name))
        yield


@dataclass
class Cluster:
    """Answers what it is told to. :param answers: status and body by path."""

    did: list[Any]
    differences: list[Any] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    state: Rollout = field(default_factory=lambda: Rollout(True, "2 pods run it", ("p",), ("i",)))
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    refuses: Exception | None = None

    def difference(self, manifests: Any, *, force: bool = False) -> list[Any]:
        if self.refuses:
            raise self.refuses
        return self.differences

    def apply(self, manifests: Any, *, force: bool = False) -> list[str]:
        self.did.append(("apply", [one["kind"] for one in manifests]))
        return [f"{one['kind']}/{one['metadata']['name']}: changed" for one in manifests]

    def prunable(self, namespace: str, inventory: Any, keep: Any, **_: Any) -> list[str]:
        return self.stale

    def prune(self, namespace: str, inventory: Any, keep: Any, **_: Any) -> list[str]:
        self.did.append(("prune", sorted(set(inventory) - set(keep), key=str)))
        return [f"{one}: deleted" for one in self.stale]

    def rollout(self, namespace: str, deployment: str, digest: str, *, timeout_s: float) -> Rollout:
        self.did.append(("rollout", digest))
        return self.state

    def get(self, namespace: str, service: str, port: int, path: str) -> tuple[int, bytes]:
        return self.answers[path]

    def put_secret(self, namespace: str, name: str, data: Mapping[str, str], *, labels: Any) -> None:
        self.did.append(("secret", namespace, name, dict(data)))


@dataclass
class Engine:
    """Remembers what it is told, by function and first arguments. :param volumes: the files of each."""

    did: list[Any]
    volumes: dict[str, set[str]] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    networks: list[str] = field(default_factory=list)
    stuck: bool = False
    archives: dict[str, bytes] = field(default_factory=dict)

    def ensure_image(self, ref: str) -> None:
        self.did.append(("pull", ref))

    def has_file(self, image: str, volume: str, target: str, name: str) -> bool:
        return name in self.volumes.get(volume, ())

    def fill_volume(self, image: str, volume: str, target: str, tar: IO[bytes]) -> bool:
        fresh = volume not in self.volumes
        self.volumes[volume] = {tar.read().decode()}
        return fresh

    def prepare_volume(self, image: str, volume: str, target: str, labels: Mapping[str, str]) -> None:
        self.did.append(("prepare", volume))
        self.volumes[volume] = set()

    def archive(self, image: str, volume: str, target: str, folder: str) -> Iterator[bytes]:
        yield self.archives.get(volume, b"")

    def build(self, place: Any, context: IO[bytes], recipe: Recipe, **options: Any) -> Made:
        self.did.append(("build", place, recipe, options))
        return Made("sha256:built", ("sha256:a-layer",), {"config": {"Labels": dict(recipe.labels)}})

    def network(self, name: str, labels: Mapping[str, str]) -> None:
        self.networks.append(name)

    def networks_of(self, name: str) -> list[dict[str, Any]]:
        return [{}] if self.stuck else [{} for one in self.networks if one == name]

    def remove_network(self, name: str) -> None:
        self.networks = [one for one in self.networks if one != name]

    def remove_container(self, name: str) -> None:
        self.did.append(("remove", name))

    def remove_volume(self, name: str) -> None:
        self.did.append(("remove volume", name))

    def start(self, name: str, image: str, **options: Any) -> None:
        self.did.append(("start", name, options))

    def wait_until(self, name: str, probe: Any, timeout_s: float) -> None:
        self.did.append(("ready", name))

    def wait_exit(self, name: str, timeout_s: float) -> int:
        return self.exits.get(name.rpartition("-")[2], 0)

    def log_tail(self, name: str, lines: int = 15) -> list[str]:
        return [f"{name} said so"]


@dataclass
class Repository:
    """A repository of one commit. :param content: its files by path."""

    url: str = "http://git/repository"
    at: str = COMMIT
    content: dict[str, bytes] = field(default_factory=lambda: {"Dockerfile": b"FROM scratch"})
    entries: tuple[Any, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)

    def head(self, _branch: str) -> str:
        return self.at

    def fetch(self, commit: str | None = None) -> None: ...

    def commit(self, commit: str) -> Any:
        return SimpleNamespace(hash=commit, tree="t" * 40, time=7, subject="Change it", author="A. Person")

    def tree(self, _commit: str) -> tuple[Any, ...]:
        return self.entries

    @contextmanager
    def archive(self, commit: str, prefix: str = "") -> Iterator[IO[bytes]]:
        yield BytesIO(f"{prefix}{commit}".encode())

    def files(self, _commit: str, folder: str) -> dict[str, bytes]:
        return {
            path: text for path, text in self.content.items() if path == folder or path.startswith(folder)
        }

    def write_note(self, commit: str, text: str) -> bool:
        self.notes[commit] = text
        return True


@dataclass
class Registry:
    """Has images by tag. :param keeps: what it has under a tag once something was pushed to it."""

    address: str = "registry:5000"
    platform: str = "linux/amd64"
    images: dict[str, Any] = field(default_factory=dict)
    keeps: Any = None
    pushed: list[Any] = field(default_factory=list)

    def push(self, repository: str, tag: str, image: Any) -> str:
        self.pushed.append((repository, tag, image))
        if self.keeps:
            self.images[tag] = self.keeps
        return str(image.digest)

    def layout(self, repository: str, digest: str) -> IO[bytes]:
        return BytesIO(digest.encode())

    def image(self, _repository: str, reference: str) -> Any:
        return self.images.get(reference)


@dataclass
class World:
    """All of it, with a clock that a test sets. :param vault: secrets by path, each with its version."""

    did: list[Any] = field(default_factory=list)
    clock: float = 0.0
    vault: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    forges: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.of_ledger, self.of_cluster, self.of_engine = (
            Ledger(self.did),
            Cluster(self.did),
            Engine(self.did),
        )
        self.of_registry = Registry()

    def platform(self) -> Any:
        return SimpleNamespace(environment="staging", images=IMAGES, base_images={}, packages=None)

    def ledger(self) -> Ledger:
        return self.of_ledger

    def cluster(self) -> Cluster:
        return self.of_cluster

    def engine(self) -> Engine:
        return self.of_engine

    def registry(self) -> tuple[Registry, dict[str, str]]:
        return self.of_registry, {"username": "ci", "password": "secret"}

    def statuses(self, source: Any) -> Any:
        return self.forges[source.forge.host]

    def repository(self, cloned: Any) -> Repository:
        return self.repositories.setdefault(cloned.repository, Repository())

    def secret_versioned(self, path: str) -> tuple[dict[str, Any], str]:
        return self.vault[path]

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.clock)

    def monotonic(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


@dataclass
class Runs:
    """What Airflow tells. :param tasks: states of the run's tasks."""

    tasks: dict[str, str] = field(default_factory=dict)

    def task_states(self, _dag_id: str, _run_id: str) -> Mapping[str, str]:
        return self.tasks


class Ti:
    """A task instance of a run whose earlier tasks gave these."""

    def __init__(self, *values: given.Given) -> None:
        self.kept: dict[tuple[str, str], Any] = {(one.by, one.key): one.dump() for one in values}

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return self.kept.get((task_ids, key))


@pytest.fixture(scope="session")
def service() -> Service:
    return load_service(catalog_directory() / "ai-generation.yaml")


@pytest.fixture
def world(service: Service) -> World:
    made = World()
    made.of_ledger.releases[RUN_ID] = release()
    made.repositories = {service.source.repository: Repository(), service.config.repository: Repository()}
    return made


@pytest.fixture
def source(world: World, service: Service) -> Repository:
    return world.repositories[service.source.repository]


@pytest.fixture
def config(world: World, service: Service) -> Repository:
    return world.repositories[service.config.repository]


@pytest.fixture
def accepted() -> given.Accepted:
    return given.Accepted(
        service="ai-generation",
        commit=COMMIT,
        ref="refs/heads/main",
        images=IMAGES,
        advisories_max_age_days=7,
    )


@pytest.fixture
def workspace() -> given.Workspace:
    return given.Workspace(
        tree="t" * 40, time=7, subject="s", volume="slipway-src-t", dependencies="slipway-deps-d"
    )


@pytest.fixture
def pushed() -> given.Pushed:
    return given.Pushed(image="registry:5000/web@sha256:new", digest="sha256:new", tag="aaaaaaaaaaaa")


@pytest.fixture
def run(world: World, service: Service) -> Callable[..., Run]:
    def made(stage: Declared, *values: given.Given, of: Service = service, **more: Any) -> Run:
        known: dict[str, Any] = {
            "params": {"service": of.service},
            "flow": release_of(of),
            "runs": Runs(),
            "settled": lambda _gate: None,
            "conclude": lambda _gate: False,
            "ti": Ti(*values),
        }
        return Run(stage=stage, service=of, run_id=RUN_ID, world=world, **{**known, **more})  # type: ignore[arg-type]

    return made


@pytest.fixture
def changed(service: Service) -> Callable[..., Service]:
    """Give the service with other words in one part of its catalog entry: ``changed("deploy", order="after")``."""

    def made(part: str, **words: Any) -> Service:
        return service.model_copy(update={part: getattr(service, part).model_copy(update=words)})

    return made


@pytest.fixture
def a_release() -> Callable[..., Release]:
    return release


class Books:
    """Releases of one service in one environment, in the order in which they were asked for; ``told`` is what was changed."""

    def __init__(self) -> None:
        self.releases: dict[str, Release] = {}
        self.deployed: list[str] = []
        self.told: list[tuple[Any, ...]] = []
        self.reasons: dict[str, str] = {}

    def add(self, run_id: str, status: Status, *, deployed: bool = False, **stages: Outcome) -> Release:
        """Record a release; each of ``stages`` ended as given, and says so."""
        blank: dict[str, Any] = {one.name: None for one in fields(Release)}
        at = NOW + timedelta(minutes=len(self.releases))
        ran = tuple(
            Stage(name.replace("_", "."), outcome, 1.0, f"{name} says {outcome}", at)
            for name, outcome in stages.items()
        )
        known = {"run_id": run_id, "service": "svc", "environment": "staging", "commit": run_id[-1] * 40}
        known |= {
            "status": status,
            "requested_at": at,
            "started_at": at,
            "stages": ran,
            "digest": f"sha256:{run_id}",
        }
        self.releases[run_id] = Release(**{**blank, **known})
        if deployed:
            self.deployed.append(run_id)
        return self.releases[run_id]

    def change(self, run_id: str, **known: Any) -> None:
        """Change what is recorded of a release."""
        self.releases[run_id] = replace(self.releases[run_id], **known)

    # what stages ask and tell

    def record(self, run_id: str) -> Release | None:
        return self.releases.get(run_id)

    def active(self, service: str, environment: str) -> Release | None:
        return self.releases[self.deployed[-1]] if self.deployed else None

    def overtaken_by(self, run_id: str) -> str | None:
        later = list(self.releases)[list(self.releases).index(run_id) + 1 :]
        since = [one for one in later if one in self.deployed and not self.releases[one].rolled_back_to]
        return since[-1] if since else None

    def held(self, service: str, environment: str, commit: str, *_: Any) -> Hold | None:
        reason = self.reasons.get(commit)
        return Hold(service, environment, commit, "", "", None, reason, NOW) if reason else None

    def hold(self, service: str, environment: str, commit: str, reason: str, run_id: str | None) -> None:
        self.reasons[commit] = reason
        self.told.append(("hold", commit, reason))

    def let_go(self, service: str, environment: str, commit: str) -> bool:
        self.told.append(("let_go", commit))
        return self.reasons.pop(commit, None) is not None

    def rolled_back(self, run_id: str, to: str, reason: str) -> None:
        self.change(run_id, rolled_back_to=to)
        self.reasons[self.releases[run_id].commit] = reason
        self.deployed.append(to)
        self.told.append(("rolled_back", run_id, to, reason))

    def finish(self, run_id: str, status: Status, reason: str | None = None) -> Release:
        self.change(run_id, status=status)
        self.told.append(("finish", run_id, status))
        return self.releases[run_id]


@pytest.fixture
def books() -> Books:
    """Give records of `svc.a`, which was good, and of `svc.b`, which was deployed after it."""
    books = Books()
    books.add("svc.a", Status.PASSED, deployed=True)
    books.add("svc.b", Status.RUNNING, deployed=True)
    return books
