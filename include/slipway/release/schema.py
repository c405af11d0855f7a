"""The schema of a service's database as releases see it: what was applied, and which findings of its lint stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

EXPAND, CONTRACT = "expand", "contract"
"""The phases of a changeset: what adds may run before the rollout; what takes away only when nothing needs it any more."""


@dataclass(frozen=True)
class Changeset:
    """A changeset of a changelog.

    :param id: as the tool names it: ``path::id::author`` of Liquibase, the script's path of Flyway.
    :param run_id: the run that applied it, if one did.
    :param is_certain: False if that run began to apply it, and has not told how that ended.
    """

    id: str
    phase: str = EXPAND
    run_id: str | None = None
    is_certain: bool = True


class Accepted(Protocol):
    """What the lint's verdict needs of a waiver of the catalog."""

    @property
    def changeset(self) -> str:
        """The changeset's id."""

    @property
    def rule(self) -> str:
        """The rule's name."""

    @property
    def reason(self) -> str:
        """Why it does no harm."""

    @property
    def until(self) -> date:
        """The last day on which it holds."""


@dataclass(frozen=True)
class Linted:
    """The findings of the lint, sorted by what follows from them, each in words."""

    refused: tuple[str, ...]
    waived: tuple[str, ...]


def linted(findings: Iterable[dict[str, Any]], waivers: Sequence[Accepted], today: date) -> Linted:
    """Tell which findings stand, and which are waived.

    :param findings: each with id, rule, message, and perhaps file and line.
    :param today: a waiver holds through its last day.
    """
    refused, waived = [], []
    for one in findings:
        place = f" ({one['file']}:{one['line']})" if one.get("file") and one.get("line") else ""
        text = f"{one['id']}: {one['rule']}: {' '.join(str(one['message']).split())}{place}"
        fitting = [w for w in waivers if w.changeset == one["id"] and w.rule == one["rule"]]
        if holding := next((w for w in fitting if w.until >= today), None):
            waived.append(f"{text}; waived until {holding.until}: {holding.reason}")
        elif fitting:
            refused.append(f"{text}; its waiver ended on {max(w.until for w in fitting)}")
        else:
            refused.append(text)
    return Linted(tuple(refused), tuple(waived))
