"""From what a gate found to how its stage ends: asks catalog and ledger what follows, says it, and keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from slipway.errors import Permanent, PolicyFailed
from slipway.ledger import findings as kept
from slipway.release import sarif
from slipway.release.findings import OFF, WARN, Finding, How, Judged, Verdict, policy_on, verdict

if TYPE_CHECKING:
    from slipway.catalog.service import Gate
    from slipway.ledger import Ledger

SHOWN = 40


@dataclass(frozen=True)
class Judge:
    """What the findings of one gate of a run are judged by.

    :param rules: the catalog's words on the gate. :param stage: id of its task in a release.
    :param run_id: the release, in whose record the findings are kept; None if the run is none.
    :param commit: what is judged; None if the run is no release.
    """

    rules: Gate
    service: str
    stage: str
    today: date
    run_id: str | None = None
    commit: str | None = None

    def off(self) -> str | None:
        """Give why the gate does not run; None if it does."""
        if policy_on(self.rules, self.today) != OFF:
            return None
        return f"switched off in the catalog until {self.rules.until}: {self.rules.reason}"

    def found(self, reports: Mapping[str, bytes]) -> tuple[Finding, ...]:
        """Give what a gate found, by its report; nothing if there is none.

        :raises PolicyFailed: if that cannot be read.
        """
        name = f"{self.stage.rpartition('.')[2]}.sarif"
        if name not in reports:
            return ()
        try:
            return sarif.findings(reports[name], self.stage)
        except sarif.Unreadable as error:
            raise PolicyFailed(
                f"{self.stage} left a {name} that is no SARIF 2.1.0: {error}",
                code="gate.report-unreadable",
                remedy="see what writes to /out, and in which form",
            ) from error

    def verdict(self, ledger: Ledger, found: Sequence[Finding]) -> Verdict:
        """Tell what follows from the findings, today.

        :raises Permanent: if the catalog names a baseline of which nothing is known.
        """
        old: frozenset[str] = frozenset()
        if commit := self.rules.baseline:
            prints = [one.fingerprint for one in found]
            known = kept.baseline(
                ledger, self.service, self.stage, commit, own=prints if commit == self.commit else None
            )
            if known is None:
                raise Permanent(
                    f"the baseline of {self.stage} is commit {commit}, of which no findings are recorded",
                    code="gate.baseline-unknown",
                    remedy=f"name a commit that {self.stage} has judged (`slipway findings {self.service} COMMIT`) as "
                    f"`baseline` in the catalog, or release that one; then clear this task",
                )
            old = known
        return verdict(found, self.rules, old, self.today)

    def end(self, ledger: Ledger, ended: Verdict, *, beside: Sequence[str] = ()) -> str | None:
        """Say and keep what follows, and give it in a few words; None if nothing was found.

        :param beside: lines of what stands beside the gate, and may say why.
        :raises PolicyFailed: if a finding stops.
        """
        print("\n".join(words(ended)))
        if self.run_id:
            kept.keep(ledger, self.run_id, self.stage, ended)
        if stopping := ended.of(How.STOPS):
            raise self._stopped(ended, stopping, beside)
        if self.rules.baseline:
            prints = [one.finding.fingerprint for one in ended.judged]
            if gone := kept.shrink(ledger, self.service, self.stage, self.rules.baseline, prints):
                print(f"the baseline has shrunk by {gone}: what was found no more is new if it comes back")
        return ended.summary() or None

    def failed(self, ledger: Ledger, failure: PolicyFailed) -> str:
        """Say what follows where a gate fails without a list of what it found.

        :raises PolicyFailed: if its failing stops.
        """
        policy = policy_on(self.rules, self.today)
        if self.run_id:
            kept.keep(ledger, self.run_id, self.stage, Verdict(policy))
        if policy != WARN:
            raise failure
        print(f"warns: {failure}")
        return f"only warns: {failure.message}"

    def _stopped(self, ended: Verdict, stopping: Sequence[Judged], beside: Sequence[str]) -> PolicyFailed:
        first, *others = stopping
        lines = _advice(first)
        for one in others[: SHOWN // 2]:
            lines += [str(one), *_advice(one)]
        if len(others) > SHOWN // 2:
            lines.append(f"… and {len(others) - SHOWN // 2} more: slipway findings {self.service}")
        accept = f"`slipway waive {self.service} {first.finding.fingerprint[:12]}` writes the words"
        # offered once: it is for what a service comes in with, not for what comes later
        is_first = self.commit and self.rules.baseline is None and len(stopping) > 1
        old = f"; what the service came in with: `baseline: {self.commit}`" if is_first else ""
        return PolicyFailed(
            f"{self.stage} failed: {first}",
            code="gate.failed",
            lines=[*lines, ended.summary(), *beside],
            remedy=f"mend it, or accept it for a time in the catalog ({accept}){old}",
        )


def _advice(one: Judged) -> list[str]:
    return [f"    what to do: {one.finding.advice}"] if one.finding.advice else []


def words(ended: Verdict) -> list[str]:
    """Give what follows, line by line: what stops first."""
    lines = []
    for how in How:
        found = ended.of(how)
        lines += [f"{how}: {one}" for one in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(f"{how}: … and {len(found) - SHOWN} more")
    lines += [f"unused waiver: {one}: take it out of the catalog" for one in ended.unused]
    return [*lines, f"policy {ended.policy}: {ended.summary() or 'nothing was found'}"]


def to_keep(found: Sequence[Finding]) -> dict[str, Any]:
    """Give findings as evidence keeps them."""
    return {"findings": [one.show() for one in found]}


def of_kept(report: Any) -> tuple[Finding, ...]:
    """Give the findings of evidence; none of what was kept before there were any."""
    return tuple(map(Finding.load, (report or {}).get("findings", ())))
