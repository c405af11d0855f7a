"""Smoke test: the service's own, from inside the cluster, in a pod of the image that was released."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slipway.release import given
from slipway.stages import xcom
from slipway.stages.image import PUSHED
from slipway.stages.stage import Pod, always
from slipway.stages.verify import VERIFY

if TYPE_CHECKING:
    from slipway.catalog import Service


def spec(service: Service) -> dict[str, Any]:
    """Give what the pod is told: where the service is, and which commit it must report."""
    health, smoke = service.verify.health, service.verify.smoke
    assert smoke is not None
    where = {"BASE_URL": f"http://{health.service}:{health.port}"} if health.service else {}
    return {
        "image": PUSHED,
        "command": list(smoke.command or ("/opt/venv/bin/python", f"/app/{smoke.path}")),
        "environment": {**where, "EXPECTED_COMMIT": xcom.templated(given.Accepted, "commit")},
        "timeout_s": smoke.timeout_s,
    }


SMOKE = Pod(
    id="smoke",
    title="Smoke test",
    group=VERIFY,
    wanted=lambda service: service.verify.smoke is not None,
    needs=(given.Accepted, given.Pushed),
    rolls_back=always,
    spec=spec,
)
