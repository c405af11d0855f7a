"""Throwaway parts beside a gate: a Postgres with the service's schema, and the service itself, on a network of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.adapters.engine import SCRATCH, explained
from slipway.errors import PolicyFailed, Transient
from slipway.release import given, label
from slipway.release.gates import PROGRAMS
from slipway.stages import throwaway, xcom
from slipway.stages.container import RUN, toolbox
from slipway.stages.stage import ALWAYS, ENGINE, Run, Stage, Step

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.catalog.service import Beside
    from slipway.stages.world import Engine

ANSWERS = """
import socket, sys, time
host, port, until = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
while True:
    try:
        socket.create_connection((host, port), 2).close()
        break
    except OSError as error:
        if time.monotonic() > until:
            sys.exit(f"{host}:{port}: {error}")
        time.sleep(0.2)
"""
"""Waits until a port answers: on the network, as the stage would ask it."""


def network_name(purpose: str) -> str:
    """Give the (templated) name of the run's network for a purpose: the group that it is made for."""
    return f"slipway-{RUN}-{purpose}"


def _name(run: Run) -> str:
    """Give the name of the network of a run, for the group that it is made for."""
    assert run.stage.group is not None
    return network_name(run.stage.group.id).replace(RUN, label(run.run_id))


def told(services: Mapping[str, Beside]) -> dict[str, str]:
    """Give the variables by which a stage finds what runs beside it."""
    found: dict[str, str] = {}
    for name, one in services.items():
        word = name.upper().replace("-", "_")
        found |= {f"{word}_HOST": name, f"{word}_PORT": str(one.port)}
    return found


def policy(service: Service, services: Mapping[str, Beside]) -> str:
    """Give (templated) what decides a gate beside these parts: their images, and how the schema is made.

    :param services: what runs beside it besides the database.
    """
    images = "+".join(
        toolbox(name) for name in ("toolbox-postgres", "toolbox-migrations", _starting(service).image)
    )
    migrations = service.deploy.migrations
    how = (
        " ".join([migrations.engine, migrations.changelog, *throwaway.chosen(migrations)])
        if migrations
        else ""
    )
    beside = "".join(
        f"{name}={xcom.templated(given.Accepted, 'bases', one.image)} {one.model_dump_json(exclude={'timeout_s'})} "
        for name, one in sorted(services.items())
    )
    return f"{images} {how} {beside}"


WRITABLE = "nosuid,nodev,size=256m,mode=1777"
"""A folder that a service beside a stage may write to."""


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


def _beside_tests(run: Run, parts: Parts | None) -> None:
    if parts is None:
        return
    plan = run.service.test.integration
    _network(run, parts, database=plan.database)
    _start(run, parts, plan.services)


def _network(run: Run, parts: Parts, *, database: bool) -> None:
    """Make the network of a stage, with its database if it has one."""
    name = _name(run)
    if database:
        throwaway.start(run, parts.accepted, parts.sources, name)
    else:
        run.world.engine().network(name, throwaway.labels(run))


def _start(run: Run, parts: Parts, services: Mapping[str, Beside]) -> None:
    """Start what runs beside a stage, and wait until each is ready."""
    engine, name = run.world.engine(), _name(run)
    for key, one in services.items():
        image = parts.accepted.bases[one.image]
        engine.ensure_image(image)
        engine.start(
            f"{name}-{key}",
            image,
            network_mode=name,
            aliases=[key],
            command=one.command,
            environment=one.environment,
            tmpfs=SCRATCH | dict.fromkeys(one.writable, WRITABLE),
            memory="512m",
            labels=throwaway.labels(run),
        )
    for key, one in services.items():
        _wait(run, engine, parts.accepted.images["base-python"], key, one)
        print(f"{key} is {one.image}, {parts.accepted.bases[one.image]}: it answers at {key}:{one.port}")


def _wait(run: Run, engine: Engine, image: str, key: str, one: Beside) -> None:
    """Wait until a service beside a stage is ready.

    :raises PolicyFailed: if it is not in its time.
    """
    name = _name(run)
    engine.start(
        f"{name}-probe",
        image,
        network_mode=name,
        command=["/usr/bin/python3", "-c", ANSWERS, key, str(one.port), str(one.timeout_s)],
        memory="64m",
        labels=throwaway.labels(run),
    )
    code = engine.wait_exit(f"{name}-probe", one.timeout_s + 15)
    if code:
        said = engine.log_tail(f"{name}-{key}")
        raise PolicyFailed(
            f"{key} ({one.image}) does not answer at port {one.port} after {one.timeout_s} s: "
            f"{said[-1] if said else 'it says nothing'}",
            code="stage.service-not-ready",
            remedy="correct its `port`, `environment` or `command`, name the folders that it writes to in `writable`, or raise "
            "its `timeout_s`",
            lines=said[:-1],
        )
    if one.ready:
        engine.wait_until(f"{name}-{key}", one.ready, timeout_s=one.timeout_s)


def _with_service(run: Run, parts: Parts | None) -> None:
    """Run the service from its source, with its database."""
    if parts is None:
        return
    from docker.types import Mount

    plan, engine, name = run.service.scan.dynamic, run.world.engine(), _name(run)
    starts, sources = _starting(run.service), parts.sources
    image = parts.accepted.images[starts.image]
    engine.ensure_image(image)
    environment = {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **told(plan.services), **plan.environment}
    _network(run, parts, database=plan.database)
    _start(run, parts, plan.services)
    if plan.database:
        environment["DATABASE_URL"] = throwaway.DATABASE_URL
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
    stages = (run.service.test.integration, run.service.scan.dynamic)
    beside = dict.fromkeys(one for stage in stages for one in stage.services)
    for container in ("database", "schema", "service", "probe", *beside):
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
    """Give the setup that makes what the integration tests have beside them, unless they have passed already."""
    return _setup(gate, "database", "Throwaway database and services", _beside_tests, **more)


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
