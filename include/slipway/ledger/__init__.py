"""The ledger: what Slipway knows of releases, in its own Postgres schema, apart from Airflow's.

SQLAlchemy is imported, and the tables are mapped, when a name is first used: that takes longer than to parse a DAG file, which
imports what leads here.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slipway.ledger.migrating import upgrade
    from slipway.ledger.records import Ambiguous, Evidence, Holder, Release, Stage
    from slipway.ledger.whole import Ledger

_HOMES = {"upgrade": "migrating", "Ledger": "whole"}
__all__ = ["Ambiguous", "Evidence", "Holder", "Ledger", "Release", "Stage", "upgrade"]


_SUBJECTS = ("deliveries", "findings", "outbox", "refreshes", "reports", "rollbacks", "wishes")
"""Modules that stages import by name."""


def _later(name: str) -> ModuleType:
    """Give a module of the ledger that is executed when something of it is first used."""
    spec = find_spec(f"{__name__}.{name}")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = loader = LazyLoader(spec.loader)
    module = sys.modules[spec.name] = module_from_spec(spec)
    loader.exec_module(module)
    return module


def __getattr__(name: str) -> Any:
    if name in _SUBJECTS:
        return sys.modules.get(f"{__name__}.{name}") or _later(name)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'records')}"), name)
