"""A stage says itself what it is; :mod:`slipway.stages.flow` puts stages in order, :mod:`slipway.dag` makes a DAG of that.

Reading the world, deciding and acting are three functions of a stage, and the world is an argument, so that a unit test runs the
real ones in a world of its own. docs/stages.md shows how to write one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from slipway.release.given import Given
from slipway.stages import xcom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, BaseOperatorLink

    from slipway.catalog import Service
    from slipway.catalog.service import Gate
    from slipway.ledger import Release
    from slipway.stages.flow import Flow
    from slipway.stages.sensor import Left, Waits
    from slipway.stages.world import Runs, World

SMALL, ENGINE, CLUSTER = "default_pool", "slipway_engine", "slipway_cluster"
"""The pools: of what asks and decides, of what works on the container engine, and of what works in the cluster."""

ALWAYS = "all_done"
GOES_ON = "none_failed_min_one_success"
"""The rule of what follows a branch: one way must have been gone, so that a superseded release goes none."""

Seen = TypeVar("Seen")
Decided = TypeVar("Decided")
G = TypeVar("G", bound=Given)


def always(_service: Service) -> bool:
    """Say yes, whatever the service."""
    return True


def never(_service: Service) -> bool:
    """Say no, whatever the service."""
    return False


@dataclass(frozen=True)
class Run:
    """One run of a stage: of which service and run, in which world, and with what was given.

    :param flow: the stages of this run. :param runs: what Airflow tells of runs.
    :param settled: gives why a gate of this run does not run, by its id. :param conclude: ends one that need not run
        without its task; False if it must.
    :param ti: the running task instance, for what was given alone.
    """

    stage: Stage
    service: Service
    run_id: str
    params: Mapping[str, Any]
    world: World
    flow: Flow
    runs: Runs
    settled: Callable[[str], str | None]
    conclude: Callable[[str], bool]
    ti: Any = field(repr=False)
    context: Any = field(default_factory=dict, repr=False)

    def take(self, kind: type[G]) -> G:
        """Give what an earlier stage gave; see :func:`slipway.stages.xcom.take`. The stage must say that it needs it."""
        assert kind in self.stage.needs, f"{self.stage.task_id} does not say that it needs {kind.__name__}"
        return xcom.take(self.ti, kind, of=self.flow.giver(kind))

    def find(self, kind: type[G], *, of: str | None = None) -> G | None:
        """Give what an earlier stage gave, if it did. The stage must say that it asks for it."""
        assert kind in self.stage.asks, f"{self.stage.task_id} does not say that it asks for {kind.__name__}"
        return xcom.find(self.ti, kind, of=of or self.flow.giver(kind))

    @property
    def environment(self) -> str:
        """Give the name of the environment that is released to."""
        return self.world.platform().environment

    def record(self) -> Release:
        """Give the ledger's record of this release, which `accept` has opened."""
        found = self.world.ledger().record(self.run_id)
        assert found is not None
        return found


@dataclass(frozen=True)
class Well:
    """What is waited for is so.

    :param said: how, in words.
    """

    gives: Given
    said: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Stages that belong together, as Airflow shows them.

    :param after: what comes before all of them. :param before: what comes after all of them.
    :param gates: whether all of its stages must have passed before anything is published.
    """

    id: str
    title: str
    tooltip: str = ""
    after: tuple[Stage | Group, ...] = ()
    before: tuple[Stage | Group, ...] = ()
    gates: bool = False

    @property
    def task_id(self) -> str:
        """Give its id in the DAG."""
        return self.id


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """What is said of every stage; the kinds below say how it works.

    :param id: within its group.
    :param title: what a person calls it.
    :param after: what comes before it: stages and groups, or a function that tells them for a service. Where a service lacks one
        of them, what comes before that one.
    :param before: what comes after it, likewise: so a new stage says itself what waits for it.
    :param follows: comes after each stage or group of which this is true.
    :param wanted: whether a service has it.
    :param only_if: the branch that decides whether it runs; it comes after that.
    :param needs: what it takes of what earlier stages give. :param asks: what it takes if it was given: by a stage that may be
        skipped, or that a service may lack. :param gives: what it gives.
    :param timeout_s: seconds that its own work may take; None leaves it to the default of all tasks.
    :param retries: tries after the first where only the platform was at fault; None is the default of all tasks.
    :param rolls_back: whether, for a service, the release is rolled back if it fails.
    :param holds_lane: whether it changes the environment, and so must have the lane meanwhile.
    :param setup: whether it takes what a teardown gives back. :param undoes: the setups whose teardown it is; it runs
        whatever became of the stages between. :param ends: whether it is a teardown of no setup: it runs last, always.
    """

    id: str
    title: str
    group: Group | None = None
    after: tuple[Stage | Group, ...] | Callable[[Service], tuple[Stage | Group, ...]] = ()
    before: tuple[Stage | Group, ...] | Callable[[Service], tuple[Stage | Group, ...]] = ()
    follows: Callable[[Stage | Group, Service], bool] | None = None
    wanted: Callable[[Service], bool] = always
    only_if: Branch[Any, Any] | None = None
    needs: tuple[type[Given], ...] = ()
    asks: tuple[type[Given], ...] = ()
    gives: type[Given] | None = None
    pool: str = SMALL
    timeout_s: Callable[[Service], float] | None = None
    retries: int | None = None
    trigger_rule: str | None = None
    rolls_back: Callable[[Service], bool] = never
    holds_lane: bool = False
    setup: bool = False
    undoes: tuple[Stage, ...] = ()
    ends: bool = False
    links: tuple[type[BaseOperatorLink], ...] = ()

    @property
    def task_id(self) -> str:
        """Give its id in the DAG."""
        return f"{self.group.id}.{self.id}" if self.group else self.id

    @property
    def teardown(self) -> bool:
        """Tell whether it only gives back what was taken, or tells: it runs always, and decides nothing."""
        return bool(self.undoes) or self.ends

    @property
    def gates(self) -> bool:
        """Tell whether it must have passed before anything is published: not what stands beside the gates."""
        return self.group is not None and self.group.gates and not (self.setup or self.teardown)

    def operator(self, service: Service, flow: Flow) -> BaseOperator:
        """Make the operator, within the DAG or group that is open."""
        raise NotImplementedError

    def task(self, service: Service) -> dict[str, Any]:
        """Give the arguments that every operator has."""
        options: dict[str, Any] = {"task_id": self.id, "task_display_name": self.title, "pool": self.pool}
        stated = {"retries": self.retries, "trigger_rule": self.trigger_rule}
        return options | {key: value for key, value in stated.items() if value is not None}


@dataclass(frozen=True, kw_only=True, eq=False)
class Made(Stage):
    """A stage whose operator a function makes."""

    make: Callable[..., BaseOperator]

    def operator(self, service: Service, flow: Flow) -> BaseOperator:
        """Make the operator."""
        return self.make(service, flow, **self.task(service))


@dataclass(frozen=True, kw_only=True, eq=False)
class Step(Stage, Generic[Seen, Decided]):
    """A stage that is done by one task of Python: reads the world, decides, acts.

    :param options: what else its operator is to be told.
    """

    read: Callable[[Run], Seen] | None = None
    decide: Callable[[Service, Seen], Decided] | None = None
    act: Callable[[Run, Decided], Any] | None = None
    options: Callable[[Service], dict[str, Any]] | None = None

    def run(self, run: Run) -> Any:
        """Do the stage's work, and give what it gives."""
        seen: Any = self.read(run) if self.read else None
        decided: Any = self.decide(run.service, seen) if self.decide else seen
        return self.act(run, decided) if self.act else decided

    def operator(self, service: Service, flow: Flow) -> BaseOperator:
        """Make the operator."""
        from slipway.stages.operators import StepOperator

        return StepOperator(step=self, service=service, flow=flow, **self.task(service))

    def task(self, service: Service) -> dict[str, Any]:
        """Give the arguments of its operator: its end leaves its own bound time to speak first."""
        from slipway.stages.outcome import seconds

        bound = {"execution_timeout": seconds(self.timeout_s(service))} if self.timeout_s else {}
        return super().task(service) | bound | (self.options(service) if self.options else {})


@dataclass(frozen=True, kw_only=True, eq=False)
class Branch(Step[Seen, Decided]):
    """Gives whether that runs which it is :attr:`Stage.only_if` of; what else follows it goes on in any case."""

    def operator(self, service: Service, flow: Flow) -> BaseOperator:
        """Make the operator."""
        from slipway.stages.operators import BranchOperator

        return BranchOperator(step=self, service=service, flow=flow, **self.task(service))


@dataclass(frozen=True, kw_only=True, eq=False)
class Sift(Step[Seen, Decided]):
    """Gives the ids of those stages of the run that need not run: their tasks are skipped."""

    def operator(self, service: Service, flow: Flow) -> BaseOperator:
        """Make the operator."""
        from slipway.stages.operators import SiftOperator

        return SiftOperator(step=self, service=service, flow=flow, **self.task(service))


@dataclass(frozen=True, kw_only=True, eq=False)
class Watch(Stage, Generic[Seen]):
    """Asks again and again until what is seen is well, for as long as a service says without a break.

    :param look: asks the world once. :param judge: gives what is waited for, or that it is well and what the stage gives, or that
        it is of no interest any more.
    :param soak_s: seconds that it must be well at every look.
    """

    look: Callable[[Run], Seen]
    judge: Callable[[Service, Seen], Waits | Well | Left]
    soak_s: Callable[[Service], float] = lambda _service: 0
    look_s: float = 0.5
    pool: str = CLUSTER

    def once(self, run: Run) -> Waits | Well | Left:
        """Ask once."""
        return self.judge(run.service, self.look(run))

    def operator(self, service: Service, flow: Flow) -> BaseOperator:
        """Make the operator."""
        from slipway.stages.operators import watching
        from slipway.stages.sensor import StageSensor

        assert self.timeout_s is not None
        return StageSensor(
            python_callable=watching(self, service, flow),
            timeout_s=self.timeout_s(service),
            look_s=self.look_s,
            changes=self.holds_lane,
            **self.task(service),
        )


def _none(_service: Service) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True, eq=False)
class Container(Stage):
    """A gate: a command in a container of a toolbox.

    :param image: of the container, as a template. :param command: its argument list.
    :param rules: the catalog's words on what follows from its findings; None: whatever it finds stops.
    :param options: what else :class:`slipway.stages.container.ContainerOperator` is to be told.
    """

    image: Callable[[Service], str]
    command: Callable[[Service], Sequence[str]]
    rules: Callable[[Service], Gate] | None = None
    options: Callable[[Service], dict[str, Any]] = _none
    pool: str = ENGINE

    def operator(self, service: Service, flow: Flow) -> BaseOperator:
        """Make the operator."""
        from slipway.stages.container import ContainerOperator

        assert self.timeout_s is not None
        return ContainerOperator(
            image=self.image(service),
            command=self.command(service),
            timeout_s=self.timeout_s(service),
            rules=self.rules(service) if self.rules else None,
            service=service.service,
            **self.options(service),
            **self.task(service),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Pod(Stage):
    """A pod that runs once in the service's namespace. It always holds the lane.

    :param kind: subclass of :class:`slipway.stages.pod.ReleasePod`. :param spec: what it is to be told.
    """

    kind: Callable[..., BaseOperator] | None = None
    spec: Callable[[Service], dict[str, Any]] = _none
    pool: str = CLUSTER
    holds_lane: bool = True

    def operator(self, service: Service, flow: Flow) -> BaseOperator:
        """Make the operator."""
        from slipway.stages.pod import ReleasePod

        kind: Callable[..., BaseOperator] = self.kind or ReleasePod
        bound = {"timeout_s": self.timeout_s(service)} if self.timeout_s else {}
        made: BaseOperator = kind(
            service=service, gives=self.gives, **bound, **self.spec(service), **self.task(service)
        )
        return made
