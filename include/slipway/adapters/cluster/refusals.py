"""What the API server refuses, in our words: whose fault it is, and of fields that others own, which and whose."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from slipway.errors import PolicyFailed, Transient
from slipway.unreachable import why


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the client's errors into ours: refused objects are policy, anything else is transient, refused rights, too."""
    import urllib3.exceptions
    from kubernetes.client.exceptions import ApiException
    from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError

    try:
        yield
    except ResourceNotFoundError as e:
        raise PolicyFailed(
            f"{what}: {e}",
            code="cluster.kind-unknown",
            remedy="correct apiVersion and kind in the config repository",
        ) from e
    except (ApiException, DynamicApiError) as e:
        status = getattr(e, "status", None)
        try:
            said = json.loads(e.body)["message"]
        except (TypeError, ValueError, KeyError):
            said = str(e.reason)
        if conflicts := conflicts_of(e):
            raise conflicting(what, conflicts) from e
        if status == 409:
            # of two writes at one time the later is refused; it is to look again (Kubernetes' API conventions)
            raise Transient(
                f"{what}: {said}",
                code="cluster.object-changed",
                remedy="somebody else changed it at that moment: clear the task",
            ) from e
        if (
            status in (400, 422)
            or (status == 403 and ("quota" in said or "violates" in said or "denied" in said))
            # server-side apply answers 500 to a value of the wrong type
            or (status == 500 and "typed patch object" in said)
        ):
            raise PolicyFailed(
                f"{what}: {said}",
                code="cluster.manifest-refused",
                remedy="correct the manifests in the config repository",
            ) from e
        if status in (401, 403):
            # not permanent: an API server that has just started refuses everybody until it has read its roles
            raise Transient(
                f"{what}: {said}",
                code="cluster.right-missing",
                remedy="see the Role of Slipway's service account",
            ) from e
        raise Transient(
            f"{what}: {status}: {said}",
            code="cluster.request-failed",
            remedy="see that the API server answers",
        ) from e
    except (urllib3.exceptions.HTTPError, OSError) as e:
        raise Transient(
            f"{what}: the API server does not answer: {why(e)}",
            code="cluster.unreachable",
            remedy="see that the cluster of connection slipway_cluster_… runs (`kubectl get --raw /readyz`)",
        ) from e


@dataclass(frozen=True)
class Conflict:
    """A field that we would apply and that another field manager owns, with another value.

    :param field: as the API server writes it: `.spec.template.spec.containers[name="app"].image`.
    :param owner: the other's name, and the subresource by which it came to own the field.
    """

    field: str
    owner: str

    def __str__(self) -> str:
        return f"{self.field}: {self.owner}"

    @property
    def manager(self) -> str:
        """The other's name alone."""
        return self.owner.partition(" (by ")[0]


# as the API server words a cause (apimachinery, pkg/util/managedfields/internal/conflict.go); names are quoted as Go does
_CAUSE = re.compile(r'conflict with (?P<name>"(?:[^"\\]|\\.)*")(?: with subresource "(?P<part>[^"]*)")?')


def conflicts_of(refusal: Any) -> tuple[Conflict, ...]:
    """Give the fields that an apply is refused for, sorted; none if it is refused for anything else."""
    if getattr(refusal, "status", None) != 409:
        return ()
    try:
        causes = json.loads(refusal.body)["details"]["causes"]
    except (TypeError, ValueError, KeyError):
        return ()
    conflicts = [one for one in causes or [] if one.get("reason") == "FieldManagerConflict"]
    found = [Conflict(str(one.get("field")), _owner(str(one.get("message")))) for one in conflicts]
    return tuple(sorted(found, key=str))


def _owner(message: str) -> str:
    """Give whose a field is, from the API server's words; those words themselves if they are others than expected."""
    said = _CAUSE.match(message)
    if said is None:
        return message
    return re.sub(r"\\(.)", r"\1", said["name"][1:-1]) + (f" (by {said['part']})" if said["part"] else "")


TAKEN = re.compile(r"kubectl(-.*)?|[Hh]elm|before-first-apply")
"""Field managers of people's own commands: what they set is made the release's by `slipway adopt`, without naming them."""


def conflicting(what: str, conflicts: Sequence[Conflict], service: str = "SERVICE") -> PolicyFailed:
    """Give the error for fields of others: the first in its message, all as its lines."""
    first, more = conflicts[0], len(conflicts) - 1
    rest = f" (and {more} more)" if more else ""
    return PolicyFailed(
        f"{what}: {first.field} belongs to field manager {first.owner}{rest}",
        code="cluster.field-of-other-manager",
        remedy=(
            "leave out of the manifests what is the other's to say (an autoscaler's replicas); the rest is made the releases' "
            f"by `slipway adopt {service}{_managers(conflicts)}`, which shows it first"
        ),
        lines=map(str, conflicts),
    )


def _managers(conflicts: Sequence[Conflict]) -> str:
    names = sorted({one.manager for one in conflicts if not TAKEN.fullmatch(one.manager)})
    return "".join(f" --manager {shlex.quote(name)}" for name in names)
