"""The ledger's schema. What must hold is said as constraints, not only in code; migrations/ make it so."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from slipway.release import Outcome, Status

_Time = TIMESTAMP(timezone=True)
_CODE = "code ~ '^[a-z]+(-[a-z]+)*[.][a-z]+(-[a-z]+)*$'"  # as slipway.errors has them


def _among(column: str, values: type[Outcome] | type[Status]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


class Table(DeclarativeBase):
    """Base of the ledger's tables; constraints get names, so that an error says which one was broken."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        }
    )
    type_annotation_map: ClassVar = {str: Text, float: DOUBLE_PRECISION, datetime: _Time, int: BigInteger}


class ReleaseRow(Table):
    """One attempt to bring (service, commit) to an environment: exactly one DAG run."""

    __tablename__ = "releases"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str]
    environment: Mapped[str]
    commit: Mapped[str]
    ref: Mapped[str]
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default=text("1"))
    tree: Mapped[str | None]
    image: Mapped[str | None]
    digest: Mapped[str | None]
    config_revision: Mapped[str | None]
    infra_hash: Mapped[str | None]
    schema_revision_before: Mapped[str | None]
    schema_revision: Mapped[str | None]
    manifests: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    images: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    plan: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    plan_hash: Mapped[str | None]
    works_from: Mapped[str | None]
    slipway: Mapped[str | None]
    catalog: Mapped[str | None]
    rolled_back_to: Mapped[str | None] = mapped_column(ForeignKey("releases.run_id"))
    superseded_by: Mapped[str | None] = mapped_column(ForeignKey("wishes.run_id"))
    reason: Mapped[str | None]
    code: Mapped[str | None]
    stage: Mapped[str | None]
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ready_at: Mapped[datetime | None]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(_among("status", Status), "status"),
        CheckConstraint("(status = 'running') = (finished_at IS NULL)", "finished"),
        CheckConstraint("finished_at >= started_at", "order"),
        CheckConstraint(
            "superseded_by IS NULL OR (status = 'superseded' AND superseded_by <> run_id)", "superseded"
        ),
        CheckConstraint("commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'", "commit"),
        CheckConstraint(_CODE, "code"),
        CheckConstraint("digest ~ '^sha256:[0-9a-f]{64}$'", "digest"),
        Index("releases_service_environment_started_idx", "service", "environment", text("started_at DESC")),
        Index("releases_queue_idx", "service", "environment", text("requested_at DESC")),
        Index(
            "releases_service_commit_idx", "service", "commit", postgresql_ops={"commit": "text_pattern_ops"}
        ),
    )


class StageRow(Table):
    """How a stage of a release ended the last time it ran."""

    __tablename__ = "stages"

    run_id: Mapped[str] = mapped_column(ForeignKey("releases.run_id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    seconds: Mapped[float]
    reason: Mapped[str | None]
    code: Mapped[str | None]
    started_at: Mapped[datetime]
    slipway: Mapped[str | None]

    __table_args__ = (
        CheckConstraint(_among("outcome", Outcome), "outcome"),
        CheckConstraint(_CODE, "code"),
        CheckConstraint("seconds >= 0 AND seconds < 'infinity'", "seconds"),
    )


class DeploymentRow(Table):
    """A time span in which a release was what runs in an environment; open while it still is."""

    __tablename__ = "deployments"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("releases.run_id"), index=True)
    service: Mapped[str]
    environment: Mapped[str]
    good: Mapped[bool] = mapped_column(server_default=text("false"))
    deployed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("ended_at >= deployed_at", "order"),
        Index(
            "deployments_one_active",
            "service",
            "environment",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("deployments_good", "service", "environment", text("id DESC"), postgresql_where=text("good")),
    )


class ChangesetRow(Table):
    """A changeset that is applied to a service's database; `position` is the order in which it was seen to be.

    One that is not `certain` was begun by a run that has not told yet how it ended.
    """

    __tablename__ = "changesets"

    position: Mapped[int] = mapped_column(Identity(always=True))
    service: Mapped[str] = mapped_column(primary_key=True)
    environment: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    phase: Mapped[str]
    run_id: Mapped[str | None]
    certain: Mapped[bool] = mapped_column(server_default=text("true"))
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("phase IN ('expand', 'contract')", "phase"),
        Index("changesets_position_idx", "service", "environment", "position"),
    )


class HoldRow(Table):
    """A commit that is not deployed again until someone lets it go: it was rolled back.

    With a revision of the configuration, or a digest, it is held only with that one; empty is any.
    """

    __tablename__ = "holds"

    service: Mapped[str] = mapped_column(primary_key=True)
    environment: Mapped[str] = mapped_column(primary_key=True)
    commit: Mapped[str] = mapped_column(primary_key=True)
    config_revision: Mapped[str] = mapped_column(primary_key=True, server_default="")
    digest: Mapped[str] = mapped_column(primary_key=True, server_default="")
    run_id: Mapped[str | None]
    reason: Mapped[str]
    held_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RollbackRow(Table):
    """One rollback by hand: one run of the DAG `rollback`. What it leaves and returns to is chosen once it has the lane."""

    __tablename__ = "rollbacks"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str]
    environment: Mapped[str]
    asked_by: Mapped[str | None]
    reason: Mapped[str | None]
    from_run_id: Mapped[str | None] = mapped_column(ForeignKey("releases.run_id"), index=True)
    to_run_id: Mapped[str | None] = mapped_column(ForeignKey("releases.run_id"))
    state: Mapped[str]
    slipway: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'running', 'passed', 'failed', 'errored')", "state"),
        CheckConstraint(
            "(from_run_id IS NULL) = (to_run_id IS NULL) AND "
            "(state NOT IN ('running', 'passed') OR to_run_id IS NOT NULL)",
            "chosen",
        ),
        CheckConstraint("(state IN ('waiting', 'running')) = (finished_at IS NULL)", "finished"),
        CheckConstraint("finished_at >= started_at", "order"),
    )


class WishRow(Table):
    """A run of a release that somebody asked for, before it has begun: what decides whether a push is a new one.

    :cvar is_head: whether its commit was asked for as the head of the release branch.
    """

    __tablename__ = "wishes"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str]
    environment: Mapped[str]
    commit: Mapped[str]
    ref: Mapped[str]
    is_head: Mapped[bool]
    asked_by: Mapped[str]
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'", "commit"),
        Index("wishes_requested_idx", "service", "environment", text("requested_at DESC")),
    )


class EvidenceRow(Table):
    """The verdict of a gate; never an error: a gate that could not be evaluated leaves no evidence."""

    __tablename__ = "evidence"

    key: Mapped[str] = mapped_column(primary_key=True)
    gate: Mapped[str]
    outcome: Mapped[str]
    run_id: Mapped[str] = mapped_column(ForeignKey("releases.run_id"))
    tree: Mapped[str]
    seconds: Mapped[float]
    reason: Mapped[str | None]
    report: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    slipway: Mapped[str | None]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("key ~ '^[0-9a-f]{64}$'", "key"),
        CheckConstraint("outcome IN ('passed', 'failed')", "outcome"),
        CheckConstraint("seconds >= 0 AND seconds < 'infinity'", "seconds"),
    )


class LaneRow(Table):
    """The exclusive right to change one service in one environment, until it expires.

    `run_id` need not be a release's: the nightly refresh repairs drift, too.
    """

    __tablename__ = "lanes"

    service: Mapped[str] = mapped_column(primary_key=True)
    environment: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str]
    acquired_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("expires_at > acquired_at", "order"),)


class LaneTurnRow(Table):
    """How often a lane was taken, by whomever."""

    __tablename__ = "lane_turns"

    service: Mapped[str] = mapped_column(primary_key=True)
    environment: Mapped[str] = mapped_column(primary_key=True)
    turn: Mapped[int] = mapped_column(BigInteger)
