"""Buttons on a task in Airflow's UI. Each gives a path of our plugin, below the UI's own address, behind its sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


def _release(ti_key: TaskInstanceKey) -> str:
    return f"/slipway/runs/{quote(ti_key.run_id)}"


class ReleaseLink(BaseOperatorLink):
    """The release's record: commit, image, revisions, stages."""

    name = "Release"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Give the address of the record."""
        return _release(ti_key)


class CommitLink(BaseOperatorLink):
    """The commit that is released."""

    name = "Commit"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Give the address of the record's part about the commit."""
        return f"{_release(ti_key)}#commit"


class ImageLink(BaseOperatorLink):
    """The image, by its digest."""

    name = "Image"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Give the address of the record's part about the image."""
        return f"{_release(ti_key)}#image"


class PodsLink(BaseOperatorLink):
    """The objects that the release applied to the cluster."""

    name = "Pods"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Give the address of the record's part about them."""
        return f"{_release(ti_key)}#pods"


class ReportsLink(BaseOperatorLink):
    """The reports that the gate wrote: JUnit, SARIF, CycloneDX."""

    name = "Reports"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Give the address of the task's reports."""
        return f"{_release(ti_key)}/reports/{quote(ti_key.task_id)}"


ALL = (ReleaseLink(), CommitLink(), ImageLink(), PodsLink(), ReportsLink())
