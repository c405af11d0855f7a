"""What the nightly refresh removes: images, volumes, what runs left behind, reports past their days; once, for all services.

Nothing is removed that a running release may use: Airflow is asked which run, right before each piece goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup, get_current_context

from slipway.adapters import cluster, engine, vault
from slipway.catalog import Retention, load_refresh, retention_of
from slipway.errors import Permanent, SlipwayError
from slipway.ledger import refreshes
from slipway.release import given
from slipway.release import refresh as decide
from slipway.stages import connections, lane, xcom
from slipway.stages.outcome import stage
from slipway.stages.rollback import LOOKED_FOR

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.adapters.registry import Registry
    from slipway.catalog import Service

WHEELS = "slipway-wheels"

Row = dict[str, Any]


def clean(services: Sequence[Service]) -> TaskGroup:
    """Give the group: each part is cleaned whatever became of the others."""
    parts: dict[str, tuple[str, Callable[[], given.Cleaned]]] = {
        "registry": ("Images in the registry", lambda: _registry(services)),
        "leftovers": ("What ended runs left", lambda: _leftovers(services)),
        "engine": ("Volumes, images, build cache", lambda: _engine(services)),
        "ledger": ("Reports and evidence", _ledger),
    }
    with TaskGroup("clean", group_display_name="Clean up", tooltip="What is past its days") as group:
        for name, (title, work) in parts.items():
            _task(name, title, work)
    return group


def _task(name: str, title: str, work: Callable[[], given.Cleaned]) -> None:
    @stage(
        task_id=name,
        task_display_name=title,
        trigger_rule="all_done",
        execution_timeout=timedelta(minutes=15),
    )
    def clean() -> given.Cleaned:
        done = work()
        told = [f"removed {one['removed']} {one['what']} ({decide.size(one['bytes'])})" for one in done.rows]
        print("\n".join([*told, *done.notes]))
        return done

    clean()


def _kept() -> Retention:
    """Give what is kept: as the run was asked to, else as the catalog says."""
    return retention_of(get_current_context()["params"].get("retention"), load_refresh().retention)


def _row(what: str, sizes: Iterable[int]) -> Row:
    known = list(sizes)
    return {"what": what, "removed": len(known), "bytes": sum(known)}


def _running(context: Context, services: Sequence[Service]) -> list[str]:
    """Give the services of which a release runs, by Airflow's word."""
    states = ["queued", "running"]
    return [one.service for one in services if context["ti"].get_dr_count(dag_id=one.dag_id, states=states)]


def _registry(services: Sequence[Service]) -> given.Cleaned:
    kept, ledger, context = _kept(), connections.ledger(), get_current_context()
    registry, _ = connections.registry()
    environment = connections.platform().environment
    freed: list[int] = []
    notes = []
    for service in services:
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
        past = decide.images_past(present, published, keep=kept.images, needed=needed)
        for digest in past:
            if _running(context, [service]):
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


def _engine(services: Sequence[Service]) -> given.Cleaned:
    kept, context, platform = _kept(), get_current_context(), connections.platform()
    client, now, notes = connections.engine_hook().api_client, datetime.now(UTC), []
    deployed = {
        name
        for one in services
        if (made := xcom.find(context["ti"], given.CheckedOut, of=f"{one.service}.{given.CheckedOut.by}"))
        for name in (made.volume, made.dependencies)
    }
    wheels = {f"{WHEELS}:{name.rpartition('-')[2]}" for name in deployed}
    needed = deployed | wheels

    def past(thing: engine.Stored) -> bool:
        if thing.name in needed or set(thing.digests) & set(platform.images.values()):
            return False
        if thing.name.startswith(("slipway-src-", "slipway-deps-", f"{WHEELS}:")):
            return decide.expired(thing.created, now, kept.workspaces_days)
        own = thing.kind == "image" and thing.name.startswith(f"{platform.registry.address}/")
        return own and decide.expired(thing.created, now, kept.engine_days)

    freed: dict[str, list[int]] = {"volumes": [], "images": []}
    for thing in filter(past, engine.stored(client)):
        if running := _running(context, services):
            notes.append(f"a release of {', '.join(running)} runs: the rest waits for the next refresh")
            break
        if engine.remove(client, thing):
            print(f"{thing.kind} {thing.name} removed, made {thing.created:%Y-%m-%d}")
            freed[f"{thing.kind}s"].append(thing.bytes)
    layers, size = engine.prune_builds(client, kept.engine_days)
    rows = [_row(what, sizes) for what, sizes in freed.items()]
    return given.Cleaned(
        rows=[*rows, {"what": "build layers", "removed": layers, "bytes": size}], notes=notes
    )


def _leftovers(services: Sequence[Service]) -> given.Cleaned:
    """Remove what belongs to runs that have ended, on the engine and in the services' namespaces."""
    context, now = get_current_context(), datetime.now(UTC)
    known = refreshes.known(connections.ledger(), [one.service for one in services])
    known[context["dag_run"].run_id] = ""  # this run
    by_name = {one.service: one for one in services}
    asked: dict[str, bool] = {}

    def left_over(name: str, run: str | None, created: datetime) -> bool:
        owner = decide.owner(name, run, known)
        alive = None if owner is None else asked.get(owner)
        if owner is not None and alive is None:
            service = by_name.get(known[owner])
            alive = asked[owner] = lane.runs(context, service, owner) if service else True
        return decide.left_over(alive, created, now)

    removed: dict[str, int] = dict.fromkeys(("containers", "networks", "pods", "secrets", "config_maps"), 0)
    problems: list[SlipwayError] = []
    client = connections.engine_hook().api_client
    # containers first: a network goes when nothing is on it
    for thing in sorted(engine.of_runs(client), key=lambda one: one.kind):
        if left_over(thing.name, thing.run, thing.created) and engine.remove(client, thing):
            print(f"{thing.kind} {thing.name} removed")
            removed[f"{thing.kind}s"] += 1
    released = set(known.values())
    for service in services:
        namespace = service.deploy.namespace
        try:
            # of a service that was never released there is nothing, perhaps not even the namespace
            made = cluster.of_runs(connections.cluster(), namespace) if service.service in released else []
            for one in made:
                if not left_over(one.name, one.run, one.created):
                    continue
                if one.lease:
                    vault.revoke(connections.vault_client(), one.lease)
                    print(f"lease of {namespace}/{one.name} revoked")
                cluster.delete(connections.cluster(), one.kind, namespace, one.name)
                print(f"{one.kind} {namespace}/{one.name} removed")
                removed[f"{one.kind}s"] += 1
        except SlipwayError as e:  # one service must not keep the others from being cleaned
            problems.append(e)
    rows = [
        {"what": what.replace("_", " "), "removed": number, "bytes": 0} for what, number in removed.items()
    ]
    done = given.Cleaned(rows=rows)
    if problems:
        xcom.give(context["ti"], done)
        # not tried again: the next night does, and a second try could not tell what the first has removed
        raise Permanent(
            "; ".join(one.message for one in problems),
            code="retention.incomplete",
            remedy="; ".join(one.remedy for one in problems),
        )
    return done


def _ledger() -> given.Cleaned:
    forgotten = refreshes.forget(connections.ledger(), _kept().evidence_days)
    rows = [{"what": what, "removed": number, "bytes": size} for what, (number, size) in forgotten.items()]
    return given.Cleaned(rows=rows)
