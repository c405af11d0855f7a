"""The advisories of a new sandbox, fetched as the nightly refresh does."""

from __future__ import annotations

from slipway_sandbox.part import Sandbox
from slipway_sandbox.publish import publish

AT_FIRST = ("Debian",)
"""Every image has packages of Debian. The other clients are large images, which wait for the nightly refresh."""


def ensure(sandbox: Sandbox) -> list[str]:
    """See to it that the registry has those of the first sources of the platform file; give what was fetched, in words.

    A source that cannot be had now leaves its gates without a verdict, until the refresh has it; the sandbox runs without.
    """
    import docker

    from slipway.adapters.registry import Registry
    from slipway.catalog import load_platform
    from slipway.stages import advisories
    from slipway.stages.world import bound

    publish(sandbox)
    platform = load_platform(sandbox.layout.platform_file)
    user, password_file = sandbox.registry_account("push")
    registry = Registry(
        sandbox.registry, user, password_file.read_text(encoding="utf-8").strip(), sandbox.registry_ca
    )
    known = advisories.known(platform, registry)
    first = {name: source for name, source in platform.advisories.sources.items() if name in AT_FIRST}
    if set(first) <= set(known):
        return []
    platform.advisories.sources.clear()
    platform.advisories.sources.update(first)
    pull, password = sandbox.registry_account("pull")
    client = docker.APIClient(base_url=sandbox.docker_host, version="auto", timeout=600)
    try:
        renewed = advisories.renew(
            platform, registry, bound(client), login=(pull, sandbox.password(password))
        )
    finally:
        client.close()
    return [*renewed.said, *(f"not fetched: {error.message}" for error in renewed.failed)]
