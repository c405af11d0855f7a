"""What the nightly refresh decides: what is stale, what may go, and what the report says. Pure: the clock is passed in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from slipway.release.identity import label
from slipway.release.states import Outcome, Status, decisive

BASE = "base-python"

UNKNOWN_AGE = timedelta(hours=24)
"""Age at which what belongs to a run that nobody knows any more is left over: a run ends within two hours."""


def stale(used: Mapping[str, str], tonight: Mapping[str, str], *, published: bool = True) -> list[str]:
    """Give why a release should be made again; nothing if it should not.

    :param used: base and toolbox images that it was made with, by name, as far as they are known; bases by their public names.
    :param tonight: those of the platform now.
    :param published: whether its image is in the registry.
    """
    found = [] if published else ["its image is not in the registry any more"]
    made_with = [one for one in sorted(used) if one == BASE or one.startswith("toolbox-") or ":" in one]
    changed = [one for one in made_with if one in tonight and used[one] != tonight[one]]
    return found + [f"{one} is {_digest(used[one])}, tonight's is {_digest(tonight[one])}" for one in changed]


@dataclass(frozen=True)
class Inputs:
    """What a release is configured by. None: nobody knows, or there is none.

    :param revision: of the config repository. :param secret: version in Vault that the pods' Secret is made of.
    :param infra: hash of all that the playbook gets.
    """

    revision: str
    secret: str | None
    infra: str | None


@dataclass(frozen=True)
class Configured:
    """Why a release should be made again for its configuration, and why it is not though its configuration is older."""

    stale: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def configured(used: Inputs, now: Inputs, *, left: Sequence[str] = ()) -> Configured:
    """Give whether a release's configuration is still what it would be released with.

    :param left: releases with the configuration of now that were rolled back to this one: a person decides, or a newer commit.
    """
    found = []
    if used.revision != now.revision:
        found.append(
            f"its configuration is {used.revision[:12]}, the config repository has {now.revision[:12]}"
        )
    if None not in (used.secret, now.secret) and used.secret != now.secret:
        found.append(f"its Secret was made of Vault's {used.secret}, there is {now.secret}")
    if None not in (used.infra, now.infra) and used.infra != now.infra:
        found.append("the playbook, or what it gets, is not what was run")
    if found and left:
        return Configured(
            left=tuple(f"left as it is, since {left[0]} was rolled back: {one}" for one in found)
        )
    return Configured(stale=tuple(found))


def _digest(image: str) -> str:
    return image.rpartition("@sha256:")[2][:12]


def images_past(
    present: Collection[str], published: Sequence[tuple[str, str]], *, keep: int, needed: Collection[str]
) -> list[str]:
    """Give the digests that may be removed from the registry.

    :param present: digests that are there.
    :param published: commit and digest of the releases, newest first: only what a release published is removed.
    :param keep: how many digests stay, the newest; ``needed`` ones do not count.
    :param needed: commits and digests that stay whatever their age.
    """
    kept: list[str] = []
    past: list[str] = []
    always = {digest for commit, digest in published if commit in needed or digest in needed}
    for digest in dict.fromkeys(digest for _, digest in published):
        if digest not in present or digest in always:
            continue
        (kept if len(kept) < keep else past).append(digest)
    return past


def expired(created: datetime, now: datetime, days: int) -> bool:
    """Tell whether something of that age is past ``days``."""
    return now - created > timedelta(days=days)


def owner(name: str, run: str | None, runs: Iterable[str]) -> str | None:
    """Give the run that something belongs to, by what it says or by its name; None if no known run fits.

    :param name: such as ``slipway-<label of the run>-build-lint``.
    """
    labelled = {label(one): one for one in runs}
    if run is not None:
        # Airflow's own label of a pod is the run's id, or one that only looks like it
        return run if run in labelled.values() else None
    rest = name.removeprefix("slipway-")
    fitting = [one for one in labelled if rest == one or rest.startswith(f"{one}-")]
    return labelled[max(fitting, key=len)] if fitting else None


def left_over(alive: bool | None, created: datetime, now: datetime) -> bool:
    """Tell whether what a run made for itself may be removed.

    :param alive: whether the run goes on; None if nobody knows that run.
    """
    return now - created > UNKNOWN_AGE if alive is None else not alive


def fold_outcomes(outcomes: Iterable[Outcome]) -> Status:
    """Give how a refresh ended, by how each service and each part of the cleaning did."""
    numbered = {str(at): outcome for at, outcome in enumerate(outcomes)}
    worst = decisive(numbered)
    return Status(numbered[worst].value) if worst else Status.PASSED


def headline(report: Mapping[str, Any]) -> str:
    """Give the report in one line."""
    services, cleaned = report["services"], report["cleaned"]
    counts: dict[str, int] = {}
    for one in services:
        counts[one["outcome"]] = counts.get(one["outcome"], 0) + 1
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())) or "no services"
    removed = sum(row["removed"] for one in cleaned for row in one["rows"])
    freed = size(sum(row["bytes"] for one in cleaned for row in one["rows"]))
    line = f"refresh {report['status']}: {told}; removed {removed} things ({freed})"
    bad = [one for one in (*services, *cleaned) if one["outcome"] in ("failed", "errored")]
    return line + "".join(f"; {one['name']}: {one['reason'].splitlines()[0]}" for one in bad)


def table(report: Mapping[str, Any]) -> list[str]:
    """Give the report as lines of a table, the headline first."""
    rows = [("SERVICE", "COMMIT", "OUTCOME", "SECONDS", "FOUND AND DONE")]
    for one in report["services"]:
        words = [*one["found"], *one["done"], *([one["reason"]] if one["reason"] else [])]
        first = (one["name"], (one["commit"] or "-")[:12], one["outcome"], f"{one['seconds']:.0f}")
        rows += _rows(first, words or ["nothing"])
    rows.append(("CLEANED", "", "OUTCOME", "SECONDS", "REMOVED"))
    for one in report["cleaned"]:
        words = [
            f"{row['removed']} {row['what']}" + (f" ({size(row['bytes'])})" if row["bytes"] else "")
            for row in one["rows"]
            if row["removed"]
        ]
        words = [", ".join(words) or "nothing", *one["notes"], *([one["reason"]] if one["reason"] else [])]
        rows += _rows((one["name"], "", one["outcome"], f"{one['seconds']:.0f}"), words)
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    ]
    return [headline(report), *(line.rstrip() for line in lines)]


def _rows(first: tuple[str, str, str, str], words: Iterable[str]) -> list[tuple[str, str, str, str, str]]:
    lines = [line for word in words for line in word.splitlines()]
    return [(*(first if not at else ("", "", "", "")), line) for at, line in enumerate(lines)]


def size(count: float) -> str:
    """Give a number of bytes for people: `12.3 MB`."""
    units = ("kB", "MB", "GB")
    power = max((one for one in (1, 2, 3) if count >= 1000**one), default=0)
    return f"{count / 1000**power:.1f} {units[power - 1]}" if power else f"{count:.0f} B"
