"""A release in the ledger begins once, goes on as it is recorded, and is found again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from slipway import version
from slipway.errors import Permanent
from slipway.ledger import Ambiguous, Ledger, Release, refreshes, releases, rollbacks
from slipway.release import Outcome, Status, evidence_key, run_id

A = "a" * 40
B = "ab" * 20
C = "c" * 40
DIGEST = f"sha256:{'d' * 64}"


def test_release_is_shown_with_exactly_the_promised_words(
    ledger: Ledger, begin: Callable[..., str], record: Callable[[str], Release]
) -> None:
    run = begin()
    ledger.update(
        run, tree="t", image="10.0.0.1:5000/svc", digest=DIGEST, config_revision=B, schema_revision="2"
    )
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ledger.stage(run, "test.unit", Outcome.PASSED, 2.5, started_at=start + timedelta(seconds=1))
    ledger.stage(run, "checkout", "passed", 0.5, started_at=start)
    ledger.finish(run, "passed")
    shown = record(run).show()
    assert list(shown) == [
        "service",
        "environment",
        "commit",
        "tree",
        "image",
        "digest",
        "config_revision",
        "schema_revision",
        "status",
        "superseded_by",
        "rolled_back_to",
        "works_from",
        "plan_hash",
        "plan",
        "stage",
        "code",
        "reason",
        "attempts",
        "run_id",
        "slipway",
        "catalog",
        "started_at",
        "finished_at",
        "stages",
    ]
    assert shown["stages"] == [
        {"name": "checkout", "outcome": "passed", "seconds": 0.5, "code": None, "reason": None},
        {"name": "test.unit", "outcome": "passed", "seconds": 2.5, "code": None, "reason": None},
    ]
    assert (shown["status"], shown["digest"], shown["superseded_by"]) == ("passed", DIGEST, None)
    assert datetime.fromisoformat(shown["started_at"]) <= datetime.fromisoformat(shown["finished_at"])


def test_cleared_run_begins_again_and_keeps_its_stages(
    ledger: Ledger, begin: Callable[..., str], record: Callable[[str], Release]
) -> None:
    run = begin()
    ledger.update(run, tree="t")
    ledger.stage(run, "unit", "failed", 1, "2 tests failed", code="gate.failed")
    ledger.finish(run, "failed", "2 tests failed", "unit", code="gate.failed")
    first = record(run)
    assert (first.status, first.reason, first.stage) == (Status.FAILED, "2 tests failed", "unit")
    assert (first.code, [one.code for one in first.stages]) == ("gate.failed", ["gate.failed"])
    begin()
    again = record(run)
    assert (again.status, again.reason, again.finished_at, again.attempts) == (Status.RUNNING, None, None, 2)
    assert (again.tree, again.started_at) == ("t", first.started_at)
    assert [(one.name, one.outcome) for one in again.stages] == [("unit", Outcome.FAILED)]
    ledger.stage(run, "unit", "passed", 3)
    assert [(one.outcome, one.seconds, one.reason) for one in record(run).stages] == [
        (Outcome.PASSED, 3, None)
    ]


def test_run_id_of_another_release_is_refused(ledger: Ledger, begin: Callable[..., str]) -> None:
    run = begin()
    with pytest.raises(Permanent, match=r"another release .commit a"):
        ledger.begin("svc", "staging", "a" * 12 + "b" * 28, run, "refs/heads/main")
    with pytest.raises(Permanent, match=r"another release .environment staging"):
        ledger.begin("svc", "production", A, run, "refs/heads/main")


def test_many_begin_the_same_run_at_once_and_there_is_one(
    ledger: Ledger, begin: Callable[..., str], record: Callable[[str], Release]
) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: begin(), range(24)))
    assert len(ledger.releases("svc")) == 1
    assert record(run_id("svc", A)).attempts == 24


def test_release_that_never_began_cannot_be_changed(ledger: Ledger) -> None:
    for change in (
        lambda: ledger.update("svc.x", tree="t"),
        lambda: ledger.finish("svc.x", "passed"),
        lambda: ledger.deployed("svc.x"),
    ):
        with pytest.raises(Permanent, match=r"no release svc\.x"):
            change()
    with pytest.raises(Permanent, match="stages_run_id_fkey"):
        ledger.stage("svc.x", "unit", "passed", 1)


def test_unknown_field_is_refused_with_the_legal_ones(ledger: Ledger, begin: Callable[..., str]) -> None:
    with pytest.raises(Permanent, match=r"legal: .*digest"):
        ledger.update(begin(), tre="t")  # type: ignore[call-arg]


def test_illegal_end_is_refused_and_changes_nothing(
    ledger: Ledger, good: Callable[..., str], record: Callable[[str], Release]
) -> None:
    run = good(A)
    with pytest.raises(Permanent, match="cannot end as running"):
        ledger.finish(run, "running")
    assert record(run).status is Status.PASSED


def test_superseded_release_names_the_other(
    ledger: Ledger, begin: Callable[..., str], record: Callable[[str], Release]
) -> None:
    older, newer = begin(A), begin(B)
    assert ledger.finish(older, Status.SUPERSEDED, superseded_by=newer).show()["superseded_by"] == newer
    begin(A)
    assert record(older).superseded_by is None


def test_releases_are_listed_newest_first_and_bounded(ledger: Ledger, begin: Callable[..., str]) -> None:
    runs = [begin(commit) for commit in (A, B, C)]
    begin(service="other")
    assert [one.run_id for one in ledger.releases("svc")] == runs[::-1]
    assert [one.run_id for one in ledger.releases("svc", limit=1)] == runs[-1:]
    assert ledger.releases("svc", environment="production") == []


def test_release_is_found_by_prefix_and_the_newest_repeat_wins(
    ledger: Ledger, begin: Callable[..., str]
) -> None:
    begin(A)
    repeat = begin(A, 1)
    other = begin(B)
    newest = ledger.release("svc")
    by_prefix, whole = ledger.release("svc", "AAA"), ledger.release("svc", B)
    assert newest is not None and by_prefix is not None and whole is not None  # noqa: PT018
    assert (newest.run_id, by_prefix.run_id, whole.run_id) == (other, repeat, other)
    assert ledger.release("svc", "f") is None


def test_ambiguous_prefix_names_the_candidates(ledger: Ledger, begin: Callable[..., str]) -> None:
    begin(A)
    begin(B)
    with pytest.raises(Ambiguous) as caught:
        ledger.release("svc", "a")
    assert caught.value.lines == (A, B)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("prefix", ["%", "_", "main", "'; DROP TABLE releases; --"])
def test_prefix_must_be_hexadecimal(ledger: Ledger, prefix: str) -> None:
    with pytest.raises(Ambiguous, match="not a commit"):
        ledger.release("svc", prefix)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("status = 'skipped', finished_at = now()", "releases_status_check"),
        ("finished_at = now()", "releases_finished_check"),
        ("status = 'passed'", "releases_finished_check"),
        ("commit = 'main'", "releases_commit_check"),
        ("digest = 'latest'", "releases_digest_check"),
        ("superseded_by = run_id", "releases_superseded_check"),
    ],
)
def test_schema_itself_refuses_what_cannot_be(
    ledger: Ledger, change: str, constraint: str, begin: Callable[..., str]
) -> None:
    begin()
    with pytest.raises(Exception, match=constraint), ledger.engine.begin() as connection:
        connection.execute(text("UPDATE releases SET " + change))  # noqa: S608 - of this file


def test_release_names_the_slipway_and_the_catalog_entry_that_began_it(
    ledger: Ledger, record: Callable[[str], Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_id("svc", A)

    def by(made_by: str, catalog: str) -> None:
        monkeypatch.setattr(releases, "this", lambda: made_by)
        ledger.begin("svc", "staging", A, run, "refs/heads/main", catalog=catalog)

    by("1", "entry1")
    ledger.stage(run, "checkout", Outcome.PASSED, 1)
    monkeypatch.setattr(releases, "this", lambda: "2")  # upgraded in its middle
    ledger.stage(run, "gate", Outcome.PASSED, 1)
    found = record(run)
    assert (found.slipway, found.catalog) == ("1", "entry1")
    assert {one.name: one.slipway for one in found.stages} == {"checkout": "1", "gate": "2"}
    by("2", "entry2")  # cleared from its first task on
    assert (record(run).slipway, record(run).catalog) == ("2", "entry2")


def test_every_kind_of_record_names_the_slipway_that_made_it(
    ledger: Ledger, begin: Callable[..., str]
) -> None:
    run = begin()
    ledger.stage(run, "gate", Outcome.PASSED, 1)
    ledger.record_evidence(evidence_key("t", DIGEST, ["unit"]), "unit", "passed", run, "t", 1.0)
    rollbacks.begin(ledger, "rollback.1", "svc", "staging", None, None)
    refreshes.begin(ledger, "refresh.1", "staging")
    with ledger.transaction() as session:
        for table in ("releases", "stages", "evidence", "rollbacks", "refreshes"):
            assert session.scalars(text(f"SELECT slipway FROM {table}")).all() == [version.this()], table  # noqa: S608
