"""`slipway hooks`: the secrets that forges sign with, and when each was last heard."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from slipway.cli.answers import json_option
from slipway.cli.releases import open_ledger
from slipway.cli.trigger import known_service

if TYPE_CHECKING:
    import hvac


@click.group()
def hooks() -> None:
    """Show and change what forges tell of pushes with."""


@hooks.command()
@click.argument("service")
@click.option("--finish", is_flag=True, help="Make no new secret: end the validity of the one before.")
def rotate(service: str, finish: bool) -> None:
    """Make a new secret for SERVICE's hook, and print it; the one before stays valid beside it.

    Give the new one to the forge, see by `slipway hooks show` that it is heard, then end the old one by --finish. Vault is
    VAULT_ADDR's, with the token of VAULT_TOKEN or ~/.vault-token, which may write secret/slipway/hooks/SERVICE.
    """
    from slipway.adapters import vault
    from slipway.intake.secrets import FRESH_S, PATH, made, rotated

    name = known_service(service).service
    client, path = _vault(), PATH.format(service=name)
    kept, number = _kept(client, path, needed=finish)
    new = str(kept.get("current", "")) if finish else made()
    vault.write(client, path, {"current": new} if finish else rotated(kept, new), after=number)
    taken = f"Airflow knows within {FRESH_S:.0f} s."
    if finish:
        click.echo(f"Only the newest secret of {name}'s hook is valid now. {taken}", err=True)
        return
    click.echo(new)
    click.echo(
        f"That is the new secret of {name}'s hook; the one before is valid beside it. {taken} Give it to the forge, "
        f"then: slipway hooks rotate {name} --finish",
        err=True,
    )


@hooks.command()
@click.argument("service")
@click.option(
    "--airflow", help="Airflow's address as the forge reaches it; else AIRFLOW_URL, or the platform file's."
)
def add(service: str, airflow: str | None) -> None:
    """Make the hook of SERVICE at the forge that its catalog entry names, with a secret of its own.

    The forge is asked with the token of SLIPWAY_FORGE_TOKEN, of an account that may administer the repository's hooks; Vault as
    by `rotate`. A hook that is there already stays as it is.
    """
    from slipway.adapters import forges, vault
    from slipway.cli.settings import address
    from slipway.errors import CatalogError
    from slipway.intake.secrets import PATH, made, valid

    entry, token = known_service(service), os.environ.get("SLIPWAY_FORGE_TOKEN")
    forge, name = entry.source.forge, entry.service
    if forge is None:
        raise CatalogError(
            f"The catalog names no forge for {name}.",
            code="forge.not-named",
            remedy="Add `source.forge`, with kind and url, to its entry.",
        )
    if not token:
        raise CatalogError(
            f"There is no token for {forge.url}.",
            code="forge.no-token",
            remedy="Put one that may administer the repository's hooks into SLIPWAY_FORGE_TOKEN.",
        )
    client, path = _vault(), PATH.format(service=name)
    kept, number = _kept(client, path)
    if not kept:
        kept = {"current": made()}
        vault.write(client, path, kept, after=number)
    url = f"{(airflow or address('AIRFLOW_URL')).rstrip('/')}/slipway/hooks/{name}"
    repository = forge.path(entry.source.url(address("GIT_URL")))
    is_new = forges.hooks(forge.kind, forge.url, repository, token).hook(url, valid(kept)[0])
    click.echo(
        f"{forge.url}: {repository} {'tells' if is_new else 'has a hook already that tells'} pushes to {url}"
    )


@hooks.command()
@click.argument("service")
@json_option("Print it as JSON.")
def show(service: str, as_json: bool) -> None:
    """Show where SERVICE's forge is to send deliveries, and when it was last heard."""
    from slipway.cli.settings import address
    from slipway.ledger import deliveries

    name = known_service(service).service
    url = f"{address('AIRFLOW_URL')}/slipway/hooks/{name}"
    with open_ledger() as ledger:
        heard = deliveries.heard(ledger, name)
    if as_json:
        told = [{"forge": one.forge, "at": one.at.isoformat(), "run_id": one.run_id} for one in heard]
        click.echo(json.dumps({"service": name, "url": url, "heard": told}, indent=2))
        return
    click.echo(f"Deliveries go to {url}")
    for one in heard:
        meant = f": {one.run_id}" if one.run_id else ""
        click.echo(f"{one.forge} was last heard at {one.at:%Y-%m-%d %H:%M:%S} UTC{meant}")
    if not heard:
        click.echo("No push was heard yet: docs/webhooks.md says how to make the hook.")


def _kept(client: hvac.Client, path: str, *, needed: bool = False) -> tuple[dict[str, str], int]:
    """Give what Vault keeps at a path, and which version that is; nothing, of version 0, if there is none and none is needed."""
    from slipway.adapters import vault
    from slipway.errors import SlipwayError

    try:
        kept, version = vault.read_versioned(client, path)
    except SlipwayError as error:
        if error.code != "vault.path-empty" or needed:
            raise
        return {}, 0
    return kept, version.number


def _vault() -> hvac.Client:
    import hvac

    from slipway.errors import CatalogError

    client = hvac.Client(timeout=10)  # by VAULT_ADDR, VAULT_TOKEN, VAULT_CACERT, and ~/.vault-token
    if not os.environ.get("VAULT_ADDR") or not client.token:
        raise CatalogError(
            "Vault's address or a token for it is not known.",
            code="vault.not-signed-in",
            remedy="Set VAULT_ADDR and VAULT_TOKEN, or sign in: `bao login`.",
        )
    return client
