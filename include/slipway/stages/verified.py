"""Verified: the leaf by which Airflow calls the run green or red.

What rolls back stands behind what failed, and may be green though that is red; so a leaf must be red when that is. It runs in
no process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.empty import EmptyOperator

from slipway.stages.contract import CONTRACT, NEEDED
from slipway.stages.prune import PRUNE
from slipway.stages.stage import GOES_ON, Made
from slipway.stages.verify import VERIFY

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.stages.flow import Flow


def make(_service: Service, _flow: Flow, **task: Any) -> EmptyOperator:
    """Make the operator that does nothing."""
    return EmptyOperator(**task)


VERIFIED = Made(
    id="passed",
    title="Verified",
    group=VERIFY,
    after=(NEEDED, CONTRACT, PRUNE),
    trigger_rule=GOES_ON,
    make=make,
)
