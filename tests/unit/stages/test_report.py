"""The note on a commit."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from slipway.ledger import Release
from slipway.release import Status
from slipway.stages.report import deciding_order, note


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


def test_what_failed_decides_before_the_teardown_that_failed_after_it() -> None:
    with DAG("web") as dag:
        setup, teardown, work = (EmptyOperator(task_id=name) for name in ("take", "give_back", "work"))
        setup.as_setup() >> work >> teardown.as_teardown(setups=setup)
    assert deciding_order(dag.task_dict) == ["take", "work", "give_back"]


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
