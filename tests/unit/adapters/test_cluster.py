"""What a refusal says, and what is ours to delete."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from slipway.adapters.cluster import Stale, explained, prunable
from slipway.adapters.cluster.pruning import _left
from slipway.adapters.cluster.refusals import conflicts_of
from slipway.errors import PolicyFailed, Transient


@pytest.mark.parametrize(
    ("status_", "said", "kind"),
    [
        (401, "Unauthorized", Transient),
        # what an API server says that has not read its roles yet
        (
            403,
            'secrets is forbidden: User "slipway" cannot delete: RBAC: role "slipway" not found',
            Transient,
        ),
        (403, 'pods "a" is forbidden: exceeded quota: small', PolicyFailed),
        (403, 'pods "a" is forbidden: violates PodSecurity', PolicyFailed),
        (409, "the object has been modified; please apply your changes to the latest version", Transient),
        (422, "invalid", PolicyFailed),
        (500, "etcdserver: request timed out", Transient),
        (503, "", Transient),
    ],
)
def test_refused_object_is_policy_and_all_else_may_pass(
    status_: int, said: str, kind: type[Exception]
) -> None:
    answer = ApiException(status=status_, reason="reason")
    answer.body = json.dumps({"message": said})
    with pytest.raises(kind, match="doing it"), explained("doing it"):
        raise answer


# what the API server of Kubernetes 1.36.3 answers to an apply over the changes of others
CONFLICT: dict[str, Any] = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": 'Apply failed with 3 conflicts: conflicts with "autoscaler \\"x\\"" with subresource "scale" using apps/v1:\n'
    '- .spec.replicas\nconflicts with "kubectl-edit" using apps/v1:\n'
    '- .spec.template.spec.containers[name="app"].image\n'
    '- .spec.template.spec.containers[name="app"].env[name="A"].value',
    "reason": "Conflict",
    "details": {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "kubectl-edit" using apps/v1',
                "field": '.spec.template.spec.containers[name="app"].image',
            },
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "kubectl-edit" using apps/v1',
                "field": '.spec.template.spec.containers[name="app"].env[name="A"].value',
            },
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "autoscaler \\"x\\"" with subresource "scale" using apps/v1',
                "field": ".spec.replicas",
            },
        ]
    },
    "code": 409,
}


def refusal(body: Any) -> ApiException:
    answer = ApiException(status=409, reason="Conflict")
    answer.body = body if isinstance(body, str) else json.dumps(body)
    return answer


def test_conflict_is_told_by_field_and_owner() -> None:
    with pytest.raises(PolicyFailed) as refused, explained("applying Deployment/web"):
        raise refusal(CONFLICT)
    assert refused.value.message == (
        'applying Deployment/web: .spec.replicas belongs to field manager autoscaler "x" (by scale) (and 2 more)'
    )
    assert refused.value.lines == (
        '.spec.replicas: autoscaler "x" (by scale)',
        '.spec.template.spec.containers[name="app"].env[name="A"].value: kubectl-edit',
        '.spec.template.spec.containers[name="app"].image: kubectl-edit',
    )
    assert "autoscaler" in refused.value.remedy


def test_cause_in_other_words_is_handed_on() -> None:
    cause = {"reason": "FieldManagerConflict", "message": "it is theirs", "field": ".data.a"}
    (found,) = conflicts_of(refusal({"details": {"causes": [cause, {"reason": "Other"}]}}))
    assert str(found) == ".data.a: it is theirs"


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"details": null}', '{"details": {"causes": null}}', "gateway"]
)
def test_refusal_without_causes_names_no_owner(body: str) -> None:
    assert conflicts_of(refusal(body)) == ()
    with pytest.raises(Transient), explained("applying Deployment/web"):
        raise refusal(body)


OURS: dict[str, Any] = {
    "metadata": {
        "labels": {"app.kubernetes.io/managed-by": "slipway", "app.kubernetes.io/part-of": "web"},
        "managedFields": [
            {"manager": "slipway", "operation": "Apply"},
            {"manager": "kubectl", "operation": "Update"},
        ],
    }
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"labels": None}, "its label app.kubernetes.io/managed-by is missing, not slipway"),
        (
            {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
            "its label app.kubernetes.io/managed-by is Helm, not slipway",
        ),
        (
            {"labels": {"app.kubernetes.io/managed-by": "slipway", "app.kubernetes.io/part-of": "other"}},
            "its label app.kubernetes.io/part-of is other, not web",
        ),
        ({"managedFields": None}, "no field of it was applied by slipway"),
        (
            {"managedFields": [{"manager": "slipway", "operation": "Update"}]},
            "no field of it was applied by slipway",
        ),
        ({"deletionTimestamp": "2026-11-24T12:00:00Z"}, "it is being deleted already"),
    ],
)
def test_only_what_says_that_it_is_ours_is_deleted(changes: dict[str, Any], said: str | None) -> None:
    assert _left({"metadata": {**OURS["metadata"], **changes}}, "web") == said


def test_what_is_to_become_of_an_object_is_told() -> None:
    assert str(Stale("ConfigMap/a")) == "ConfigMap/a: to be deleted"
    assert str(Stale("ConfigMap/a", "why")) == "ConfigMap/a: left alone: why"


def test_release_that_keeps_nothing_prunes_nothing() -> None:
    with pytest.raises(ValueError, match="keeps nothing"):
        prunable(ApiClient(), "web", [("ConfigMap", "a", "v1")], [], service="web", kinds=["ConfigMap"])
