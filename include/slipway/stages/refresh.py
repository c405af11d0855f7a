"""The nightly refresh of one service: look, check again, release what is stale, re-apply what has drifted; and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Asset, PokeReturnValue, TaskGroup, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from slipway.adapters import cluster
from slipway.errors import Permanent, PolicyFailed, SlipwayError, Transient
from slipway.ledger import refreshes, wishes
from slipway.release import Outcome, Status, given, obstacles, reads
from slipway.release import refresh as decide
from slipway.stages import checkout, connections, lane, reconcile, rollback, xcom
from slipway.stages.config import infra_hash, playbook, vault_version
from slipway.stages.container import ContainerOperator
from slipway.stages.lanes import MARGIN_S
from slipway.stages.outcome import recorded, seconds, stage
from slipway.stages.sensor import StageSensor
from slipway.stages.verify import look

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Context

    from slipway.adapters.git import Repository
    from slipway.catalog import Service
    from slipway.ledger import Ledger, Release

RELEASE_S = 7800
"""Seconds until a release that the refresh asked for must have ended: its own two hours, and what Airflow needs."""

SHOWN = 200
"""Lines of one object's difference that are shown and kept."""

BASE_LABEL = "org.opencontainers.image.base.name"

ASSET = Asset(name="refresh/staging", uri="slipway://refresh/staging")
"""Has an event for each refresh, with how it ended: other DAGs may be scheduled by it."""


def _id(service: str, kind: type[given.Given]) -> str:
    """Give the id of the task in a service's group that gives something."""
    return f"{service}.{kind.by}"


def service_group(service: Service) -> TaskGroup:
    """Give the group of a service's refresh."""
    plan, name = service.deploy, service.service
    locks = service.source.dependencies
    with TaskGroup(name, group_display_name=service.title, tooltip=f"Refresh {service.title}") as group:
        looked = _look(service)
        sources = _workspace(service)
        checked = ContainerOperator(
            task_id="dependencies",
            task_display_name="Vulnerable dependencies",
            image=xcom.templated(given.Looked, "images", "toolbox-scan", of=_id(name, given.Looked)),
            command=["/opt/slipway/bin/dependencies", locks.runtime, locks.development],
            timeout_s=service.scan.dependencies.timeout_s,
            workspace=_id(name, given.CheckedOut),
            environment={
                "SLIPWAY_ADVISORIES_MAX_AGE_DAYS": xcom.templated(
                    given.Looked, "advisories_max_age_days", of=_id(name, given.Looked)
                )
            },
        )
        released = ReleaseAgain(task_id="release", task_display_name="Release again", service=service)
        ended = _released(service)
        repaired = _drift(service)
        healthy = StageSensor(
            task_id="healthy",
            task_display_name="Healthy",
            python_callable=_healthy(service),
            timeout_s=service.verify.health.timeout_s,
            changes=False,
            trigger_rule="all_done",
        )
        looked >> sources >> checked >> released >> ended >> repaired >> healthy
        repaired.operator.execution_timeout = seconds(plan.rollout.timeout_s)
    return group


def broken_group(file: Path) -> TaskGroup:
    """Give the group of a service whose file in the catalog is wrong: its only task says what is."""
    with TaskGroup(file.stem, tooltip=f"{file.name} cannot be read") as group:

        @stage(task_id="look", task_display_name="Look")
        def look() -> None:
            from slipway.catalog import load_service

            load_service(file)
            raise Transient(
                f"{file} has been mended since this run began",
                code="catalog.mended-meanwhile",
                remedy="clear the run",
            )

        look()
    return group


def _look(service: Service) -> Any:
    name = service.service

    @stage(task_id="look", task_display_name="Look")
    def look() -> given.Looked:
        context = get_current_context()
        platform, ledger, refresh = connections.platform(), connections.ledger(), context["dag_run"].run_id
        refreshes.begin(ledger, refresh, platform.environment)
        release = refreshes.active(ledger, name, platform.environment)
        if release is None:
            raise AirflowSkipException("nothing is deployed")
        if not (release.digest and release.manifests):
            raise Permanent(
                f"the record of {release.run_id} has no image or no manifests",
                code="refresh.record-incomplete",
                remedy=f"release it again: slipway release {name} {release.commit} --again",
            )
        registry, _ = connections.registry()
        image = registry.image(service.image.repository, release.digest)
        used = dict(release.images or {})
        if image and BASE_LABEL in image.labels:  # what is in the image, whatever was recorded
            used[decide.BASE] = image.labels[BASE_LABEL]
        stale = decide.stale(used, platform.images, published=image is not None)
        configured = _configured(service, release, ledger)
        stale += configured.stale
        head, moved = _moved(context, service)
        commit, ref, asked = release.commit, release.ref, refreshes.asked_for(ledger, refresh, name)
        if asked and (begun := wishes.find(ledger, asked)):  # by an earlier try of this task
            commit, ref, requested_at = begun.commit, begun.ref, begun.requested_at
        elif head:
            wished = reconcile.ask(service, head, asked_by="refresh")
            commit, ref, requested_at = head, f"refs/heads/{service.source.branch}", wished.requested_at
            asked = refreshes.asked_for(ledger, refresh, name, wished.run_id)
        elif stale:
            # any push since the one that is deployed is newer, and wins
            requested_at = release.requested_at + timedelta(microseconds=1)
            wished = wishes.ask(
                ledger,
                name,
                platform.environment,
                commit,
                ref=ref,
                is_head=False,
                asked_by="refresh",
                again=True,
                requested_at=requested_at,
            )
            asked = refreshes.asked_for(ledger, refresh, name, wished.run_id)
        else:
            requested_at = release.requested_at
        good = ledger.last_good(name, platform.environment)
        found = [
            *([] if good and good.run_id == release.run_id else [f"{release.run_id} is not a good release"])
        ]
        found += moved
        found += [f"stale: {why}" for why in stale] + list(configured.left)
        print(f"{name}: {release.run_id} is deployed, commit {release.commit}, image {release.digest}")
        print("\n".join(found) if found else "made with tonight's images")
        return given.Looked(
            service=name,
            environment=platform.environment,
            run_id=release.run_id,
            commit=commit,
            ref=ref,
            requested_at=requested_at.isoformat(),
            found=found,
            release=asked,
            images=dict(platform.images),
            advisories_max_age_days=platform.advisories.max_age_days,
        )

    return look()


def _configured(service: Service, release: Release, ledger: Ledger) -> decide.Configured:
    """Tell whether what was deployed with is still what config repository and Vault have."""
    repository, used = connections.repository(service.config), str(release.config_revision)
    head = repository.head(service.config.branch)
    repository.fetch(head)
    world = connections.Outside()
    version = vault_version(world, service)
    infra = infra_hash(service, head, playbook(world, service, head), version, release.images or {})
    left = [
        one.run_id
        for one in ledger.releases(service.service, 50, release.environment)
        if one.rolled_back_to and one.config_revision == head and one.started_at > release.started_at
    ]
    hold = ledger.held(service.service, release.environment, release.commit, head, release.digest)
    secret = service.deploy.secret
    now = used if _same_manifests(service, repository, used, head) else head
    return decide.configured(
        decide.Inputs(
            used, reads.of_secret(release.manifests, secret.name if secret else None), release.infra_hash
        ),
        decide.Inputs(now, version if secret else None, infra),
        left=left or ([str(hold.run_id)] if hold and hold.run_id else []),
    )


def _same_manifests(service: Service, repository: Repository, used: str, head: str) -> bool:
    """Tell whether two revisions have the same manifests; not if the older one was taken away by force."""
    if used == head:
        return True
    folder = service.config.manifests
    return repository.on_branch(used, service.config.branch) and (
        repository.files(used, folder) == repository.files(head, folder)
    )


def _moved(context: Context, service: Service) -> tuple[str | None, list[str]]:
    """Give the head of the release branch if it is to be released now, and what there is to say where it is not deployed.

    What is asked and answered is the reconciler's: the refresh must not mend what the branch has left.
    """
    branch = service.source.branch
    try:
        head = connections.repository(service.source).head(branch)
    except SlipwayError as e:
        # what is deployed is looked after all the same
        return None, [f"whether {branch} has moved is not known: {e.message}"]
    ledger, environment = connections.ledger(), connections.platform().environment
    why = reconcile.why_not(context, service, head)
    if why is None:
        return head, [f"{branch} is at {head[:12]}, whose release nobody has started"]
    active = refreshes.active(ledger, service.service, environment)
    if active is None or active.commit == head:
        return None, []
    return None, [f"{branch} is at {head[:12]}, which is not what is deployed: {why.splitlines()[0]}"]


def _looked(context: Context, service: Service) -> given.Looked:
    """Give what `look` found.

    :raises AirflowSkipException: if it found nothing, or did not get to an end.
    """
    found = xcom.find(context["ti"], given.Looked, of=_id(service.service, given.Looked))
    if found is None:
        raise AirflowSkipException("nothing is known to be deployed")
    return found


def _workspace(service: Service) -> Any:
    @stage(task_id="workspace", task_display_name="Check out what is deployed")
    def workspace() -> given.Workspace:
        looked = _looked(get_current_context(), service)
        return checkout.workspace(connections.Outside(), service, looked.commit, looked.images)

    return workspace()


class ReleaseAgain(TriggerDagRunOperator):
    """Starts the release that `look` asked for, unless it was started already; skipped if none is needed.

    One of the same commit counts as asked for right after the one that is deployed: any push since then is newer, and
    supersedes it.
    """

    def __init__(self, *, service: Service, **kwargs: Any) -> None:
        self.service = service
        super().__init__(trigger_dag_id=service.dag_id, logical_date=None, **kwargs)

    def execute(self, context: Context) -> None:
        """Start it.

        :raises AirflowSkipException: if nothing is stale.
        """
        ti: Any = context["ti"]
        with recorded(context):
            looked = _looked(context, self.service)
            release = looked.release
            if release is None:
                raise AirflowSkipException("nothing is stale")
            there = ti.get_dr_count(dag_id=self.trigger_dag_id, run_ids=[release])
            dag = obstacles.Dag(self.trigger_dag_id, is_paused=ti.get_dag(self.trigger_dag_id).is_paused)
            for one in obstacles.of_dag(dag):
                raise Permanent(
                    f"nothing can be released: {one.what}",
                    code=one.code,
                    remedy=f"{one.remedy}; then clear this task with downstream",
                )
        if there:
            print(f"{release} was started already")
            return
        self.trigger_run_id = release
        self.conf = {"service": looked.service, "commit": looked.commit, "ref": looked.ref}
        self.run_after = datetime.fromisoformat(looked.requested_at)
        super().execute(context)


def _released(service: Service) -> Any:
    @stage(
        kind="sensor",
        task_id="released",
        task_display_name="Released",
        # a slot of the executor is free between two looks: the releases that are waited for need them
        mode="reschedule",
        poke_interval=5,
        timeout=RELEASE_S,
        execution_timeout=timedelta(seconds=60),
    )
    def released() -> PokeReturnValue:
        context = get_current_context()
        release = str(_looked(context, service).release)
        state = context["ti"].get_dagrun_state(service.dag_id, release)
        if state not in ("success", "failed"):
            return PokeReturnValue(False)
        ended = connections.ledger().record(release)
        if ended is None:
            raise Permanent(
                f"{release} ended without a record",
                code="refresh.release-without-record",
                remedy="see its task `accept` in Airflow",
            )
        return PokeReturnValue(True, given.ReleasedAgain(said=[_said(ended)]).dump())

    return released()


def _said(ended: Release) -> str:
    """Give the end of a release that the refresh asked for.

    :raises PolicyFailed: if it failed. :raises Permanent: if it errored, or never ended.
    """
    if ended.status is Status.PASSED:
        return f"released again: {ended.run_id}, image {ended.digest}"
    if ended.status is Status.SUPERSEDED:
        return f"{ended.run_id} was superseded by {ended.superseded_by}"
    kind = PolicyFailed if ended.status is Status.FAILED else Permanent
    why = next(iter((ended.reason or "").splitlines()), "see its run in Airflow")
    raise kind(
        f"{ended.run_id} {ended.status} at {ended.stage or 'no stage'}: {why}",
        code="refresh.release-not-healthy",
        remedy=f"slipway releases show {ended.service} {ended.commit[:12]}",
    )


def _drift(service: Service) -> Any:
    name, plan = service.service, service.deploy

    @stage(
        task_id="drift",
        task_display_name="Drift",
        pool="slipway_cluster",
        trigger_rule="all_done",
    )
    def drift() -> given.Repaired:
        context = get_current_context()
        environment = _looked(context, service).environment
        ledger, refresh, api = connections.ledger(), context["dag_run"].run_id, connections.cluster()
        release = refreshes.active(ledger, name, environment)
        assert release is not None
        if not (found := _differences(api, release)):
            print("the cluster is as it was released")
            return given.Repaired()
        ttl_s = plan.rollout.timeout_s + MARGIN_S
        holder = ledger.lane_acquire(name, environment, refresh, ttl_s)
        if holder and lane.is_run(ledger, holder.run_id) and not lane.runs(context, service, holder.run_id):
            print(f"{holder.run_id} has ended without leaving the lane: it is free")
            ledger.lane_release(name, environment, holder.run_id)
            holder = ledger.lane_acquire(name, environment, refresh, ttl_s)
        if holder:
            left = f"not repaired: {holder.run_id} is changing {name}, and applies its own manifests"
            print(left)
            return _told(found, [left])
        try:
            # once more, now that nobody else changes anything
            release = refreshes.active(ledger, name, environment)
            assert release is not None
            found = _differences(api, release)
            drifted = {one.title for one in found}
            again = [
                one for one in release.manifests if f"{one['kind']}/{one['metadata']['name']}" in drifted
            ]
            done = [f"re-applied {one}" for one in cluster.apply(api, again, force=True)]
            print("\n".join(done))
            rollback.settle(api, service, str(release.digest))
        finally:
            ledger.lane_release(name, environment, refresh)
        return _told(found, done)

    return drift()


def _differences(api: Any, release: Release) -> list[cluster.Difference]:
    found = [one for one in cluster.difference(api, release.manifests, force=True) if one]
    for one in found:
        print("\n".join([f"{one.title} is not as {release.run_id} left it", *one.lines[:SHOWN]]))
        print("\n".join(f"  changed by another: {owner}" for owner in one.owners))
    return found


def _told(found: Sequence[cluster.Difference], done: list[str]) -> given.Repaired:
    drifted = [
        f"drifted: {one.title}" + (f" (changed by another: {', '.join(one.owners)})" if one.owners else "")
        for one in found
    ]
    shown = [
        {"title": one.title, "lines": list(one.lines[:SHOWN]), "owners": list(one.owners)} for one in found
    ]
    return given.Repaired(found=drifted, done=done, differences=shown)


def _healthy(service: Service) -> Any:
    """Give what asks once whether the service works, and is the commit that the ledger says."""

    def healthy() -> PokeReturnValue:
        environment = _looked(get_current_context(), service).environment
        release = refreshes.active(connections.ledger(), service.service, environment)
        assert release is not None
        state, lacks = look(connections.Outside().cluster(), service, str(release.digest), release.commit)
        if lacks:
            return PokeReturnValue(False, lacks)
        print(f"healthy as {release.run_id}, commit {release.commit}: {state.message}")
        return PokeReturnValue(True)

    return healthy


def report(services: Sequence[str], cleaned: Sequence[str]) -> Any:
    """Give the task that always tells what was done: in its log, in the ledger, as an asset event.

    :param services: groups of the services. :param cleaned: ids of the tasks that clean up.
    """

    @stage(task_id="report", task_display_name="Report", trigger_rule="all_done", outlets=[ASSET], retries=6)
    def report() -> given.Refreshed:
        context = get_current_context()
        ti: Any = context["ti"]
        ledger, environment = connections.ledger(), connections.platform().environment
        started = refreshes.begin(ledger, ti.run_id, environment)
        crumbs = {one["task_id"]: one for one in ti.get_task_breadcrumbs(ti.dag_id, ti.run_id)}
        of_services = [_service(ti, name, crumbs, ledger) for name in services]
        parts = [_part(ti, one, crumbs) for one in cleaned]
        told: dict[str, Any] = {
            "run_id": ti.run_id,
            "environment": environment,
            "status": str(decide.fold_outcomes(Outcome(one["outcome"]) for one in (*of_services, *parts))),
            "started_at": started.isoformat(),
            "services": of_services,
            "cleaned": parts,
        }
        refreshes.finish(ledger, ti.run_id, told["status"], told)
        print("\n".join(decide.table(told)))
        context["outlet_events"][ASSET].extra = {
            "run_id": ti.run_id,
            "status": told["status"],
            "services": {one["name"]: one["outcome"] for one in told["services"]},
        }
        return given.Refreshed(status=told["status"], headline=decide.headline(told))

    return report()


def _ended(ti: Any, task_id: str, crumb: Mapping[str, Any]) -> tuple[Outcome, str]:
    """Give outcome and reason of a task that has ended."""
    kept = xcom.find(ti, given.Ended, of=task_id)
    state = str(crumb["state"])
    if state == "success":
        return Outcome.PASSED, ""
    if state == "skipped":
        return Outcome.SKIPPED, (kept and kept.reason) or ""
    if kept and kept.outcome in (Outcome.FAILED, Outcome.ERRORED):
        return Outcome(kept.outcome), kept.reason or ""
    return Outcome.ERRORED, f"{task_id} ended without a word: it was killed, or took too long"


def _service(ti: Any, name: str, crumbs: Mapping[str, Mapping[str, Any]], ledger: Ledger) -> dict[str, Any]:
    own = {task: crumb for task, crumb in crumbs.items() if task.startswith(f"{name}.")}
    ends = {
        task: _ended(ti, task, crumb) for task, crumb in own.items() if crumb["state"] != "upstream_failed"
    }
    looked = xcom.find(ti, given.Looked, of=_id(name, given.Looked))
    drifted = xcom.find(ti, given.Repaired, of=_id(name, given.Repaired)) or given.Repaired()
    released = xcom.find(ti, given.ReleasedAgain, of=_id(name, given.ReleasedAgain))
    bad = {task: end for task, end in ends.items() if end[0] in (Outcome.FAILED, Outcome.ERRORED)}
    skipped = ends.get(_id(name, given.Looked), (Outcome.ERRORED, ""))
    found = [*(looked.found if looked else ()), *drifted.found]
    outcome, reason = Outcome.PASSED, ""
    if bad:
        outcome = Outcome(decide.fold_outcomes(end[0] for end in bad.values()).value)
        reason = "\n".join(why for _, why in bad.values())
    elif skipped[0] is not Outcome.PASSED:
        outcome, reason = skipped
        reason = reason or "it was not looked at"
    elif not found:
        found = ["as released, made with tonight's images, no known vulnerability, healthy"]
    took = sum(crumb["duration"] or 0.0 for crumb in own.values())
    release = ledger.record(looked.release) if looked and looked.release else None
    if release and release.finished_at:
        took += (release.finished_at - release.started_at).total_seconds()
    return {
        "name": name,
        "run_id": looked and looked.run_id,
        "commit": looked and looked.commit,
        "outcome": str(outcome),
        "found": found,
        "done": [*(released.said if released else ()), *drifted.done],
        "reason": reason,
        "release": looked and looked.release,
        "differences": list(drifted.differences),
        "seconds": round(took, 1),
    }


def _part(ti: Any, task_id: str, crumbs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    crumb = crumbs.get(task_id) or {"state": "missing", "duration": 0.0}
    outcome, reason = _ended(ti, task_id, crumb)
    told = xcom.find(ti, given.Cleaned, of=task_id) or given.Cleaned()
    return {
        "name": task_id.rpartition(".")[2],
        "outcome": str(outcome),
        "rows": list(told.rows),
        "notes": list(told.notes),
        "reason": reason,
        "seconds": round(crumb["duration"] or 0.0, 1),
    }


def verdict() -> Any:
    """Give the last task, which is red if anything was: the report itself is always made, and so is green."""

    @stage(task_id="verdict", task_display_name="All is well")
    def verdict() -> str:
        told = xcom.take(get_current_context()["ti"], given.Refreshed)
        if told.status != Status.PASSED:
            kind = PolicyFailed if told.status == Status.FAILED else Permanent
            raise kind(
                told.headline, code="refresh.fell-short", remedy="`slipway refresh show` has the whole report"
            )
        print(told.headline)
        return told.headline

    return verdict()
