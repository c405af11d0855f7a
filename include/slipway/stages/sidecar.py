"""Throwaway parts beside a gate: a Postgres with the service's schema, and the service itself, on a network of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule, get_current_context
from docker.types import Mount

from slipway.adapters import engine
from slipway.errors import PolicyFailed, Transient
from slipway.release import given, label
from slipway.release.telling import telling
from slipway.stages import connections, xcom
from slipway.stages.container import RUN, TIMED_OUT, evidence_of, scratch, toolbox
from slipway.stages.outcome import DEFAULTS, stage

if TYPE_CHECKING:
    from docker import APIClient

    from slipway.catalog import Service
    from slipway.catalog.service import Migrations

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
    """Give the (templated) name of the run's network for a purpose: `test` or `scan`."""
    return f"slipway-{RUN}-{purpose}"


def _name(purpose: str) -> str:
    return network_name(purpose).replace(RUN, label(get_current_context()["dag_run"].run_id))


def _labels() -> dict[str, str]:
    return {"slipway": "sidecar", "slipway.run": get_current_context()["dag_run"].run_id}


def _pulled(client: APIClient, *images: str) -> None:
    for image in images:
        engine.ensure_image(client, image)


def _start_database(
    client: APIClient, service: Service, name: str, images: dict[str, str], volume: str
) -> None:
    """Start Postgres on a new network and bring it to the schema of the checked out changelog."""
    _pulled(client, images["toolbox-postgres"], images["toolbox-migrations"])
    engine.remove_network(client, name)
    engine.network(client, name, _labels())
    engine.start(
        client,
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
        labels=_labels(),
    )
    engine.wait_until(client, f"{name}-database", ["/opt/slipway/bin/ready"], timeout_s=30)
    if not (migrations := service.deploy.migrations):
        return
    engine.start(
        client,
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
        mounts=[Mount("/workspace", volume, type="volume", read_only=True), *scratch()],
        working_dir="/workspace/src",
        memory="768m",
        cpus=2,
        labels=_labels(),
    )
    code = engine.wait_exit(client, f"{name}-schema", migrations.timeout_s)
    said = engine.log_tail(client, f"{name}-schema", 40)
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
    images = "+".join(toolbox(name) for name in ("toolbox-postgres", "toolbox-migrations", "base-python"))
    migrations = service.deploy.migrations
    return f"{images} {' '.join([migrations.engine, migrations.changelog, *_chosen(migrations)]) if migrations else ''} "


def database(service: Service, purpose: str, gate: str) -> Any:
    """Give the setup task that makes the network, the database and its schema for the task ``gate``, unless that is known."""

    @stage(task_id="database", task_display_name="Throwaway database", pool="slipway_engine")
    def start() -> None:
        context = get_current_context()
        if evidence_of(context, gate):
            print(f"{gate} has passed already: nothing is needed for it")
            return
        ti = context["ti"]
        images, volume = xcom.take(ti, given.Accepted).images, xcom.take(ti, given.Workspace).volume
        _start_database(connections.engine_hook().api_client, service, _name(purpose), images, volume)

    return start().operator.as_setup()


def running_service(service: Service, purpose: str, gate: str) -> Any:
    """Give the setup task that runs the service from its source, with its database, for ``gate``, unless that is known."""
    plan = service.scan.dynamic

    @stage(task_id="service", task_display_name="Throwaway service", pool="slipway_engine")
    def start() -> None:
        context = get_current_context()
        if evidence_of(context, gate):
            print(f"{gate} has passed already: nothing is needed for it")
            return
        ti = context["ti"]
        images, sources = xcom.take(ti, given.Accepted).images, xcom.take(ti, given.Workspace)
        client, name = connections.engine_hook().api_client, _name(purpose)
        _pulled(client, images["base-python"])
        environment = {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **plan.environment}
        if plan.database:
            _start_database(client, service, name, images, sources.volume)
            environment["DATABASE_URL"] = DATABASE_URL
        else:
            engine.network(client, name, _labels())
        engine.start(
            client,
            f"{name}-service",
            images["base-python"],
            network_mode=name,
            command=plan.command,
            environment=environment,
            mounts=[
                Mount("/workspace", sources.volume, type="volume", read_only=True),
                Mount("/deps", sources.dependencies, type="volume", read_only=True),
                *scratch(),
            ],
            working_dir="/workspace/src",
            cpus=2,
            labels=_labels(),
        )
        probe = f"import socket; socket.create_connection(('127.0.0.1', {plan.port}), 2)"
        engine.wait_until(client, f"{name}-service", ["/usr/bin/python3", "-c", probe], timeout_s=30)

    return start().operator.as_setup()


def removed(purpose: str, setup: Any, containers: Sequence[str] = ("database", "schema", "service")) -> Any:
    """Give the teardown task of ``setup`` that removes containers and network, whatever became of it and of the gate."""

    @stage(
        task_id="removed",
        task_display_name="Remove throwaway parts",
        pool="slipway_engine",
        retries=DEFAULTS["retries"] + 2,
    )
    def remove() -> None:
        client, name = connections.engine_hook().api_client, _name(purpose)
        for container in containers:
            engine.remove_container(client, f"{name}-{container}")
        engine.remove_network(client, name)
        with engine.explained("looking for what is left"):
            if engine.networks_of(client, name):
                raise Transient(f"network {name} is still there", code="engine.network-kept")

    ended = remove().operator.as_teardown(setups=setup)
    # a teardown's own rule wants its setup to have succeeded, but one that failed half-way, or was killed, left something, too
    ended.trigger_rule = TriggerRule.ALL_DONE
    return ended
