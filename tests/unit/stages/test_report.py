"""The note on a commit."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from slipway.ledger import Release, Stage
from slipway.release import Outcome, Status
from slipway.stages.report import deciding_order, ending, note


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
