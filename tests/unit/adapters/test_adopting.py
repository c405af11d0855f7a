"""Fields of kubectl and Helm become ours, all of them, and nobody else's do."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slipway.adapters.cluster.adopting import ours
from slipway.adapters.cluster.refusals import Conflict, conflicting

FIELDS = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(st.sampled_from(["f:a", "f:b", 'k:{"name":"app"}', "."]), inner),
)
MANAGERS = ("kubectl-client-side-apply", "kubectl", "helm", "slipway", "kube-controller-manager", "argocd")


def entry(manager: str, fields: dict[str, Any], operation: str = "Update", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": fields, **more}


def paths(fields: dict[str, Any], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    return {(*above, key) for key in fields}.union(
        *(paths(one, (*above, key)) for key, one in fields.items())
    )


@given(
    st.lists(st.tuples(st.sampled_from(MANAGERS), FIELDS, st.sampled_from(["Apply", "Update"])), max_size=6)
)
def test_no_field_is_lost_and_none_of_others_is_taken(found: list[tuple[str, dict[str, Any], str]]) -> None:
    entries = [entry(manager, fields, operation) for manager, fields, operation in found]
    after = ours(entries, "apps/v1", frozenset())
    theirs = [one for one in entries if one["manager"] in MANAGERS[:3]]
    assert (after is None) == (not theirs)
    if after is None:
        return
    own = [one for one in entries if (one["manager"], one["operation"]) == ("slipway", "Apply")]
    assert after[:-1] == [one for one in entries if one not in theirs and one not in own]
    assert (after[-1]["manager"], after[-1]["operation"]) == ("slipway", "Apply")
    assert paths(after[-1]["fieldsV1"]) == set[tuple[str, ...]]().union(
        *(paths(one["fieldsV1"]) for one in theirs + own)
    )
    assert ours(after, "apps/v1", frozenset()) is None


def test_a_status_and_another_version_of_the_api_stay_where_they_are() -> None:
    status = entry("kubectl-edit", {"f:status": {}}, subresource="status")
    older = {**entry("kubectl", {"f:spec": {}}), "apiVersion": "apps/v1beta2"}
    scale = entry("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale", time="2026-11-26T14:00:00Z")
    assert ours([status, older], "apps/v1", frozenset()) is None
    after = ours([status, older, scale], "apps/v1", frozenset())
    assert after is not None
    assert after[:2] == [status, older]
    assert (after[2]["fieldsV1"], after[2]["time"]) == (
        {"f:spec": {"f:replicas": {}}},
        "2026-11-26T14:00:00Z",
    )


def test_the_remedy_names_the_command_that_helps() -> None:
    refused = conflicting(
        "comparing", [Conflict(".a", "kubectl-edit"), Conflict(".b", "scaler (by scale)")], "web"
    )
    assert "`slipway adopt web --manager scaler`" in refused.remedy
