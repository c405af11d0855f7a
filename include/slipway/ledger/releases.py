"""Releases in the ledger: how each begins, what becomes known of it, how its stages and it end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Unpack

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from slipway import release as decide
from slipway.errors import Permanent
from slipway.ledger.database import NOW, Database
from slipway.ledger.records import Ambiguous, Release, ReleaseFields, Stage
from slipway.ledger.tables import DeploymentRow, ReleaseRow, StageRow, WishRow
from slipway.release import Outcome, Status
from slipway.version import this

_COLUMNS = tuple(field.name for field in fields(Release) if field.name not in ("status", "stages"))
_KNOWN = frozenset(ReleaseFields.__annotations__)


def locked(session: Session, run_id: str) -> ReleaseRow:
    """Give the row of a release, which nobody else changes until this transaction ends.

    :raises Permanent: if there is none.
    """
    if row := session.scalar(select(ReleaseRow).where(ReleaseRow.run_id == run_id).with_for_update()):
        return row
    raise Permanent(
        f"The ledger has no release {run_id}.",
        code="ledger.release-missing",
        remedy="A release begins with its first task: clear the whole run.",
    )


def stages_of(session: Session, run_id: str) -> Sequence[StageRow]:
    """Give the stages of a release, in the order in which they began."""
    return session.scalars(
        select(StageRow).where(StageRow.run_id == run_id).order_by(StageRow.started_at, StageRow.name)
    ).all()


def frozen(row: ReleaseRow, stages: Iterable[StageRow] = ()) -> Release:
    """Give the value of a row, apart from the session that read it."""
    known = tuple(
        Stage(one.name, Outcome(one.outcome), one.seconds, one.reason, one.started_at, one.slipway, one.code)
        for one in stages
    )
    return Release(**{name: getattr(row, name) for name in _COLUMNS}, status=Status(row.status), stages=known)


class Releases(Database):
    """What is known of each release, by its run."""

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
        catalog: str | None = None,
    ) -> Release:
        """Records that a release begins. A cleared run begins again: it is running, and keeps its stages.

        :param requested_at: when it was asked for, if no wish is recorded (see `slipway.ledger.wishes`): which then is.
            It stays as the first attempt said; None is now.
        :param is_head: whether it was asked for as the head of the release branch, if no wish says so.
        :param catalog: revision of the service's entry in the catalog.

        :raises Permanent: when `run_id` already is another release.
        """
        with self.transaction() as session:
            values = {"service": service, "environment": environment, "commit": commit}
            # of a run that Airflow's own form has started nobody has recorded the wish
            session.execute(
                insert(WishRow)
                .values(
                    run_id=run_id,
                    ref=ref,
                    is_head=is_head,
                    asked_by="airflow",
                    requested_at=requested_at or NOW,
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
            row = locked(session, run_id)
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
            row.slipway, row.catalog = this(), catalog
            row.finished_at = row.reason = row.code = row.stage = row.superseded_by = row.ready_at = None
            return frozen(row, stages_of(session, run_id))

    def update(self, run_id: str, **known: Unpack[ReleaseFields]) -> None:
        """Records what has become known of a release; what is not named stays."""
        if unknown := set(known) - _KNOWN:
            raise Permanent(
                f"The ledger keeps no {sorted(unknown)} of a release (legal: {', '.join(sorted(_KNOWN))}).",
                code="ledger.field-unknown",
            )
        with self.transaction() as session:
            row = locked(session, run_id)
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
        *,
        code: str | None = None,
    ) -> None:
        """Records how a stage ended; the last run of a stage counts.

        :param seconds: how long it took.
        :param code: of the reason, if it is an error's.
        :param started_at: None is `seconds` ago.
        """
        values = {
            "outcome": Outcome(outcome).value,
            "seconds": seconds,
            "reason": reason,
            "code": code,
            "started_at": started_at or NOW - timedelta(seconds=seconds),
            "slipway": this(),
        }
        with self.transaction() as session:
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
        code: str | None = None,
    ) -> Release:
        """Records how a release ended, and makes its deployment a good one if it passed.

        :param reason: why, if it did not pass, and the `code` of that; `stage`: where.
        :param superseded_by: run id of the release that went instead.
        :raises Permanent: when the release cannot end so (see `slipway.release.states`).
        """
        with self.transaction() as session:
            row = locked(session, run_id)
            now = session.scalar(select(NOW))
            row.status, row.finished_at = decide.finish(Status(row.status), Status(str(status))).value, now
            row.reason, row.code, row.stage, row.superseded_by = reason, code, stage, superseded_by
            session.flush()
            if row.status == Status.PASSED:
                row.rolled_back_to = None
                session.execute(update(DeploymentRow).where(DeploymentRow.run_id == run_id).values(good=True))
            return frozen(row, stages_of(session, run_id))

    def record(self, run_id: str) -> Release | None:
        """Gives the release of a run."""
        with self.transaction() as session:
            row = session.get(ReleaseRow, run_id)
            return frozen(row, stages_of(session, run_id)) if row else None

    def releases(self, service: str, limit: int = 20, environment: str | None = None) -> list[Release]:
        """Gives the newest releases of a service, newest first, with their stages.

        :param limit: at most so many, 1 to 1000.
        """
        with self.transaction() as session:
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
            return [frozen(row, stages.get(row.run_id, ())) for row in rows]

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
        with self.transaction() as session:
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
            return frozen(row, stages_of(session, row.run_id)) if row else None
