"""What the ledger gives: frozen values, apart from the session that read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from slipway.errors import Permanent
from slipway.release import Outcome, Status


class ReleaseFields(TypedDict, total=False):
    """What becomes known of a release while it runs. `manifests` is any JSON value, without secrets.

    `images`: base and toolbox images that it is made with, by name.
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


@dataclass(frozen=True)
class Stage:
    """How a stage of a release ended."""

    name: str
    outcome: Outcome
    seconds: float
    reason: str | None
    started_at: datetime


@dataclass(frozen=True)
class Release:
    """What the ledger knows of a release."""

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
            "stage": self.stage,
            "reason": self.reason,
            "attempts": self.attempts,
            "run_id": self.run_id,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "stages": [
                {
                    "name": one.name,
                    "outcome": one.outcome.value,
                    "seconds": round(one.seconds, 3),
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


class Ambiguous(Permanent):
    """A commit prefix fits more than one commit."""

    exit_code = 2
