"""Infrastructure: the playbook is checked before the plan and run after it, if it or what it gets has changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from slipway.errors import PolicyFailed
from slipway.release import given
from slipway.stages import config, connections, xcom
from slipway.stages.config import CONFIG
from slipway.stages.container import toolbox
from slipway.stages.deploy import DEPLOY
from slipway.stages.pod import packed
from slipway.stages.stage import CLUSTER, Branch, Pod, Run

if TYPE_CHECKING:
    from slipway.catalog import Service

ACCOUNT = "slipway-infra"
"""The service account of the pods that check and run playbooks."""


@dataclass(frozen=True)
class Known:
    """What decides whether the playbook runs.

    :param last: hash of what the last good release ran. :param asked: whether the run was asked to run it in any case.
    """

    infra: str | None
    last: str | None
    asked: bool


def read(run: Run) -> Known:
    """Ask the ledger what the last good release ran."""
    last = run.world.ledger().last_good(run.service.service, run.environment)
    return Known(
        run.take(given.Configured).infra, last.infra_hash if last else None, bool(run.params.get("infra"))
    )


def decide(_service: Service, known: Known) -> Known | None:
    """Give what is to run; None if that was run already, or there is nothing to run."""
    return None if known.infra is None or (known.last == known.infra and not known.asked) else known


def _skip(run: Run, wanted: Known | None) -> bool:
    """Put on record that what was run already counts for this release, too; tell whether the playbook is to run."""
    if wanted:
        return True
    print("the playbook and all that it gets are what the last good release ran: skipped")
    infra = run.take(given.Configured).infra
    run.world.ledger().update(run.run_id, **({"infra_hash": infra} if infra else {}))
    return False


def variables(service: Service, secret: Mapping[str, Any]) -> str:
    """Give the variables of the playbook, as JSON.

    :param secret: the service's secret in Vault.
    :raises PolicyFailed: if that lacks one.
    """
    keys = service.config.variables
    if missing := [key for key in keys if not secret.get(key)]:
        raise PolicyFailed(
            f"Vault's secret/services/{service.service} has no key {missing[0]}",
            code="vault.key-missing",
            remedy="add it there, or correct `config.variables` in the catalog",
        )
    return json.dumps({key: secret[key] for key in keys})


def _spec(action: str) -> Any:
    """Give what makes the pod that checks or runs the playbook; it gets the playbook's files, and its variables from Vault."""

    def spec(service: Service) -> dict[str, Any]:
        def configured() -> given.Configured:
            return xcom.take(get_current_context()["ti"], given.Configured)

        def files() -> dict[str, bytes]:
            found = config.playbook(connections.Outside(), service, configured().revision)
            return {"playbook.tgz": packed(found or {})}

        def secrets() -> dict[str, str]:
            found = config.planned_secret(connections.Outside(), service, configured())
            return {"variables.json": variables(service, found)}

        return {
            "image": toolbox("toolbox-ansible"),
            "command": ["slipway-playbook", action, service.config.playbook or "none"],
            "environment": {"NAMESPACE": service.deploy.namespace},
            "files": files,
            "secrets": secrets if service.config.variables else None,
            "account": ACCOUNT,
        }

    return spec


CHANGED: Branch[Any, Any] = Branch(
    id="infra_changed",
    title="Infrastructure changed?",
    group=DEPLOY,
    after=(CONFIG,),
    needs=(given.Configured,),
    pool=CLUSTER,
    read=read,
    decide=decide,
    act=_skip,
)

CHECK = Pod(
    id="infra_check",
    title="Infrastructure (check)",
    group=DEPLOY,
    only_if=CHANGED,
    needs=(given.Accepted, given.Configured),
    gives=given.Checked,
    timeout_s=lambda service: 300,
    spec=_spec("check"),
)

# not behind the branch itself: that skips nothing to which another way leads, as it does here by the plan
INFRA = Pod(
    id="infra",
    title="Infrastructure (Ansible)",
    group=DEPLOY,
    after=(CHECK,),
    needs=(given.Accepted, given.Configured),
    gives=given.Run,
    timeout_s=lambda service: 300,
    spec=_spec("run"),
)
