"""Pure decisions about releases: no I/O, no clock, no randomness."""

from slipway.release.advice import advice
from slipway.release.evidence import evidence_key
from slipway.release.identity import RunId, label, parse_run_id, run_id, short
from slipway.release.queue import Contender, superseded_by, yields_to
from slipway.release.states import Outcome, Status, begin, decisive, finish, fold

__all__ = [
    "Contender",
    "Outcome",
    "RunId",
    "Status",
    "advice",
    "begin",
    "decisive",
    "evidence_key",
    "finish",
    "fold",
    "label",
    "parse_run_id",
    "run_id",
    "short",
    "superseded_by",
    "yields_to",
]
