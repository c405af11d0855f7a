"""Runs steps that depend on each other side by side; what a failed step was needed for is not tried."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass
class Step:
    """How one step ended."""

    name: str
    seconds: float = 0.0
    outcome: str = "waiting"  # done | failed | not tried
    error: BaseException | None = None


def order(depends: Mapping[str, Sequence[str]]) -> list[str]:
    """The names so that each stands after what it depends on.

    :raises ValueError: they depend on each other in a circle
    """
    found: list[str] = []
    left = dict(depends)
    while left:
        ready = [name for name, needs in left.items() if not any(need in left for need in needs)]
        if not ready:
            raise ValueError(f"these depend on each other: {', '.join(left)}")
        found += ready
        for name in ready:
            del left[name]
    return found


def run_graph(work: Mapping[str, Callable[[], None]], depends: Mapping[str, Sequence[str]]) -> list[Step]:
    """Run each of `work` as soon as those of `depends[name]` in `work` are done. Gives all steps."""
    names = order({name: [need for need in depends.get(name, ()) if need in work] for name in work})
    steps = {name: Step(name) for name in names}
    ended = {name: threading.Event() for name in names}

    def perform(name: str) -> None:
        step = steps[name]
        needs = [need for need in depends.get(name, ()) if need in work]
        for need in needs:
            ended[need].wait()
        start = time.monotonic()
        try:
            if any(steps[need].outcome != "done" for need in needs):
                step.outcome = "not tried"
            else:
                work[name]()
                step.outcome = "done"
        except BaseException as error:  # told by the caller, with the step's name
            step.outcome, step.error = "failed", error
        finally:
            step.seconds = time.monotonic() - start
            ended[name].set()

    threads = [threading.Thread(target=perform, args=(name,), name=name, daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a bounded join lets Ctrl-C through
            thread.join(0.2)
    return [steps[name] for name in names]
