"""How a release ends, and the note on its commit: every task counts, also the one that ended without a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.catalog import Service
from slipway.ledger import Release, Stage
from slipway.release import Outcome, Status
from slipway.stages.report import REPORT, ending, note, untold
from slipway.stages.sequence import release_of
from slipway.stages.stage import Run


def release(**known: object) -> Release:
    nothing = dict.fromkeys(
        (
            "tree",
            "image",
            "digest",
            "config_revision",
            "infra_hash",
            "schema_revision_before",
            "schema_revision",
            "manifests",
            "superseded_by",
            "ready_at",
            "reason",
            "stage",
            "finished_at",
        )
    )
    fixed = {
        "run_id": "web.0123456789ab",
        "service": "web",
        "environment": "staging",
        "commit": "0" * 40,
        "ref": "refs/heads/main",
        "status": Status.PASSED,
        "attempts": 1,
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "requested_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Release(**{**nothing, **fixed, **known})  # type: ignore[arg-type]


def test_note_names_the_code_beside_the_stage() -> None:
    said = note(
        release(status=Status.FAILED, stage="gate", code="gate.not-all-passed", reason="no")
    ).splitlines()
    assert said[4:8] == ["stage: gate", "code: gate.not-all-passed", "", "no"]


def ended(
    known: Release, is_active: bool = True, is_cut: bool = False, **stages: str
) -> tuple[Status, str | None, str | None]:
    """Gives the end of a release out of its stages, each as `outcome` or `outcome: reason`; `__` is a dot in their names."""
    began, found = datetime(2026, 1, 1, tzinfo=UTC), []
    for name, text in {"verify__health": "passed", **stages}.items():
        outcome, _, reason = text.partition(": ")
        found.append(Stage(name.replace("__", "."), Outcome(outcome), 1.0, reason or None, began))
    watched = {"deploy.apply", "deploy.rollout", "verify.smoke", "verify.health"}
    return ending(known, found, watched=watched, is_active=is_active, is_cut=is_cut)


BACK = release(
    status=Status.ROLLED_BACK, rolled_back_to="web.1", reason="rolled back by hand", stage="rollback"
)


def test_release_ends_as_its_worst_stage_says() -> None:
    assert ended(release(), gate="passed") == (Status.PASSED, None, None)
    assert ended(release(), gate="passed", is_cut=True)[0] is Status.ERRORED
    assert ended(release(), gate="failed: no", deploy__config="errored: away") == (
        Status.FAILED,
        "gate",
        "no",
    )


def test_rolled_back_release_tells_where_it_failed_and_what_serves() -> None:
    end = ended(release(), False, verify__smoke="failed: no", rollback="rolled_back: to web.1")
    assert end == (Status.ROLLED_BACK, "verify.smoke", "no\nto web.1")


def test_rolled_back_release_that_is_cleared_and_refused_still_tells_where_it_failed() -> None:
    end = ended(
        BACK, False, accept="failed: held", verify__smoke="failed: no", rollback="rolled_back: to web.1"
    )
    assert end == (Status.ROLLED_BACK, "verify.smoke", "no\nto web.1")


def test_release_that_a_person_went_back_from_stays_rolled_back_when_it_is_cleared() -> None:
    assert ended(BACK, False) == (Status.ROLLED_BACK, "rollback", "rolled back by hand")
    assert ended(BACK, False, accept="failed: held") == (Status.ROLLED_BACK, "accept", "held")
    assert ended(BACK, True) == (Status.PASSED, None, None)  # deployed again


def test_rollback_that_failed_is_no_rollback() -> None:
    end = ended(BACK, False, verify__smoke="failed: no", rollback="errored: the API server is away")
    assert end == (Status.FAILED, "verify.smoke", "no\nnot rolled back: the API server is away")


def test_note_names_what_is_deployed() -> None:
    text = note(release(image="r/web", digest="sha256:1", config_revision="c1", schema_revision="003"))
    assert text == (
        "slipway: passed\nservice: web\nenvironment: staging\nrun: web.0123456789ab\n"
        "image: r/web@sha256:1\nconfig: c1\nschema: 003\n"
    )


def test_note_of_a_failure_leads_with_stage_and_reason() -> None:
    text = note(release(status=Status.FAILED, stage="test.unit", reason="test.unit failed\n  assert 1 == 2"))
    assert "stage: test.unit\n\ntest.unit failed\n  assert 1 == 2\nHow to go on: push a commit" in text
    assert text.startswith("slipway: failed\n")
    assert "image:" not in text


def test_stage_that_ended_without_a_word_is_told_as_airflow_saw_it() -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    kept = (
        Stage("gate", Outcome.FAILED, 1.0, "no", began),
        Stage("lane", Outcome.PASSED, 1.0, None, began),
        Stage("deploy.apply", Outcome.SUPERSEDED, 1.0, "by web.2", began),
        Stage("rollback", Outcome.ROLLED_BACK, 1.0, "to web.1", began),
    )
    states = {
        "gate": "failed",
        "lane": "failed",
        "deploy.apply": "skipped",
        "rollback": "success",
        "deploy.plan": "skipped",
        "verify.health": "running",
        "report": "failed",
    }
    found = {one.name: one for one in untold(release(stages=kept), states, "report", began)}
    assert {name: one.outcome for name, one in found.items()} == {
        "lane": Outcome.ERRORED,
        "deploy.plan": Outcome.SKIPPED,
    }
    assert found["lane"].reason == "the task ended without a word: it was killed"


class Events:
    """Airflow's accessors of asset events: those that were sent, and what is sent now."""

    def __init__(self, *sent: dict[str, Any]) -> None:
        self.sent, self.added = [SimpleNamespace(extra=one) for one in sent], list[dict[str, Any]]()

    def __getitem__(self, _asset: Any) -> Events:
        return self

    def after(self, _since: str) -> list[Any]:
        return self.sent

    def add(self, _asset: Any, extra: dict[str, Any]) -> None:
        self.added.append(extra)


def reporting(run: Callable[..., Run], states: dict[str, str], *sent: dict[str, Any], **more: Any) -> Any:
    """Report on a run, and give what was reported and the event that was sent."""
    events = Events(*sent)
    known: dict[str, Any] = {
        "runs": SimpleNamespace(task_states=lambda dag_id, run_id: states),
        "context": {"inlet_events": events, "outlet_events": events},
    }
    return REPORT.run(run(REPORT, **(known | more))), events.added


@pytest.fixture
def healthy(world: Any) -> Any:
    began = world.now()
    for run_id, record in world.of_ledger.releases.items():
        passed = (Stage("verify.health", Outcome.PASSED, 1.0, None, began),)
        world.of_ledger.releases[run_id] = replace(record, stages=passed, tree="t", digest="sha256:1")
    return world


def test_healthy_release_is_recorded_noted_and_told_once(
    run: Callable[..., Run], healthy: Any, source: Any
) -> None:
    found, events = reporting(run, {"verify.health": "success"})
    assert (found.status, found.stage) == ("passed", None)
    assert healthy.did == [("finish", Status.PASSED)]
    assert source.notes["a" * 40].startswith("slipway: passed\n")
    [event] = events
    assert (event["status"], event["digest"], event["reason"]) == ("passed", "sha256:1", None)
    assert reporting(run, {"verify.health": "success"}, event)[1] == []


def test_task_that_was_killed_is_put_on_record_and_decides(run: Callable[..., Run], healthy: Any) -> None:
    found, _ = reporting(run, {"verify.health": "success", "lane": "failed"})
    assert (found.status, found.stage) == ("errored", "lane")
    assert healthy.did[0][:3] == ("stage", "lane", Outcome.ERRORED)
    assert next(iter(healthy.of_ledger.releases.values())).code == "stage.killed"


def test_superseded_release_names_by_which(run: Callable[..., Run], healthy: Any) -> None:
    began = healthy.now()
    record = next(iter(healthy.of_ledger.releases.values()))
    ended = (*record.stages, Stage("lane", Outcome.SUPERSEDED, 1.0, "superseded by web.2", began))
    healthy.of_ledger.releases[record.run_id] = replace(record, stages=ended)
    ti = SimpleNamespace(xcom_pull=lambda task_ids, key: {("lane", "superseded_by"): "web.2"}[task_ids, key])
    found, _ = reporting(run, {"lane": "skipped"}, ti=ti)
    assert (found.status, found.stage) == ("superseded", "lane")
    assert healthy.of_ledger.releases[record.run_id].superseded_by == "web.2"


def test_run_whose_commit_is_not_known_has_nothing_to_report(run: Callable[..., Run], world: Any) -> None:
    world.of_ledger.releases.clear()
    found, events = reporting(run, {"accept": "failed"})
    assert (found.status, found.stage, events) == ("errored", "accept", [])
    assert world.did == []


def test_note_that_cannot_be_written_matters_only_if_there_is_a_commit(
    run: Callable[..., Run], healthy: Any, source: Any
) -> None:
    def refuse(_commit: str, _text: str) -> bool:
        raise RuntimeError("no such commit")

    source.write_note = refuse
    with pytest.raises(RuntimeError, match="no such commit"):
        reporting(run, {"verify.health": "success"})
    for run_id, record in healthy.of_ledger.releases.items():
        healthy.of_ledger.releases[run_id] = replace(record, tree=None)
    assert reporting(run, {"verify.health": "success"})[0].status == "passed"


def test_report_comes_last_and_always(service: Service) -> None:
    order = release_of(service)
    others = {one for one in order.stages if one is not REPORT}
    assert order.earlier(REPORT) == others
    assert REPORT.teardown
    assert order.deciding[-1] == "report"


def test_note_of_a_rollback_says_where_to_and_that_the_commit_is_held() -> None:
    text = note(
        release(
            status=Status.ROLLED_BACK,
            stage="verify.health",
            reason="verify.health: no",
            rolled_back_to="web.9",
        )
    )
    assert text.startswith("slipway: rolled_back\n")
    assert "rolled back to: web.9\n" in text
    assert "slipway holds release web 000000000000" in text
