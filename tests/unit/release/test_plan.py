"""The plan: bound by its hash to all that it will change."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.release import plan as decide
from slipway.release.plan import SHOWN, Change, moved, plan, words

DEPLOYMENT = Change("Deployment/web", ("-  image: a", "+  image: b"))
SCHEMA = {
    "pending": [{"id": "c3", "phase": "expand"}],
    "pending_count": 1,
    "pending_sha": "f" * 64,
    "revision": "c2",
}


def made(**other: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "image": {"from": "sha256:a", "to": "sha256:b"},
        "config": "c" * 40,
        "changes": [DEPLOYMENT, Change("Service/web", ())],
        "schema": SCHEMA,
        "infra": {"changed": 1, "diff": "+pods: 8"},
    }
    return plan(**known | other)


def test_the_same_change_has_the_same_hash() -> None:
    assert made()["hash"] == made()["hash"]
    assert [one["title"] for one in made()["objects"]] == ["Deployment/web"]


@pytest.mark.parametrize(
    "other",
    [
        {"image": {"from": None, "to": "sha256:b"}},
        {"config": "d" * 40},
        {"changes": []},
        {"changes": [Change("Deployment/web", ("-  image: a", "+  image: c"))]},
        {"pruned": ["ConfigMap/old: deleted"]},
        {"schema": SCHEMA | {"pending_sha": "e" * 64}},
        {"schema": SCHEMA | {"revision": "c1"}},
        {"schema": SCHEMA | {"baseline": "1"}},
        {"infra": {"changed": 1, "diff": "+pods: 9"}},
        {"infra": None},
    ],
)
def test_whatever_else_it_would_change_has_another(other: dict[str, Any]) -> None:
    assert made(**other)["hash"] != made()["hash"]


def test_what_becomes_of_the_pods_is_told() -> None:
    found = made(pods=["Deployment/web: pods are replaced: ConfigMap/web changed"])
    assert "pods: Deployment/web: pods are replaced: ConfigMap/web changed" in words(found)
    assert words({key: value for key, value in found.items() if key != "pods"})  # of an earlier version


def test_what_is_cut_is_in_the_hash_all_the_same() -> None:
    long = [f"+line {n}" for n in range(SHOWN + 10)]
    first, second = (made(changes=[Change("ConfigMap/web", (*long, last))]) for last in ("+a", "+b"))
    assert first["objects"][0]["lines"] == second["objects"][0]["lines"]
    assert first["hash"] != second["hash"]


def test_nothing_has_moved_while_each_object_differs_as_planned_or_no_more() -> None:
    assert moved(made(), [DEPLOYMENT, Change("Service/web", ())]) == []
    assert moved(made(), [Change("Deployment/web", ())]) == []


def test_what_moved_is_named() -> None:
    found = moved(
        made(), [Change("Deployment/web", ("-  image: z", "+  image: b")), Change("Service/web", ("+x",))]
    )
    assert found == ["Deployment/web: will change otherwise than planned", "Service/web: was not to change"]


def test_a_person_reads_all_parts_of_it() -> None:
    said = "\n".join(words(made(pruned=["ConfigMap/old: deleted"], waived=["c3: rule: accepted"])))
    for part in (
        "sha256:a -> sha256:b",
        "expand: c3",
        "it is at c2",
        "+pods: 8",
        "+  image: b",
        "ConfigMap/old: deleted",
        "accepted: c3",
    ):
        assert part in said
    nothing = "\n".join(words(decide.plan(image={"from": None, "to": "sha256:b"}, config="c", changes=[])))
    assert "configuration: none -> c" in nothing
    assert "configuration: b -> c" in words(made(config="c", configured="b"))
    assert "database: not touched" in nothing
    assert "nothing changes" in nothing


def test_plan_says_what_runs_beside_the_changesets_and_what_is_left_out() -> None:
    callbacks = [
        {"id": "afterMigrate.sql", "runs": True, "new": True},
        {"id": "beforeMigrate.sql", "runs": True, "new": False},
        {"id": "afterEachMigrate.sql", "runs": False, "new": True},
        {"id": "sub/afterMigrate__x.sql", "runs": False, "new": False},
    ]
    left_out = [{"id": "a.yaml::made-up::team", "why": "its context is `test`, and `staging` holds here"}]
    beside = {
        "callbacks": callbacks,
        "callbacks_due": True,
        "left_out": left_out,
        "left_out_count": 3,
        "baseline": "1",
    }
    said = words(made(schema=SCHEMA | beside))
    start = said.index("  expand: c3")
    assert said[start + 1 : start + 7] == [
        "  the database is older than its history, which begins at the baseline 1",
        "  callback: afterMigrate.sql, which has changed",
        "  callback: beforeMigrate.sql",
        "  callback: afterEachMigrate.sql has changed, and runs with the next migration",
        "  left out: a.yaml::made-up::team: its context is `test`, and `staging` holds here",
        "  … and 2 more left out",
    ]


def test_plan_of_an_older_release_is_read_as_well() -> None:
    told = made()
    old = {
        key: one
        for key, one in told.items()
        if key not in ("callbacks", "callbacks_due", "left_out", "left_out_count", "baseline")
    }
    assert words(old) == words(told)
