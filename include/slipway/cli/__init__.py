"""The `slipway` command."""

from __future__ import annotations

import importlib.util
from typing import Any

import click

from slipway import __version__
from slipway.cli.adopt import adopt
from slipway.cli.advisories import advisories
from slipway.cli.answers import Told
from slipway.cli.bases import bases
from slipway.cli.catalog import lint, new, schema
from slipway.cli.explaining import explain
from slipway.cli.findings import findings, waive
from slipway.cli.hooks import hooks
from slipway.cli.refresh import refresh
from slipway.cli.releases import releases
from slipway.cli.rollback import holds, rollback
from slipway.cli.toolboxes import toolboxes
from slipway.cli.trigger import release
from slipway.cli.trying import try_
from slipway.errors import SlipwayError

_SANDBOX = click.Group("sandbox", help="Run every real part that Slipway works with on this machine.")


class _Command(click.Group):
    """The groups of the command; the sandbox's is imported only when called, if it is installed."""

    listing = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = ["sandbox"] if importlib.util.find_spec("slipway_sandbox") else []
        return sorted([*super().list_commands(ctx), *found])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "sandbox" or not importlib.util.find_spec("slipway_sandbox"):
            return super().get_command(ctx, cmd_name)
        if self.listing:
            return _SANDBOX
        from slipway_sandbox.cli import sandbox

        return sandbox

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.listing = True
        try:
            super().format_commands(ctx, formatter)
        finally:
            self.listing = False

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SlipwayError as error:
            raise Told(error, ctx) from error


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="slipway", message="%(prog)s %(version)s")
def main() -> None:
    """Releases from git push to a healthy, reported deployment.

    Exit codes: 0 done, 1 the thing failed, 2 usage or catalog, 3 infrastructure.
    """


for _command in (
    *(
        adopt,
        advisories,
        bases,
        explain,
        findings,
        holds,
        hooks,
        lint,
        new,
        refresh,
        release,
        releases,
        rollback,
        schema,
        toolboxes,
        try_,
        waive,
    ),
):
    main.add_command(_command)
