import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from slipway.errors import Permanent, SlipwayError, Transient
from slipway.ledger import Ambiguous, Ledger, Release
from slipway.release import Changeset, Outcome, Status, evidence_key, run_id

A, B, C = "a" * 40, "ab" * 20, "c" * 40
DIGEST = f"sha256:{'d' * 64}"


def begin(ledger: Ledger, commit: str = A, repeat: int = 0, service: str = "svc") -> str:
    run = run_id(service, commit, repeat)
    ledger.begin(service, "staging", commit, run, "refs/heads/main")
    return run


def good(ledger: Ledger, commit: str, **known: str) -> str:
    run = begin(ledger, commit)
    ledger.update(run, **known)  # type: ignore[arg-type]
    ledger.deployed(run)
    ledger.finish(run, Status.PASSED)
    return run


def record(ledger: Ledger, run: str) -> Release:
    found = ledger.record(run)
    assert found is not None
    return found


def test_release_is_shown_with_exactly_the_promised_words(ledger: Ledger) -> None:
    run = begin(ledger)
    ledger.update(
        run, tree="t", image="10.0.0.1:5000/svc", digest=DIGEST, config_revision=B, schema_revision="2"
    )
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ledger.stage(run, "test.unit", Outcome.PASSED, 2.5, started_at=start + timedelta(seconds=1))
    ledger.stage(run, "checkout", "passed", 0.5, started_at=start)
    ledger.finish(run, "passed")
    shown = record(ledger, run).show()
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
        "reason",
        "attempts",
        "run_id",
        "started_at",
        "finished_at",
        "stages",
    ]
    assert shown["stages"] == [
        {"name": "checkout", "outcome": "passed", "seconds": 0.5, "reason": None},
        {"name": "test.unit", "outcome": "passed", "seconds": 2.5, "reason": None},
    ]
    assert (shown["status"], shown["digest"], shown["superseded_by"]) == ("passed", DIGEST, None)
    assert datetime.fromisoformat(shown["started_at"]) <= datetime.fromisoformat(shown["finished_at"])


def test_cleared_run_begins_again_and_keeps_its_stages(ledger: Ledger) -> None:
    run = begin(ledger)
    ledger.update(run, tree="t")
    ledger.stage(run, "unit", "failed", 1, "2 tests failed")
    ledger.finish(run, "failed", "2 tests failed", "unit")
    first = record(ledger, run)
    assert (first.status, first.reason, first.stage) == (Status.FAILED, "2 tests failed", "unit")
    begin(ledger)
    again = record(ledger, run)
    assert (again.status, again.reason, again.finished_at, again.attempts) == (Status.RUNNING, None, None, 2)
    assert (again.tree, again.started_at) == ("t", first.started_at)
    assert [(one.name, one.outcome) for one in again.stages] == [("unit", Outcome.FAILED)]
    ledger.stage(run, "unit", "passed", 3)
    assert [(one.outcome, one.seconds, one.reason) for one in record(ledger, run).stages] == [
        (Outcome.PASSED, 3, None)
    ]


def test_run_id_of_another_release_is_refused(ledger: Ledger) -> None:
    run = begin(ledger)
    with pytest.raises(Permanent, match=r"another release .commit a"):
        ledger.begin("svc", "staging", "a" * 12 + "b" * 28, run, "refs/heads/main")
    with pytest.raises(Permanent, match=r"another release .environment staging"):
        ledger.begin("svc", "production", A, run, "refs/heads/main")


def test_many_begin_the_same_run_at_once_and_there_is_one(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: begin(ledger), range(24)))
    assert len(ledger.releases("svc")) == 1
    assert record(ledger, run_id("svc", A)).attempts == 24


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


def test_unknown_field_is_refused_with_the_legal_ones(ledger: Ledger) -> None:
    with pytest.raises(Permanent, match=r"legal: .*digest"):
        ledger.update(begin(ledger), tre="t")  # type: ignore[call-arg]


def test_illegal_end_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    run = good(ledger, A)
    with pytest.raises(Permanent, match="cannot end as running"):
        ledger.finish(run, "running")
    assert record(ledger, run).status is Status.PASSED


def test_superseded_release_names_the_other(ledger: Ledger) -> None:
    older, newer = begin(ledger, A), begin(ledger, B)
    assert ledger.finish(older, Status.SUPERSEDED, superseded_by=newer).show()["superseded_by"] == newer
    begin(ledger, A)
    assert record(ledger, older).superseded_by is None


def test_last_good_is_the_last_deployed_release_that_passed(ledger: Ledger) -> None:
    assert ledger.last_good("svc", "staging") is None
    first = good(ledger, A, infra_hash="i1")
    bad = begin(ledger, B)
    ledger.deployed(bad)
    ledger.finish(bad, "failed", "health", "verify")
    found = ledger.last_good("svc", "staging")
    assert found is not None
    assert (found.run_id, found.infra_hash) == (first, "i1")
    assert ledger.last_good("svc", "production") is None
    second = good(ledger, C)
    found = ledger.last_good("svc", "staging")
    assert found is not None
    assert found.run_id == second


def test_order_of_report_and_deployment_does_not_matter(ledger: Ledger) -> None:
    run = begin(ledger)
    ledger.finish(run, "passed")
    assert ledger.last_good("svc", "staging") is None
    ledger.deployed(run)
    assert ledger.last_good("svc", "staging") is not None


def test_good_release_stays_good_when_its_run_is_cleared(ledger: Ledger) -> None:
    run = good(ledger, A)
    begin(ledger, A)
    found = ledger.last_good("svc", "staging")
    assert found is not None
    assert (found.run_id, found.status) == (run, Status.RUNNING)


def test_one_deployment_is_active_and_a_return_to_an_older_one_is_recorded(ledger: Ledger) -> None:
    first, second = good(ledger, A), good(ledger, B)
    ledger.deployed(second)
    ledger.deployed(first)
    with ledger.engine.connect() as connection:
        rows = connection.execute(text("SELECT run_id, ended_at IS NULL FROM deployments ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [(first, False), (second, False), (first, True)]
    found = ledger.last_good("svc", "staging")
    assert found is not None
    assert found.run_id == first


def test_what_is_rolled_back_is_held_and_the_earlier_one_is_deployed_again(ledger: Ledger) -> None:
    first, second = good(ledger, A), good(ledger, B)
    ledger.hold("svc", "staging", B, "somebody held it already")
    for _ in range(2):  # as after a kill -9
        ledger.rolled_back(second, first, "verify.health failed: no")
        active = ledger.active("svc", "staging")
        assert active is not None
        assert active.run_id == first
        assert record(ledger, second).rolled_back_to == first
        # a person may go forward again to what was good once; by itself nothing does, as it is held
        assert [one.run_id for one in ledger.good_ones("svc", "staging")] == [first, second]
    hold = ledger.held("svc", "staging", B)
    assert hold is not None
    assert (hold.run_id, hold.reason) == (second, "verify.health failed: no")
    assert ledger.held("svc", "staging", A) is None
    # what was rolled back supersedes nobody; let go, it does again
    assert not ledger.newer(first)[0].deployed
    assert ledger.let_go("svc", "staging", B)
    assert not ledger.let_go("svc", "staging", B)
    assert ledger.newer(first)[0].deployed
    ledger.deployed(second)
    ledger.finish(second, Status.PASSED)
    assert record(ledger, second).rolled_back_to is None


def test_where_the_commit_is_the_same_only_what_was_bad_about_it_is_held(ledger: Ledger) -> None:
    first, other = good(ledger, A, config_revision="1", digest=DIGEST), f"sha256:{'e' * 64}"
    for repeat, config in enumerate(("2", "1"), 1):
        again = begin(ledger, A, repeat)
        ledger.update(again, digest=other, config_revision=config)
        ledger.deployed(again)
        ledger.rolled_back(again, first, "no")
    asked = [(None, None), ("1", DIGEST), ("1", other), ("2", DIGEST), ("3", other)]
    held = [ledger.held("svc", "staging", A, config, digest) for config, digest in asked]
    assert [one and (one.config_revision, one.digest) for one in held] == [
        None, None, ("1", other), ("2", ""), None,
    ]  # fmt: skip


def test_good_ones_are_named_once_each_the_last_deployed_first(ledger: Ledger) -> None:
    first, second = good(ledger, A), good(ledger, B)
    bad = begin(ledger, C)
    ledger.deployed(bad)
    ledger.finish(bad, Status.FAILED)
    ledger.deployed(first)
    ledger.finish(first, Status.PASSED)
    assert [one.run_id for one in ledger.good_ones("svc", "staging")] == [first, second]
    assert ledger.good_ones("other", "staging") == []


def test_a_person_holds_a_commit_and_the_first_reason_stands(ledger: Ledger) -> None:
    ledger.hold("svc", "staging", A, "not before Monday")
    ledger.hold("svc", "staging", A, "another")
    ledger.hold("other", "staging", A, "elsewhere")
    assert [(one.service, one.reason) for one in ledger.holds("svc")] == [("svc", "not before Monday")]
    assert {one.service for one in ledger.holds()} == {"svc", "other"}


def test_changesets_are_remembered_in_the_order_of_application(ledger: Ledger) -> None:
    one, two, three = Changeset("c1"), Changeset("c2"), Changeset("c3", "contract")
    ledger.applied("svc", "staging", [two, one], None, all_=True)
    ledger.applied("svc", "staging", [one, three], "svc.run", all_=False)
    found = ledger.changesets("svc", "staging")
    assert [(c.id, c.phase, c.run_id) for c in found] == [
        ("c2", "expand", None),
        ("c1", "expand", None),
        ("c3", "contract", "svc.run"),
    ]
    # undone by another hand, and a label that was corrected
    ledger.applied("svc", "staging", [one, Changeset("c3")], None, all_=True)
    assert [(c.id, c.phase) for c in ledger.changesets("svc", "staging")] == [
        ("c1", "expand"),
        ("c3", "expand"),
    ]
    assert ledger.changesets("svc", "production") == []


def test_what_a_run_began_to_apply_stays_in_doubt_until_somebody_tells(ledger: Ledger) -> None:
    def known() -> list[tuple[str, bool]]:
        return [(one.id, one.is_certain) for one in ledger.changesets("svc", "staging")]

    one, two, three = Changeset("c1"), Changeset("c2"), Changeset("c3", "contract")
    ledger.applied("svc", "staging", [one], None, all_=True)
    for _ in range(2):  # cleared
        ledger.applying("svc", "staging", [one, two, three], "svc.run")
    assert known() == [("c1", True), ("c2", False), ("c3", False)]
    ledger.applied("svc", "staging", [], "svc.run", all_=False)  # it does not know, either
    ledger.applied("svc", "staging", [], "svc.other", all_=False, left=["c2", "c3"])  # of its own it knows
    assert known() == [("c1", True), ("c2", False), ("c3", False)]
    # what an earlier try of it has applied is not told again, but is not left
    ledger.applied("svc", "staging", [], "svc.run", all_=False, left=["c3"])
    assert known() == [("c1", True), ("c2", True)]
    ledger.applying("svc", "staging", [three], "svc.run")
    ledger.applied("svc", "staging", [one, two], None, all_=True)  # the next release has asked the database
    assert known() == [("c1", True), ("c2", True)]


def test_many_deploy_at_once_and_one_is_active(ledger: Ledger) -> None:
    runs = [begin(ledger, f"{number:040x}"[::-1]) for number in range(1, 9)]
    failures = []

    def deploy(run: str) -> None:
        try:
            ledger.deployed(run)
        except SlipwayError as error:
            failures.append(error)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deploy, runs))
    assert failures == []
    with ledger.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM deployments WHERE ended_at IS NULL")) == 1


def test_releases_are_listed_newest_first_and_bounded(ledger: Ledger) -> None:
    runs = [begin(ledger, commit) for commit in (A, B, C)]
    begin(ledger, service="other")
    assert [one.run_id for one in ledger.releases("svc")] == runs[::-1]
    assert [one.run_id for one in ledger.releases("svc", limit=1)] == runs[-1:]
    assert ledger.releases("svc", environment="production") == []


def test_release_is_found_by_prefix_and_the_newest_repeat_wins(ledger: Ledger) -> None:
    begin(ledger, A)
    repeat = begin(ledger, A, 1)
    other = begin(ledger, B)
    newest = ledger.release("svc")
    by_prefix, whole = ledger.release("svc", "AAA"), ledger.release("svc", B)
    assert newest is not None and by_prefix is not None and whole is not None  # noqa: PT018
    assert (newest.run_id, by_prefix.run_id, whole.run_id) == (other, repeat, other)
    assert ledger.release("svc", "f") is None


def test_ambiguous_prefix_names_the_candidates(ledger: Ledger) -> None:
    begin(ledger, A)
    begin(ledger, B)
    with pytest.raises(Ambiguous) as caught:
        ledger.release("svc", "a")
    assert caught.value.lines == (A, B)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("prefix", ["%", "_", "main", "'; DROP TABLE releases; --"])
def test_prefix_must_be_hexadecimal(ledger: Ledger, prefix: str) -> None:
    with pytest.raises(Ambiguous, match="not a commit"):
        ledger.release("svc", prefix)


def test_first_evidence_under_a_key_stands(ledger: Ledger) -> None:
    run, key = begin(ledger), evidence_key("t", DIGEST, ["unit"])
    assert ledger.evidence(key) is None
    first = ledger.record_evidence(key, "unit", "failed", run, "t", 2.0, "1 failed", {"tests": 3})
    assert ledger.record_evidence(key, "unit", "passed", run, "t", 1.0) == first == ledger.evidence(key)
    assert (first.outcome, first.report) == (Outcome.FAILED, {"tests": 3})


def test_gate_that_was_not_evaluated_leaves_no_evidence(ledger: Ledger) -> None:
    with pytest.raises(Permanent, match="evidence_outcome_check"):
        ledger.record_evidence(
            evidence_key("t", DIGEST, ["unit"]), "unit", "errored", begin(ledger), "t", 2.0
        )


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
def test_schema_itself_refuses_what_cannot_be(ledger: Ledger, change: str, constraint: str) -> None:
    begin(ledger)
    with pytest.raises(Exception, match=constraint), ledger.engine.begin() as connection:
        connection.execute(text("UPDATE releases SET " + change))  # noqa: S608 - of this file


def test_lane_has_one_holder_until_it_lets_go(ledger: Ledger) -> None:
    first, second = begin(ledger, A), begin(ledger, B)
    assert ledger.lane_acquire("svc", "staging", first, 60) is None
    assert ledger.lane_acquire("svc", "staging", first, 60) is None
    holder = ledger.lane_acquire("svc", "staging", second, 60)
    assert holder is not None
    assert holder.run_id == first
    assert 50 < (holder.expires_at - datetime.now(UTC)).total_seconds() <= 61
    assert ledger.lane_acquire("svc", "production", second, 60) is None
    assert not ledger.lane_release("svc", "staging", second)
    assert not ledger.lane_renew("svc", "staging", second, 60)
    assert ledger.lane_release("svc", "staging", first)
    assert not ledger.lane_release("svc", "staging", first)
    assert ledger.lane_acquire("svc", "staging", second, 60) is None


def test_expired_lane_is_anybodys_and_cannot_be_renewed(ledger: Ledger) -> None:
    first, second = begin(ledger, A), begin(ledger, B)
    ledger.lane_acquire("svc", "staging", first, 0.05)
    deadline = time.monotonic() + 5
    while ledger.lane_acquire("svc", "staging", second, 60) is not None:
        assert time.monotonic() < deadline
    assert not ledger.lane_renew("svc", "staging", first, 60)
    assert ledger.lane_renew("svc", "staging", second, 120)


def test_of_many_at_once_one_gets_the_lane_and_the_others_learn_who(ledger: Ledger) -> None:
    runs = [begin(ledger, f"{number:040x}"[::-1]) for number in range(1, 17)]
    start = threading.Barrier(8)

    def take(run: str) -> str | None:
        start.wait(10)
        holder = ledger.lane_acquire("svc", "staging", run, 60)
        return holder.run_id if holder else None

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(take, runs))
    [winner] = [run for run, holder in zip(runs, found, strict=True) if holder is None]
    assert {holder for holder in found if holder} == {winner}


def test_newer_releases_are_those_that_were_asked_for_later(ledger: Ledger) -> None:
    now = datetime.now(UTC)
    for commit, seconds in ((A, 0), (B, 10), (C, -10)):
        at = now + timedelta(seconds=seconds)
        ledger.begin("svc", "staging", commit, run_id("svc", commit), "refs/heads/main", requested_at=at)
    ledger.begin(
        "other", "staging", A, run_id("other", A), "refs/heads/main", requested_at=now + timedelta(hours=1)
    )
    a, b, c = (run_id("svc", commit) for commit in (A, B, C))
    [only] = ledger.newer(a)
    assert (only.run_id, only.commit, only.requested_at) == (b, B, now + timedelta(seconds=10))
    assert (only.running, only.ready, only.failing, only.deployed) == (True, False, False, False)
    assert [one.run_id for one in sorted(ledger.newer(c), key=lambda one: one.requested_at)] == [a, b]
    assert ledger.newer(b) == []
    # a cleared run keeps its place in the queue
    ledger.begin("svc", "staging", C, c, "refs/heads/main", requested_at=now + timedelta(hours=2))
    assert len(ledger.newer(c)) == 2


def test_newer_release_is_ready_failing_deployed_as_recorded(ledger: Ledger) -> None:
    older, newer = begin(ledger, A), begin(ledger, B)
    ledger.ready(newer)
    assert ledger.newer(older)[0].ready
    ledger.begin("svc", "staging", B, newer, "refs/heads/main")  # begins again: no longer ready
    assert not ledger.newer(older)[0].ready
    ledger.stage(newer, "test.unit", Outcome.FAILED, 1)
    assert ledger.newer(older)[0].failing
    ledger.stage(newer, "test.unit", Outcome.PASSED, 1)
    ledger.deployed(newer)
    ledger.finish(newer, Status.FAILED)
    [seen] = ledger.newer(older)
    assert (seen.failing, seen.deployed, seen.running) == (False, True, False)


def test_first_request_of_a_commit(ledger: Ledger) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    ledger.begin("svc", "staging", A, run_id("svc", A), "refs/heads/main", requested_at=first)
    begin(ledger, A, repeat=1)
    assert ledger.first_request("svc", A) == first
    assert abs(ledger.first_request("svc", B) - datetime.now(UTC)) < timedelta(minutes=1)


def test_exclusive_lets_one_in_at_a_time_and_the_next_after_it(ledger: Ledger) -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        with ledger.exclusive("volume", 20):
            with guard:
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with guard:
                inside -= 1

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(6)))
    assert most == 1


def test_exclusive_is_bounded_and_says_what_is_held(ledger: Ledger) -> None:
    with ledger.exclusive("volume", 1):
        with pytest.raises(Transient, match="another task works on volume"), ledger.exclusive("volume", 0.1):
            pass
        with ledger.exclusive("another", 1):
            pass
    with ledger.exclusive("volume", 0.1):
        pass


def test_exclusive_is_given_back_when_the_body_fails(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.exclusive("volume", 1):
        _ = 1 / 0
    with ledger.exclusive("volume", 0.1):
        pass


def test_unreachable_ledger_is_transient_and_keeps_its_password_to_itself() -> None:
    ledger = Ledger("postgresql://ledger:hunter2@127.0.0.1:1/ledger")
    with pytest.raises(Transient, match=r"127\.0\.0\.1:1/ledger does not answer") as caught:
        ledger.record("x")
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__) + repr(ledger.engine)


def test_ledger_without_schema_says_how_to_get_it(postgres: str) -> None:
    ledger = Ledger(postgres.format("postgres"))
    with pytest.raises(Permanent, match=r"slipway\.ledger\.upgrade"):
        ledger.record("x")
    ledger.close()
