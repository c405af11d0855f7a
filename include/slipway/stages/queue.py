"""Giving way: a release that is not ready ends for a newer one, before it begins or while its gates run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slipway.errors import SlipwayError, Superseded
from slipway.release import Contender, Mode, ended_by
from slipway.stages import connections, runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slipway.catalog import Service

log = logging.getLogger(__name__)

LOOK_S = 3.0
"""Seconds between two looks of a gate that runs: a query of milliseconds, and as long as a container is worth ending."""

_TAG, _LANE = "queue:", "lane"


def tags(service: Service) -> list[str]:
    """Give the tag by which a release's tasks know the mode of its queue, if that is not the usual one."""
    return [f"{_TAG}{service.queue}"] if Mode(service.queue) is not Mode.NEWEST else []


def mode_of(context: Any) -> Mode:
    """Give the mode of the queue of the service that the run releases."""
    told = [one.removeprefix(_TAG) for one in context["dag"].tags if one.startswith(_TAG)]
    return Mode(told[0]) if told else Mode.NEWEST


def is_release(context: Any) -> bool:
    """Tell whether the run is a release, which the ledger has a record of; stages run elsewhere, too."""
    return "release" in context["dag"].tags


def give_way(context: Any) -> None:
    """End the release before a task of it that makes it ready, if a newer one goes instead.

    :raises Superseded: naming that.
    """
    if is_release(context) and makes_ready(context["task"]) and (by := newer(context)):
        raise superseded(by)


def makes_ready(task: Any) -> bool:
    """Tell whether a task is one of those between a release's first and the lane: what they do can be left at any time."""
    if task.is_teardown or not task.upstream_task_ids:
        return False
    return _LANE in task.get_flat_relative_ids(upstream=False)


def newer(context: Any) -> Contender | None:
    """Give the newer release for which this one ends now, by the ledger's word and, where one is named, by Airflow's."""
    own, others = connections.ledger().queued(context["dag_run"].run_id)
    while by := ended_by(own, others, mode_of(context)):
        if by.deployed or runs.alive(context, by.run_id):
            return by
        others.remove(by)
    return None


def superseded(by: Contender) -> Superseded:
    """Give the error that ends a release for a newer one."""
    what = "was deployed" if by.deployed else "is ready" if by.ready else "goes instead"
    return ended_for(by.run_id, by.commit, what)


def ended_for(by: str, commit: str, what: str) -> Superseded:
    """Give the error that ends a release for the run ``by`` of ``commit``, with what that is."""
    return Superseded(
        f"superseded by {by}: commit {commit}, asked for later, {what}",
        code="release.superseded",
        by=by,
        remedy="nothing; to deploy this commit all the same: `slipway release SERVICE COMMIT --again`",
    )


@contextmanager
def giving_way(context: Any, stop: Callable[[], None]) -> Iterator[None]:
    """Look while the body runs whether a newer release goes instead, and then let ``stop`` end what the body waits for.

    :param stop: called again and again until the body ends; harmless when there is nothing to stop.
    :raises Superseded: whatever the body made of it.
    """
    if not (is_release(context) and makes_ready(context["task"])):
        yield
        return
    done, found = threading.Event(), list[Contender]()

    def watch() -> None:
        while not done.wait(LOOK_S):
            try:
                if not found and (by := newer(context)):
                    found.append(by)
                if found:
                    stop()
            except SlipwayError as e:  # the next look may do; the body has its own bound
                log.warning("whether a newer release goes instead is not known: %s", e.message)

    thread = threading.Thread(target=watch, name="slipway-queue", daemon=True)
    thread.start()
    try:
        yield
    except Exception:
        if not found:
            raise
    finally:
        done.set()
        thread.join(30)
    if found:
        raise superseded(found[0])


def alive(context: Any, others: Iterable[Contender]) -> list[Contender]:
    """Leave out what the ledger has as going on though its run has ended, or never was: nobody waits for the dead."""
    return [one for one in others if one.deployed or (not one.answered and runs.alive(context, one.run_id))]
