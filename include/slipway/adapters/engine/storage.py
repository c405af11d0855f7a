"""What the engine keeps, whose it is and how large; removing it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from slipway.adapters.engine.containers import remove_container
from slipway.adapters.engine.networks import remove_network
from slipway.adapters.engine.refusals import APIClient, explained
from slipway.errors import Permanent, Transient


@dataclass(frozen=True)
class Stored:
    """Something that the engine keeps.

    :param kind: ``container``, ``network``, ``volume`` or ``image``.
    :param created: when it was made; the engine does not know when it was used last.
    :param bytes: what it takes alone, without what it shares; 0 if the engine does not say.
    :param run: the run that it belongs to, if it says so.
    :param digests: of an image, its names by digest.
    """

    kind: str
    name: str
    created: datetime
    bytes: int = 0
    run: str | None = None
    digests: tuple[str, ...] = ()


def of_runs(client: APIClient) -> list[Stored]:
    """Give the containers and networks that runs of Slipway made."""
    with explained("listing what runs have made"):
        containers = client.containers(all=True, filters={"label": "slipway"})
        networks = client.networks(filters={"label": "slipway"})
    found = [
        Stored(
            "container",
            one["Names"][0].lstrip("/") if one["Names"] else one["Id"],
            datetime.fromtimestamp(one["Created"], UTC),
            run=one["Labels"].get("slipway.run"),
        )
        for one in containers
    ]
    return found + [
        Stored("network", one["Name"], _time(one["Created"]), run=one["Labels"].get("slipway.run"))
        for one in networks
    ]


def stored(client: APIClient) -> list[Stored]:
    """Give the volumes and images, each image once for each of its names."""
    with explained("listing volumes and images"):
        used = client.df()
    found = [
        Stored(
            "volume", one["Name"], _time(one["CreatedAt"]), max(0, (one["UsageData"] or {}).get("Size", 0))
        )
        for one in used["Volumes"] or []
    ]
    for one in used["Images"] or []:
        digests = tuple(name for name in one["RepoDigests"] or [] if "<none>" not in name)
        tags = [name for name in one["RepoTags"] or [] if "<none>" not in name]
        alone = max(0, one["Size"] - max(0, one["SharedSize"]))
        made = datetime.fromtimestamp(one["Created"], UTC)
        found += [Stored("image", name, made, alone, digests=digests) for name in tags or digests]
    return found


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def remove(client: APIClient, thing: Stored) -> bool:
    """Remove something; False if it is in use, or was not there any more."""
    import docker.errors

    try:
        if thing.kind == "container":
            remove_container(client, thing.name)
        elif thing.kind == "network":
            remove_network(client, thing.name)
        else:
            with explained(f"removing {thing.kind} {thing.name}"):
                getattr(client, f"remove_{thing.kind}")(thing.name)
    except (Permanent, Transient) as e:
        if isinstance(e.__cause__, docker.errors.APIError) and e.__cause__.status_code in (404, 409):
            return False
        raise
    return True


def prune_builds(client: APIClient, days: int) -> tuple[int, int]:
    """Remove layers of builds that were not used for ``days``; give how many, and their bytes."""
    with explained("pruning the build cache"):
        pruned = client.prune_builds(filters={"until": f"{days * 24}h"}, all=True)
    return len(pruned.get("CachesDeleted") or []), int(pruned.get("SpaceReclaimed") or 0)
