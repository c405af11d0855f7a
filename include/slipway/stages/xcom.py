"""What stages give to each other, as Airflow keeps it. The only module that names keys of XCom, or pulls and pushes any.

The types are those of :mod:`slipway.release.given`; each says which task gives it::

    pushed = xcom.take(ti, given.Pushed)                 # in a task that runs after it: pushed.digest
    xcom.find(ti, given.Checked)                         # None if the task gave nothing: it was skipped, perhaps
    xcom.templated(given.Pushed, "image")                # in an operator's templated field

A DAG whose tasks have such templates is made with :data:`FILTERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any, TypeVar

from slipway.errors import Permanent
from slipway.release import given, label
from slipway.release.given import Given

G = TypeVar("G", bound=Given)


def find(ti: Any, kind: type[G], *, of: str | None = None) -> G | None:
    """Give what a task of this run gave; None if it gave nothing.

    :param ti: the running task instance.
    :param of: id of the task, where the type does not say it.
    :raises Permanent: if it cannot be read: another version of Slipway left it.
    """
    task = of or kind.by
    value = ti.xcom_pull(task_ids=task, key=kind.key)
    return None if value is None else kind.load(value, task)


def take(ti: Any, kind: type[G], *, of: str | None = None) -> G:
    """Give what a task of this run gave, which must have run.

    :raises Permanent: if it gave nothing, or what cannot be read.
    """
    found = find(ti, kind, of=of)
    if found is None:
        raise _nothing(kind, of or kind.by)
    return found


def give(ti: Any, value: Given) -> None:
    """Keep what the running task gives, at once: what returns is kept when the task ends well."""
    ti.xcom_push(key=value.key, value=value.dump())


def returned(value: Any) -> Any:
    """Give what a task's function returned as Airflow keeps it."""
    return value.dump() if isinstance(value, Given) else value


class _Remembering:
    def __init__(self, ti: Any) -> None:
        self._ti = ti

    @cached_property
    def xcom_pull(self) -> Callable[..., Any]:
        return cache(self._ti.xcom_pull)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ti, name)


def remembering(ti: Any) -> Any:
    """Give a task instance that asks Airflow once for what a task gave, to whom renders many templates."""
    return _Remembering(ti)


def _nothing(kind: type[Given], task: str) -> Permanent:
    return Permanent(
        f"`{task}` of this run gave no {kind.__name__}",
        code="given.missing",
        remedy=f"clear this run's task `{task}` with downstream",
    )


def expression(kind: type[Given], *path: str, of: str | None = None) -> str:
    """Give a Jinja expression for a field of what a task gave, or for what that holds under further keys.

    :raises ValueError: if there is no such field.
    """
    if path[0] not in kind.model_fields:
        raise ValueError(f"{kind.__name__} has no field {path[0]} (legal: {', '.join(kind.model_fields)})")
    pulled = f"ti.xcom_pull(task_ids={of or kind.by!r}, key={kind.key!r})"
    return f"{pulled} | given({', '.join(map(repr, (kind.__name__, *path)))})"


def templated(kind: type[Given], *path: str, of: str | None = None) -> str:
    """Give a template for a field of what a task gave, as :func:`expression` does."""
    return "{{ " + expression(kind, *path, of=of) + " }}"


def _field(value: Any, name: str, *path: str) -> Any:
    kind: type[Given] = getattr(given, name)
    if value is None:
        raise _nothing(kind, kind.by)
    found: Any = kind.load(value).show()
    for key in path:
        found = found[key]
    return found


FILTERS: dict[str, Any] = {"label": label, "given": _field}
"""What templates of ours use; a DAG gets them as ``user_defined_filters``."""
