"""Pure decisions about releases: no I/O, no clock, no randomness."""

from slipway.release.advice import advice
from slipway.release.evidence import artifact_key, evidence_key
from slipway.release.identity import RunId, label, parse_run_id, run_id, short
from slipway.release.queue import Contender, Mode, ended_by, superseded_by, waits_for
from slipway.release.rollback import Candidate, Choice, choose
from slipway.release.schema import Changeset, linted
from slipway.release.states import Outcome, Status, begin, decisive, finish, fold
from slipway.release.wishes import Answer, Wish, decide

__all__ = [
    "Answer",
    "Candidate",
    "Changeset",
    "Choice",
    "Contender",
    "Mode",
    "Outcome",
    "RunId",
    "Status",
    "Wish",
    "advice",
    "artifact_key",
    "begin",
    "choose",
    "decide",
    "decisive",
    "ended_by",
    "evidence_key",
    "finish",
    "fold",
    "label",
    "linted",
    "parse_run_id",
    "run_id",
    "short",
    "superseded_by",
    "waits_for",
]
