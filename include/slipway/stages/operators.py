"""The operators that run a stage's functions: recorded, in the real world, with the lane if it holds it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, PokeReturnValue, TaskGroup, TriggerRule, get_current_context
from airflow.sdk.bases.branch import BaseBranchOperator
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from slipway.stages import connections, lanes, xcom
from slipway.stages.container import conclude, settled
from slipway.stages.outcome import recorded
from slipway.stages.sensor import Left, Soak, Waits
from slipway.stages.stage import Branch, Run, Stage, Step, Watch

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.catalog import Service
    from slipway.stages.flow import Flow


def run_of(context: Any, stage: Stage, service: Service, flow: Flow) -> Run:
    """Give a stage's run in the real world."""
    ti = context["ti"]
    asking: Any = {**context, "ti": xcom.remembering(ti)}
    return Run(
        stage=stage,
        service=service,
        run_id=context["dag_run"].run_id,
        params=context["params"],
        world=connections.Outside(),
        flow=flow,
        runs=connections.AirflowRuns(ti),
        settled=lambda gate: settled(asking, gate),
        conclude=lambda gate: conclude(asking, gate),
        ti=ti,
        context=context,
    )


class StepOperator(BaseOperator):
    """Runs a :class:`slipway.stages.stage.Step`."""

    def __init__(self, *, step: Step[Any, Any], service: Service, flow: Flow, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step, self.service, self.flow = step, service, flow

    def execute(self, context: Context) -> Any:
        """Do the step, and give what it gives as Airflow keeps it."""
        with recorded(context) as ending:
            if self.step.holds_lane:
                lanes.held(context)
            made = self.step.run(run_of(context, self.step, self.service, self.flow))
            if told := getattr(made, "told", None):
                ending.reason = told
            return xcom.returned(made)


class BranchOperator(BaseBranchOperator):
    """Runs a :class:`slipway.stages.stage.Branch`, and skips what runs only if it says so."""

    def __init__(self, *, step: Branch[Any, Any], service: Service, flow: Flow, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step, self.service, self.flow = step, service, flow

    def choose_branch(self, context: Context) -> list[str]:
        """Give what goes on."""
        with recorded(context):
            wanted = self.step.run(run_of(context, self.step, self.service, self.flow))
            left_out = frozenset() if wanted else self.flow.optional(self.step)
            return sorted(self.downstream_task_ids - left_out)


class SiftOperator(StepOperator):
    """Runs a :class:`slipway.stages.stage.Sift`, and skips what it names, wherever that is in the DAG."""

    def execute(self, context: Context) -> None:
        """Look, and end well; what is named is skipped by Airflow.

        :raises DownstreamTasksSkipped: which is how Airflow is told.
        """
        if named := super().execute(context):
            raise DownstreamTasksSkipped(tasks=sorted(named))  # type: ignore[no-untyped-call]


def watching(watch: Watch[Any], service: Service, flow: Flow) -> Callable[[], PokeReturnValue]:
    """Give what a sensor asks: whether it is well, and has been so at every look for as long as the stage says."""

    @cache
    def soak(attempt: int) -> Soak:
        return Soak(get_current_context()["task_state_store"], attempt)

    def ask() -> PokeReturnValue:
        run = run_of(get_current_context(), watch, service, flow)
        soak_s, found = watch.soak_s(service), watch.once(run)
        held = soak(run.ti.try_number) if soak_s else None
        if isinstance(found, Left):
            raise AirflowSkipException(found.why)
        if isinstance(found, Waits):
            if held:
                held.broken()
            return PokeReturnValue(False, found)
        if held and held.well(run.world.now()) < soak_s:
            return PokeReturnValue(
                False, Waits(f"well, which must hold for {soak_s} s", code="health.not-held")
            )
        print(f"at every look for {soak_s} s: {found.said}" if soak_s else found.said)
        return PokeReturnValue(True, found.gives)

    return ask


def compose(service: Service, flow: Flow) -> list[TaskGroup]:
    """Make the tasks of the stages, within the DAG that is open, and give their groups."""
    groups = {
        one: TaskGroup(one.id, group_display_name=one.title, tooltip=one.tooltip)
        for one in dict.fromkeys(stage.group for stage in flow.stages)
        if one
    }
    made: dict[Stage, BaseOperator] = {}
    for stage in flow.stages:
        with groups[stage.group] if stage.group else nullcontext():
            operator = made[stage] = stage.operator(service, flow)
        operator.is_setup = stage.setup
        if stage.links:
            operator.operator_extra_links = tuple(link() for link in stage.links)
        if stage.teardown:
            operator.as_teardown(setups=[made[one] for one in stage.undoes])
            operator.trigger_rule = TriggerRule(stage.trigger_rule or operator.trigger_rule)
    # those of groups last: what begins and ends one is known when its own stages are in order
    for first, then in sorted(flow.edges, key=lambda edge: any(node in groups for node in edge)):
        one, other = (made[node] if isinstance(node, Stage) else groups[node] for node in (first, then))
        one >> other
    return list(groups.values())
