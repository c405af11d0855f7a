"""Known verdicts: one task ends every gate that need not run, so that a source which was judged before waits for none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.release import given
from slipway.stages.checkout import CHECKOUT, DEPENDENCIES
from slipway.stages.stage import Container, Run, Sift

if TYPE_CHECKING:
    from slipway.catalog import Service


@dataclass(frozen=True)
class Gates:
    """The gates of a run.

    :param settled: those that were ended just now. :param running: those that must run.
    :param unneeded: what need not run as those are settled. :param fetched: whether all dependencies are there.
    """

    settled: Sequence[str]
    running: Sequence[str]
    unneeded: Collection[str]
    fetched: bool


def read(run: Run) -> Gates:
    """End what need not run, and tell that from what must."""
    gates = [one.task_id for one in run.flow.stages if one.gates and isinstance(one, Container)]
    settled = []
    for one in gates:
        print(f"{one}:")
        if run.conclude(one):
            settled.append(one)
        else:
            print("must run")
    running = [one for one in run.flow.gating if one not in settled]
    return Gates(settled, running, run.flow.unneeded(settled), run.take(given.Workspace).fetched)


def decide(_service: Service, gates: Gates) -> frozenset[str]:
    """Give the ids of what need not run; what gates need that run is not among that."""
    if gates.running:
        print(f"{len(gates.settled)} gates are settled; to run: {', '.join(gates.running)}")
        return frozenset(gates.unneeded)
    print("no gate must run")
    # the image may have to be built of them all the same
    return frozenset(gates.unneeded) | ({DEPENDENCIES.task_id} if gates.fetched else set())


KNOWN = Sift(
    id="known",
    title="Look for known verdicts",
    after=(CHECKOUT,),
    before=(DEPENDENCIES,),
    needs=(given.Accepted, given.Workspace),
    read=read,
    decide=decide,
)
