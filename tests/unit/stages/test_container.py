from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.catalog.service import FindingWaiver, Gate
from slipway.ledger import Evidence
from slipway.release import Outcome
from slipway.release.findings import Finding, Severity, identified
from slipway.stages import container, verdicts
from slipway.stages.container import ContainerOperator

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def gate(**changes: Any) -> ContainerOperator:
    plain = {
        "image": "toolbox@sha256:1",
        "command": ["check", "a"],
        "timeout_s": 60,
        "policy": "",
        "environment": {"A": "1"},
    }
    made = ContainerOperator(task_id="gate", **plain | changes)
    made.tree = "0" * 40
    return made


@pytest.mark.parametrize(
    "change",
    [
        {"image": "toolbox@sha256:2"},
        {"command": ["check", "b"]},
        {"timeout_s": 61},
        {"policy": "postgres@sha256:1"},
        {"environment": {"A": "2"}},
        {"memory": "2g"},
        {"cpus": 1.0},
        {"network": "slipway-run-test"},
        {"daily": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_evidence_is_of_all_that_decides(change: dict[str, Any]) -> None:
    assert gate(**change).key() != gate().key()
    assert gate(**change).key() == gate(**change).key()


def test_evidence_is_of_the_dependencies_and_not_of_the_run() -> None:
    one, other = gate(network="slipway-run-1-test"), gate(network="slipway-run-2-test")
    assert one.key() == other.key()
    other.dependencies = "slipway-deps-2"
    assert one.key() != other.key()


class Evidences:
    """What the ledger has under whatever key. :param kept: what was recorded, in order."""

    def __init__(self, outcome: Outcome, report: Any) -> None:
        self.found = Evidence("k", "scan.sast", outcome, "run", "t", 1.0, None, report, NOW)

    def evidence(self, _key: str) -> Evidence:
        return self.found


FOUND = identified("scan.sast", [Finding("a.py", 3, "sql", "SQL of strings", severity=Severity.HIGH)])
CONTEXT: Any = {"params": {}, "dag": SimpleNamespace(tags=["refresh"]), "ti": SimpleNamespace(run_id="run")}
TODAY = datetime.now(UTC).date()
WAIVED = FindingWaiver(rule="sql", path="a.py", reason="the column is a constant", owner="web", until=TODAY)
OVER = WAIVED.model_copy(update={"until": TODAY - timedelta(days=1)})


@pytest.mark.parametrize(
    ("outcome", "report", "rules", "is_known"),
    [
        (Outcome.PASSED, None, None, True),
        (Outcome.FAILED, None, None, False),
        (Outcome.PASSED, None, Gate(), True),  # kept by a Slipway that kept no findings
        (Outcome.FAILED, None, Gate(policy="warn"), False),
        (Outcome.PASSED, verdicts.to_keep(()), Gate(), True),
        (Outcome.FAILED, verdicts.to_keep(FOUND), Gate(), False),
        (Outcome.FAILED, verdicts.to_keep(FOUND), Gate(policy="warn"), True),
        (Outcome.FAILED, verdicts.to_keep(FOUND), Gate(waivers=(WAIVED,)), True),
        (Outcome.FAILED, verdicts.to_keep(FOUND), Gate(waivers=(OVER,)), False),
    ],
)
def test_evidence_stands_as_long_as_it_passes_by_todays_words(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome, report: Any, rules: Gate | None, is_known: bool
) -> None:
    monkeypatch.setattr(container.connections, "ledger", lambda: Evidences(outcome, report))
    operator = gate(rules=rules, service="web", judged_as="scan.sast")
    assert (operator.settling(CONTEXT) is not None) is is_known
    assert operator.settling({**CONTEXT, "params": {"fresh": True}}) is None


OFF = Gate(policy="off", reason="a worker without HTTP", until=TODAY)


def test_gate_that_is_off_does_not_run_even_if_all_must_run_again() -> None:
    settling = gate(rules=OFF, service="web").settling({**CONTEXT, "params": {"fresh": True}})
    assert settling is not None
    assert settling.known is None
    assert settling.why == f"switched off in the catalog until {TODAY}: a worker without HTTP"


@pytest.mark.parametrize(
    ("outcome", "report", "rules", "ended"),
    [
        (Outcome.PASSED, None, None, (Outcome.PASSED, None)),
        (Outcome.FAILED, verdicts.to_keep(FOUND), Gate(policy="warn"), (Outcome.PASSED, "1 that only warn")),
        (Outcome.FAILED, verdicts.to_keep(FOUND), Gate(), None),
        (
            Outcome.PASSED,
            None,
            OFF,
            (Outcome.SKIPPED, f"switched off in the catalog until {TODAY}: {OFF.reason}"),
        ),
    ],
)
def test_gate_that_need_not_run_is_concluded_without_its_task(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome, report: Any, rules: Gate | None, ended: Any
) -> None:
    ledger, told = Evidences(outcome, report), list[Any]()
    ledger.stage = lambda run_id, name, outcome, _took, reason, **_: told.append(
        (run_id, name, outcome, reason)
    )  # type: ignore[attr-defined]
    monkeypatch.setattr(container.connections, "ledger", lambda: ledger)
    monkeypatch.setattr(container.reports, "copy", lambda _ledger, *of: told.append(of))
    operator = gate(rules=rules, service="web", judged_as="scan.sast")
    operator.render_template_fields = lambda _context: None  # type: ignore[method-assign,assignment]
    dag = SimpleNamespace(tags=["refresh"], get_task=lambda _id: operator)
    context: Any = {"params": {}, "dag": dag, "ti": SimpleNamespace(run_id="now")}
    assert container.conclude(context, "gate") is (ended is not None)
    assert [one for one in told if len(one) == 4] == ([("now", "gate", *ended)] if ended else [])
    copied = [("run", "now", "gate")] if ended and ended[0] is Outcome.PASSED else []
    assert [one for one in told if len(one) == 3] == copied


def test_image_that_the_registry_has_is_not_scanned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = SimpleNamespace(reason=None)
    monkeypatch.setattr(container, "recorded", lambda _context: nullcontext(ending))
    gate(built="", rules=Gate(), service="web", judged_as="image.scan").execute(
        {**CONTEXT, "params": {"fresh": True}}
    )
    assert ending.reason == "the registry has the image: it was judged before it was pushed"
