"""The ledger: what Slipway knows of releases, in its own Postgres schema, apart from Airflow's.

SQLAlchemy is imported when a name is first used, since DAG files import what leads here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slipway.ledger.migrating import upgrade
    from slipway.ledger.records import Ambiguous, Evidence, Holder, Release, Stage
    from slipway.ledger.whole import Ledger

_HOMES = {"upgrade": "migrating", "Ledger": "whole"}
__all__ = ["Ambiguous", "Evidence", "Holder", "Ledger", "Release", "Stage", "upgrade"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'records')}"), name)
