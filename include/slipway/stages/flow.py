"""The order of a service's stages, made of what each stage says of itself. Pure: knows no stage, and nothing of Airflow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from slipway.stages.stage import Group, Stage

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.release.given import Given

    Node = Stage | Group
    Edge = tuple[Node, Node]


@dataclass(frozen=True)
class Flow:
    """The stages of a service's release.

    :param stages: those that it has, as they were declared.
    :param edges: what comes right before what; a group stands for all of its stages.
    :param rolling_back: ids of the stages whose failure rolls back.
    """

    stages: tuple[Stage, ...] = ()
    edges: tuple[Edge, ...] = ()
    rolling_back: tuple[str, ...] = ()

    @cached_property
    def gating(self) -> tuple[str, ...]:
        """Give the ids of what must have passed before anything is published."""
        return tuple(one.task_id for one in self.stages if one.gates)

    @cached_property
    def deciding(self) -> tuple[str, ...]:
        """Give the ids in the order in which they decide how a release ended: what only gives back comes last."""
        return tuple(one.task_id for one in sorted(self.stages, key=lambda one: one.teardown))

    def giver(self, kind: type[Given]) -> str | None:
        """Give the id of the stage that gives something; None if none of these does."""
        return next((one.task_id for one in self.stages if one.gives is kind), None)

    def optional(self, branch: Stage) -> frozenset[str]:
        """Give the ids of what runs only if a branch says so."""
        return frozenset(one.task_id for one in self.stages if one.only_if is branch)

    def unneeded(self, settled: Collection[str]) -> frozenset[str]:
        """Give the ids of gates that need not run, and of what would be made and removed for them alone."""
        made = {one for one in self.stages if one.setup and self._is_for(one) <= frozenset(settled)}
        removed = {one for one in self.stages if one.undoes and made.issuperset(one.undoes)}
        return frozenset(settled) | {one.task_id for one in made | removed}

    def _is_for(self, setup: Stage) -> frozenset[str]:
        after = (one for first, then in self.edges if first is setup for one in self._of(then))
        return frozenset(one.task_id for one in after if not one.teardown)

    @cached_property
    def _earlier(self) -> dict[Stage, frozenset[Stage]]:
        before: dict[Stage, set[Stage]] = {one: set() for one in self.stages}
        for first, then in self.edges:
            for one in self._of(then):
                before[one] |= set(self._of(first))
        closed: dict[Stage, frozenset[Stage]] = {}

        def close(stage: Stage, way: tuple[Stage, ...]) -> frozenset[Stage]:
            if stage in way:
                raise ValueError(
                    " -> ".join(one.task_id for one in (*way, stage)) + ": stages wait for each other"
                )
            if stage not in closed:
                further = [close(one, (*way, stage)) for one in before[stage]]
                closed[stage] = frozenset(before[stage]).union(*further)
            return closed[stage]

        return {one: close(one, ()) for one in self.stages}

    def earlier(self, stage: Stage) -> frozenset[Stage]:
        """Give all stages that have ended when one begins.

        :raises ValueError: if stages wait for each other.
        """
        return self._earlier[stage]

    def _of(self, node: Node) -> Sequence[Stage]:
        return [node] if isinstance(node, Stage) else [one for one in self.stages if one.group is node]


def flow(service: Service, declared: Sequence[Stage]) -> Flow:
    """Give the stages that a service has, in their order.

    :param declared: all stages that there are.
    :raises ValueError: if what is declared makes no sense: a stage twice, one that comes after what is not declared, that takes
        what nothing before it gives, or stages that wait for each other.
    """
    if twice := {one.task_id for one in declared if [x.task_id for x in declared].count(one.task_id) > 1}:
        raise ValueError(f"declared twice: {', '.join(sorted(twice))}")
    present = tuple(one for one in declared if one.wanted(service))
    edges = tuple(dict.fromkeys(_edges(service, declared, present)))
    found = Flow(present, edges, tuple(one.task_id for one in present if one.rolls_back(service)))
    for stage in present:
        _check(stage, found, declared)
    return found


def _told(value: object, service: Service) -> tuple[Node, ...]:
    return value(service) if callable(value) else value  # type: ignore[return-value]


def _edges(service: Service, declared: Sequence[Stage], present: Sequence[Stage]) -> Iterator[Edge]:
    groups = tuple(dict.fromkeys(one.group for one in present if one.group))
    there: frozenset[Node] = frozenset((*present, *groups))
    known: frozenset[Node] = frozenset((*declared, *(one.group for one in declared if one.group)))

    def first(node: Node) -> tuple[Node, ...]:
        own = _told(node.after, service)
        return (*own, node.only_if) if isinstance(node, Stage) and node.only_if else own

    def resolved(nodes: Iterable[Node], of: Node, *, later: bool) -> Iterator[Node]:
        for one in nodes:
            if one not in known:
                raise ValueError(f"{of.task_id} names {one.task_id}, which is not declared")
            if one in there:
                yield one
            else:
                yield from resolved(_told(one.before, service) if later else first(one), one, later=later)

    nodes: tuple[Node, ...] = (*groups, *present)
    for node in nodes:
        for one in resolved(first(node), node, later=False):
            yield one, node
        for one in resolved(_told(node.before, service), node, later=True):
            yield node, one
        if isinstance(node, Stage):
            yield from ((one, node) for one in node.undoes)
            if node.follows:
                yield from ((one, node) for one in nodes if one is not node and node.follows(one, service))


def _check(stage: Stage, found: Flow, declared: Sequence[Stage]) -> None:
    earlier = found.earlier(stage)
    if stage.only_if and stage.only_if not in found.stages:
        raise ValueError(
            f"{stage.task_id} runs only if {stage.only_if.task_id} says so, which this service lacks"
        )
    for kind in (*stage.needs, *stage.asks):
        if not kind.by or any(one.gives is kind for one in earlier):
            continue
        # what it only asks for may come of a stage that this service lacks
        elsewhere = [one for one in declared if one.gives is kind]
        if kind in stage.asks and elsewhere and not any(one in found.stages for one in elsewhere):
            continue
        raise ValueError(f"{stage.task_id} takes {kind.__name__}, which nothing before it gives")
    if stage.gives and stage.gives.by not in (stage.task_id, stage.id):
        raise ValueError(f"{stage.gives.__name__} says that {stage.gives.by} gives it, not {stage.task_id}")
