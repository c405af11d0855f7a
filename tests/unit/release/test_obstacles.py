"""Each way to start a release is told the same of what is in its way."""

from slipway.release.obstacles import Dag, Effect, of_dag, of_release

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_nothing_is_in_the_way_of_a_dag_that_runs() -> None:
    assert of_dag(Dag("release_web")) == []


def test_paused_dag_makes_a_release_wait_and_says_who_ends_that() -> None:
    (found,) = of_dag(Dag("release_web", is_paused=True))
    assert found.effect is Effect.WAITS
    assert "DAG `release_web` is paused in Airflow" in str(found)
    assert "`airflow dags unpause release_web`" in str(found)


def test_dag_that_is_not_there_or_broken_starts_nothing_whatever_else_it_is() -> None:
    (missing,) = of_dag(Dag("release_web", is_there=False, is_paused=True, has_import_errors=True))
    (broken,) = of_dag(Dag("release_web", is_paused=True, has_import_errors=True))
    assert (missing.effect, broken.effect) == (Effect.NOT_STARTED, Effect.NOT_STARTED)
    assert "no DAG `release_web`" in missing.what
    assert "import errors" in broken.what


def test_held_commit_is_told_beside_what_keeps_it_waiting() -> None:
    dag = Dag("release_web", is_paused=True)
    found = of_release(dag, service="web", commit=COMMIT, held="in staging since then: it was bad")
    assert [one.effect for one in found] == [Effect.WAITS, Effect.REFUSED]
    assert found[1].what == f"commit {COMMIT} is held in staging since then: it was bad"
    assert "`slipway holds release web 0123456789ab`" in found[1].remedy
    assert found[1].show() == {
        "effect": "refused",
        "code": "commit.held",
        "what": found[1].what,
        "remedy": found[1].remedy,
    }
