"""Returning to an earlier release: which one fits, and applying again what it applied, by digest and without a build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from slipway.adapters import cluster
from slipway.errors import PolicyFailed, Transient
from slipway.release import Candidate, Changeset, Choice, choose, manifests
from slipway.stages import connections
from slipway.stages.sensor import Told, Waits, on_rollout
from slipway.stages.verify import answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.catalog import Service
    from slipway.ledger import Release
    from slipway.ledger.records import Hold

LOOKED_FOR = 3
"""So many of the last good releases are looked for in the registry: the first that fits is taken."""

MOST_TOLD = 6
"""So many releases that do not fit are told, each with why."""


class Records(Protocol):
    """What is asked of the ledger to choose a release, and told to it before that is applied."""

    def good_ones(self, service: str, environment: str, limit: int = 20) -> list[Release]:
        """Give the releases that were deployed here and passed, the last deployed first."""

    def held(
        self, service: str, environment: str, commit: str, config_revision: str | None, digest: str | None
    ) -> Hold | None:
        """Give why a commit is held, if it is, with this configuration and this image."""

    def changesets(self, service: str, environment: str) -> list[Changeset]:
        """Give the changesets that the database has."""

    def rolled_back(self, run_id: str, to: str, reason: str) -> None:
        """Record that a release is not what runs any more, and ``to`` is again."""


class Wait(Protocol):
    """How it is waited: see `slipway.stages.waiting`."""

    def seconds(self, what: str) -> float:
        """Give for how many seconds it is waited for something."""

    def for_pods(self, what: str) -> None:
        """Wait a moment longer."""


def settle(api: Any, service: Service, digest: str, wait: Wait) -> None:
    """Wait until every pod of the service is ready and runs ``digest``.

    :raises SlipwayError: if that is not so in the time of its rollout, or never will be: PolicyFailed only if that is the
        service's own fault.
    """
    plan, timeout_s = service.deploy, service.deploy.rollout.timeout_s

    def lacks() -> Waits | None:
        state = cluster.rollout(api, plan.namespace, plan.deployment, digest, timeout_s=timeout_s)
        if not state.complete:
            return on_rollout(state)
        print(state.message)
        return None

    _until(lacks, "the rollout", timeout_s, wait)


def _until(lacks: Callable[[], Waits | None], what: str, timeout_s: float, wait: Wait) -> None:
    """Ask until nothing lacks, and tell what does whenever it changes.

    :raises SlipwayError: if the time is over: whose fault it is says what lacked last.
    """
    tell = Told()
    while waits := lacks():
        if wait.seconds(what) > timeout_s:
            raise waits.over(what, timeout_s)
        tell(waits.text)
        wait.for_pods(waits.text)


def chosen(
    ledger: Records, service: Service, environment: str, leaving: Release, to: str | None = None
) -> Choice:
    """Choose the release that ``leaving`` is left for.

    :param to: a commit that a person asks for.
    """
    candidates: list[Candidate] = []
    for one in ledger.good_ones(service.service, environment):
        restorable = bool(one.manifests and one.digest)
        if restorable and len(candidates) < LOOKED_FOR:
            restorable = _published(service, str(one.digest))
        candidates.append(_candidate(one, restorable=restorable))
    held = {
        one.run_id
        for one in candidates
        if ledger.held(service.service, environment, one.commit, one.config, one.digest)
    }
    applied = ledger.changesets(service.service, environment) if service.deploy.migrations else []
    return choose(candidates, applied, leaving=_candidate(leaving), held=held, to=to)


def _published(service: Service, digest: str) -> bool:
    """Tell whether an image is still in the registry; if that cannot be asked, the nodes may have it all the same."""
    try:
        registry, _ = connections.registry()
        return registry.digest(service.image.repository, digest) is not None
    except Transient as e:
        print(f"not looked for in the registry: {e.message}")
        return True


def _candidate(release: Release, *, restorable: bool = True) -> Candidate:
    return Candidate(
        release.run_id,
        release.commit,
        release.schema_revision,
        release.works_from,
        release.config_revision,
        release.digest,
        restorable,
    )


def restore(
    ledger: Records, service: Service, leaving: Release, to: Release, reason: str, wait: Wait
) -> None:
    """Apply again what ``to`` applied, and wait until it serves. Repeats are harmless.

    :raises SlipwayError: if it does not come to serve: PolicyFailed only if that is its own fault.
    """
    api, health = connections.cluster(), service.verify.health
    # first, so that whoever comes after a kill -9 goes on, and nothing else brings the commit back
    ledger.rolled_back(leaving.run_id, to.run_id, reason)
    namespace = service.deploy.namespace
    # an object that someone has edited meanwhile is no reason to stay with what does not work
    changes = cluster.apply(api, to.manifests, force=True)
    changes += cluster.prune(
        api,
        namespace,
        manifests.inventory(leaving.manifests or ()),
        manifests.inventory(to.manifests),
        service=service.service,
        kinds=service.deploy.kinds,
    )
    print("\n".join(changes))
    settle(api, service, str(to.digest), wait)
    _until(
        lambda: answers(connections.Outside().cluster(), service, to.commit),
        "the service",
        health.timeout_s,
        wait,
    )
    print(f"{service.service} is well, and {to.commit} again")


def longest_s(service: Service) -> float:
    """Give the seconds that :func:`restore` may take: for the pods, and until they report their commit."""
    return service.deploy.rollout.timeout_s + service.verify.health.timeout_s


def nothing_fits(leaving: Release, choice: Choice, to: str | None = None) -> PolicyFailed:
    """Give the refusal: why nothing can be returned to, and what a person can do."""
    what = (
        f"commit {to} was not good here, or is what is deployed" if to else "no earlier release was good here"
    )
    if choice.refused:
        what = choice.refused[0]
    nearest = (
        f"the nearest that fits is commit {choice.nearest.commit[:12]} ({choice.nearest.run_id}); "
        if choice.nearest
        else ""
    )
    return PolicyFailed(
        f"{leaving.run_id} (commit {leaving.commit[:12]}) cannot be rolled back: {what}",
        code="rollback.not-possible",
        remedy=f"{nearest}push a commit that mends it: what is deployed now stays until then",
        lines=[
            *choice.refused[1:MOST_TOLD],
            *([f"… and {len(choice.refused) - MOST_TOLD} more"] if len(choice.refused) > MOST_TOLD else []),
        ],
    )
