"""Deploy: configuration at a pinned revision, leased credentials, infrastructure and schema only if they change, then apply."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow.sdk import PokeReturnValue, TaskGroup, get_current_context
from airflow.sdk.log import mask_secret

from slipway.adapters import cluster, vault
from slipway.errors import PolicyFailed, SlipwayError
from slipway.release import label, manifests
from slipway.stages import connections, lanes, links
from slipway.stages.container import RUN, toolbox
from slipway.stages.image import PUSHED
from slipway.stages.outcome import stage
from slipway.stages.pod import ReleasePod
from slipway.stages.sensor import StageSensor

if TYPE_CHECKING:
    from slipway.catalog import Service

SECRET = f"slipway-{RUN}"
"""Name of the run's own Secret and ConfigMap (templated); both go when the run ends."""

GOES_ON = "none_failed_min_one_success"
"""The rule of what follows a branch: one way must have been gone, so that a superseded release goes none."""

# A changelog or a changeset that fails is the service's fault; a database that is not there, or is locked, is not.
_LIQUIBASE = r"""
set -eu
lb() { liquibase --defaults-file=/run/slipway/liquibase.properties --search-path=/work --changelog-file="$CHANGELOG" "$@"; }
failed() {
  cat "$@"
  if cat "$@" | grep -qiE "$ABSENT"; then exit 3; fi
  exit 1
}
ABSENT='connection (could not|refused)|could not connect|the connection attempt failed|authentication failed'
ABSENT="$ABSENT|could not acquire change log lock|terminating connection|the database system is|unknown host"
"""

# Liquibase prints one line for each changeset that is not applied (status) and that is (history): `  path::id::author`.
_PENDING = (
    _LIQUIBASE
    + r"""
lb history --format=TEXT >/tmp/history 2>/tmp/history.log & history=$!
lb status --verbose >/tmp/status 2>/tmp/status.log || failed /tmp/status /tmp/status.log
wait $history || failed /tmp/history.log
cat /tmp/status
pending=$(grep -cE '^ +[^ ]+::.+::' /tmp/status || true)
revision=$(sed -n 's/^  \([^ ].*::.*::.*\)$/\1/p' /tmp/history | tail -n 1 | tr -d '"\\')
printf '{"pending": %d, "revision": "%s"}' "$pending" "$revision" >/dev/termination-log
"""
)

# A killed pod leaves Liquibase's lock, which names it: its owner is dead if no such pod runs. Nobody else takes the lock
# meanwhile: whoever migrates holds the lane.
_MIGRATE = (
    _LIQUIBASE
    + r"""
lb list-locks >/tmp/locks 2>/tmp/locks.log || failed /tmp/locks /tmp/locks.log
for holder in $(sed -n 's/^ *- \([^ ]*\) (.*) at .*/\1/p' /tmp/locks); do
  case " $PODS " in *" $holder "*) echo "pod $holder is migrating this database now"; exit 3;; esac
  case "$holder" in deploy-migrate-*) ;; *) echo "$holder, which is no pod of a release, holds Liquibase's lock"; exit 3;; esac
  echo "Liquibase's lock was left by $holder, a pod that does not run any more: it is released"
  lb release-locks >/tmp/locks.log 2>&1 || failed /tmp/locks.log
done
lb update >/tmp/update 2>&1 || failed /tmp/update
cat /tmp/update
revision=$(sed -n 's/^Running Changeset: //p' /tmp/update | tail -n 1 | tr -d '"\\')
printf '{"revision": "%s"}' "$revision" >/dev/termination-log
"""
)

# A task that fails is the playbook's fault; a server that does not answer it is not, and neither is a broken Ansible (250).
_PLAYBOOK = r"""
set -eu
mkdir /tmp/playbook && tar -xzf /files/playbook.tgz -C /tmp/playbook && cd /tmp/playbook
code=0
ansible-playbook --extra-vars "namespace=$NAMESPACE" "$PLAYBOOK" >/tmp/said 2>&1 || code=$?
cat /tmp/said
if [ $code = 0 ]; then exit 0; fi
if [ $code = 250 ] || grep -qiE 'connection refused|max retries exceeded|timed out|no route to host' /tmp/said; then exit 3; fi
exit 1
"""


def _packed(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, content in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _secret_name(run_id: str) -> str:
    return f"slipway-{label(run_id)}"


def _labels(service: Service) -> dict[str, str]:
    return {"app.kubernetes.io/part-of": service.service, "slipway/purpose": "release"}


def _config(service: Service) -> Any:
    plan, namespace = service.deploy, service.deploy.namespace

    @stage(task_id="config", task_display_name="Deployment config")
    def config() -> dict[str, Any]:
        context = get_current_context()
        ledger, run_id = connections.ledger(), context["dag_run"].run_id
        repository = connections.repository(service.config)
        # a cleared run deploys what it deployed: the revision is pinned by its first attempt
        known = ledger.record(run_id)
        revision = (known and known.config_revision) or repository.head(service.config.branch)
        repository.fetch(revision)
        commit = context["ti"].xcom_pull("accept")["commit"]
        loaded = manifests.load(
            repository.files(revision, service.config.manifests), namespace=namespace, kinds=plan.kinds
        )
        rendered = manifests.release_of(
            loaded,
            deployment=plan.deployment,
            container=plan.container,
            image=context["ti"].xcom_pull("image.push")["image"],
            commit=commit,
            service=service.service,
        )
        infra = None
        if service.config.playbook:
            folder = str(PurePosixPath(service.config.playbook).parent)
            files = repository.files(revision, folder)
            if service.config.playbook not in files:
                raise PolicyFailed(f"{service.config.playbook} is not in the config repository at {revision}")
            infra = manifests.content_hash(files)
        # what the API server would refuse is refused before anything is changed, here or in the database
        changes = [one for one in cluster.difference(connections.cluster(), rendered) if one]
        # infra_hash is recorded when the playbook has run
        ledger.update(run_id, config_revision=revision, manifests=rendered)
        names = [f"{one['kind']}/{one['metadata']['name']}" for one in rendered]
        print(f"config {revision}: {', '.join(names)}")
        for change in changes:
            print(f"{change.title} will change:", *change.lines, sep="\n  ")
        return {"revision": revision, "infra": infra}

    return config()


def _credentials(service: Service) -> Any:
    plan, namespace = service.deploy, service.deploy.namespace

    @stage(task_id="credentials", task_display_name="Credentials from Vault", pool="slipway_cluster")
    def credentials() -> None:
        context = get_current_context()
        lanes.held(context)
        run_id, found = context["dag_run"].run_id, context["ti"].xcom_pull("deploy.config")
        api, client = connections.cluster(), connections.vault_client()
        name = _secret_name(run_id)
        # Airflow leaves out the teardown of a setup that fails
        with ExitStack() as given_back:
            if service.config.playbook:
                # here, not where it is decided to run it: this setup runs again when only the playbook's task is cleared
                folder = str(PurePosixPath(service.config.playbook).parent)
                files = connections.repository(service.config).files(found["revision"], folder)
                given_back.callback(_as_far_as_possible, cluster.delete, api, "config_map", namespace, name)
                cluster.put_config_map(
                    api, namespace, name, {"playbook.tgz": _packed(files)}, labels=_labels(service)
                )
            if plan.secret:
                value = connections.secret(f"services/{service.service}").get(plan.secret.key)
                if not value:
                    raise PolicyFailed(
                        f"Vault's secret/services/{service.service} has no key {plan.secret.key}",
                        remedy="add it there, or correct `deploy.secret.key` in the catalog",
                    )
                cluster.put_secret(
                    api, namespace, plan.secret.name, {plan.secret.key: value}, labels=_labels(service)
                )
            if plan.migrations:
                _revoke(namespace, run_id)  # of an attempt that was killed
                lease = vault.lease_database(client, plan.migrations.credentials)
                mask_secret(lease.password)
                given_back.callback(_as_far_as_possible, vault.revoke, client, lease.id)
                given_back.callback(_as_far_as_possible, cluster.delete, api, "secret", namespace, name)
                database = connections.platform().database
                properties = {
                    "url": f"jdbc:postgresql://{database.host}:{database.port}/{plan.migrations.database}",
                    "username": lease.username,
                    "password": lease.password,
                }
                cluster.put_secret(
                    api,
                    namespace,
                    name,
                    {"liquibase.properties": "".join(f"{k}={v}\n" for k, v in properties.items())},
                    labels=_labels(service),
                    annotations={"slipway/lease": lease.id, "slipway/run": run_id},
                )
                print(
                    f"leased {plan.migrations.credentials} for {lease.seconds} s into Secret {namespace}/{name}"
                )
            given_back.pop_all()

    return credentials()


def _as_far_as_possible(act: Callable[..., object], *arguments: object) -> None:
    """Do what follows a failure, which matters more than that this fails, too."""
    try:
        act(*arguments)
    except SlipwayError as e:
        print(f"not given back: {e.message}")


def _revoke(namespace: str, run_id: str) -> None:
    """Revoke the lease of a run, if it has one, and remove the Secret that held its credentials."""
    api, name = connections.cluster(), _secret_name(run_id)
    annotations = cluster.secret_annotations(api, namespace, name)
    if annotations is None:
        return
    if lease := annotations.get("slipway/lease"):
        vault.revoke(connections.vault_client(), lease)
        print("lease revoked")
    cluster.delete(api, "secret", namespace, name)


def _revoked(service: Service) -> Any:
    namespace = service.deploy.namespace

    @stage(
        task_id="revoked",
        task_display_name="Revoke credentials",
        pool="slipway_cluster",
        trigger_rule="all_done_setup_success",
        retries=6,
    )
    def revoked() -> None:
        run_id = get_current_context()["dag_run"].run_id
        _revoke(namespace, run_id)
        cluster.delete(connections.cluster(), "config_map", namespace, _secret_name(run_id))

    return revoked()


def _infra_changed(service: Service) -> Any:
    plan = service.deploy

    @stage(
        kind="branch",
        task_id="infra_changed",
        task_display_name="Infrastructure changed?",
        pool="slipway_cluster",
    )
    def infra_changed() -> str:
        context = get_current_context()
        found = context["ti"].xcom_pull("deploy.config")
        environment = connections.platform().environment
        last = connections.ledger().last_good(service.service, environment)
        if found["infra"] is None or (last and last.infra_hash == found["infra"]):
            print("the playbook and its files are what the last good release ran: skipped")
            connections.ledger().update(
                context["dag_run"].run_id, **({"infra_hash": found["infra"]} if found["infra"] else {})
            )
            return "deploy.pending" if plan.migrations and plan.order == "before" else "deploy.apply"
        return "deploy.infra"

    return infra_changed()


def _migrations_needed(otherwise: str) -> Any:
    @stage(
        kind="branch",
        task_id="migrations",
        task_display_name="Migrations needed?",
        trigger_rule=GOES_ON,
    )
    def migrations_needed() -> str:
        context = get_current_context()
        status = context["ti"].xcom_pull("deploy.pending")
        connections.ledger().update(
            context["dag_run"].run_id,
            schema_revision_before=status["revision"],
            schema_revision=status["revision"],
        )
        print(
            f"{status['pending']} changesets are not applied; the database is at {status['revision'] or 'nothing'}"
        )
        return "deploy.migrate" if status["pending"] else otherwise

    return migrations_needed()


def _apply(service: Service) -> Any:

    @stage(
        task_id="apply",
        task_display_name="Apply manifests",
        pool="slipway_cluster",
        trigger_rule=GOES_ON,
    )
    def apply() -> list[str]:
        context = get_current_context()
        lanes.held(context)
        ledger, run_id = connections.ledger(), context["dag_run"].run_id
        record = ledger.record(run_id)
        assert record is not None
        if record.infra_hash is None and (infra := context["ti"].xcom_pull("deploy.config")["infra"]):
            ledger.update(run_id, infra_hash=infra)
        _record_schema(context)
        changes = cluster.apply(connections.cluster(), record.manifests)
        ledger.deployed(run_id)
        print("\n".join(changes))
        return changes

    return apply()


def _rollout(service: Service) -> Callable[[], PokeReturnValue]:
    plan, namespace = service.deploy, service.deploy.namespace

    def rollout() -> PokeReturnValue:
        digest = get_current_context()["ti"].xcom_pull("image.push")["digest"]
        state = cluster.rollout(connections.cluster(), namespace, plan.deployment, digest)
        print(state.message)
        return PokeReturnValue(
            state.complete,
            {"pods": list(state.pods), "image_ids": list(state.image_ids)}
            if state.complete
            else state.message,
        )

    return rollout


def _record_schema(context: Any) -> None:
    if migrated := context["ti"].xcom_pull("deploy.migrate"):
        connections.ledger().update(context["dag_run"].run_id, schema_revision=migrated["revision"])


def _settled() -> Any:
    @stage(task_id="settled", task_display_name="Schema settled", trigger_rule=GOES_ON)
    def settled() -> None:
        _record_schema(get_current_context())
        print("manifests are applied, and the schema is what the changelog says")

    return settled()


def deploy(service: Service) -> TaskGroup:
    """Give the group; within it `credentials` and `revoked` are a setup and teardown around all that needs them."""
    plan, namespace = service.deploy, service.deploy.namespace
    with TaskGroup(
        "deploy", group_display_name="Deploy to staging", tooltip="Config, credentials, apply"
    ) as group:
        configured = _config(service)
        leased = _credentials(service).operator.as_setup()
        ended = _revoked(service).operator.as_teardown(setups=leased)
        branch = _infra_changed(service)
        infra = ReleasePod(
            task_id="infra",
            task_display_name="Infrastructure (Ansible)",
            service=service,
            image=toolbox("toolbox-ansible"),
            command=["sh", "-c", _PLAYBOOK],
            environment={
                "NAMESPACE": namespace,
                "PLAYBOOK": service.config.playbook or "none",
            },
            files=SECRET,
            account="slipway-infra",
            timeout_s=300,
        )
        applied = _apply(service)
        rolled = StageSensor(
            task_id="rollout",
            task_display_name="Rollout",
            python_callable=_rollout(service),
            timeout_s=plan.rollout.timeout_s,
        )
        configured >> leased >> branch >> infra
        if plan.migrations:
            changelog = plan.migrations.changelog
            pod: dict[str, Any] = {
                "service": service,
                "image": toolbox("toolbox-liquibase"),
                "environment": {"CHANGELOG": changelog},
                "init": {
                    "image": PUSHED,
                    "command": ["cp", "-r", f"/app/{PurePosixPath(changelog).parts[0]}", "/work/"],
                },
                "secret": SECRET,
                "timeout_s": plan.migrations.timeout_s,
            }
            pending = ReleasePod(
                task_id="pending",
                task_display_name="Ask the database",
                command=["sh", "-c", _PENDING],
                trigger_rule=GOES_ON,
                **pod,
            )
            migrate = ReleasePod(
                task_id="migrate",
                task_display_name="Migrate (Liquibase)",
                command=["sh", "-c", _MIGRATE],
                neighbours=True,
                **pod,
            )
            if plan.order == "before":
                needed = _migrations_needed("deploy.apply")
                [branch, infra] >> pending >> needed >> [migrate, applied]
                migrate >> applied >> rolled
            else:
                needed = _migrations_needed("deploy.settled")
                settled = _settled()
                [branch, infra] >> applied >> rolled >> pending >> needed >> [migrate, settled]
                migrate >> settled
            migrate >> ended
        else:
            [branch, infra] >> applied >> rolled
            infra >> ended
        applied.operator.operator_extra_links = (links.PodsLink(), links.ReleaseLink())
    return group
