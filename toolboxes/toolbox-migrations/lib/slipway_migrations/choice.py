"""What the platform's side chooses of a changelog: the catalog's words, which decide what runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slipway_migrations.outcome import shortened


@dataclass(frozen=True)
class Choice:
    """What of a changelog runs.

    :param contexts: Liquibase's contexts that hold here
    :param labels: a filter of Liquibase's labels besides the phases'
    :param baseline: what a database has that is older than its history: Flyway's version, or Liquibase's changeset; `0`: nothing
    """

    contexts: tuple[str, ...] = ()
    labels: str | None = None
    baseline: str | None = None


def older(history: str, database: str, found: Sequence[str]) -> str:
    """Give the words for a database that holds something and has no history."""
    return (
        f"database {database} is older than its migrations: it holds {shortened(', '.join(found), 200)}, and no history of "
        f"{history}; say in the catalog what of the changelog it has: `deploy.migrations.baseline` (`0`: nothing)"
    )
