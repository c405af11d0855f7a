"""The plan: what a release will change, computed and recorded before anything changes, and bound by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHOWN = 60
"""Lines of one object's difference, or of the playbook's, that a plan keeps to be shown; its hash is of all."""


@dataclass(frozen=True)
class Change:
    """What applying an object would change: its title (``Kind/name``) and a unified diff, empty if nothing."""

    title: str
    lines: tuple[str, ...]


def digest(value: Any) -> str:
    """Give a hash that is equal for equal content."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def plan(
    *,
    image: Mapping[str, str | None],
    config: str,
    changes: Iterable[Change],
    pruned: Sequence[str] = (),
    pods: Sequence[str] = (),
    configured: str | None = None,
    schema: Mapping[str, Any] | None = None,
    waived: Sequence[str] = (),
    infra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Give the plan as it is recorded; ``hash`` is of all that it will change.

    :param image: digests ``from`` (None: nothing is deployed) and ``to``.
    :param pruned: objects of earlier releases that this one does not have, each with what becomes of it.
    :param configured: revision of the configuration that is deployed.
    :param pods: what becomes of the pods of each Deployment, and why.
    :param schema: what the migrations tool told of the database: ``pending``, ``pending_count``, ``pending_sha`` (of changesets
        and callbacks), ``revision``; ``callbacks``, whether they are due by themselves; what is ``left_out``; ``baseline``.
    :param infra: what the playbook's check told: ``changed``, ``diff``; None if it does not run.
    """
    objects = [
        {"title": one.title, "sha": digest(one.lines), "lines": list(one.lines[:SHOWN])}
        for one in changes
        if one.lines
    ]
    schema = schema or {}
    found: dict[str, Any] = {
        "image": dict(image),
        "config": config,
        "config_from": configured,
        "objects": objects,
        "pruned": list(pruned),
        "pods": list(pods),
        "changesets": list(schema.get("pending") or ()),
        "changesets_count": schema.get("pending_count", 0),
        "changesets_sha": schema.get("pending_sha"),
        "revision": schema.get("revision"),
        "callbacks": list(schema.get("callbacks") or ()),
        "callbacks_due": bool(schema.get("callbacks_due")),
        "left_out": list(schema.get("left_out") or ()),
        "left_out_count": schema.get("left_out_count", 0),
        "baseline": schema.get("baseline"),
        "waived": list(waived),
        "infra": infra
        and {"changed": infra.get("changed"), "diff": str(infra.get("diff") or "").splitlines()[:SHOWN]},
    }
    binding = {
        **{
            key: found[key] for key in ("image", "config", "pruned", "changesets_sha", "revision", "baseline")
        },
        "objects": {one["title"]: one["sha"] for one in objects},
        "infra": infra and {"changed": infra.get("changed"), "diff": str(infra.get("diff") or "")},
    }
    return {**found, "hash": digest(binding)}


def moved(found: Mapping[str, Any], now: Iterable[Change]) -> list[str]:
    """Give what is not as the plan has it: titles of objects whose difference is another one than planned.

    One that no longer differs is as it should be: an earlier try has applied it.

    :param found: the plan.
    :param now: the differences as they are now.
    """
    planned = {one["title"]: one["sha"] for one in found["objects"]}
    return [
        f"{one.title}: "
        + ("was not to change" if one.title not in planned else "will change otherwise than planned")
        for one in now
        if one.lines and planned.get(one.title) != digest(one.lines)
    ]


def words(found: Mapping[str, Any]) -> list[str]:
    """Give the plan as a person reads it."""
    image = found["image"]
    said = [f"plan {found['hash'][:12]}", f"image: {image['from'] or 'none'} -> {image['to']}"]
    said.append(f"configuration: {found.get('config_from') or 'none'} -> {found['config']}")
    count = found["changesets_count"]
    said.append(
        f"database: {count} changesets to apply, it is at {found['revision'] or 'nothing'}"
        if found["changesets_sha"]
        else "database: not touched"
    )
    said += [f"  {one['phase']}: {one['id']}" for one in found["changesets"]]
    if count > len(found["changesets"]):
        said.append(f"  … and {count - len(found['changesets'])} more")
    said += _beside(found)
    said += [f"  accepted: {one}" for one in found["waived"]]
    if found["infra"]:
        said += [
            f"infrastructure: the playbook changes {found['infra']['changed']} tasks",
            *(f"  {one}" for one in found["infra"]["diff"]),
        ]
    else:
        said.append("infrastructure: the playbook does not run")
    if not found["objects"]:
        said.append("manifests: nothing changes")
    for one in found["objects"]:
        said += [f"manifests: {one['title']} changes", *(f"  {line}" for line in one["lines"])]
    said += [f"manifests: {one}" for one in found["pruned"]]
    said += [f"pods: {one}" for one in found.get("pods", ())]  # plans of earlier versions have none
    return said


def _beside(found: Mapping[str, Any]) -> list[str]:
    """Give what is to be known beside the changesets: plans of older releases have none of it."""
    said = []
    if found.get("baseline") is not None:
        said.append(
            f"  the database is older than its history, which begins at the baseline {found['baseline']}"
        )
    for one in found.get("callbacks") or ():
        if one["runs"]:
            said.append(f"  callback: {one['id']}{', which has changed' if one['new'] else ''}")
        elif one["new"]:
            said.append(f"  callback: {one['id']} has changed, and runs with the next migration")
    left = found.get("left_out") or ()
    said += [f"  left out: {one['id']}: {one['why']}" for one in left]
    if (more := found.get("left_out_count", 0) - len(left)) > 0:
        said.append(f"  … and {more} more left out")
    return said
