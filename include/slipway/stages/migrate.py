"""Migrate: the planned changesets run if there are any, before the manifests or after, as the catalog says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slipway.release import given
from slipway.stages.apply import APPLY, migrates_first
from slipway.stages.deploy import DEPLOY
from slipway.stages.infrastructure import INFRA
from slipway.stages.migrations import UpdatePod, phases, wanted
from slipway.stages.plan import PLAN
from slipway.stages.rollout import ROLLOUT
from slipway.stages.stage import GOES_ON, Branch, Pod, Run, Step

if TYPE_CHECKING:
    from slipway.catalog import Service


def _has_migrations(service: Service) -> bool:
    return service.deploy.migrations is not None


def _migrates_after(service: Service) -> bool:
    return _has_migrations(service) and not migrates_first(service)


def read(run: Run) -> given.Planned:
    """Take the plan."""
    return run.take(given.Planned)


def decide(service: Service, planned: given.Planned) -> bool:
    """Tell whether anything is to run now."""
    needed = wanted(phases(service)[0], planned)
    print(
        f"{planned.changesets_count} changesets are planned"
        f"{', and callbacks have changed' if planned.callbacks_due else ''}; "
        f"to run now: {'some' if needed else 'none'}"
    )
    return needed


def _settled(_run: Run, _decided: None) -> None:
    print("manifests are applied, and the schema is what the changelog says")


NEEDED: Branch[Any, Any] = Branch(
    id="migrations",
    title="Migrations needed?",
    group=DEPLOY,
    after=lambda service: (PLAN, INFRA) if migrates_first(service) else (ROLLOUT,),
    before=lambda service: (APPLY,) if migrates_first(service) else (),
    wanted=_has_migrations,
    needs=(given.Planned,),
    trigger_rule=GOES_ON,
    read=read,
    decide=decide,
)

MIGRATE = Pod(
    id="migrate",
    title="Migrate",
    group=DEPLOY,
    only_if=NEEDED,
    before=lambda service: (APPLY,) if migrates_first(service) else (),
    wanted=_has_migrations,
    needs=(given.Accepted, given.Planned),
    gives=given.Migrated,
    rolls_back=_migrates_after,
    kind=UpdatePod,
    spec=lambda service: {"phase": phases(service)[0]},
)

SETTLED: Step[None, None] = Step(
    id="settled",
    title="Schema settled",
    group=DEPLOY,
    after=(NEEDED, MIGRATE),
    wanted=_migrates_after,
    trigger_rule=GOES_ON,
    act=_settled,
)
