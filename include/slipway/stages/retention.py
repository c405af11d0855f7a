"""What the nightly refresh removes: images, volumes, what runs left behind, reports past their days; once, for all services.

Nothing is removed that a running release may use: Airflow is asked which run, right before each piece goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup, get_current_context

from slipway.catalog import Retention, load_refresh, retention_of
from slipway.errors import Permanent, SlipwayError
from slipway.ledger import refreshes
from slipway.release import given
from slipway.release import refresh as decide
from slipway.stages import connections, lane, throwaway, xcom
from slipway.stages.outcome import stage
from slipway.stages.restoring import LOOKED_FOR

if TYPE_CHECKING:
    from slipway.adapters.engine import Stored
    from slipway.adapters.registry import Registry
    from slipway.catalog import Service
    from slipway.stages.world import Runs, World

IMAGES = "slipway-image-"
"""Beginning of the volumes of images that are built, and not pushed yet."""
BUILDERS = "slipway-builder-"
"""Beginning of the volumes of what services' builders keep: layers and caches."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Cleaning:
    """What is cleaned up in.

    :param kept: what is kept. :param workspaces: what is checked out of what is deployed, by service.
    :param goes_on: tells whether a run of a service goes on, by Airflow's word.
    :param tell: keeps what was done, for the report of a task that then fails.
    """

    services: Sequence[Service]
    run_id: str
    kept: Retention
    world: World
    runs: Runs
    workspaces: Mapping[str, given.CheckedOut]
    goes_on: Callable[[Service, str], bool]
    tell: Callable[[given.Cleaned], None]

    @property
    def environment(self) -> str:
        """Give the name of the environment."""
        return self.world.platform().environment

    def running(self, services: Sequence[Service]) -> list[str]:
        """Give the services of which a release runs, by Airflow's word."""
        states = ["queued", "running"]
        return [one.service for one in services if self.runs.count(one.dag_id, states=states)]


def clean(services: Sequence[Service]) -> TaskGroup:
    """Give the group: each part is cleaned whatever became of the others."""
    parts = {
        "registry": ("Images in the registry", of_registry),
        "leftovers": ("What ended runs left", of_runs),
        "engine": ("Volumes, images, build cache", of_engine),
        "ledger": ("Reports and evidence", of_ledger),
    }
    with TaskGroup("clean", group_display_name="Clean up", tooltip="What is past its days") as group:
        for name, (title, work) in parts.items():
            _task(name, title, work, services)
    return group


def _task(
    name: str, title: str, work: Callable[[Cleaning], given.Cleaned], services: Sequence[Service]
) -> None:
    @stage(
        task_id=name,
        task_display_name=title,
        trigger_rule="all_done",
        execution_timeout=timedelta(minutes=15),
    )
    def clean() -> given.Cleaned:
        done = work(_cleaning(services))
        told = [f"removed {one['removed']} {one['what']} ({decide.size(one['bytes'])})" for one in done.rows]
        print("\n".join([*told, *done.notes]))
        return done

    clean()


def _cleaning(services: Sequence[Service]) -> Cleaning:
    context = get_current_context()
    ti: Any = context["ti"]
    made = {
        one.service: xcom.find(ti, given.CheckedOut, of=f"{one.service}.{given.CheckedOut.by}")
        for one in services
    }
    return Cleaning(
        services=services,
        run_id=str(context["dag_run"].run_id),
        # as the run was asked to, else as the catalog says
        kept=retention_of(context["params"].get("retention"), load_refresh().retention),
        world=connections.Outside(),
        runs=connections.AirflowRuns(ti),
        workspaces={name: found for name, found in made.items() if found},
        goes_on=lambda service, run: lane.runs(context, service, run),
        tell=lambda done: xcom.give(ti, done),
    )


def _row(what: str, sizes: Iterable[int]) -> Row:
    known = list(sizes)
    return {"what": what, "removed": len(known), "bytes": sum(known)}


def of_registry(at: Cleaning) -> given.Cleaned:
    """Remove images that nobody goes back to."""
    ledger, environment = at.world.ledger(), at.environment
    registry, _ = at.world.registry()
    freed: list[int] = []
    notes = []
    for service in at.services:
        repository, name = service.image.repository, service.service
        tags = registry.tags(repository)
        present = {digest for tag in tags if (digest := registry.digest(repository, tag))}
        # what a rollback returns to is not built again
        in_use = [
            refreshes.active(ledger, name, environment),
            *ledger.good_ones(name, environment, LOOKED_FOR),
        ]
        needed = {one.digest for one in in_use if one and one.digest}
        published = [(commit, digest) for commit, digest, _ in refreshes.published(ledger, name)]
        for digest in decide.images_past(present, published, keep=at.kept.images, needed=needed):
            if at.running([service]):
                notes.append(f"a release of {name} runs: the rest of its images waits for the next refresh")
                break
            size, unread = _size(registry, repository, digest)
            notes += unread
            if registry.delete(repository, digest):
                print(f"{repository}@{digest} removed")
                freed.append(size)
    if freed:
        notes.append("the registry frees the space when its own garbage collection runs")
    return given.Cleaned(rows=[_row("images", freed)], notes=notes)


def _size(registry: Registry, repository: str, digest: str) -> tuple[int, list[str]]:
    """Give the bytes of what is about to go, or why they are not known: that it cannot be read is no reason to keep it."""
    try:
        image = registry.image(repository, digest)
    except Permanent as e:
        return 0, [f"the size of what goes is not known: {e.message}"]
    return image.size if image else 0, []


def is_past(at: Cleaning, thing: Stored, now: datetime) -> bool:
    """Tell whether something on the engine may go: nothing of what is deployed needs it, and its days are over."""
    platform = at.world.platform()
    deployed = {name for one in at.workspaces.values() for name in (one.volume, one.dependencies)}
    needed = {*platform.images.values(), *platform.base_images.values()}
    if thing.name in deployed or set(thing.digests) & needed:
        return False
    if thing.name.startswith(BUILDERS):  # what a layer installed is of the day that it was built
        return decide.expired(thing.created, now, at.kept.engine_days)
    if thing.name.startswith(("slipway-src-", "slipway-deps-", throwaway.VOLUMES, IMAGES)):
        return decide.expired(thing.created, now, at.kept.workspaces_days)
    own = thing.kind == "image" and thing.name.startswith(f"{platform.registry.address}/")
    return own and decide.expired(thing.created, now, at.kept.engine_days)


def of_engine(at: Cleaning) -> given.Cleaned:
    """Remove volumes and images that are past their days, and what builds have kept."""
    engine, now, notes = at.world.engine(), at.world.now(), []
    freed: dict[str, list[int]] = {"volumes": [], "images": []}
    for thing in engine.stored():
        if not is_past(at, thing, now):
            continue
        if running := at.running(at.services):
            notes.append(f"a release of {', '.join(running)} runs: the rest waits for the next refresh")
            break
        if engine.remove(thing):
            print(f"{thing.kind} {thing.name} removed, made {thing.created:%Y-%m-%d}")
            freed[f"{thing.kind}s"].append(thing.bytes)
    layers, size = engine.prune_builds(at.kept.engine_days)
    rows = [_row(what, sizes) for what, sizes in freed.items()]
    return given.Cleaned(
        rows=[*rows, {"what": "build layers", "removed": layers, "bytes": size}], notes=notes
    )


class _Owners:
    """Tells whether something is left over: its run has ended, or nobody knows it any more. Airflow is asked once per run."""

    def __init__(self, at: Cleaning) -> None:
        self._at, self._now = at, at.world.now()
        self.known = refreshes.known(at.world.ledger(), [one.service for one in at.services])
        self.known[at.run_id] = ""  # this run
        self._asked: dict[str, bool] = {}
        self._services = {one.service: one for one in at.services}

    def left_over(self, name: str, run: str | None, created: datetime) -> bool:
        """Tell it of what is called so, and says that it is of a run."""
        owner = decide.owner(name, run, self.known)
        alive = None if owner is None else self._asked.get(owner)
        if owner is not None and alive is None:
            service = self._services.get(self.known[owner])
            alive = self._asked[owner] = self._at.goes_on(service, owner) if service else True
        return decide.left_over(alive, created, self._now)


def of_runs(at: Cleaning) -> given.Cleaned:
    """Remove what belongs to runs that have ended, on the engine and in the services' namespaces.

    :raises Permanent: if a service's namespace could not be cleaned; the others are all the same.
    """
    owners, engine = _Owners(at), at.world.engine()
    removed: dict[str, int] = dict.fromkeys(("containers", "networks", "pods", "secrets", "config_maps"), 0)
    problems: list[SlipwayError] = []
    # containers first: a network goes when nothing is on it
    for thing in sorted(engine.of_runs(), key=lambda one: one.kind):
        if owners.left_over(thing.name, thing.run, thing.created) and engine.remove(thing):
            print(f"{thing.kind} {thing.name} removed")
            removed[f"{thing.kind}s"] += 1
    released = set(owners.known.values())
    # of a service that was never released there is nothing, perhaps not even the namespace
    for service in (one for one in at.services if one.service in released):
        try:
            _of_namespace(at, service.deploy.namespace, owners, removed)
        except SlipwayError as e:  # one service must not keep the others from being cleaned
            problems.append(e)
    rows = [
        {"what": what.replace("_", " "), "removed": number, "bytes": 0} for what, number in removed.items()
    ]
    done = given.Cleaned(rows=rows)
    if problems:
        at.tell(done)
        # not tried again: the next night does, and a second try could not tell what the first has removed
        raise Permanent(
            "; ".join(one.message for one in problems),
            code="retention.incomplete",
            remedy="; ".join(one.remedy for one in problems),
        )
    return done


def _of_namespace(at: Cleaning, namespace: str, owners: _Owners, removed: dict[str, int]) -> None:
    cluster = at.world.cluster()
    for one in cluster.of_runs(namespace):
        if not owners.left_over(one.name, one.run, one.created):
            continue
        if one.lease:
            at.world.revoke(one.lease)
            print(f"lease of {namespace}/{one.name} revoked")
        cluster.delete(one.kind, namespace, one.name)
        print(f"{one.kind} {namespace}/{one.name} removed")
        removed[f"{one.kind}s"] += 1


def of_ledger(at: Cleaning) -> given.Cleaned:
    """Forget reports and evidence past their days."""
    forgotten = refreshes.forget(at.world.ledger(), at.kept.evidence_days)
    rows = [{"what": what, "removed": number, "bytes": size} for what, (number, size) in forgotten.items()]
    return given.Cleaned(rows=rows)
