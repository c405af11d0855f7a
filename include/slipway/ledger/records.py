"""What the ledger gives: frozen values, apart from the session that read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from slipway.errors import Permanent
from slipway.release import Outcome, Status


class ReleaseFields(TypedDict, total=False):
    """What becomes known of a release while it runs. `manifests` is any JSON value, without secrets.

    `images`: base and toolbox images that it is made with, by name. `works_from`: the oldest changeset that its image
    needs, if its source says so. `rolled_back_to`: run id of the release that was deployed again instead.
    """

    tree: str
    image: str
    digest: str
    config_revision: str
    infra_hash: str
    schema_revision_before: str
    schema_revision: str
    manifests: Any
    images: Any
    plan: Any
    plan_hash: str
    works_from: str | None
    rolled_back_to: str


@dataclass(frozen=True)
class Stage:
    """How a stage of a release ended, and why: in words, and by the code of the error (see :mod:`slipway.errors`).

    :param slipway: which Slipway ran it; None is an earlier one, which did not say.
    """

    name: str
    outcome: Outcome
    seconds: float
    reason: str | None
    started_at: datetime
    slipway: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Release:
    """What the ledger knows of a release.

    :param slipway: version that began it, and ``catalog`` the revision of its entry that it was begun with; None is unknown.
    """

    run_id: str
    service: str
    environment: str
    commit: str
    ref: str
    status: Status
    attempts: int
    tree: str | None
    image: str | None
    digest: str | None
    config_revision: str | None
    infra_hash: str | None
    schema_revision_before: str | None
    schema_revision: str | None
    manifests: Any
    superseded_by: str | None
    reason: str | None
    stage: str | None
    requested_at: datetime
    ready_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    stages: tuple[Stage, ...] = ()
    images: Any = None
    plan: Any = None
    plan_hash: str | None = None
    works_from: str | None = None
    rolled_back_to: str | None = None
    code: str | None = None
    slipway: str | None = None
    catalog: str | None = None

    def made_by(self) -> str | None:
        """Gives which Slipway made it, of which entry of the catalog, and which others ran stages of it; None is unknown."""
        if self.slipway is None:
            return None
        entry = f", catalog entry {self.catalog}" if self.catalog else ""
        others = sorted({one.slipway for one in self.stages if one.slipway} - {self.slipway})
        return f"Slipway {self.slipway}{entry}" + (f"; stages of it by {', '.join(others)}" if others else "")

    def show(self) -> dict[str, Any]:
        """Gives the release as `slipway releases show --json` does: a contract, only ever added to."""
        return {
            "service": self.service,
            "environment": self.environment,
            "commit": self.commit,
            "tree": self.tree,
            "image": self.image,
            "digest": self.digest,
            "config_revision": self.config_revision,
            "schema_revision": self.schema_revision,
            "status": self.status.value,
            "superseded_by": self.superseded_by,
            "rolled_back_to": self.rolled_back_to,
            "works_from": self.works_from,
            "plan_hash": self.plan_hash,
            "plan": self.plan,
            "stage": self.stage,
            "code": self.code,
            "reason": self.reason,
            "attempts": self.attempts,
            "run_id": self.run_id,
            "slipway": self.slipway,
            "catalog": self.catalog,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "stages": [
                {
                    "name": one.name,
                    "outcome": one.outcome.value,
                    "seconds": round(one.seconds, 3),
                    "code": one.code,
                    "reason": one.reason,
                }
                for one in self.stages
            ],
        }


@dataclass(frozen=True)
class Evidence:
    """The verdict of a gate."""

    key: str
    gate: str
    outcome: Outcome
    run_id: str
    tree: str
    seconds: float
    reason: str | None
    report: Any
    recorded_at: datetime


@dataclass(frozen=True)
class Holder:
    """Who holds a lane, and until when if it is not renewed."""

    run_id: str
    expires_at: datetime


@dataclass(frozen=True)
class Hold:
    """A commit that is held, why, and by which run; if they are not empty, only with that configuration, that image."""

    service: str
    environment: str
    commit: str
    config_revision: str
    digest: str
    run_id: str | None
    reason: str
    held_at: datetime

    def words(self) -> str:
        """Gives with what it is held, where, since when and why: what follows `held`."""
        only = [
            *([f"configuration {self.config_revision}"] if self.config_revision else []),
            *([f"image {self.digest}"] if self.digest else []),
        ]
        with_ = f"with {' and '.join(only)} " if only else ""
        return f"{with_}in {self.environment} since {self.held_at:%Y-%m-%d %H:%M} UTC: {self.reason}"


class Ambiguous(Permanent):
    """A commit prefix fits more than one commit."""

    exit_code = 2
