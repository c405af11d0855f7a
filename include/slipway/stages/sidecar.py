"""Throwaway parts beside a gate: a Postgres with the service's schema, and the service itself, on a network of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.adapters.engine import SCRATCH, explained
from slipway.errors import PolicyFailed, Transient
from slipway.release import given, label
from slipway.release.gates import PROGRAMS
from slipway.release.telling import telling
from slipway.stages.container import RUN, toolbox
from slipway.stages.stage import ALWAYS, ENGINE, Run, Stage, Step

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.catalog.service import Migrations
    from slipway.stages.world import Engine

# The network has no way out and lives for one task: the password keeps nobody out, Postgres and drivers just want one.
DATABASE_URL = "postgresql://postgres:throwaway@database:5432/service"
_CREDENTIALS = {
    "host": "database",
    "port": 5432,
    "database": "service",
    "username": "postgres",
    "password": "throwaway",
}
_SCHEMA = 'printf %s "$CREDENTIALS" >"$DATABASE" && exec slipway-migrations "$@"'


def network_name(purpose: str) -> str:
    """Give the (templated) name of the run's network for a purpose: the group that it is made for."""
    return f"slipway-{RUN}-{purpose}"


def _name(run: Run) -> str:
    """Give the name of the network of a run, for the group that it is made for."""
    assert run.stage.group is not None
    return network_name(run.stage.group.id).replace(RUN, label(run.run_id))


def _labels(run: Run) -> dict[str, str]:
    return {"slipway": "sidecar", "slipway.run": run.run_id}


def _pulled(engine: Engine, *images: str) -> None:
    for image in images:
        engine.ensure_image(image)


def _start_database(engine: Engine, run: Run, parts: Parts) -> None:
    """Start Postgres on a new network and bring it to the schema of the checked out changelog."""
    from docker.types import Mount

    from slipway.stages.container_run import TIMED_OUT, scratch

    service, name, images = run.service, _name(run), parts.accepted.images
    _pulled(engine, images["toolbox-postgres"], images["toolbox-migrations"])
    engine.remove_network(name)
    engine.network(name, _labels(run))
    engine.start(
        f"{name}-database",
        images["toolbox-postgres"],
        network_mode=name,
        aliases=["database"],
        environment={"POSTGRES_DB": "service", "POSTGRES_PASSWORD": "throwaway"},
        mounts=[
            Mount("/var/lib/postgresql", None, type="tmpfs", tmpfs_size=1 << 30, tmpfs_mode=0o1777),
            Mount("/tmp", None, type="tmpfs", tmpfs_size=64 << 20, tmpfs_mode=0o1777),
        ],
        memory="768m",
        cpus=2,
        labels=_labels(run),
    )
    engine.wait_until(f"{name}-database", ["/opt/slipway/bin/ready"], timeout_s=30)
    if not (migrations := service.deploy.migrations):
        return
    engine.start(
        f"{name}-schema",
        images["toolbox-migrations"],
        network_mode=name,
        command=[
            *("sh", "-c", _SCHEMA, "schema", "update", "--phase", "all"),
            *("--engine", migrations.engine, "--changelog", migrations.changelog, *_chosen(migrations)),
        ],
        environment={
            "HOME": "/tmp",
            "WORK": "/workspace/src",
            "CREDENTIALS": json.dumps(_CREDENTIALS),
            "DATABASE": "/tmp/database.json",
            "RESULT": "/tmp/result.json",
        },
        mounts=[Mount("/workspace", parts.sources.volume, type="volume", read_only=True), *scratch()],
        working_dir="/workspace/src",
        memory="768m",
        cpus=2,
        labels=_labels(run),
    )
    code = engine.wait_exit(f"{name}-schema", migrations.timeout_s)
    said = engine.log_tail(f"{name}-schema", 40)
    print("\n".join(said))
    if code == TIMED_OUT:
        raise PolicyFailed(
            f"{migrations.changelog} took longer than {migrations.timeout_s:.0f} s on an empty database",
            code="migrations.empty-database-timed-out",
            remedy="make it quicker, or raise deploy.migrations.timeout_s in the catalog",
            lines=said[-15:],
        )
    if code == 3:  # not the changelog's fault, says the program
        raise Transient(
            f"the throwaway database did not take {migrations.changelog}: {telling(said)}",
            code="database.throwaway-failed",
        )
    if code != 0:
        raise PolicyFailed(
            f"{migrations.changelog} cannot be applied to an empty database: {telling(said).removeprefix('FAILED: ')}",
            code="migrations.empty-database-failed",
            remedy="correct the changeset that is named",
            lines=said[-15:],
        )


def _chosen(migrations: Migrations) -> list[str]:
    """Give the options that say what of the changelog runs on a throwaway database. It is empty: there is no baseline."""
    if migrations.engine == "flyway":
        return []
    labels = ["--labels", migrations.labels] if migrations.labels else []
    return ["--contexts", ",".join(migrations.gate_contexts), *labels]


def policy(service: Service) -> str:
    """Give (templated) what decides a gate beside these parts: their images, and how the schema is made."""
    images = "+".join(
        toolbox(name) for name in ("toolbox-postgres", "toolbox-migrations", _starting(service).image)
    )
    migrations = service.deploy.migrations
    return f"{images} {' '.join([migrations.engine, migrations.changelog, *_chosen(migrations)]) if migrations else ''} "


@dataclass(frozen=True)
class Starting:
    """How a stack's services are started from their source.

    :param before: the program that the service's own command is given to, if it has to be built first.
    """

    image: str
    before: tuple[str, ...]
    memory: str
    timeout_s: float


def _starting(service: Service) -> Starting:
    if service.stack == "python":
        return Starting("base-python", (), "512m", 30)
    return Starting(service.toolbox, (f"{PROGRAMS}/serve",), "1g", 120)


@dataclass(frozen=True)
class Parts:
    """What throwaway parts are made of.

    :param settled: why their gate does not run: then none are needed.
    """

    accepted: given.Accepted
    sources: given.Workspace
    gate: str
    settled: str | None


def _reading(gate: Stage) -> Callable[[Run], Parts]:
    def read(run: Run) -> Parts:
        return Parts(
            run.take(given.Accepted),
            run.take(given.Workspace),
            gate.task_id,
            run.settled(gate.task_id),
        )

    return read


def _needed(_service: Service, parts: Parts) -> Parts | None:
    """Give what is to be made; None if nothing is."""
    if parts.settled:
        print(f"{parts.gate} does not run: {parts.settled}: nothing is needed for it")
        return None
    return parts


def _with_database(run: Run, parts: Parts | None) -> None:
    if parts:
        _start_database(run.world.engine(), run, parts)


def _with_service(run: Run, parts: Parts | None) -> None:
    """Run the service from its source, with its database."""
    if parts is None:
        return
    from docker.types import Mount

    plan, engine, name = run.service.scan.dynamic, run.world.engine(), _name(run)
    starts, sources = _starting(run.service), parts.sources
    image = parts.accepted.images[starts.image]
    _pulled(engine, image)
    environment = {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **plan.environment}
    if plan.database:
        _start_database(engine, run, parts)
        environment["DATABASE_URL"] = DATABASE_URL
    else:
        engine.network(name, _labels(run))
    engine.start(
        f"{name}-service",
        image,
        network_mode=name,
        command=(*starts.before, *plan.command),
        environment=environment,
        mounts=[
            Mount("/workspace", sources.volume, type="volume", read_only=True),
            Mount("/deps", sources.dependencies, type="volume", read_only=True),
            Mount("/out", None, type="volume"),
        ],
        tmpfs=SCRATCH,
        working_dir="/workspace/src",
        memory=starts.memory,
        cpus=2,
        labels=_labels(run),
    )
    probe = f"import socket; socket.create_connection(('127.0.0.1', {plan.port}), 2)"
    engine.wait_until(f"{name}-service", ["/usr/bin/python3", "-c", probe], timeout_s=starts.timeout_s)


def _remove(run: Run, _decided: None) -> None:
    """Remove containers and network, whatever became of them and of the gate."""
    engine, name = run.world.engine(), _name(run)
    for container in ("database", "schema", "service"):
        engine.remove_container(f"{name}-{container}")
    engine.remove_network(name)
    with explained("looking for what is left"):
        if engine.networks_of(name):
            raise Transient(f"network {name} is still there", code="engine.network-kept")


def _setup(
    gate: Stage, id_: str, title: str, act: Callable[[Run, Parts | None], None], **more: Any
) -> Step[Any, Any]:
    return Step(
        id=id_,
        title=title,
        group=gate.group,
        before=(gate,),
        needs=(given.Accepted, given.Workspace),
        pool=ENGINE,
        setup=True,
        read=_reading(gate),
        decide=_needed,
        act=act,
        **more,
    )


def database(gate: Stage, **more: Any) -> Step[Any, Any]:
    """Give the setup that makes the network, the database and its schema for a gate, unless that has passed already."""
    return _setup(gate, "database", "Throwaway database", _with_database, **more)


def running_service(gate: Stage, **more: Any) -> Step[Any, Any]:
    """Give the setup that runs the service from its source, with its database, for a gate, unless that has passed already."""
    return _setup(gate, "service", "Throwaway service", _with_service, **more)


def removed(gate: Stage, setup: Stage, **more: Any) -> Step[Any, Any]:
    """Give the teardown of a setup, after its gate."""
    return Step(
        id="removed",
        title="Remove throwaway parts",
        group=gate.group,
        after=(gate,),
        undoes=(setup,),
        pool=ENGINE,
        retries=5,
        # a teardown's own rule wants its setup to have succeeded, but one that failed or was killed half-way left something, too
        trigger_rule=ALWAYS,
        act=_remove,
        **more,
    )
