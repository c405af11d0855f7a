"""How the refresh's report makes one outcome of a service's tasks, whichever of them got to their end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from slipway.ledger import Release
from slipway.release import Status, given
from slipway.stages import refresh_report

LOOKED = given.Looked(
    service="web",
    environment="staging",
    run_id="web.0123456789ab",
    commit="0123456789ab" + 28 * "0",
    ref="refs/heads/main",
    requested_at="2026-01-01T00:00:00+00:00",
    images={},
    advisories_max_age_days=7,
).dump()
FINE = given.Repaired().dump()
STEPS = ("look", "workspace", "dependencies", "release", "released", "drift", "healthy")


@dataclass
class Ti:
    """What the tasks left: return values, and outcomes with reasons."""

    values: dict[str, Any]
    outcomes: dict[str, dict[str, Any]]

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.outcomes.get(task_ids) if key == given.Ended.key else self.values.get(task_ids)


class Records:
    """A ledger of one release, which took a minute."""

    def record(self, run_id: str) -> Release:
        began = RELEASE.started_at
        return replace(RELEASE, run_id=run_id, finished_at=began + timedelta(seconds=60))


def told(states: dict[str, str], reasons: dict[str, tuple[str, str]], **values: Any) -> dict[str, Any]:
    """Give what the report says of a service whose tasks ended so."""
    known = {f"web.{name}": value for name, value in values.items()}
    outcomes = {f"web.{name}": {"outcome": one, "reason": why} for name, (one, why) in reasons.items()}
    crumbs = {f"web.{name}": {"state": state, "duration": 1.0} for name, state in states.items()}
    crumbs["website.look"] = {"state": "failed", "duration": 100.0}  # another service
    return refresh_report._service(Ti(known, outcomes), "web", crumbs, Records())  # type: ignore[arg-type]


def states(**others: str) -> dict[str, str]:
    return {**dict.fromkeys(STEPS, "success"), "release": "skipped", "released": "skipped", **others}


def test_service_without_anything_to_do_says_so() -> None:
    found = told(states(), {"release": ("skipped", "nothing is stale")}, look=LOOKED, drift=FINE)
    assert (found["outcome"], found["reason"], found["done"]) == ("passed", "", [])
    assert found["found"] == ["as released, made with tonight's images, no known vulnerability, healthy"]
    assert found["seconds"] == 7.0


def test_a_release_that_it_asked_for_counts_in_the_time() -> None:
    ended = states(release="success", released="success")
    found = told(
        ended, {}, look={**LOOKED, "release": RELEASE.run_id}, released=["released again"], drift=FINE
    )
    assert (found["outcome"], found["done"], found["seconds"]) == ("passed", ["released again"], 67.0)


def test_vulnerable_dependency_fails_the_service_and_drift_is_repaired_all_the_same() -> None:
    why = "dependencies failed: requirements.txt:5: CVE-1: x 1.0"
    repaired = {
        "found": ["drifted: Service/web"],
        "done": ["re-applied Service/web: changed"],
        "differences": [],
    }
    ended = states(dependencies="failed", release="upstream_failed", released="upstream_failed")
    found = told(ended, {"dependencies": ("failed", why)}, look=LOOKED, drift=repaired)
    assert (found["outcome"], found["reason"]) == ("failed", why)
    assert found["done"] == ["re-applied Service/web: changed"]


def test_a_fault_of_the_service_outweighs_one_of_the_platform_and_both_are_told() -> None:
    ended = states(workspace="failed", dependencies="upstream_failed", healthy="failed")
    reasons = {"workspace": ("errored", "git does not answer"), "healthy": ("failed", "web is not healthy")}
    found = told(ended, reasons, look=LOOKED, drift=FINE)
    assert found["outcome"] == "failed"
    assert found["reason"].splitlines() == ["git does not answer", "web is not healthy"]


def test_nothing_deployed_is_skipped_with_a_word() -> None:
    found = told(dict.fromkeys(STEPS, "skipped"), {"look": ("skipped", "nothing is deployed")})
    assert (found["outcome"], found["reason"], found["commit"]) == ("skipped", "nothing is deployed", None)


def test_task_that_was_killed_is_errored_and_named() -> None:
    # an earlier attempt of it had passed as far as it told
    found = told(states(drift="failed"), {"drift": ("passed", "")}, look=LOOKED)
    assert found["outcome"] == "errored"
    assert found["reason"] == "web.drift ended without a word: it was killed, or took too long"


def test_service_whose_tasks_never_ran_is_errored() -> None:
    found = told({}, {})
    assert (found["outcome"], found["reason"]) == ("errored", "it was not looked at")


RELEASE = Release(
    run_id="web.0123456789ab.r1",
    service="web",
    environment="staging",
    commit=str(LOOKED["commit"]),
    ref="refs/heads/main",
    status=Status.PASSED,
    attempts=1,
    tree=None,
    image="r/web",
    digest="sha256:1",
    config_revision=None,
    infra_hash=None,
    schema_revision_before=None,
    schema_revision=None,
    manifests=None,
    superseded_by=None,
    reason=None,
    stage=None,
    requested_at=datetime(2026, 1, 1, tzinfo=UTC),
    ready_at=None,
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    finished_at=datetime(2026, 1, 1, tzinfo=UTC),
)
