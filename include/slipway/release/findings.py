"""What follows from what a gate found: the catalog's policy, waivers and baseline on one side, findings on the other.

A gate's program says what it found, and nothing else; whether that stops a release is decided here, anew each time, since it
hangs on the day. A finding is known again by its fingerprint, which has no line number: what moves stays the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slipway.catalog.service import FindingWaiver, Gate

ENFORCE, WARN, OFF = "enforce", "warn", "off"


class Severity(StrEnum):
    """How bad a finding is. What nobody has rated counts as worst."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
    UNKNOWN = "unknown"

    def reaches(self, least: str) -> bool:
        """Tell whether it is at least as bad."""
        order = list(Severity)
        return order.index(self) >= order.index(Severity(least))


class How(StrEnum):
    """What follows from a finding."""

    STOPS = "stops"
    WARNS = "warns"
    WAIVED = "waived"
    OLD = "old"


@dataclass(frozen=True)
class Finding:
    """One thing that a gate found.

    :param line: counts from 1; 0 is the whole file.
    :param rule: the rule's name, or the advisory's id; ``aliases`` are its other ids.
    :param context: what it is known by besides rule and path: a hash of the line's text, for example.
    :param ships: whether it concerns what the image holds; not so of development tools.
    :param fingerprint: see :func:`identified`.
    """

    path: str
    line: int
    rule: str
    message: str
    advice: str = ""
    severity: Severity = Severity.UNKNOWN
    context: str = ""
    aliases: tuple[str, ...] = ()
    ships: bool = True
    fingerprint: str = ""

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.rule}: {self.message}"

    @property
    def names(self) -> tuple[str, ...]:
        """Give what a waiver may call it."""
        return (self.rule, *self.aliases)

    def show(self) -> dict[str, Any]:
        """Give it as it is kept, and as `slipway findings --json` tells it: a contract, only ever added to."""
        return {**asdict(self), "severity": self.severity.value, "aliases": list(self.aliases)}

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> Finding:
        """Give what :meth:`show` gave."""
        known = {name: kept[name] for name in cls.__dataclass_fields__ if name in kept}
        return cls(
            **{**known, "severity": Severity(known["severity"]), "aliases": tuple(known.get("aliases", ()))}
        )


def identified(gate: str, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Give the findings in order, each with its fingerprint: gate, rule, path, context, and which of several alike it is.

    :param gate: id of the gate's task.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    found = []
    for one in sorted(findings, key=lambda one: (one.path, one.line, one.rule, one.message, one.context)):
        alike = (one.rule, one.path, one.context)
        seen[alike] += 1
        key = json.dumps([gate, *alike, seen[alike]])
        found.append(replace(one, fingerprint=hashlib.sha256(key.encode()).hexdigest()))
    return tuple(found)


@dataclass(frozen=True)
class Judged:
    """A finding, what follows from it, and why, in words."""

    finding: Finding
    how: How
    why: str = ""

    def __str__(self) -> str:
        return f"{str(self.finding).rstrip('.')}; {self.why}" if self.why else str(self.finding)

    def show(self) -> dict[str, Any]:
        """Give it as it is kept and told."""
        return {**self.finding.show(), "how": self.how.value, "why": self.why}

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> Judged:
        """Give what :meth:`show` gave."""
        return cls(Finding.load(kept), How(kept["how"]), str(kept["why"]))


@dataclass(frozen=True)
class Verdict:
    """What follows from all that a gate found.

    :param policy: what held on the day: enforce, warn or off.
    :param unused: what is waived and was not found, in words.
    """

    policy: str
    judged: tuple[Judged, ...] = ()
    unused: tuple[str, ...] = field(default=())

    def of(self, how: How) -> tuple[Judged, ...]:
        """Give the findings from which that follows."""
        return tuple(one for one in self.judged if one.how is how)

    @property
    def passes(self) -> bool:
        """Tell whether nothing stops."""
        return not self.of(How.STOPS)

    def summary(self) -> str:
        """Give in a few words what was found; nothing if nothing was."""
        counts = [f"{len(found)} {_WORDS[how]}" for how in How if (found := self.of(how))]
        return ", ".join([*counts, *([f"{len(self.unused)} unused waivers"] if self.unused else [])])


_WORDS = {
    How.STOPS: "that stop",
    How.WARNS: "that only warn",
    How.WAIVED: "waived",
    How.OLD: "of the baseline",
}


def policy_on(gate: Gate, today: date) -> str:
    """Give the policy of a gate that holds on a day: one that has an end is followed by ``enforce``."""
    return ENFORCE if gate.until and gate.until < today else gate.policy


def verdict(findings: Sequence[Finding], gate: Gate, baseline: Collection[str], today: date) -> Verdict:
    """Tell what follows from a gate's findings, by the catalog's words on the gate.

    :param findings: with their fingerprints.
    :param baseline: fingerprints of what the service came in with.
    :param today: waivers, and policies that have an end, hold through their last day.
    """
    policy = policy_on(gate, today)
    judged = tuple(_judged(one, gate, policy, baseline, today) for one in findings)
    unused = tuple(
        f"{waiver.rule} in {waiver.path} (until {waiver.until})"
        for waiver in gate.waivers
        if not any(fits(waiver, one) for one in findings)
    )
    return Verdict(policy, judged, unused)


def fits(waiver: FindingWaiver, finding: Finding) -> bool:
    """Tell whether a waiver speaks of a finding, on whatever day."""
    return waiver.path == finding.path and waiver.rule in finding.names


def _judged(one: Finding, gate: Gate, policy: str, baseline: Collection[str], today: date) -> Judged:
    fitting = [waiver for waiver in gate.waivers if fits(waiver, one)]
    if holding := next((waiver for waiver in fitting if waiver.until >= today), None):
        return Judged(
            one,
            How.WAIVED,
            f"waived by {holding.owner} until {holding.until}: {' '.join(holding.reason.split())}",
        )
    over = f"its waiver ended on {max(waiver.until for waiver in fitting)}" if fitting else ""
    if one.fingerprint in baseline:
        return Judged(one, How.OLD, f"of the baseline ({str(gate.baseline)[:12]})")
    if policy != ENFORCE:
        return Judged(one, How.WARNS, "the gate only warns")
    if not one.ships and not gate.stops_for_development:
        return Judged(one, How.WARNS, "of a development tool, which is not shipped")
    if not one.severity.reaches(gate.severity):
        return Judged(one, How.WARNS, f"{one.severity}, where {gate.severity} stops")
    return Judged(one, How.STOPS, over)
