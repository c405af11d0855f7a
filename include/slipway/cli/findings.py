"""`slipway findings` and `waive`: what gates found, what followed, and the words by which the catalog accepts it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from slipway.cli.answers import json_option
from slipway.cli.releases import open_ledger, plain, recorded
from slipway.cli.trigger import known_service

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from slipway.ledger import Release
    from slipway.ledger.findings import Baseline
    from slipway.release.findings import Finding, Verdict

DAYS = 30
"""For how long `waive` accepts a finding if no day is given."""


def _known(service: str, commit: str | None) -> tuple[Release, Mapping[str, Verdict], Mapping[str, Baseline]]:
    """Gives a release, what followed from the findings of its gates, and what is left of the service's baselines."""
    from slipway.ledger import findings as kept

    with open_ledger() as ledger:
        release = recorded(ledger, service, commit)
        return release, kept.of(ledger, release.run_id), kept.baselines(ledger, release.service)


@click.command()
@click.argument("service")
@click.argument("commit", required=False)
@click.option(
    "--all", "everything", is_flag=True, help="List those of the baseline, too; else they are counted."
)
@json_option("Print all of them as JSON: the words are a contract.")
def findings(service: str, commit: str | None, everything: bool, as_json: bool) -> None:
    """List what the gates found in the newest release of SERVICE, or in that of COMMIT, and what followed."""
    release, gates, baselines = _known(service, commit)
    if as_json:
        click.echo(json.dumps(_shown(release, gates, baselines), indent=2))
        return
    click.echo(plain(f"{release.service} {release.commit[:12]} {release.status} ({release.run_id})"))
    if not gates:
        click.echo("No gate has told of findings: none has ended yet, or an earlier Slipway ran them.")
    for gate, ended in gates.items():
        click.echo(plain("\n".join(_lines(gate, ended, baselines.get(gate), everything=everything))))


def _lines(gate: str, ended: Verdict, baseline: Baseline | None, *, everything: bool) -> list[str]:
    from slipway.release.findings import OFF, How

    if ended.policy == OFF:
        return [f"{gate}: switched off in the catalog, so it did not run"]
    lines = [f"{gate} ({ended.policy}): {ended.summary() or 'nothing was found'}"]
    for how in How:
        if how is How.OLD and not everything:
            continue
        for one in ended.of(how):
            lines.append(f"  {how:<6} {one.finding.fingerprint[:12]} {one.finding.severity:<8} {one}")
            if how is How.STOPS and one.finding.advice:
                lines.append(f"         what to do: {one.finding.advice}")
    lines += [f"  unused waiver: {one}: take it out of the catalog" for one in ended.unused]
    if baseline:
        lines.append(
            f"  baseline: {len(baseline.fingerprints)} left of commit {baseline.commit[:12]}, "
            f"taken {baseline.taken_at:%Y-%m-%d}, last changed {baseline.changed_at:%Y-%m-%d}"
        )
    return lines


def _shown(
    release: Release, gates: Mapping[str, Verdict], baselines: Mapping[str, Baseline]
) -> dict[str, Any]:
    return {
        "service": release.service,
        "commit": release.commit,
        "run_id": release.run_id,
        "status": release.status.value,
        "gates": [
            {
                "gate": gate,
                "policy": ended.policy,
                "passes": ended.passes,
                "findings": [one.show() for one in ended.judged],
                "unused_waivers": list(ended.unused),
                "baseline": {
                    "commit": baselines[gate].commit,
                    "left": len(baselines[gate].fingerprints),
                    "taken_at": baselines[gate].taken_at.isoformat(),
                    "changed_at": baselines[gate].changed_at.isoformat(),
                }
                if gate in baselines
                else None,
            }
            for gate, ended in gates.items()
        ],
    }


@click.command()
@click.argument("service")
@click.argument("finding")
@click.argument("commit", required=False)
@click.option("--reason", required=True, help="Why it does no harm here; 10 characters at least.")
@click.option("--owner", help="Who answers for it. [default: the service's team]")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    help=f"The last day on which it holds. [default: {DAYS} days from today]",
)
def waive(
    service: str,
    finding: str,
    commit: str | None,
    reason: str,
    owner: str | None,
    until: datetime | None,
) -> None:
    """Print the words that accept FINDING in the catalog: an id, or the first digits of it, as `slipway findings` lists it.

    All findings of its rule in its file are accepted with it. Nothing is written: the words go into the service's file in the
    catalog, where somebody reviews them; then clear the gate's task, or release again.
    """
    entry = known_service(service)
    gate, found = _one(service, finding, commit)
    last = until.date() if until else datetime.now(UTC).date() + timedelta(days=DAYS)
    click.echo(plain(words(entry.service, gate, found, reason, owner or entry.team, last)), nl=False)


def _one(service: str, prefix: str, commit: str | None) -> tuple[str, Finding]:
    from slipway.errors import CatalogError

    release, gates, _ = _known(service, commit)
    fitting = {
        (gate, one.finding.rule, one.finding.path): one.finding
        for gate, ended in gates.items()
        for one in ended.judged
        if len(prefix) >= 4 and one.finding.fingerprint.startswith(prefix.lower())
    }
    if len(fitting) == 1:
        [((gate, _, _), found)] = fitting.items()
        return gate, found
    shown = f"slipway findings {plain(service)}" + (f" {plain(commit)}" if commit else "")
    if fitting:
        raise CatalogError(
            f"`{plain(prefix)}` fits {len(fitting)} findings of {release.run_id}.",
            code="finding.ambiguous",
            remedy=f"Give more digits; `{shown} --all` lists them.",
        )
    raise CatalogError(
        f"{release.run_id} has no finding `{plain(prefix)}`.",
        code="finding.unknown",
        remedy=f"`{shown} --all` lists those that it has, each with its id; give 4 digits of one at least.",
    )


def words(service: str, gate: str, finding: Finding, reason: str, owner: str, until: date) -> str:
    """Gives what accepts a finding, as it stands in the service's file.

    :raises CatalogError: if the catalog would not take it.
    """
    import yaml
    from pydantic import ValidationError

    from slipway.catalog.service import FindingWaiver
    from slipway.errors import CatalogError

    waiver = {
        "rule": finding.rule,
        "path": finding.path,
        "reason": reason,
        "owner": owner,
        "until": until,
    }
    try:
        FindingWaiver.model_validate(waiver)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise CatalogError(
            f"The catalog would not take this waiver: {'.'.join(map(str, first['loc']))}: {first['msg']}.",
            code="finding.waiver-invalid",
            remedy="docs/catalog.md says what its words mean.",
        ) from error
    part, _, name = gate.partition(".")
    text = yaml.safe_dump(
        {part: {name: {"waivers": [waiver]}}}, sort_keys=False, width=120, allow_unicode=True
    )
    return f"# {service}.yaml: {finding}\n{text}"
