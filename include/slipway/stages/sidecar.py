"""Throwaway parts beside a gate: a Postgres with the service's schema, and the service itself, on a network of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.adapters.engine import SCRATCH, explained
from slipway.errors import Transient
from slipway.release import given, label
from slipway.release.gates import PROGRAMS
from slipway.stages import throwaway
from slipway.stages.container import RUN, toolbox
from slipway.stages.stage import ALWAYS, ENGINE, Run, Stage, Step

if TYPE_CHECKING:
    from slipway.catalog import Service


def network_name(purpose: str) -> str:
    """Give the (templated) name of the run's network for a purpose: the group that it is made for."""
    return f"slipway-{RUN}-{purpose}"


def _name(run: Run) -> str:
    """Give the name of the network of a run, for the group that it is made for."""
    assert run.stage.group is not None
    return network_name(run.stage.group.id).replace(RUN, label(run.run_id))


def policy(service: Service) -> str:
    """Give (templated) what decides a gate beside these parts: their images, and how the schema is made."""
    images = "+".join(
        toolbox(name) for name in ("toolbox-postgres", "toolbox-migrations", _starting(service).image)
    )
    migrations = service.deploy.migrations
    return f"{images} {' '.join([migrations.engine, migrations.changelog, *throwaway.chosen(migrations)]) if migrations else ''} "


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
        throwaway.start(run, parts.accepted, parts.sources, _name(run))


def _with_service(run: Run, parts: Parts | None) -> None:
    """Run the service from its source, with its database."""
    if parts is None:
        return
    from docker.types import Mount

    plan, engine, name = run.service.scan.dynamic, run.world.engine(), _name(run)
    starts, sources = _starting(run.service), parts.sources
    image = parts.accepted.images[starts.image]
    engine.ensure_image(image)
    environment = {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **plan.environment}
    if plan.database:
        throwaway.start(run, parts.accepted, parts.sources, name)
        environment["DATABASE_URL"] = throwaway.DATABASE_URL
    else:
        engine.network(name, throwaway.labels(run))
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
        labels=throwaway.labels(run),
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
