"""The ledger's transactions: one decision each, safe to repeat, timed by the database's clock alone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Unpack

from sqlalchemy import create_engine, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from slipway import release as decide
from slipway.errors import Permanent, SlipwayError, Transient
from slipway.ledger.records import Ambiguous, Evidence, Hold, Holder, Release, ReleaseFields, Stage
from slipway.ledger.tables import (
    ChangesetRow,
    DeploymentRow,
    EvidenceRow,
    HoldRow,
    LaneRow,
    ReleaseRow,
    StageRow,
    WishRow,
)
from slipway.release import Changeset, Contender, Outcome, Status

_COLUMNS = tuple(field.name for field in fields(Release) if field.name not in ("status", "stages"))
_KNOWN = frozenset(ReleaseFields.__annotations__)
_NOW = func.clock_timestamp()  # now() is the transaction's start: too early after a wait for a lock


def _record(row: ReleaseRow, stages: Any = ()) -> Release:
    known = tuple(
        Stage(one.name, Outcome(one.outcome), one.seconds, one.reason, one.started_at) for one in stages
    )
    return Release(**{name: getattr(row, name) for name in _COLUMNS}, status=Status(row.status), stages=known)


def _failure(where: str, error: DBAPIError) -> SlipwayError:
    """Gives our error for the database's: does a retry help? The statement's values stay out of the text."""
    why = [line[:300] for line in str(error.orig).strip().splitlines()] or [type(error.orig).__name__]
    state = str(getattr(error.orig, "pgcode", None) or "")
    if isinstance(error, IntegrityError):
        return Permanent(
            f"The ledger at {where} refused the change: {why[0]}",
            code="ledger.change-refused",
            lines=why[1:2],
        )
    if state.startswith("42"):
        return Permanent(
            f"The ledger at {where} has another schema than this version of Slipway: {why[0]}",
            code="ledger.schema-differs",
            remedy="Bring it up to date: `slipway.ledger.upgrade(url)`, as `slipway sandbox up` does.",
        )
    if isinstance(error, (OperationalError, InterfaceError)) or state[:2] in ("08", "40", "53", "57"):
        return Transient(
            f"The ledger at {where} does not answer: {why[0]}",
            code="ledger.unreachable",
            lines=why[1:2],
            remedy="Check that its Postgres runs and accepts this account.",
        )
    return Permanent(f"The ledger at {where} failed: {why[0]}", code="ledger.failed", lines=why[1:2])


class Ledger:
    """What Slipway remembers, in a Postgres of its own.

    :param url: `postgresql://user:password@host:port/database`; never shown.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise Permanent(
                "The ledger's URL cannot be read.",
                code="ledger.url-malformed",
                remedy="postgresql://user:password@host:port/database",
            ) from None
        if parsed.get_backend_name() != "postgresql":
            raise Permanent(
                f"The ledger needs Postgres, not {parsed.get_backend_name()}.", code="ledger.not-postgres"
            )
        self.where = f"{parsed.host or 'local socket'}:{parsed.port or 5432}/{parsed.database}"
        self.engine = create_engine(
            parsed.set(drivername="postgresql+psycopg2"),
            pool_size=2,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 10,
                "application_name": "slipway",
                "options": "-c statement_timeout=30000 -c lock_timeout=10000 -c timezone=utc",
            },
        )

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
        except DBAPIError as error:
            raise _failure(self.where, error) from error

    def close(self) -> None:
        """Closes the pooled connections."""
        self.engine.dispose()

    # Releases

    def begin(
        self,
        service: str,
        environment: str,
        commit: str,
        run_id: str,
        ref: str,
        requested_at: datetime | None = None,
        *,
        is_head: bool = False,
    ) -> Release:
        """Records that a release begins. A cleared run begins again: it is running, and keeps its stages.

        :param requested_at: when it was asked for, if no wish is recorded (see `slipway.ledger.wishes`): which then is.
            It stays as the first attempt said; None is now.
        :param is_head: whether it was asked for as the head of the release branch, if no wish says so.

        :raises Permanent: when `run_id` already is another release.
        """
        with self._transaction() as session:
            values = {"service": service, "environment": environment, "commit": commit}
            # of a run that Airflow's own form has started nobody has recorded the wish
            session.execute(
                insert(WishRow)
                .values(
                    run_id=run_id,
                    ref=ref,
                    is_head=is_head,
                    asked_by="airflow",
                    requested_at=requested_at or _NOW,
                    **values,
                )
                .on_conflict_do_nothing()
            )
            session.execute(
                insert(ReleaseRow)
                .values(
                    run_id=run_id,
                    ref=ref,
                    status=decide.begin(None).value,
                    attempts=0,
                    requested_at=session.get_one(WishRow, run_id).requested_at,
                    **values,
                )
                .on_conflict_do_nothing()
            )
            row = self._locked(session, run_id)
            if other := {
                name: getattr(row, name) for name, given in values.items() if getattr(row, name) != given
            }:
                told = ", ".join(f"{name} {value}" for name, value in other.items())
                raise Permanent(
                    f"The run id {run_id} already belongs to another release ({told}).",
                    code="release.run-id-taken",
                    remedy="Trigger the run with a free repeat number: <service>.<commit12>.r<N>.",
                )
            row.status, row.ref, row.attempts = decide.begin(Status(row.status)).value, ref, row.attempts + 1
            row.finished_at = row.reason = row.stage = row.superseded_by = row.ready_at = None
            return _record(row, self._stages(session, run_id))

    def update(self, run_id: str, **known: Unpack[ReleaseFields]) -> None:
        """Records what has become known of a release; what is not named stays."""
        if unknown := set(known) - _KNOWN:
            raise Permanent(
                f"The ledger keeps no {sorted(unknown)} of a release (legal: {', '.join(sorted(_KNOWN))}).",
                code="ledger.field-unknown",
            )
        with self._transaction() as session:
            row = self._locked(session, run_id)
            for name, value in known.items():
                setattr(row, name, value)

    def stage(
        self,
        run_id: str,
        name: str,
        outcome: Outcome | str,
        seconds: float,
        reason: str | None = None,
        started_at: datetime | None = None,
    ) -> None:
        """Records how a stage ended; the last run of a stage counts.

        :param seconds: how long it took.
        :param started_at: None is `seconds` ago.
        """
        values = {
            "outcome": Outcome(outcome).value,
            "seconds": seconds,
            "reason": reason,
            "started_at": started_at or _NOW - timedelta(seconds=seconds),
        }
        with self._transaction() as session:
            session.execute(
                insert(StageRow)
                .values(run_id=run_id, name=name, **values)
                .on_conflict_do_update(index_elements=["run_id", "name"], set_=values)
            )

    def finish(
        self,
        run_id: str,
        status: Status | Outcome | str,
        reason: str | None = None,
        stage: str | None = None,
        superseded_by: str | None = None,
    ) -> Release:
        """Records how a release ended, and makes its deployment a good one if it passed.

        :param reason: why, if it did not pass; `stage`: where.
        :param superseded_by: run id of the release that went instead.
        :raises Permanent: when the release cannot end so (see `slipway.release.states`).
        """
        with self._transaction() as session:
            row = self._locked(session, run_id)
            now = session.scalar(select(_NOW))
            row.status, row.finished_at = decide.finish(Status(row.status), Status(str(status))).value, now
            row.reason, row.stage, row.superseded_by = reason, stage, superseded_by
            session.flush()
            if row.status == Status.PASSED:
                row.rolled_back_to = None
                session.execute(update(DeploymentRow).where(DeploymentRow.run_id == run_id).values(good=True))
            return _record(row, self._stages(session, run_id))

    def first_request(self, service: str, commit: str) -> datetime:
        """Gives when a commit was first asked for; now, if it never was."""
        with self._transaction() as session:
            first = select(func.min(ReleaseRow.requested_at)).where(
                ReleaseRow.service == service, ReleaseRow.commit == commit
            )
            return session.scalar(select(func.coalesce(first.scalar_subquery(), _NOW)))  # type: ignore[return-value]

    def ready(self, run_id: str) -> None:
        """Records that a release has passed every gate and its image is in the registry: it may be deployed."""
        with self._transaction() as session:
            self._locked(session, run_id).ready_at = session.scalar(select(_NOW))

    def newer(self, run_id: str) -> list[Contender]:
        """Gives the releases of the same service and environment that were asked for later than this one."""
        with self._transaction() as session:
            row = self._locked(session, run_id)
            held = (
                select(HoldRow.commit)
                .where(
                    HoldRow.service == ReleaseRow.service,
                    HoldRow.environment == ReleaseRow.environment,
                    HoldRow.commit == ReleaseRow.commit,
                    HoldRow.config_revision.in_(["", func.coalesce(ReleaseRow.config_revision, "")]),
                    HoldRow.digest.in_(["", func.coalesce(ReleaseRow.digest, "")]),
                )
                .exists()
            )
            # what was rolled back gives way to what it had superseded
            deployed = (
                select(DeploymentRow.run_id).where(DeploymentRow.run_id == ReleaseRow.run_id).exists() & ~held
            )
            bad = (Outcome.FAILED, Outcome.ERRORED, Outcome.REJECTED, Outcome.CANCELLED)
            failing = (
                select(StageRow.run_id)
                .where(StageRow.run_id == ReleaseRow.run_id, StageRow.outcome.in_([one.value for one in bad]))
                .exists()
            )
            found = session.execute(
                select(ReleaseRow, deployed.label("deployed"), failing.label("failing")).where(
                    ReleaseRow.service == row.service,
                    ReleaseRow.environment == row.environment,
                    ReleaseRow.requested_at > row.requested_at,
                )
            )
            return [
                Contender(
                    other.run_id,
                    other.commit,
                    other.requested_at,
                    running=other.status == Status.RUNNING,
                    ready=other.ready_at is not None,
                    failing=failing_,
                    deployed=deployed_,
                )
                for other, deployed_, failing_ in found
            ]

    def deployed(self, run_id: str) -> None:
        """Records that this release is what now runs in its environment. Repeats are harmless."""
        with self._transaction() as session:
            row = self._locked(session, run_id)
            # A lock of the lane's name, as there may be no active row yet for two at once to wait for.
            lane = func.hashtextextended(f"{row.service} {row.environment}", 0)
            session.execute(select(func.pg_advisory_xact_lock(lane)))
            here = (DeploymentRow.service == row.service, DeploymentRow.environment == row.environment)
            active = session.scalar(select(DeploymentRow).where(*here, DeploymentRow.ended_at.is_(None)))
            good = row.status == Status.PASSED
            if active and active.run_id == run_id:
                active.good = active.good or good
                return
            now = session.scalar(select(_NOW))
            if active:
                active.ended_at = now
                session.flush()
            session.add(
                DeploymentRow(
                    run_id=run_id,
                    service=row.service,
                    environment=row.environment,
                    good=good,
                    deployed_at=now,
                )
            )

    def active(self, service: str, environment: str) -> Release | None:
        """Gives the release that is deployed now, good or not."""
        with self._transaction() as session:
            row = session.scalar(
                select(ReleaseRow)
                .join(DeploymentRow, DeploymentRow.run_id == ReleaseRow.run_id)
                .where(
                    DeploymentRow.service == service,
                    DeploymentRow.environment == environment,
                    DeploymentRow.ended_at.is_(None),
                )
            )
            return _record(row, self._stages(session, row.run_id)) if row else None

    def good_ones(self, service: str, environment: str, limit: int = 20) -> list[Release]:
        """Gives the releases that were deployed here and passed, the last deployed first, each once, without stages."""
        return self._deployed(limit, service, environment, DeploymentRow.good)

    def deployed_ones(self, service: str, environment: str, limit: int = 20) -> list[Release]:
        """Gives the releases that were deployed here, good or not, as :meth:`good_ones` does."""
        return self._deployed(limit, service, environment)

    def _deployed(self, limit: int, service: str, environment: str, *more: Any) -> list[Release]:
        with self._transaction() as session:
            newest = (
                select(DeploymentRow.run_id, func.max(DeploymentRow.id).label("id"))
                .where(
                    DeploymentRow.service == service,
                    DeploymentRow.environment == environment,
                    *more,
                )
                .group_by(DeploymentRow.run_id)
                .subquery()
            )
            rows = session.scalars(
                select(ReleaseRow)
                .join(newest, newest.c.run_id == ReleaseRow.run_id)
                .order_by(newest.c.id.desc())
                .limit(limit)
            ).all()
            return [_record(row) for row in rows]

    def rolled_back(self, run_id: str, to: str, reason: str) -> None:
        """Records that a release is not what runs any more, ``to`` is again, and holds what was left. Repeats are harmless.

        Held is the commit; where ``to`` is of the same one, only with the configuration, or else the image, that was bad.
        """
        with self._transaction() as session:
            row, back = self._locked(session, run_id), self._locked(session, to)
            row.rolled_back_to = to
            config = row.config_revision if back.commit == row.commit else None
            digest = row.digest if config is not None and back.config_revision == config else None
            values = {"service": row.service, "environment": row.environment, "commit": row.commit}
            session.execute(
                insert(HoldRow)
                .values(
                    **values, config_revision=config or "", digest=digest or "", run_id=run_id, reason=reason
                )
                .on_conflict_do_update(
                    index_elements=["service", "environment", "commit", "config_revision", "digest"],
                    set_={"run_id": run_id, "reason": reason},
                )
            )
        self.deployed(to)

    # Holds

    def hold(
        self, service: str, environment: str, commit: str, reason: str, run_id: str | None = None
    ) -> None:
        """Holds a commit: it is not deployed until it is let go. The first reason stands."""
        values = {"service": service, "environment": environment, "commit": commit}
        with self._transaction() as session:
            session.execute(
                insert(HoldRow).values(**values, run_id=run_id, reason=reason).on_conflict_do_nothing()
            )

    def let_go(self, service: str, environment: str, commit: str) -> bool:
        """Ends every hold of a commit. Gives whether there was one."""
        with self._transaction() as session:
            mine = (
                HoldRow.service == service,
                HoldRow.environment == environment,
                HoldRow.commit == commit,
            )
            return bool(session.scalars(delete(HoldRow).where(*mine).returning(HoldRow.commit)).all())

    def holds(self, service: str | None = None, environment: str | None = None) -> list[Hold]:
        """Gives the commits that are held, the newest hold first."""
        with self._transaction() as session:
            found = select(HoldRow).order_by(HoldRow.held_at.desc())
            if service:
                found = found.where(HoldRow.service == service)
            if environment:
                found = found.where(HoldRow.environment == environment)
            return [
                Hold(**{field.name: getattr(row, field.name) for field in fields(Hold)})
                for row in session.scalars(found)
            ]

    def held(
        self,
        service: str,
        environment: str,
        commit: str,
        config_revision: str | None = None,
        digest: str | None = None,
    ) -> Hold | None:
        """Gives why a commit is held, if it is, with this configuration and this image as far as they are known."""
        for one in self.holds(service, environment):
            fits = one.config_revision in ("", config_revision) and one.digest in ("", digest)
            if one.commit == commit and fits:
                return one
        return None

    # Changesets

    def applying(self, service: str, environment: str, changesets: Sequence[Changeset], run_id: str) -> None:
        """Records which changesets a run is about to apply: if it is never heard of again, the database may have them."""
        with self._transaction() as session:
            for one in changesets:
                session.execute(
                    insert(ChangesetRow)
                    .values(
                        service=service,
                        environment=environment,
                        id=one.id,
                        phase=one.phase,
                        run_id=run_id,
                        certain=False,
                    )
                    .on_conflict_do_nothing(index_elements=["service", "environment", "id"])
                )

    def applied(
        self,
        service: str,
        environment: str,
        changesets: Sequence[Changeset],
        run_id: str | None,
        *,
        all_: bool,
        left: Sequence[str] | None = None,
    ) -> None:
        """Records which changesets the database has, in the order in which they were applied.

        :param all_: whether these are all that it has: what is recorded besides was undone by another, and is forgotten.
        :param left: ids of those that this run was about to apply and did not; the others are applied. None: not known.
        """
        with self._transaction() as session:
            here = (ChangesetRow.service == service, ChangesetRow.environment == environment)
            if all_:
                session.execute(
                    delete(ChangesetRow).where(*here, ChangesetRow.id.not_in([one.id for one in changesets]))
                )
            for one in changesets:
                session.execute(
                    insert(ChangesetRow)
                    .values(
                        service=service, environment=environment, id=one.id, phase=one.phase, run_id=run_id
                    )
                    .on_conflict_do_update(
                        index_elements=["service", "environment", "id"],
                        set_={"phase": one.phase, "certain": True},
                    )
                )
            if left is not None:
                begun = (*here, ChangesetRow.run_id == run_id, ChangesetRow.certain.is_(False))
                session.execute(delete(ChangesetRow).where(*begun, ChangesetRow.id.in_(left)))
                session.execute(update(ChangesetRow).where(*begun).values(certain=True))

    def changesets(self, service: str, environment: str) -> list[Changeset]:
        """Gives the changesets that the database has, as far as is recorded, in the order in which they were applied."""
        with self._transaction() as session:
            rows = session.scalars(
                select(ChangesetRow)
                .where(ChangesetRow.service == service, ChangesetRow.environment == environment)
                .order_by(ChangesetRow.position)
            )
            return [Changeset(row.id, row.phase, row.run_id, row.certain) for row in rows]

    def last_good(self, service: str, environment: str) -> Release | None:
        """Gives the release last deployed here that passed: what a rollback returns to.

        A release stays good when its run is cleared and begins again.
        """
        with self._transaction() as session:
            row = session.scalar(
                select(ReleaseRow)
                .join(DeploymentRow, DeploymentRow.run_id == ReleaseRow.run_id)
                .where(
                    DeploymentRow.service == service,
                    DeploymentRow.environment == environment,
                    DeploymentRow.good,
                )
                .order_by(DeploymentRow.id.desc())
                .limit(1)
            )
            return _record(row, self._stages(session, row.run_id)) if row else None

    def releases(self, service: str, limit: int = 20, environment: str | None = None) -> list[Release]:
        """Gives the newest releases of a service, newest first, with their stages.

        :param limit: at most so many, 1 to 1000.
        """
        with self._transaction() as session:
            found = select(ReleaseRow).where(ReleaseRow.service == service)
            if environment:
                found = found.where(ReleaseRow.environment == environment)
            rows = session.scalars(
                found.order_by(ReleaseRow.started_at.desc(), ReleaseRow.run_id).limit(
                    max(1, min(limit, 1000))
                )
            ).all()
            stages: dict[str, list[StageRow]] = {}
            for one in session.scalars(
                select(StageRow)
                .where(StageRow.run_id.in_([row.run_id for row in rows]))
                .order_by(StageRow.started_at, StageRow.name)
            ):
                stages.setdefault(one.run_id, []).append(one)
            return [_record(row, stages.get(row.run_id, ())) for row in rows]

    def release(self, service: str, commit: str | None = None) -> Release | None:
        """Gives the newest release of a service, or the newest of a commit.

        :param commit: full, or a prefix of it.
        :raises Ambiguous: when the prefix fits several commits; names them.
        """
        prefix = (commit or "").lower()
        if not re.fullmatch("[0-9a-f]{0,64}", prefix):
            raise Ambiguous(
                f"`{prefix[:80]}` is not a commit or a prefix of one.",
                code="commit.not-a-prefix",
                remedy="Give hexadecimal digits.",
            )
        with self._transaction() as session:
            fitting = (ReleaseRow.service == service, ReleaseRow.commit.startswith(prefix))
            if prefix:
                commits = session.scalars(
                    select(ReleaseRow.commit).where(*fitting).distinct().limit(11)
                ).all()
                if len(commits) > 1:
                    raise Ambiguous(
                        f"`{prefix}` fits several released commits of {service}.",
                        code="release.ambiguous",
                        remedy="Give more digits.",
                        lines=sorted(commits)[:10],
                    )
            row = session.scalar(
                select(ReleaseRow).where(*fitting).order_by(ReleaseRow.started_at.desc()).limit(1)
            )
            return _record(row, self._stages(session, row.run_id)) if row else None

    def record(self, run_id: str) -> Release | None:
        """Gives the release of a run."""
        with self._transaction() as session:
            row = session.get(ReleaseRow, run_id)
            return _record(row, self._stages(session, run_id)) if row else None

    # Evidence

    def evidence(self, key: str) -> Evidence | None:
        """Gives the verdict kept under a key (see `slipway.release.evidence_key`)."""
        with self._transaction() as session:
            row = session.get(EvidenceRow, key)
            return self._evidence(row) if row else None

    def record_evidence(
        self,
        key: str,
        gate: str,
        outcome: Outcome | str,
        run_id: str,
        tree: str,
        seconds: float,
        reason: str | None = None,
        report: Any = None,
    ) -> Evidence:
        """Keeps a verdict (passed or failed). The first one under a key stands; gives the one that stands.

        :param report: any JSON value; bounded by the caller.
        """
        with self._transaction() as session:
            session.execute(
                insert(EvidenceRow)
                .values(
                    key=key,
                    gate=gate,
                    outcome=Outcome(outcome).value,
                    run_id=run_id,
                    tree=tree,
                    seconds=seconds,
                    reason=reason,
                    report=report,
                )
                .on_conflict_do_nothing(index_elements=["key"])
            )
            return self._evidence(session.get_one(EvidenceRow, key))

    # Lanes

    def lane_acquire(self, service: str, environment: str, run_id: str, ttl_s: float) -> Holder | None:
        """Takes the lane, or keeps it if this run has it. Gives None when it is ours, else who holds it.

        :param ttl_s: seconds until it is anybody's, unless renewed.
        """
        expires = _NOW + timedelta(seconds=ttl_s)
        taken = {"run_id": run_id, "acquired_at": _NOW, "expires_at": expires}
        with self._transaction() as session:
            # One statement decides: of two runs at once, the second waits for the row and then sees it held.
            ours = session.scalar(
                insert(LaneRow)
                .values(service=service, environment=environment, **taken)
                .on_conflict_do_update(
                    index_elements=["service", "environment"],
                    set_=taken,
                    where=(LaneRow.run_id == run_id) | (LaneRow.expires_at <= _NOW),
                )
                .returning(LaneRow.run_id)
            )
            if ours:
                return None
            row = session.get(LaneRow, (service, environment))
            # No row: let go since the statement looked. The caller asks again, as after any other holder.
            return (
                Holder(row.run_id, row.expires_at)
                if row
                else Holder("nobody", session.scalars(select(_NOW)).one())
            )

    def lane_renew(self, service: str, environment: str, run_id: str, ttl_s: float) -> bool:
        """Holds the lane `ttl_s` seconds more, from now. False when it is not ours: change nothing more."""
        with self._transaction() as session:
            mine = (LaneRow.service == service, LaneRow.environment == environment, LaneRow.run_id == run_id)
            changed = (
                update(LaneRow)
                .where(*mine, LaneRow.expires_at > _NOW)
                .values(expires_at=_NOW + timedelta(seconds=ttl_s))
            )
            return session.scalar(changed.returning(LaneRow.run_id)) is not None

    def lane_release(self, service: str, environment: str, run_id: str) -> bool:
        """Lets the lane go if this run holds it; harmless otherwise. Gives whether it did."""
        with self._transaction() as session:
            mine = (LaneRow.service == service, LaneRow.environment == environment, LaneRow.run_id == run_id)
            return session.scalar(delete(LaneRow).where(*mine).returning(LaneRow.run_id)) is not None

    @contextmanager
    def exclusive(self, name: str, timeout_s: float) -> Iterator[None]:
        """Holds the lock ``name`` while the body runs: of all workers one at a time. A killed worker's ends with it.

        :raises Transient: if another holds it for ``timeout_s`` seconds.
        """
        key, end = func.hashtextextended(name, 1), time.monotonic() + timeout_s
        try:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                while not connection.scalar(select(func.pg_try_advisory_lock(key))):
                    if time.monotonic() > end:
                        raise Transient(
                            f"another task works on {name} for more than {timeout_s:.0f} s",
                            code="ledger.lock-held",
                            remedy="see which other release is at the same stage; it is bounded in time",
                        )
                    time.sleep(0.2)
                try:
                    yield
                finally:
                    connection.execute(select(func.pg_advisory_unlock(key)))
        except DBAPIError as error:
            raise _failure(self.where, error) from error

    @staticmethod
    def _locked(session: Session, run_id: str) -> ReleaseRow:
        if row := session.scalar(select(ReleaseRow).where(ReleaseRow.run_id == run_id).with_for_update()):
            return row
        raise Permanent(
            f"The ledger has no release {run_id}.",
            code="ledger.release-missing",
            remedy="A release begins with its first task: clear the whole run.",
        )

    @staticmethod
    def _stages(session: Session, run_id: str) -> Any:
        return session.scalars(
            select(StageRow).where(StageRow.run_id == run_id).order_by(StageRow.started_at, StageRow.name)
        ).all()

    @staticmethod
    def _evidence(row: EvidenceRow) -> Evidence:
        known = {field.name: getattr(row, field.name) for field in fields(Evidence)}
        return Evidence(**{**known, "outcome": Outcome(row.outcome)})
