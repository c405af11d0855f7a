"""The ledger: all of its subjects over one database."""

from __future__ import annotations

from slipway.ledger.changesets import Changesets
from slipway.ledger.deployments import Deployments
from slipway.ledger.evidence import Verdicts
from slipway.ledger.holds import Holds
from slipway.ledger.lanes import Lanes
from slipway.ledger.locks import Locks
from slipway.ledger.queue import Queue
from slipway.ledger.releases import Releases


class Ledger(Releases, Queue, Deployments, Holds, Changesets, Verdicts, Lanes, Locks):
    """What Slipway remembers, in a Postgres of its own.

    What needs one subject alone asks for its class. Wishes, rollbacks by hand, refreshes and reports are modules of functions,
    which take any of these.
    """
