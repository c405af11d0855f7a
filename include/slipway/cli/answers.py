"""How the command answers programs: its result as JSON on stdout, what keeps it from one as JSON on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from slipway.errors import SlipwayError

_JSON = "slipway.json"

F = TypeVar("F", bound=Callable[..., Any])


def json_option(text: str) -> Callable[[F], F]:
    """Gives the option ``--json`` (parameter ``as_json``), heeded by errors, too.

    :param text: what it prints, for the help.
    """

    def remember(ctx: click.Context, _option: click.Parameter, value: bool) -> bool:
        ctx.meta[_JSON] = value
        return value

    return click.option("--json", "as_json", is_flag=True, callback=remember, help=text)


class Told(click.ClickException):
    """An error of ours as click tells it: on stderr, as text or as JSON, and with our exit code."""

    def __init__(self, error: SlipwayError, ctx: click.Context) -> None:
        super().__init__(str(error))
        self.error, self.as_json = error, bool(ctx.meta.get(_JSON))
        self.exit_code = error.exit_code  # type: ignore[misc] # a class variable only by its annotation

    def show(self, file: Any = None) -> None:
        """Prints it."""
        if self.as_json:
            click.echo(json.dumps(self.error.show(), indent=2), file=file, err=True)
        else:
            super().show(file)
