"""Five gates of the platform: what they look at is told, what stands beside the attack is made before and removed after."""

from __future__ import annotations

from slipway.catalog import Service
from slipway.stages.scan import DOCKERFILE, DYNAMIC, REMOVED, SAST, SECRETS, SERVICE, VULNERABLE
from slipway.stages.sequence import release_of


def test_each_looks_at_what_the_catalog_names(service: Service) -> None:
    locks = service.source.dependencies
    assert VULNERABLE.command(service) == [
        "/opt/slipway/bin/dependencies",
        locks.runtime,
        locks.development,
    ]
    assert DOCKERFILE.command(service) == ["/opt/slipway/bin/dockerfile", service.image.dockerfile]
    assert SAST.command(service) == ["/opt/slipway/bin/sast"]
    assert SECRETS.command(service) == ["/opt/slipway/bin/secrets"]


def test_only_the_verdict_on_advisories_is_of_the_day(service: Service) -> None:
    gates = (SAST, VULNERABLE, SECRETS, DOCKERFILE)
    assert [one.options(service)["daily"] for one in gates] == [False, True, False, False]


def test_attack_is_on_the_running_service_alone(service: Service) -> None:
    order = release_of(service)
    assert SERVICE in order.earlier(DYNAMIC)
    assert {SERVICE, DYNAMIC} <= order.earlier(REMOVED)
    assert DYNAMIC.options(service)["network"].startswith("container:slipway-")
    assert DYNAMIC.command(service)[-1] == f"http://127.0.0.1:{service.scan.dynamic.port}"
    assert (SERVICE.gates, REMOVED.gates, DYNAMIC.gates) == (False, False, True)
