"""What the nightly refresh finds of a service: what is stale, whether its branch has moved, and which release that asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from slipway.errors import Permanent, SlipwayError
from slipway.ledger import refreshes, wishes
from slipway.release import bases, given, reads
from slipway.release import refresh as deciding
from slipway.release.gates import SCANNER
from slipway.stages import reconcile, renewal
from slipway.stages.advisories import scanner
from slipway.stages.config import infra_hash, playbook, vault_version
from slipway.stages.image import BASES
from slipway.stages.stage import ALWAYS, Group, Run, Step

if TYPE_CHECKING:
    from slipway.adapters.git import Repository
    from slipway.catalog import Service
    from slipway.ledger import Release


@dataclass(frozen=True)
class Seen:
    """What is deployed, and what it is compared with.

    :param head: of the release branch, if it is to be released now. :param moved: what there is to say of the branch.
    :param is_good: whether what is deployed is a good release.
    """

    release: Release
    stale: tuple[str, ...]
    left: tuple[str, ...]
    head: str | None
    moved: tuple[str, ...]
    is_good: bool


@dataclass(frozen=True)
class Finding:
    """What was found, in words, and whether it is to be released again: for its head, or as it is."""

    release: Release
    found: tuple[str, ...]
    head: str | None
    is_stale: bool


def read(run: Run) -> Seen:
    """Look at what is deployed.

    :raises AirflowSkipException: if nothing is. :raises Permanent: if its record is not whole.
    """
    world, service, name = run.world, run.service, run.service.service
    ledger, platform = world.ledger(), world.platform()
    refreshes.begin(ledger, run.run_id, platform.environment)
    release = refreshes.active(ledger, name, platform.environment)
    if release is None:
        raise AirflowSkipException("nothing is deployed")
    if not (release.digest and release.manifests):
        raise Permanent(
            f"the record of {release.run_id} has no image or no manifests",
            code="refresh.record-incomplete",
            remedy=f"release it again: slipway release {name} {release.commit} --again",
        )
    registry, _ = world.registry()
    image = registry.image(service.image.repository, release.digest)
    used = dict(release.images or {})
    newest = renewal.tonight(platform, lambda: registry)
    tonight = {**platform.images, deciding.BASE: newest[deciding.BASE]}
    if image and image.labels.get(BASES):  # what is in the image, whatever was recorded
        used.pop(deciding.BASE, None)
        stands_on = json.loads(image.labels[BASES])
        used |= stands_on
        tonight |= {one: ref for one in stands_on if (ref := bases.copy_of(one, newest))}
    stale = deciding.stale(used, tonight, published=image is not None)
    configured = _configured(run, release)
    head, moved = _moved(run)
    good = ledger.last_good(name, platform.environment)
    return Seen(
        release,
        (*stale, *configured.stale),
        configured.left,
        head,
        tuple(moved),
        good is not None and good.run_id == release.run_id,
    )


def decide(_service: Service, seen: Seen) -> Finding:
    """Say what was found, and whether that asks for a release."""
    found = [] if seen.is_good else [f"{seen.release.run_id} is not a good release"]
    found += [*seen.moved, *(f"stale: {why}" for why in seen.stale), *seen.left]
    return Finding(seen.release, tuple(found), seen.head, bool(seen.stale))


def act(run: Run, finding: Finding) -> given.Looked:
    """Ask for the release, if an earlier try of this refresh has not."""
    platform, release, name = run.world.platform(), finding.release, run.service.service
    commit, ref, requested_at, asked = _asked(run, finding)
    print(f"{name}: {release.run_id} is deployed, commit {release.commit}, image {release.digest}")
    print("\n".join(finding.found) if finding.found else "made with tonight's images")
    return given.Looked(
        service=name,
        environment=platform.environment,
        run_id=release.run_id,
        commit=commit,
        ref=ref,
        requested_at=requested_at.isoformat(),
        found=finding.found,
        release=asked,
        images={
            **platform.images,
            SCANNER: scanner(platform, lambda: run.world.registry()[0]),
        },
        advisories_max_age_days=platform.advisories.max_age_days,
        advisories_of=platform.advisories.of,
    )


def _asked(run: Run, finding: Finding) -> tuple[str, str, datetime, str | None]:
    """Give commit, ref and time of what is checked, and the run that is asked for; None if none is needed."""
    ledger, release, service = run.world.ledger(), finding.release, run.service
    known = refreshes.asked_for(ledger, run.run_id, service.service)
    if known and (begun := wishes.find(ledger, known)):  # by an earlier try of this task
        return begun.commit, begun.ref, begun.requested_at, known
    if finding.head:
        wished = reconcile.ask(service, finding.head, asked_by="refresh")
        asked = refreshes.asked_for(ledger, run.run_id, service.service, wished.run_id)
        return finding.head, f"refs/heads/{service.source.branch}", wished.requested_at, asked
    if not finding.is_stale:
        return release.commit, release.ref, release.requested_at, known
    # any push since the one that is deployed is newer, and wins
    requested_at = release.requested_at + timedelta(microseconds=1)
    wished = wishes.ask(
        ledger,
        service.service,
        run.environment,
        release.commit,
        ref=release.ref,
        is_head=False,
        asked_by="refresh",
        again=True,
        requested_at=requested_at,
    )
    asked = refreshes.asked_for(ledger, run.run_id, service.service, wished.run_id)
    return release.commit, release.ref, requested_at, asked


def _configured(run: Run, release: Release) -> deciding.Configured:
    """Tell whether what was deployed with is still what config repository and Vault have."""
    service, world, ledger = run.service, run.world, run.world.ledger()
    repository, used = world.repository(service.config), str(release.config_revision)
    head = repository.head(service.config.branch)
    repository.fetch(head)
    version = vault_version(world, service)
    infra = infra_hash(service, head, playbook(world, service, head), version, release.images or {})
    left = [
        one.run_id
        for one in ledger.releases(service.service, 50, release.environment)
        if one.rolled_back_to and one.config_revision == head and one.started_at > release.started_at
    ]
    hold = ledger.held(service.service, release.environment, release.commit, head, release.digest)
    secret = service.deploy.secret
    now = used if _same_manifests(service, repository, used, head) else head
    return deciding.configured(
        deciding.Inputs(
            used, reads.of_secret(release.manifests, secret.name if secret else None), release.infra_hash
        ),
        deciding.Inputs(now, version if secret else None, infra),
        left=left or ([str(hold.run_id)] if hold and hold.run_id else []),
    )


def _same_manifests(service: Service, repository: Repository, used: str, head: str) -> bool:
    """Tell whether two revisions have the same manifests; not if the older one was taken away by force."""
    if used == head:
        return True
    folder = service.config.manifests
    return repository.on_branch(used, service.config.branch) and (
        repository.files(used, folder) == repository.files(head, folder)
    )


def _moved(run: Run) -> tuple[str | None, list[str]]:
    """Give the head of the release branch if it is to be released now, and what there is to say where it is not deployed.

    What is asked and answered is the reconciler's: the refresh must not mend what the branch has left.
    """
    service, branch = run.service, run.service.source.branch
    try:
        head = run.world.repository(service.source).head(branch)
    except SlipwayError as e:
        # what is deployed is looked after all the same
        return None, [f"whether {branch} has moved is not known: {e.message}"]
    why = reconcile.why_not(run.context, service, head)
    if why is None:
        return head, [f"{branch} is at {head[:12]}, whose release nobody has started"]
    active = refreshes.active(run.world.ledger(), service.service, run.environment)
    if active is None or active.commit == head:
        return None, []
    return None, [f"{branch} is at {head[:12]}, which is not what is deployed: {why.splitlines()[0]}"]


def look(group: Group) -> Step[Seen, Finding]:
    """Give the first stage of a service's refresh."""
    return Step(
        id="look",
        title="Look",
        group=group,
        gives=given.Looked,
        read=read,
        decide=decide,
        act=act,
        trigger_rule=ALWAYS,  # whatever became of what is renewed before
    )


def looked(run: Run) -> given.Looked:
    """Give what was found.

    :raises AirflowSkipException: if nothing was, or the look did not get to an end.
    """
    found = run.find(given.Looked)
    if found is None:
        raise AirflowSkipException("nothing is known to be deployed")
    return found
