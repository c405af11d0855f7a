"""What each stage gives to those that come after it: frozen and versioned types, by name of the stage that gives them.

A value outlives the code that gave it: an upgrade may meet a release in its middle, and *Clear* reads what an earlier version
has left. So each value is kept with the version of its type. One of an earlier version is brought up to date by
:meth:`Given.upgraded`, and what cannot be read ends the task with words that say what to clear; nothing is guessed.

How Airflow keeps the values is the affair of :mod:`slipway.stages.xcom` alone.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slipway.errors import Permanent
from slipway.release.schema import Changeset

RESULT = "return_value"
"""Key of what a task gives, as Airflow calls it."""

_VERSION = "version"


class Given(BaseModel):
    """Base of what stages give.

    :cvar by: id of the task that gives it; where several groups have such a task, what follows the last dot.
    :cvar key: key under which Airflow keeps it.
    :cvar version: of the type's fields, counted from 1, which is also that of values without one. It grows when a field is
        added without a default, renamed, or means something else; then :meth:`upgraded` reads the version before.
    """

    # deferred: a DAG that is parsed names fields, and reads none
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, defer_build=True)

    by: ClassVar[str] = ""
    key: ClassVar[str] = RESULT
    version: ClassVar[int] = 1

    @classmethod
    def upgraded(cls, value: Any, version: int) -> Any:
        """Give the content that a value of an earlier version has in this one."""
        return value

    def dump(self) -> dict[str, Any]:
        """Give the value as JSON has it, with its version."""
        return {**self.show(), _VERSION: self.version}

    def show(self) -> dict[str, Any]:
        """Give the content as JSON has it."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def load(cls, value: Any, of: str = "") -> Self:
        """Read a value that a task gave.

        :param of: id of that task.
        :raises Permanent: if it is none of this type, or of a version that this Slipway does not know.
        """
        task = of or cls.by
        version = value.get(_VERSION, 1) if isinstance(value, dict) else 1
        if not isinstance(version, int) or version > cls.version:
            raise Permanent(
                f"what `{task}` gave is of version {version} of {cls.__name__}, and this Slipway knows {cls.version}",
                code="given.other-version",
                remedy=_AGAIN.format(task=task),
            )
        try:
            return cls.model_validate(cls.upgraded(value, version) if version < cls.version else value)
        except (ValidationError, LookupError, TypeError, AttributeError) as e:
            raise Permanent(
                f"what `{task}` gave cannot be read as {cls.__name__}: {_why(e)}",
                code="given.unreadable",
                remedy=_AGAIN.format(task=task),
            ) from e


_AGAIN = (
    "another version of Slipway ran it: clear this run's task `{task}` with downstream, which gives it anew"
)


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        # not the values: they may be long
        return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors())
    return f"{type(error).__name__}: {error}"


class Ended(Given):
    """How a task ended that is not of a release, for the report of its own DAG."""

    key = "outcome"

    outcome: str
    reason: str | None = None
    code: str | None = None


class Yielded(Given):
    """Which run a superseded release gave way to."""

    key = "superseded_by"

    to: str

    @classmethod
    def load(cls, value: Any, of: str = "") -> Self:
        """Read a value: it is the run's id alone, as it always was."""
        return super().load({"to": value} if isinstance(value, str) else value, of)


# a release


class Accepted(Given):
    """What is released, and with which toolboxes.

    :param images: base and toolbox images of the platform by name, each by digest; as `scanner` the toolbox that scans, with the
        advisories of the day.
    :param bases: what the platform has for names that Dockerfiles build on: images by name or pattern, each by digest.
    :param advisories_of: the ecosystems that the platform names a source of advisories of, with spaces between.
    """

    by = "accept"
    version = 2

    service: str
    commit: str
    ref: str
    images: dict[str, str]
    advisories_max_age_days: int
    advisories_of: str = ""
    bases: dict[str, str] = {}

    @classmethod
    def upgraded(cls, value: Any, version: int) -> Any:
        """Read version 1, whose scanner had the advisories that the toolbox brings."""
        return {**value, "images": {**value["images"], "scanner": value["images"].get("toolbox-scan", "")}}


class Workspace(Given):
    """The commit, checked out.

    :param time: of the commit, in seconds since 1970. :param volume: of its sources. :param dependencies: volume of what its lock
        files name. :param fetched: whether all of that is in it already. :param told: what a person should know of it.
    """

    by = "checkout"

    tree: str
    time: int
    subject: str
    volume: str
    dependencies: str
    fetched: bool = False
    told: str = ""


class Gated(Given):
    """The gates that passed."""

    by = "gate"

    passed: tuple[str, ...] = ()


class Built(Given):
    """The image as it was built.

    :param inputs: key of all that it was made from.
    :param digest: of the image, :param volume: of the engine that has it; empty if the registry has it already.
    :param contents: key of what it is made of, but for what says which commit it is of; empty likewise.
    :param base_layers: digests of the layers that are the bases', with spaces between.
    """

    by = "image.build"

    repository: str
    tag: str
    inputs: str
    digest: str = ""
    contents: str = ""
    volume: str = ""
    base_layers: str = ""


class Pushed(Given):
    """The image in the registry.

    :param image: its name with its digest.
    """

    by = "image.push"

    image: str
    digest: str
    tag: str


class Configured(Given):
    """With what it is deployed.

    :param revision: of the config repository. :param infra: hash of all that decides what the playbook does; None without one.
    :param vault: version of the service's secret; None if nothing of it is used, or of a run of an earlier Slipway.
    """

    by = "deploy.config"

    revision: str
    infra: str | None = None
    vault: str | None = None


class Checked(Given):
    """What the playbook would change."""

    by = "deploy.infra_check"

    changed: int | None = None
    diff: str = ""


class Run(Checked):
    """What the playbook changed."""

    by = "deploy.infra"


class Asked(Given):
    """What a database told before the release had the lane.

    :param told: by the migrations toolbox, as it is. :param turn: how often the lane had been taken then.
    :param at: when it was asked, in seconds since 1970.
    """

    by = "asked"

    told: dict[str, Any]
    turn: int
    at: float


class Pending(Given):
    """What the database lacks of the changelog, as the migrations toolbox tells.

    :param pending: the changesets, each with id and phase, as many as fit. :param pending_sha: hash of all of them and of the
        callbacks. :param revision: the last changeset that is applied. :param callbacks_due: whether some run by themselves.
    :param waived: findings of the lint that the catalog accepts.
    """

    by = "deploy.pending"

    pending: tuple[dict[str, Any], ...]
    pending_count: int
    pending_sha: str | None
    revision: str | None
    callbacks: tuple[dict[str, Any], ...] = ()
    callbacks_due: bool = False
    left_out: tuple[dict[str, Any], ...] = ()
    left_out_count: int = 0
    baseline: str | None = None
    waived: tuple[str, ...] = ()


class Planned(Given):
    """What follows from the plan for the stages after it; the whole of it is on record.

    :param hash: of the plan. :param changesets: as many as fit. :param changesets_sha: hash of all of them.
    """

    by = "deploy.plan"

    hash: str
    changesets: tuple[Changeset, ...] = ()
    changesets_count: int = 0
    changesets_sha: str | None = None
    callbacks_due: bool = False
    baseline: str | None = None


class Migrated(Given):
    """What was applied to the schema before the new version was verified."""

    by = "deploy.migrate"

    applied: tuple[str, ...] = ()
    revision: str | None = None


class Contracted(Migrated):
    """What was taken out of the schema."""

    by = "verify.contract"


class Applied(Given):
    """What was applied to the cluster, in words."""

    by = "deploy.apply"

    changes: tuple[str, ...] = ()


class RolledOut(Given):
    """The pods that serve, and the images that they run."""

    by = "deploy.rollout"

    pods: tuple[str, ...] = ()
    image_ids: tuple[str, ...] = ()


class Healthy(RolledOut):
    """The pods of a service that is well, and the images that they run."""

    by = "verify.health"


class Pruned(Given):
    """What was removed from the cluster, in words."""

    by = "verify.prune"

    removed: tuple[str, ...] = ()


class Reported(Given):
    """How the release ended, and at which stage."""

    by = "report"

    status: str
    stage: str | None = None


# a rollback by hand


class Restored(Given):
    """What a rollback by hand did: which release it left, and what serves again."""

    by = "restore"

    left: str = Field(alias="from")
    to: str
    commit: str
    digest: str | None = None
    reason: str | None = None


# the nightly refresh


class Looked(Given):
    """What the refresh of a service found, and what is to be done.

    :param run_id: of the release that is deployed. :param commit: what is checked, and released again if need be, of ``ref``.
    :param requested_at: ISO 8601. :param release: run of the release that is asked for; None if none is needed.
    """

    by = "look"

    service: str
    environment: str
    run_id: str
    commit: str
    ref: str
    requested_at: str
    found: tuple[str, ...] = ()
    release: str | None = None
    images: dict[str, str]
    advisories_max_age_days: int
    advisories_of: str = ""


class CheckedOut(Workspace):
    """The sources of what is deployed."""

    by = "workspace"


class ReleasedAgain(Given):
    """How the release ended that the refresh asked for, in words."""

    by = "released"
    version = 2

    said: tuple[str, ...] = ()

    @classmethod
    def upgraded(cls, value: Any, version: int) -> Any:
        """Read the list that version 1 was."""
        return {"said": value}


class Repaired(Given):
    """What had drifted, and what was re-applied.

    :param found: in words. :param differences: title, lines and owners of each.
    """

    by = "drift"

    found: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    differences: tuple[dict[str, Any], ...] = ()


class StillHealthy(RolledOut):
    """The pods of a service that is well, and the images that they run, in a refresh."""

    by = "healthy"


class Cleaned(Given):
    """What was removed past its days: ``what``, ``removed`` and ``bytes`` of each kind."""

    by = "clean"

    rows: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


class Refreshed(Given):
    """How the whole refresh ended."""

    by = "report"

    status: str
    headline: str
