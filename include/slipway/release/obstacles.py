"""What keeps a release from being started, or from going on, as every way to start one is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Effect(StrEnum):
    """What comes of an obstacle: the run waits and then goes on by itself, it is refused by its first task, or there is none."""

    WAITS = "waits"
    REFUSED = "refused"
    NOT_STARTED = "not started"


@dataclass(frozen=True)
class Dag:
    """What Airflow says of the DAG that would run."""

    dag_id: str
    is_there: bool = True
    is_paused: bool = False
    has_import_errors: bool = False


@dataclass(frozen=True)
class Obstacle:
    """One obstacle: what it does, which it is in words and as a code (as of our errors), and what to do about it."""

    effect: Effect
    what: str
    remedy: str
    code: str = field(kw_only=True)

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"

    def show(self) -> dict[str, str]:
        """Give it as JSON has it."""
        return {"effect": str(self.effect), "code": self.code, "what": self.what, "remedy": self.remedy}


def of_dag(dag: Dag) -> list[Obstacle]:
    """Give what is in the way of any run of a DAG."""
    if not dag.is_there:
        return [
            Obstacle(
                Effect.NOT_STARTED,
                f"Airflow has no DAG `{dag.dag_id}` (yet)",
                "look for its import errors in Airflow's UI; a new file is seen within some seconds",
                code="dag.missing",
            )
        ]
    if dag.has_import_errors:
        return [
            Obstacle(
                Effect.NOT_STARTED,
                f"DAG `{dag.dag_id}` has import errors, and Airflow starts none of its runs",
                "correct what Airflow's UI shows as its import error",
                code="dag.broken",
            )
        ]
    if dag.is_paused:
        return [
            Obstacle(
                Effect.WAITS,
                f"DAG `{dag.dag_id}` is paused in Airflow, and its runs wait until it is not",
                f"who may edit DAGs unpauses it by the switch beside its name, or by `airflow dags unpause {dag.dag_id}`",
                code="dag.paused",
            )
        ]
    return []


def of_release(dag: Dag, *, service: str, commit: str, held: str | None) -> list[Obstacle]:
    """Give what is in the way of a release.

    :param held: since when and why its commit is held, if it is.
    """
    found = of_dag(dag)
    if held:
        remedy = f"push a newer commit, or let it go: `slipway holds release {service} {commit[:12]}`"
        found.append(Obstacle(Effect.REFUSED, f"commit {commit} is held {held}", remedy, code="commit.held"))
    return found
