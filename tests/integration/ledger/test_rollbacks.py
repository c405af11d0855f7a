"""A rollback by hand is a row of its own: what it left and where it goes is never looked for in anybody's words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from slipway.errors import Permanent, PolicyFailed
from slipway.ledger import Ledger, Release, rollbacks, upgrade
from slipway.release import Choice, Status, run_id
from slipway.stages import by_hand, restoring

A, B, C = "a" * 40, "b" * 40, "c" * 40
MINE = "rollback.svc.20261126T120000.000001"


def good(ledger: Ledger, commit: str) -> str:
    run = run_id("svc", commit)
    ledger.begin("svc", "staging", commit, run, "refs/heads/main")
    ledger.update(run, digest=f"sha256:{commit[0] * 64}", manifests=[{"kind": "Deployment"}])
    ledger.deployed(run)
    ledger.finish(run, Status.PASSED)
    return run


def restored(ledger: Ledger) -> tuple[str, str]:
    """Let the rollback `MINE` go as far as what it would apply; give what it leaves, and for what."""
    went: list[tuple[str, str]] = []
    service: Any = SimpleNamespace(service="svc", deploy=SimpleNamespace(migrations=None))

    def choose(leaving: Release, to: str | None) -> Choice:
        return restoring.chosen(ledger, service, "staging", leaving, to)

    asked = rollbacks.begin(ledger, MINE, "svc", "staging", "anna", "a test")
    asked = by_hand.decided(ledger, asked, None, take=lambda: None, choose=choose)
    by_hand.returned(ledger, asked, apply=lambda left, to, _: went.append((left.run_id, to.run_id)))
    return went[0]


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every image be in the registry."""
    monkeypatch.setattr(restoring, "_published", lambda *_: True)


def test_a_stage_that_prints_the_run_of_a_rollback_decides_nothing(
    ledger: Ledger,
) -> None:
    first, second, bad = good(ledger, A), good(ledger, B), run_id("svc", C)
    ledger.begin("svc", "staging", C, bad, "refs/heads/main")
    ledger.deployed(bad)
    # pushed code wrote this line; it became the reason of the hold
    ledger.rolled_back(bad, second, f"verify.smoke failed: rolled back by hand ({MINE}): so it says")
    ledger.finish(bad, Status.ROLLED_BACK)
    ledger.hold("svc", "staging", "d" * 40, f"somebody's own words ({MINE})")
    assert restored(ledger) == (second, first)


def test_a_try_after_a_kill_goes_on_with_what_was_chosen(
    ledger: Ledger,
) -> None:
    first, second = good(ledger, A), good(ledger, B)
    rollbacks.begin(ledger, MINE, "svc", "staging", "anna", "a test")
    rollbacks.chosen(ledger, MINE, second, first)
    ledger.rolled_back(second, first, "whatever is said of it")  # and there it was killed
    assert restored(ledger) == (second, first)


def test_a_rollback_that_another_release_has_overtaken_changes_nothing(ledger: Ledger) -> None:
    first, second = good(ledger, A), good(ledger, B)
    rollbacks.begin(ledger, MINE, "svc", "staging", "anna", "a test")
    rollbacks.chosen(ledger, MINE, second, first)  # and there it was killed
    newer = good(ledger, C)
    with pytest.raises(
        PolicyFailed, match=f"{second}, which was to be left for {first}, is not what is deployed"
    ):
        restored(ledger)
    active = ledger.active("svc", "staging")
    assert active is not None
    assert active.run_id == newer


def test_who_from_where_to_why_and_how_it_ended_are_kept(ledger: Ledger) -> None:
    first, second = good(ledger, A), good(ledger, B)
    begun = rollbacks.begin(ledger, MINE, "svc", "staging", "anna", "slow")
    assert (begun.state, begun.from_run_id, begun.to_run_id, begun.finished_at) == (
        "waiting",
        None,
        None,
        None,
    )
    assert rollbacks.chosen(ledger, MINE, second, first).state == "running"
    rollbacks.finish(ledger, MINE, rollbacks.PASSED)
    found = rollbacks.newest_from(ledger, second)
    assert found is not None
    assert (found.asked_by, found.reason, found.from_run_id, found.to_run_id, found.state) == (
        "anna",
        "slow",
        second,
        first,
        "passed",
    )
    assert found.show()["finished_at"]
    assert rollbacks.newest_from(ledger, first) is None
    again = rollbacks.begin(ledger, MINE, "svc", "staging", "bert", "another")
    assert (again.asked_by, again.reason, again.state) == ("anna", "slow", "running")


def test_one_that_is_not_recorded_cannot_go_on(ledger: Ledger) -> None:
    assert rollbacks.find(ledger, "svc.aaaaaaaaaaaa") is None
    with pytest.raises(Permanent, match="has no rollback"):
        rollbacks.finish(ledger, "rollback.nothing", rollbacks.PASSED)


def test_what_was_in_the_words_of_holds_is_taken_over(postgres: str) -> None:
    with create_engine(postgres.format("postgres"), isolation_level="AUTOCOMMIT").connect() as admin:
        admin.execute(text("CREATE DATABASE before_0007"))
    url = postgres.format("before_0007")
    upgrade(url, "0006")
    with create_engine(url).begin() as connection:
        for commit, at in ((A, 1), (B, 2), (C, 3)):
            for run in (run_id("svc", commit), *([run_id("svc", commit, 1)] if commit == A else [])):
                connection.execute(
                    text(
                        "INSERT INTO releases (run_id, service, environment, commit, ref, status, finished_at, requested_at) "
                        "VALUES (:run, 'svc', 'staging', :commit, 'refs/heads/main', 'passed', now(), "
                        "now() + :at * interval '1s')"
                    ),
                    {"run": run, "commit": commit, "at": at},
                )
        connection.execute(
            text("UPDATE releases SET rolled_back_to = :to WHERE run_id <> :to"), {"to": run_id("svc", A)}
        )
        words = "INSERT INTO holds (service, environment, commit, run_id, reason) VALUES ('svc', 'staging', :c, :r, :w)"
        by_hand, printed = (
            f"rolled back by hand ({MINE}): it was\nslow (very)",
            f"verify.smoke failed: ({MINE})",
        )
        connection.execute(text(words), {"c": B, "r": run_id("svc", B), "w": by_hand})
        connection.execute(text(words), {"c": C, "r": run_id("svc", C), "w": printed})
        forged = "rolled back by hand (rollback.svc.x): I say so"
        connection.execute(text(words), {"c": "d" * 40, "r": None, "w": forged})
    upgrade(url)
    with create_engine(url).connect() as connection:
        taken = connection.execute(
            text("SELECT run_id, from_run_id, to_run_id, reason, state FROM rollbacks")
        ).all()
        assert [tuple(one) for one in taken] == [
            (MINE, run_id("svc", B), run_id("svc", A), "it was\nslow (very)", "passed")
        ]
        wished = connection.execute(text("SELECT run_id, is_head FROM wishes ORDER BY run_id")).all()
        assert [tuple(one) for one in wished] == [
            (run_id("svc", A), True),
            (run_id("svc", A, 1), False),
            (run_id("svc", B), True),
            (run_id("svc", C), True),
        ]
