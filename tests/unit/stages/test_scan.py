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
    assert DOCKERFILE.command(service) == ["/opt/slipway/bin/dockerfile", service.image.dockerfile, "named"]
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
    base = f"http://127.0.0.1:{service.scan.dynamic.port}"
    assert DYNAMIC.command(service) == ["/opt/slipway/bin/dynamic", base, "/openapi.json"]
    assert (SERVICE.gates, REMOVED.gates, DYNAMIC.gates) == (False, False, True)


def test_attack_signs_in_as_the_catalog_says(service: Service) -> None:
    words = {"openapi": "/api/openapi.json", "headers": {"Authorization": "Bearer throwaway"}}
    scan = service.scan.model_copy(update={"dynamic": service.scan.dynamic.model_copy(update=words)})
    signed = service.model_copy(update={"scan": scan})
    assert DYNAMIC.command(signed)[2:] == ["/api/openapi.json", "Authorization: Bearer throwaway"]


def test_what_only_judges_is_no_part_of_what_is_found(service: Service) -> None:
    def policy(**words: object) -> str:
        scan = service.scan.model_copy(update={"dynamic": service.scan.dynamic.model_copy(update=words)})
        return str(DYNAMIC.options(service.model_copy(update={"scan": scan}))["policy"])

    assert policy(severity="critical", baseline="a" * 40) == policy()
    assert policy(headers={"X-User": "a"}) != policy()
