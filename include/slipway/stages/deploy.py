"""Deploy: configuration at a pinned revision, a plan of all that will change, then infrastructure, schema and manifests."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow.sdk import PokeReturnValue, TaskGroup, get_current_context

from slipway.adapters import cluster
from slipway.errors import Permanent, PolicyFailed
from slipway.release import given, manifests, reads
from slipway.release import plan as decide
from slipway.stages import connections, lanes, links, migrations, xcom
from slipway.stages.container import toolbox
from slipway.stages.outcome import stage
from slipway.stages.pod import ReleasePod
from slipway.stages.sensor import StageSensor, on_rollout

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.ledger import Release

GOES_ON = "none_failed_min_one_success"
"""The rule of what follows a branch: one way must have been gone, so that a superseded release goes none."""


def _packed(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, content in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _config(service: Service) -> Any:
    plan, namespace = service.deploy, service.deploy.namespace

    @stage(task_id="config", task_display_name="Deployment config")
    def config() -> given.Configured:
        context = get_current_context()
        ledger, run_id = connections.ledger(), context["dag_run"].run_id
        repository = connections.repository(service.config)
        # a cleared run deploys what it deployed: the revision is pinned by its first attempt
        known = ledger.record(run_id)
        revision = (known and known.config_revision) or repository.head(service.config.branch)
        repository.fetch(revision)
        accepted = xcom.take(context["ti"], given.Accepted)
        pushed, commit = xcom.take(context["ti"], given.Pushed), accepted.commit
        loaded = manifests.load(
            repository.files(revision, service.config.manifests),
            namespace=namespace,
            kinds=plan.kinds,
            released=(plan.deployment, plan.container),
        )
        version = vault_version(service)
        rendered = manifests.release_of(
            loaded,
            deployment=plan.deployment,
            container=plan.container,
            image=pushed.image,
            commit=commit,
            service=service.service,
            secrets={plan.secret.name: version} if plan.secret and version else {},
        )
        infra = infra_hash(service, revision, version, accepted.images)
        # what the API server would refuse is refused before the database is even asked
        cluster.difference(connections.cluster(), rendered)
        # infra_hash is recorded when the playbook has run
        ledger.update(run_id, config_revision=revision, manifests=rendered)
        environment = connections.platform().environment
        lanes.refuse_held(service.service, environment, commit, revision, pushed.digest)
        names = [f"{one['kind']}/{one['metadata']['name']}" for one in rendered]
        print(f"config {revision}: {', '.join(names)}")
        return given.Configured(revision=revision, infra=infra, vault=version)

    return config()


def vault_version(service: Service) -> str | None:
    """Give which version of its secret in Vault a service's pods and playbook are to have; None if they get nothing of it."""
    if not (service.deploy.secret or service.config.variables):
        return None
    return connections.secret_versioned(f"services/{service.service}")[1]


def infra_hash(service: Service, revision: str, version: str | None, images: Mapping[str, str]) -> str | None:
    """Give a hash of all that decides what the playbook does: its files, variables, toolbox, namespace; None without one.

    :param version: of the service's secret in Vault: a hash of the values themselves would be one of a secret.
    """
    if not service.config.playbook:
        return None
    files = _playbook(service, revision)
    if service.config.playbook not in files:
        raise PolicyFailed(
            f"{service.config.playbook} is not in the config repository at {revision}",
            code="config.playbook-missing",
            remedy="commit it, or correct `config.playbook` in the catalog",
        )
    variables = {"keys": sorted(service.config.variables), "version": version}
    return "sha256:" + decide.digest(
        {
            "playbook": service.config.playbook,
            "files": manifests.content_hash(files),
            "variables": variables if service.config.variables else None,
            "toolbox": images.get("toolbox-ansible"),
            "namespace": service.deploy.namespace,
        }
    )


def _planned_secret(service: Service) -> dict[str, Any]:
    """Give the service's secret in Vault, if it is still the one that the plan was made for.

    :raises Permanent: if it was changed since.
    """
    found, version = connections.secret_versioned(f"services/{service.service}")
    planned = xcom.take(get_current_context()["ti"], given.Configured).vault
    if planned not in (None, version):  # runs of earlier versions have none
        raise Permanent(
            f"Vault's secret/services/{service.service} was changed since the plan: it is {version}, planned was {planned}",
            code="config.secret-changed",
            remedy="clear this run's task `deploy.config` with downstream: a new plan is made",
        )
    return found


def _playbook(service: Service, revision: str) -> dict[str, bytes]:
    assert service.config.playbook
    folder = str(PurePosixPath(service.config.playbook).parent)
    return connections.repository(service.config).files(revision, folder)


def _infra_changed(service: Service, otherwise: str) -> Any:
    @stage(
        kind="branch",
        task_id="infra_changed",
        task_display_name="Infrastructure changed?",
        pool="slipway_cluster",
    )
    def infra_changed() -> list[str]:
        context = get_current_context()
        infra = xcom.take(context["ti"], given.Configured).infra
        environment = connections.platform().environment
        last = connections.ledger().last_good(service.service, environment)
        asked = context["params"].get("infra")
        if infra is None or (last and last.infra_hash == infra and not asked):
            print("the playbook and all that it gets are what the last good release ran: skipped")
            connections.ledger().update(context["dag_run"].run_id, **({"infra_hash": infra} if infra else {}))
            return [otherwise]
        return ["deploy.infra_check", otherwise]

    return infra_changed()


def _infra(service: Service, name: str, title: str, action: str, **kwargs: Any) -> ReleasePod:
    """Give a pod that checks or runs the playbook; it gets the playbook's files, and its variables from Vault."""
    keys = service.config.variables

    def files() -> dict[str, bytes]:
        revision = xcom.take(get_current_context()["ti"], given.Configured).revision
        return {"playbook.tgz": _packed(_playbook(service, revision))}

    def variables() -> dict[str, str]:
        found = _planned_secret(service)
        if missing := [key for key in keys if not found.get(key)]:
            raise PolicyFailed(
                f"Vault's secret/services/{service.service} has no key {missing[0]}",
                code="vault.key-missing",
                remedy="add it there, or correct `config.variables` in the catalog",
            )
        return {"variables.json": json.dumps({key: found[key] for key in keys})}

    return ReleasePod(
        task_id=name,
        task_display_name=title,
        service=service,
        image=toolbox("toolbox-ansible"),
        command=["slipway-playbook", action, service.config.playbook or "none"],
        environment={"NAMESPACE": service.deploy.namespace},
        files=files,
        secrets=variables if keys else None,
        account="slipway-infra",
        timeout_s=300,
        **kwargs,
    )


def _plan(service: Service) -> Any:
    @stage(
        task_id="plan",
        task_display_name="Plan",
        pool="slipway_cluster",
        trigger_rule=GOES_ON,
    )
    def plan() -> given.Planned:
        context = get_current_context()
        ti, ledger, run_id = context["ti"], connections.ledger(), context["dag_run"].run_id
        record = ledger.record(run_id)
        assert record is not None
        active = ledger.active(service.service, connections.platform().environment)
        status, checked = xcom.find(ti, given.Pending), xcom.find(ti, given.Checked)
        secrets = {service.deploy.secret.name: ""} if service.deploy.secret else {}
        found = decide.plan(
            image={"from": active.digest if active else None, "to": record.digest},
            config=str(record.config_revision),
            configured=active.config_revision if active else None,
            changes=_changes(record.manifests),
            pruned=[
                str(one) for one in cluster.prunable(connections.cluster(), **inventory(service, record))
            ],
            pods=reads.pods(
                (active and active.manifests) or (), record.manifests, reads.known(record.manifests, secrets)
            ),
            schema=status.show() if status else None,
            waived=status.waived if status else (),
            infra=checked.show() if checked else None,
        )
        known: dict[str, Any] = {"plan": found, "plan_hash": found["hash"]}
        if status:
            known |= {"schema_revision_before": status.revision, "schema_revision": status.revision}
        ledger.update(run_id, **known)
        print("\n".join(decide.words(found)))
        return given.Planned.load(found)

    return plan()


def _changes(rendered: list[manifests.Manifest]) -> list[decide.Change]:
    return [
        decide.Change(one.title, one.lines) for one in cluster.difference(connections.cluster(), rendered)
    ]


def _secrets(service: Service) -> Any:
    plan, secret = service.deploy, service.deploy.secret
    assert secret is not None

    @stage(task_id="secrets", task_display_name="Secrets from Vault", pool="slipway_cluster")
    def secrets() -> None:
        context = get_current_context()
        lanes.held(context)
        value = _planned_secret(service).get(secret.key)
        if not value:
            raise PolicyFailed(
                f"Vault's secret/services/{service.service} has no key {secret.key}",
                code="vault.key-missing",
                remedy="add it there, or correct `deploy.secret.key` in the catalog",
            )
        labels = {"app.kubernetes.io/part-of": service.service, "slipway/purpose": "service"}
        cluster.put_secret(
            connections.cluster(), plan.namespace, secret.name, {secret.key: value}, labels=labels
        )
        print(f"Secret {plan.namespace}/{secret.name} is what Vault has")

    return secrets()


def _migrations_needed(service: Service, otherwise: str) -> Any:
    phase = migrations.phases(service)[0]

    @stage(
        kind="branch",
        task_id="migrations",
        task_display_name="Migrations needed?",
        trigger_rule=GOES_ON,
    )
    def migrations_needed() -> str:
        planned = xcom.take(get_current_context()["ti"], given.Planned)
        needed = migrations.wanted(phase, planned)
        print(
            f"{planned.changesets_count} changesets are planned"
            f"{', and callbacks have changed' if planned.callbacks_due else ''}; "
            f"to run now: {'some' if needed else 'none'}"
        )
        return "deploy.migrate" if needed else otherwise

    return migrations_needed()


def inventory(service: Service, record: Release) -> dict[str, Any]:
    """Give what is looked at for pruning: what earlier releases applied, and what this one does."""
    ledger, environment = connections.ledger(), connections.platform().environment
    # those that failed, too: what only they applied would be forgotten
    earlier = ledger.deployed_ones(service.service, environment)
    return {
        "namespace": service.deploy.namespace,
        "inventory": [item for one in earlier for item in manifests.inventory(one.manifests or ())],
        "keep": manifests.inventory(record.manifests),
        "service": service.service,
        "kinds": service.deploy.kinds,
    }


def _apply(service: Service) -> Any:

    @stage(
        task_id="apply",
        task_display_name="Apply manifests",
        pool="slipway_cluster",
        trigger_rule=GOES_ON,
    )
    def apply() -> given.Applied:
        context = get_current_context()
        lanes.held(context)
        ledger, run_id = connections.ledger(), context["dag_run"].run_id
        record = ledger.record(run_id)
        assert record is not None
        if moved := decide.moved(record.plan, _changes(record.manifests)):
            raise PolicyFailed(
                f"the cluster is not what the plan was made of: {moved[0]}",
                code="deploy.plan-outdated",
                remedy="see who changed it; then clear this run's task `deploy.plan` with downstream: a new plan is made",
                lines=moved[1:],
            )
        if record.infra_hash is None and (infra := xcom.take(context["ti"], given.Configured).infra):
            ledger.update(run_id, infra_hash=infra)
        # before it is so: whoever finds it half applied knows whose it is, and where to go on or back from
        ledger.deployed(run_id)
        changes = cluster.apply(connections.cluster(), record.manifests)
        print("\n".join(changes))
        return given.Applied(changes=changes)

    return apply()


def _rollout(service: Service) -> Callable[[], PokeReturnValue]:
    plan, namespace = service.deploy, service.deploy.namespace

    def rollout() -> PokeReturnValue:
        digest = xcom.take(get_current_context()["ti"], given.Pushed).digest
        state = cluster.rollout(
            connections.cluster(), namespace, plan.deployment, digest, timeout_s=plan.rollout.timeout_s
        )
        if not state.complete:
            return PokeReturnValue(False, on_rollout(state))
        print(state.message)
        return PokeReturnValue(True, given.RolledOut(pods=state.pods, image_ids=state.image_ids))

    return rollout


def _settled() -> Any:
    @stage(task_id="settled", task_display_name="Schema settled", trigger_rule=GOES_ON)
    def settled() -> None:
        print("manifests are applied, and the schema is what the changelog says")

    return settled()


def deploy(service: Service) -> TaskGroup:
    """Give the group: nothing changes before the task `plan`, and after it only what it says."""
    plan = service.deploy
    with TaskGroup(
        "deploy", group_display_name="Deploy to staging", tooltip="Config, plan, schema, apply"
    ) as group:
        configured = _config(service)
        first = "deploy.pending" if plan.migrations else "deploy.plan"
        branch = _infra_changed(service, first)
        checked = _infra(service, "infra_check", "Infrastructure (check)", "check", gives=given.Checked)
        planned = _plan(service)
        infra = _infra(service, "infra", "Infrastructure (Ansible)", "run", gives=given.Run)
        applied = _apply(service)
        rolled = StageSensor(
            task_id="rollout",
            task_display_name="Rollout",
            python_callable=_rollout(service),
            timeout_s=plan.rollout.timeout_s,
        )
        # not behind the branch itself: that skips nothing to which another way leads, as it does here by the plan
        configured >> branch >> checked >> infra
        if plan.migrations:
            pending = migrations.PendingPod(
                task_id="pending",
                task_display_name="Ask the database",
                service=service,
                trigger_rule=GOES_ON,
            )
            [branch, checked] >> pending >> planned
            migrate = migrations.UpdatePod(
                task_id="migrate",
                task_display_name="Migrate",
                service=service,
                phase=migrations.phases(service)[0],
            )
            if plan.order == "after":
                needed, settled = _migrations_needed(service, "deploy.settled"), _settled()
                [planned, infra] >> applied >> rolled >> needed >> [migrate, settled]
                migrate >> settled
            else:
                needed = _migrations_needed(service, "deploy.apply")
                [planned, infra] >> needed >> [migrate, applied]
                migrate >> applied >> rolled
        else:
            [branch, checked] >> planned
            [planned, infra] >> applied >> rolled
        planned >> infra
        if plan.secret:
            planned >> _secrets(service) >> applied
        applied.operator.operator_extra_links = (links.PodsLink(), links.ReleaseLink())
    return group
