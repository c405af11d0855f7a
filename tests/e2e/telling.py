"""A process that tells a forge how a release is, and is killed at a moment of it; see test_forge.py."""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from slipway.adapters import forges
from slipway.adapters.forges import Statuses
from slipway.catalog import Service
from slipway.catalog.service import Forge, Source
from slipway.ledger import Ledger
from slipway.release import Status, run_id
from slipway.release.voice import Word
from slipway.stages import voice

RUN = "svc"


class Killed:
    """The statuses of a repository, shown by a process that is killed right before or after one was posted."""

    def __init__(self, shown: Statuses, moment: str) -> None:
        self.shown, self.moment = shown, moment

    def newest(self, commit: str, context: str) -> Word | None:
        return self.shown.newest(commit, context)

    def show(self, commit: str, word: Word) -> None:
        if self.moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        self.shown.show(commit, word)
        if self.moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)


class World:
    """A ledger, and one repository of a forge."""

    def __init__(self, told: dict[str, str], moment: str = "") -> None:
        self.told, self.moment, self._ledger = told, moment, Ledger(told["ledger"])

    @property
    def service(self) -> Service:
        repository = f"{self.told['forge']}/{self.told['repository']}.git"
        source = Source(repository=repository, forge=Forge(kind="gitea", url=self.told["forge"]))
        return cast("Service", SimpleNamespace(service=RUN, source=source, notify=()))

    def ledger(self) -> Ledger:
        return self._ledger

    def platform(self) -> Any:
        return SimpleNamespace(airflow=SimpleNamespace(url="http://airflow.invalid"))

    def statuses(self, _source: Source) -> Statuses:
        shown = forges.statuses("gitea", self.told["forge"], self.told["repository"], self.told["token"])
        return Killed(shown, self.moment)

    def tell(self, commit: str, status: Status) -> None:
        """Put a release on record as it is, and tell it."""
        run = run_id(RUN, commit)
        if status is Status.RUNNING:
            self._ledger.begin(RUN, "staging", commit, run, "refs/heads/main", datetime.now(UTC))
        else:
            self._ledger.finish(run, status)
        record = self._ledger.record(run)
        assert record
        voice.tell(cast("Any", self), self.service, record)


if __name__ == "__main__":
    World(json.loads(sys.stdin.readline()), sys.argv[3]).tell(sys.argv[1], Status(sys.argv[2]))
