"""Migrations: pods of the migrations toolbox, which speaks to Liquibase and Flyway with the same words.

What `slipway-migrations` does and tells is written in toolboxes/README.md. Here it is decided: whether the
findings of its lint stand, and what the ledger remembers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from slipway.errors import PolicyFailed, SlipwayError
from slipway.release import Changeset, Outcome, evidence_key, given, linted
from slipway.release.schema import CONTRACT, EXPAND
from slipway.stages import connections, lanes, xcom
from slipway.stages.container import toolbox
from slipway.stages.pod import ReleasePod, packed
from slipway.stages.queue import is_release

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.catalog import Service
    from slipway.catalog.service import Migrations

ALL = "all"
"""The phase of a service whose changesets all run at once."""

TOLD = (
    *("pending", "pending_count", "pending_sha", "revision"),
    *("callbacks", "callbacks_due", "left_out", "left_out_count", "baseline"),
)
"""What the plan is made of, of all that the toolbox tells."""

ASKED_BY = "deploy.pending"
"""Whose evidence the answers are."""

ASKED_FOR_S = 600
"""Seconds for which an answer counts that was given before the lane was taken: others than releases may change a schema, too."""

AHEAD_S = 30
"""Seconds that the pod which asks ahead may wait for its node and image: it spares no more."""

ANSWERS = 16
"""How many of the answers about a database are offered to a pod that asks it again: two would do but for a way back."""

STATEMENT_MARGIN_S = 15
"""Seconds before the pod's own end after which a statement is ended, so that the database says which one it was."""


def phases(service: Service) -> tuple[str, ...]:
    """Give the phases in which a service's changesets run."""
    return (EXPAND, CONTRACT) if service.deploy.order == "expand-contract" else (ALL,)


def wanted(phase: str, planned: given.Planned) -> bool:
    """Tell whether anything that is planned is to run in a phase; a list that was cut may hold more of any.

    Callbacks that changed run with the first phase, and so does what begins the history of a database that is older than it.
    """
    told = planned.changesets
    if phase != CONTRACT and (planned.callbacks_due or planned.baseline is not None):
        return True
    return planned.changesets_count > len(told) or any(phase in (ALL, one.phase) for one in told)


def chosen(plan: Migrations) -> list[str]:
    """Give the options that say what of the changelog runs, here and on the throwaway databases."""
    return [
        *(("--labels", plan.labels) if plan.labels else ()),
        *(("--baseline", plan.baseline) if plan.baseline else ()),
    ]


def changelog(service: Service, root: str) -> dict[str, bytes]:
    """Give the changelog's folder as it is in the commit, packed."""
    commit = xcom.take(get_current_context()["ti"], given.Accepted).commit
    repository = connections.Outside().repository(service.source)
    repository.fetch(commit)
    return {"changelog.tgz": packed(repository.files(commit, root))}


class MigrationPod(ReleasePod):
    """Runs the migrations toolbox beside the database, with credentials leased for it and the changelog of the commit.

    :param phase: `expand`, `contract` or `all`; None only asks.
    """

    def __init__(self, *, service: Service, phase: str | None = None, **kwargs: Any) -> None:
        plan = service.deploy.migrations
        assert plan is not None
        self.plan: Migrations = plan
        self.phase = phase
        root = PurePosixPath(plan.changelog).parts[0]
        unpack = 'tar -xzf /files/changelog.tgz -C /work && exec "$@"'
        command = ["sh", "-euc", unpack, "sh", "slipway-migrations", "update" if phase else "status"]
        command += ["--engine", plan.engine, "--changelog", plan.changelog]
        command += ["--statement-timeout-s", str(max(1, plan.timeout_s - STATEMENT_MARGIN_S))]
        command += chosen(plan)
        environment = {}
        if phase is None and ALL in phases(service):
            command.append("--at-once")  # what takes away does so while the old version runs
        if phase:
            command += ["--phase", phase, "--planned", xcom.templated(given.Planned, "changesets_sha")]
            changesets = xcom.expression(given.Planned, "changesets")
            environment["PLANNED"] = "{{ " + changesets + " | map(attribute='id') | list | tojson }}"
        super().__init__(
            service=service,
            image=toolbox("toolbox-migrations"),
            command=command,
            environment=environment,
            files=partial(changelog, service, root),
            role=plan.credentials,
            database=plan.database,
            timeout_s=plan.timeout_s,
            neighbours=phase is not None,
            **kwargs,
        )

    def begins(self, context: Context) -> None:
        """Say which contexts hold: without any, Liquibase would run what is for others."""
        if self.plan.engine == "liquibase":
            held = self.plan.contexts or (connections.platform().environment,)
            self.late_environment["CONTEXTS"] = ",".join(held)


class PendingPod(MigrationPod):
    """Asks the database what of the changelog it lacks; what its lint finds must be waived in the catalog.

    An answer is kept as evidence by what it was made of, so that the pod need not work it out again where that has not changed.
    What it told before this release had the lane counts if nobody else had the lane meanwhile.
    """

    def result(self, context: Context) -> given.Pending:
        """Give what the database lacks: as it told already, or it is asked."""
        lanes.held(context)
        asked = xcom.find(context["ti"], given.Asked)
        if asked is None or not self._holds(asked, context):
            return self.ended(context, self.told(context))
        self.begins(context)
        print("it was asked before this run had the lane, which nobody else has had since")
        return self.ended(context, asked.told)

    def _holds(self, asked: given.Asked, context: Context) -> bool:
        """Tell whether the answer is still one: nobody has had the lane since, and nobody wants it to be asked again."""
        is_first = context["ti"].try_number == 1
        return is_first and turn(context) == asked.turn + 1 and time.time() - asked.at < ASKED_FOR_S

    def begins(self, context: Context) -> None:
        """Say which answers are known."""
        super().begins(context)
        self._subject = evidence_key(
            f"{self.plan.database} in {connections.platform().environment} of {self.service_name}",
            self.manifest["spec"]["containers"][0]["image"],
            [*self.manifest["spec"]["containers"][0]["command"], self.late_environment.get("CONTEXTS", "")],
        )
        if not context["params"].get("fresh"):
            newest = connections.ledger().latest_evidence(ASKED_BY, self._subject, ANSWERS)
            self.late_environment["KNOWN"] = " ".join(one.report["of"] for one in newest)

    def ended(self, context: Context, told: Any) -> given.Pending:
        """Record what the database has, and judge the lint.

        :raises PolicyFailed: if a finding is not waived.
        """
        found: dict[str, Any] = dict(told or {})
        key, ledger = evidence_key(self._subject, str(found.get("of")), []), connections.ledger()
        if found.get("known") and (answer := ledger.evidence(key)):
            return self._judged(context, answer.report)
        pending = self._judged(context, found)
        if found.get("of") and is_release(context):
            run_id = context["dag_run"].run_id
            ledger.record_evidence(key, ASKED_BY, Outcome.PASSED, run_id, self._subject, 0, report=found)
        return pending

    def _judged(self, context: Context, found: dict[str, Any]) -> given.Pending:
        if not found.keys() >= set(TOLD):
            raise PolicyFailed(
                f"{self.task_id}: the migrations toolbox did not tell what is pending",
                code="migrations.pending-not-told",
            )
        _remember(context, found["applied"], is_all=found["applied_count"] == len(found["applied"]))
        connections.ledger().update(context["dag_run"].run_id, works_from=found.get("works_from"))
        verdict = linted(found["lint"], self.plan.waivers, datetime.now(UTC).date())
        print(
            f"{found['pending_count']} changesets are not applied; the database is at {found['revision'] or 'nothing'}"
        )
        for one in verdict.waived:
            print(f"accepted: {one}")
        more = found["lint_count"] - len(found["lint"])
        if verdict.refused or more > 0:  # what is not told cannot be waived
            first = (
                verdict.refused[0] if verdict.refused else f"{found['lint_count']} findings, too many to tell"
            )
            raise PolicyFailed(
                f"a pending changeset may lock or break the running version: {first}",
                code="migrations.change-unsafe",
                remedy="write it in steps that leave the running version alone (label `contract` what takes away), or "
                "accept it in the catalog: `deploy.migrations.waivers` with changeset, rule, reason and until",
                lines=[*verdict.refused[1:], *([f"… and {more} more"] if more > 0 else [])],
            )
        return given.Pending(**{key: found[key] for key in TOLD}, waived=verdict.waived)


class AskPod(PendingPod):
    """Asks the database before the release has the lane, beside the image: to spare the time in the lane.

    It decides nothing: where it cannot ask, :class:`PendingPod` does.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.startup_timeout_s = min(self.startup_timeout_s, AHEAD_S)

    def result(self, context: Context) -> given.Asked | None:  # type: ignore[override]
        """Give what the database tells; None if it tells nothing now."""
        ledger, environment = connections.ledger(), connections.platform().environment
        before, at = turn(context), time.time()
        if holder := ledger.lane_holder(context["params"]["service"], environment):
            print(
                f"{holder.run_id} has the lane, and may change the database: it is asked when this run has it"
            )
            return None
        try:
            told = self.told(context)
        except SlipwayError as e:
            print(f"{e}\n\nit is asked again in the lane")
            return None
        return given.Asked(told=told, turn=before, at=at) if told else None


def turn(context: Context) -> int:
    """Give how often the lane of this run's service was taken."""
    return connections.ledger().lane_turn(context["params"]["service"], connections.platform().environment)


class UpdatePod(MigrationPod):
    """Applies the planned changesets of a phase, those that are still pending."""

    def begins(self, context: Context) -> None:
        """Record what is about to be applied: a run that is never heard of again may have changed the database."""
        super().begins(context)
        planned = xcom.take(context["ti"], given.Planned).changesets
        connections.ledger().applying(
            context["params"]["service"],
            connections.platform().environment,
            [Changeset(one.id, one.phase) for one in planned if self.phase in (ALL, one.phase)],
            context["dag_run"].run_id,
        )

    def ended(self, context: Context, told: Any) -> given.Migrated:
        """Record what was applied."""
        found: dict[str, Any] = dict(told or {})
        applied, left = found.get("applied") or [], found.get("left")
        is_known = left is not None and found.get("left_count") == len(left)
        _remember(context, applied, is_all=False, left=left if is_known else None)
        if found.get("revision"):
            connections.ledger().update(context["dag_run"].run_id, schema_revision=found["revision"])
        for one in applied:
            if one.get("marked"):
                print(
                    f"{one['id']} did not run and counts as applied: by its preconditions, or by the baseline"
                )
        print(f"{len(applied)} changesets applied; the database is at {found.get('revision') or 'nothing'}")
        return given.Migrated(applied=[one["id"] for one in applied], revision=found.get("revision"))

    def ended_badly(self, context: Context, told: dict[str, Any]) -> None:
        """Record what was applied before it failed."""
        self.ended(context, told)


def _remember(
    context: Context, applied: Sequence[dict[str, Any]], *, is_all: bool, left: Sequence[str] | None = None
) -> None:
    changesets = [Changeset(one["id"], one["phase"]) for one in applied]
    service, environment = context["params"]["service"], connections.platform().environment
    run_id = None if is_all else context["dag_run"].run_id
    connections.ledger().applied(service, environment, changesets, run_id, all_=is_all, left=left)
