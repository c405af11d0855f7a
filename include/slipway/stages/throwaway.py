"""A throwaway Postgres with the service's schema, for a gate.

What its changelog makes of an empty database is kept, as Postgres' own files in a volume named after all that it is made of: a
push that changes no migration starts no migration tool for its gates.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed, Transient
from slipway.release.telling import telling
from slipway.stages.checkout import LABELS

if TYPE_CHECKING:
    from slipway.catalog.service import Migrations
    from slipway.release import given
    from slipway.stages.stage import Run
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
_WRITTEN = ["sh", "-c", "PGPASSWORD=throwaway psql -h 127.0.0.1 -U postgres -d service -qc CHECKPOINT"]

VOLUMES = "slipway-schema-"
"""Beginning of the volumes of empty databases that a changelog was applied to."""
_DATA, _SEED = "/var/lib/postgresql", "/seed"


def labels(run: Run) -> dict[str, str]:
    """Give the labels of what stands beside a gate of a run."""
    return {"slipway": "sidecar", "slipway.run": run.run_id}


def chosen(migrations: Migrations) -> list[str]:
    """Give the options that say what of the changelog runs on a throwaway database. It is empty: there is no baseline."""
    if migrations.engine == "flyway":
        return []
    more = ["--labels", migrations.labels] if migrations.labels else []
    return ["--contexts", ",".join(migrations.gate_contexts), *more]


def start(run: Run, accepted: given.Accepted, sources: given.Workspace, name: str) -> None:
    """Start Postgres on a new network, with the schema of the checked out changelog.

    :param name: of the network; what is on it is called after it.
    :raises PolicyFailed: if the changelog cannot be applied. :raises Transient: if the database gives way.
    """
    engine, migrations = run.world.engine(), run.service.deploy.migrations
    image = accepted.images["toolbox-postgres"]
    engine.ensure_image(image)
    engine.remove_network(name)
    engine.network(name, labels(run))
    if migrations is None:
        _postgres(engine, run, name, image)
        return
    volume = VOLUMES + _key(run, accepted, migrations)
    with run.world.ledger().exclusive(volume, migrations.timeout_s + 60):
        if not engine.has_file(image, volume, _SEED, ".complete"):
            _make(engine, run, accepted, sources, name, volume, migrations)
    _postgres(engine, run, name, image, seed=volume)


def _key(run: Run, accepted: given.Accepted, migrations: Migrations) -> str:
    """Give the key of all that a schema is made of.

    Of the changelog it is the folder that a release's pods get: what lies outside of that is not there when the service is
    deployed, and the release fails then.
    """
    folder = PurePosixPath(migrations.changelog).parts[0]
    files = [
        (one.path, one.mode, one.object)
        for one in run.world.repository(run.service.source).tree(accepted.commit)
        if one.path.split("/", 1)[0] == folder
    ]
    images = [accepted.images[one] for one in ("toolbox-postgres", "toolbox-migrations")]
    made_of = [
        run.service.service,
        images,
        migrations.engine,
        migrations.changelog,
        chosen(migrations),
        files,
    ]
    # a path may have bytes that are no UTF-8
    return hashlib.sha256(json.dumps(made_of).encode("ascii")).hexdigest()[:40]


def _make(
    engine: Engine,
    run: Run,
    accepted: given.Accepted,
    sources: given.Workspace,
    name: str,
    volume: str,
    migrations: Migrations,
) -> None:
    """Apply the changelog to an empty database in a volume."""
    image = accepted.images["toolbox-postgres"]
    engine.ensure_image(accepted.images["toolbox-migrations"])
    engine.prepare_volume(image, volume, _SEED, LABELS)
    _postgres(engine, run, name, image, into=volume)
    _migrate(engine, run, accepted, sources, name, migrations)
    # it is ended as by kill -9, and has nothing to recover when it is started again
    engine.wait_until(f"{name}-database", _WRITTEN, timeout_s=60)
    engine.remove_container(f"{name}-database")
    engine.fill_volume(
        image, volume, _SEED, io.BytesIO(bytes(1024))
    )  # an empty tar: only that it is complete


def _postgres(
    engine: Engine, run: Run, name: str, image: str, *, into: str | None = None, seed: str | None = None
) -> None:
    """Start Postgres and wait until it answers.

    :param into: a volume for its files, of which those of an attempt that was killed go first. :param seed: a volume with those
        that it begins with.
    """
    from docker.types import Mount

    memory = Mount(_DATA, None, type="tmpfs", tmpfs_size=1 << 30, tmpfs_mode=0o1777)
    more = {"POSTGRES_SEED": f"{_SEED}/data"} if seed else {"POSTGRES_ANEW": "1"}
    engine.start(
        f"{name}-database",
        image,
        network_mode=name,
        aliases=["database"],
        environment={"POSTGRES_DB": "service", "POSTGRES_PASSWORD": "throwaway", **more},
        mounts=[
            Mount(_DATA, into, type="volume") if into else memory,
            *([Mount(_SEED, seed, type="volume", read_only=True)] if seed else []),
            Mount("/tmp", None, type="tmpfs", tmpfs_size=64 << 20, tmpfs_mode=0o1777),
        ],
        memory="768m",
        cpus=2,
        labels=labels(run),
    )
    engine.wait_until(f"{name}-database", ["/opt/slipway/bin/ready"], timeout_s=30)


def _migrate(
    engine: Engine,
    run: Run,
    accepted: given.Accepted,
    sources: given.Workspace,
    name: str,
    migrations: Migrations,
) -> None:
    from docker.types import Mount

    from slipway.stages.container_run import TIMED_OUT

    engine.start(
        f"{name}-schema",
        accepted.images["toolbox-migrations"],
        network_mode=name,
        command=[
            *("sh", "-c", _SCHEMA, "schema", "update", "--phase", "all"),
            *("--engine", migrations.engine, "--changelog", migrations.changelog, *chosen(migrations)),
        ],
        environment={
            "HOME": "/tmp",
            "WORK": "/workspace/src",
            "CREDENTIALS": json.dumps(_CREDENTIALS),
            "DATABASE": "/tmp/database.json",
            "RESULT": "/tmp/result.json",
        },
        mounts=[
            Mount("/workspace", sources.volume, type="volume", read_only=True),
            Mount("/tmp", None, type="tmpfs", tmpfs_size=512 << 20, tmpfs_mode=0o1777),
            Mount("/out", None, type="volume"),
        ],
        working_dir="/workspace/src",
        memory="768m",
        cpus=2,
        labels=labels(run),
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
