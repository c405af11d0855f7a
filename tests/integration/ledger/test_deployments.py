"""One release runs in an environment, and what ran before it, well or not, is remembered."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from slipway.errors import SlipwayError
from slipway.ledger import Ledger, Release
from slipway.release import Status

A = "a" * 40
B = "ab" * 20
C = "c" * 40
DIGEST = f"sha256:{'d' * 64}"


def test_last_good_is_the_last_deployed_release_that_passed(
    ledger: Ledger, begin: Callable[..., str], good: Callable[..., str]
) -> None:
    assert ledger.last_good("svc", "staging") is None
    first = good(A, infra_hash="i1")
    bad = begin(B)
    ledger.deployed(bad)
    ledger.finish(bad, "failed", "health", "verify")
    found = ledger.last_good("svc", "staging")
    assert found is not None
    assert (found.run_id, found.infra_hash) == (first, "i1")
    assert ledger.last_good("svc", "production") is None
    second = good(C)
    found = ledger.last_good("svc", "staging")
    assert found is not None
    assert found.run_id == second


def test_order_of_report_and_deployment_does_not_matter(ledger: Ledger, begin: Callable[..., str]) -> None:
    run = begin()
    ledger.finish(run, "passed")
    assert ledger.last_good("svc", "staging") is None
    ledger.deployed(run)
    assert ledger.last_good("svc", "staging") is not None


def test_good_release_stays_good_when_its_run_is_cleared(
    ledger: Ledger, begin: Callable[..., str], good: Callable[..., str]
) -> None:
    run = good(A)
    begin(A)
    found = ledger.last_good("svc", "staging")
    assert found is not None
    assert (found.run_id, found.status) == (run, Status.RUNNING)


def test_one_deployment_is_active_and_a_return_to_an_older_one_is_recorded(
    ledger: Ledger, good: Callable[..., str]
) -> None:
    first, second = good(A), good(B)
    ledger.deployed(second)
    ledger.deployed(first)
    with ledger.engine.connect() as connection:
        rows = connection.execute(text("SELECT run_id, ended_at IS NULL FROM deployments ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [(first, False), (second, False), (first, True)]
    found = ledger.last_good("svc", "staging")
    assert found is not None
    assert found.run_id == first


def test_what_is_rolled_back_is_held_and_the_earlier_one_is_deployed_again(
    ledger: Ledger, good: Callable[..., str], record: Callable[[str], Release]
) -> None:
    first, second = good(A), good(B)
    ledger.hold("svc", "staging", B, "somebody held it already")
    for _ in range(2):  # as after a kill -9
        ledger.rolled_back(second, first, "verify.health failed: no")
        active = ledger.active("svc", "staging")
        assert active is not None
        assert active.run_id == first
        assert record(second).rolled_back_to == first
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
    assert record(second).rolled_back_to is None


def test_where_the_commit_is_the_same_only_what_was_bad_about_it_is_held(
    ledger: Ledger, begin: Callable[..., str], good: Callable[..., str]
) -> None:
    first, other = good(A, config_revision="1", digest=DIGEST), f"sha256:{'e' * 64}"
    for repeat, config in enumerate(("2", "1"), 1):
        again = begin(A, repeat)
        ledger.update(again, digest=other, config_revision=config)
        ledger.deployed(again)
        ledger.rolled_back(again, first, "no")
    asked = [(None, None), ("1", DIGEST), ("1", other), ("2", DIGEST), ("3", other)]
    held = [ledger.held("svc", "staging", A, config, digest) for config, digest in asked]
    assert [one and (one.config_revision, one.digest) for one in held] == [
        None, None, ("1", other), ("2", ""), None,
    ]  # fmt: skip


def test_good_ones_are_named_once_each_the_last_deployed_first(
    ledger: Ledger, begin: Callable[..., str], good: Callable[..., str]
) -> None:
    first, second = good(A), good(B)
    bad = begin(C)
    ledger.deployed(bad)
    ledger.finish(bad, Status.FAILED)
    ledger.deployed(first)
    ledger.finish(first, Status.PASSED)
    assert [one.run_id for one in ledger.good_ones("svc", "staging")] == [first, second]
    assert ledger.good_ones("other", "staging") == []


def test_many_deploy_at_once_and_one_is_active(ledger: Ledger, begin: Callable[..., str]) -> None:
    runs = [begin(f"{number:040x}"[::-1]) for number in range(1, 9)]
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


def test_a_release_is_overtaken_by_the_newest_that_was_deployed_since_and_not_left_again(
    ledger: Ledger, begin: Callable[..., str], good: Callable[..., str]
) -> None:
    first = good(A)
    assert ledger.overtaken_by(first) is None
    assert ledger.overtaken_by("svc.nothing") is None
    waits, second = begin(A, 1), good(B)
    begin(C)  # asked for later, and not deployed
    assert (ledger.overtaken_by(first), ledger.overtaken_by(waits)) == (second, second)
    assert ledger.overtaken_by(second) is None
    ledger.rolled_back(second, first, "no")
    assert ledger.overtaken_by(first) is None
