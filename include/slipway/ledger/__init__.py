"""The ledger: what Slipway knows of releases, in its own Postgres schema, apart from Airflow's.

SQLAlchemy is imported, and the tables are mapped, when a name is first used: that takes longer than to parse a DAG file, which
imports what leads here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slipway.ledger.migrating import upgrade
    from slipway.ledger.records import Ambiguous, Evidence, Holder, Release, Stage
    from slipway.ledger.whole import Ledger

_HOMES = {"upgrade": "migrating", "Ledger": "whole"}
__all__ = ["Ambiguous", "Evidence", "Holder", "Ledger", "Release", "Stage", "upgrade"]


_SUBJECTS = ("refreshes", "reports", "rollbacks", "wishes")
"""Modules that stages import by name."""


class _Subject:
    """A module of the ledger that is imported when it is first used."""

    def __init__(self, name: str) -> None:
        self._module = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._module), name)


def __getattr__(name: str) -> Any:
    if name in _SUBJECTS:
        return _Subject(f"{__name__}.{name}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'records')}"), name)
