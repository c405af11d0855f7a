"""Contract: what nothing needs any more is taken out of the schema, once the new version is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slipway.release import given
from slipway.release.schema import CONTRACT as PHASE
from slipway.stages.health import HEALTH
from slipway.stages.migrations import UpdatePod, phases, wanted
from slipway.stages.smoke import SMOKE
from slipway.stages.stage import Branch, Pod, Run
from slipway.stages.verify import VERIFY

if TYPE_CHECKING:
    from slipway.catalog import Service


def _has_contract(service: Service) -> bool:
    return service.deploy.migrations is not None and PHASE in phases(service)


def read(run: Run) -> given.Planned:
    """Take the plan."""
    return run.take(given.Planned)


def decide(_service: Service, planned: given.Planned) -> bool:
    """Tell whether anything is to be taken away."""
    needed = wanted(PHASE, planned)
    print(
        "what nothing needs any more is taken away, now that the new version is verified"
        if needed
        else "no contract changesets are planned"
    )
    return needed


NEEDED: Branch[Any, Any] = Branch(
    id="migrations",
    title="Anything to take away?",
    group=VERIFY,
    after=(SMOKE, HEALTH),
    wanted=_has_contract,
    needs=(given.Planned,),
    read=read,
    decide=decide,
)

CONTRACT = Pod(
    id="contract",
    title="Migrate (contract)",
    group=VERIFY,
    only_if=NEEDED,
    wanted=_has_contract,
    needs=(given.Accepted, given.Planned),
    gives=given.Contracted,
    kind=UpdatePod,
    spec=lambda service: {"phase": PHASE},
)
