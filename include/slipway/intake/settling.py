"""What deliveries that wait mean: git is asked where the branch is, the wish is put on record, and its run is started.

Many deliveries of a service are settled by one look. Whoever else looks meanwhile (a second API server, the DAG `reconcile`)
is told the same run; what is killed on the way is done again, or found by `reconcile`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from slipway.errors import PolicyFailed, SlipwayError
from slipway.release.obstacles import Effect, Obstacle

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.ledger.database import Database
    from slipway.ledger.deliveries import Waiting

log = logging.getLogger(__name__)


class Branch(Protocol):
    """What is asked of git; see :class:`slipway.adapters.git.Repository`."""

    def head(self, branch: str) -> str: ...  # noqa: D102

    def on_branch(self, commit: str, branch: str) -> bool: ...  # noqa: D102


class Runs(Protocol):
    """What is asked of Airflow."""

    def obstacles(self, service: Service, commit: str) -> Sequence[Obstacle]:
        """Give what is in the way of a release."""
        ...

    def start(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """Start a run, unless it is there already."""
        ...


@dataclass(frozen=True)
class Settler:
    """Settles the deliveries of a service.

    :param repository: gives the service's repository.
    """

    ledger: Database
    environment: str
    repository: Callable[[Service], Branch]
    runs: Runs

    def settle(self, service: Service, waiting: Sequence[Waiting]) -> None:
        """Settle what waits, by where the branch is now.

        :raises SlipwayError: if git or the ledger cannot be asked, or the DAG takes no runs: they go on waiting.
        """
        from slipway.ledger import deliveries

        repository, branch = self.repository(service), service.source.branch
        newest = max(one.id for one in waiting)
        try:
            head = repository.head(branch)
            commits = wanted(service, head, waiting, lambda one: repository.on_branch(one, branch))
        except PolicyFailed:  # the branch has gone meanwhile
            deliveries.settle(self.ledger, service.service, newest, None)
            return
        last = None
        for commit in commits:
            found = self._asked(service, commit, is_head=commit == head)
            if found is None:
                return
            last = found
        deliveries.settle(self.ledger, service.service, newest, last)

    def _asked(self, service: Service, commit: str, *, is_head: bool) -> str | None:
        from slipway.ledger import wishes

        stop = [one for one in self.runs.obstacles(service, commit) if one.effect is Effect.NOT_STARTED]
        if (
            stop
        ):  # nothing is on record of what cannot be started: the reconciler finds it when that is mended
            log.warning(
                "%s: %s is not released: %s: %s", service.service, commit, stop[0].what, stop[0].remedy
            )
            return None
        ref = f"refs/heads/{service.source.branch}"
        asked = wishes.ask(
            self.ledger, service.service, self.environment, commit, ref=ref, is_head=is_head, asked_by="push"
        )
        if asked.status is None:
            conf = {"service": service.service, "commit": commit, "ref": ref}
            self.runs.start(service.dag_id, asked.run_id, conf)
        return asked.run_id


def wanted(
    service: Service, head: str, waiting: Sequence[Waiting], on_branch: Callable[[str], bool]
) -> list[str]:
    """Give the commits that are released, in order: the head; where each push counts, also those told that git has."""
    if service.queue != "every-commit":
        return [head]
    told = dict.fromkeys(one.told for one in waiting if one.told != head)
    return [*(one for one in told if on_branch(one)), head]


class Wakeful:
    """Works in a thread of its own as long as there is something to do, and ends when there is not.

    :param work: does what there is; what it raises is tried again, after each of `pauses_s`, and then left to the reconciler.
    """

    def __init__(self, work: Callable[[], None], pauses_s: Sequence[float] = (1, 4, 15, 30)) -> None:
        self._work, self._pauses = work, tuple(pauses_s)
        self._lock, self._rung, self._runs = threading.Lock(), threading.Event(), False

    def wake(self) -> None:
        """See that the work is done once more after now. Returns at once."""
        with self._lock:
            self._rung.set()
            if self._runs:
                return
            self._runs = True
        threading.Thread(target=self._run, name="slipway-intake", daemon=True).start()

    def _run(self) -> None:
        tries = 0
        while True:
            with self._lock:
                if not self._rung.is_set():
                    self._runs = False
                    return
                self._rung.clear()
            try:
                self._work()
                tries = 0
            except (
                Exception
            ) as error:  # whatever it is, the thread must not be taken for one that still works
                said = f"{error.code}: {error}" if isinstance(error, SlipwayError) else repr(error)
                if tries == len(self._pauses):
                    log.error("deliveries are left to the DAG reconcile: %s", said)
                    tries = 0
                    continue
                log.warning("deliveries wait, and are looked at again in %s s: %s", self._pauses[tries], said)
                time.sleep(
                    self._pauses[tries]
                )  # whoever wakes it meanwhile: git is not asked more often for that
                self._rung.set()
                tries += 1
