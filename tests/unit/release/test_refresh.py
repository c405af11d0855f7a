"""What the nightly refresh decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.release import Outcome, Status, label, refresh

NOW = datetime(2026, 1, 31, tzinfo=UTC)
OLD, NEW = (f"reg/slipway/base-python@sha256:{digit * 64}" for digit in "ab")
TONIGHT = {"base-python": NEW, "base-debian": NEW, "toolbox-scan": NEW}


def test_a_release_of_tonights_images_is_not_stale() -> None:
    assert refresh.stale(TONIGHT, TONIGHT) == []


def test_another_base_or_toolbox_makes_it_stale_and_is_named() -> None:
    used = {**TONIGHT, "base-python": OLD, "toolbox-scan": OLD}
    assert refresh.stale(used, TONIGHT) == [
        "base-python is aaaaaaaaaaaa, tonight's is bbbbbbbbbbbb",
        "toolbox-scan is aaaaaaaaaaaa, tonight's is bbbbbbbbbbbb",
    ]


def test_what_a_release_does_not_use_or_nobody_knows_makes_nothing_stale() -> None:
    assert refresh.stale({**TONIGHT, "base-debian": OLD, "toolbox-gone": OLD}, TONIGHT) == []
    assert refresh.stale({}, TONIGHT) == []


def test_an_image_that_is_gone_is_made_again() -> None:
    assert refresh.stale({}, TONIGHT, published=False) == ["its image is not in the registry any more"]


def test_the_newest_images_stay_and_those_in_use_whatever_their_age() -> None:
    published = [("c5", "d5"), ("c4", "d4"), ("c4", "d4"), ("c3", "d3"), ("c2", "d2"), ("c1", "d1")]
    present = {"d1", "d2", "d3", "d4", "d5", "unknown"}
    assert refresh.images_past(present, published, keep=2, needed=[]) == ["d3", "d2", "d1"]
    assert refresh.images_past(present, published, keep=2, needed=["d1", "c2"]) == ["d3"]
    assert refresh.images_past(present - {"d3"}, published, keep=2, needed=[]) == ["d2", "d1"]


@given(
    st.lists(st.tuples(st.sampled_from("ABCDEF"), st.sampled_from("abcdefgh"))),
    st.sets(st.sampled_from("abcdefghxyz")),
    st.integers(1, 5),
    st.sets(st.sampled_from("ABCDEFabcdefgh")),
)
def test_nothing_that_is_needed_unknown_or_absent_is_removed(
    published: list[tuple[str, str]], present: set[str], keep: int, needed: set[str]
) -> None:
    past = refresh.images_past(present, published, keep=keep, needed=needed)
    of_needed = {digest for commit, digest in published if commit in needed}
    assert not set(past) & (needed | of_needed)
    assert set(past) <= present & {digest for _, digest in published}
    assert len(past) == len(set(past))
    candidates = {digest for _, digest in published} & present - needed - of_needed
    assert len(candidates) - len(past) == min(keep, len(candidates))


RUNS = ["svc.0123456789ab", "svc.0123456789ab.r1", "manual__2026-01-01T00:00:00+00:00"]


@pytest.mark.parametrize("run", RUNS)
def test_the_owner_is_found_by_the_name_of_what_it_made(run: str) -> None:
    for name in (f"slipway-{label(run)}", f"slipway-{label(run)}-build-lint"):
        assert refresh.owner(name, None, RUNS) == run


def test_a_strangers_name_has_no_owner() -> None:
    assert refresh.owner("slipway-other-0123456789ab-build", None, RUNS) is None
    assert refresh.owner("slipway-svc-0123456789abc", None, RUNS) is None
    assert refresh.owner("anything", RUNS[0], RUNS) == RUNS[0]
    assert refresh.owner("anything", "gone", RUNS) is None


@pytest.mark.parametrize(
    ("alive", "hours", "left"),
    [(True, 100, False), (False, 0, True), (None, 23, False), (None, 25, True)],
)
def test_what_a_run_made_goes_when_the_run_has_ended(alive: bool | None, hours: int, left: bool) -> None:
    assert refresh.left_over(alive, NOW - timedelta(hours=hours), NOW) is left


def test_age_is_counted_in_days() -> None:
    assert not refresh.expired(NOW - timedelta(days=7), NOW, 7)
    assert refresh.expired(NOW - timedelta(days=7, seconds=1), NOW, 7)
    assert refresh.expired(NOW - timedelta(seconds=1), NOW, 0)


def test_a_refresh_is_as_its_worst_service() -> None:
    fine = [Outcome.PASSED, Outcome.SKIPPED]
    assert refresh.fold_outcomes([]) is Status.PASSED
    assert refresh.fold_outcomes(fine) is Status.PASSED
    assert refresh.fold_outcomes([*fine, Outcome.ERRORED]) is Status.ERRORED
    assert refresh.fold_outcomes([*fine, Outcome.ERRORED, Outcome.FAILED]) is Status.FAILED


def test_report_leads_with_one_line_and_says_everything() -> None:
    service = {"name": "svc", "commit": "0123456789abcdef", "seconds": 61.4, "found": [], "done": []}
    report = {
        "status": "failed",
        "services": [
            {
                **service,
                "outcome": "passed",
                "found": ["1 object drifted"],
                "done": ["applied"],
                "reason": "",
            },
            {**service, "name": "bad", "commit": None, "outcome": "failed", "reason": "no branch\n  more"},
        ],
        "cleaned": [
            {
                "name": "engine",
                "outcome": "passed",
                "seconds": 1.0,
                "rows": [
                    {"what": "volumes", "removed": 2, "bytes": 2_500_000},
                    {"what": "images", "removed": 0, "bytes": 0},
                ],
                "notes": ["a release runs"],
                "reason": "",
            }
        ],
    }
    assert refresh.table(report) == [
        "refresh failed: 1 failed, 1 passed; removed 2 things (2.5 MB); bad: no branch",
        "SERVICE  COMMIT        OUTCOME  SECONDS  FOUND AND DONE",
        "svc      0123456789ab  passed   61       1 object drifted",
        "                                         applied",
        "bad      -             failed   61       no branch",
        "                                           more",
        "CLEANED                OUTCOME  SECONDS  REMOVED",
        "engine                 passed   1        2 volumes (2.5 MB)",
        "                                         a release runs",
    ]


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2e9, "2.0 GB"), (3e12, "3000.0 GB")]
)
def test_bytes_are_said_for_people(count: float, words: str) -> None:
    assert refresh.size(count) == words


THERE = refresh.Inputs("a" * 40, "version 7 of x", "sha256:1")


@pytest.mark.parametrize(
    ("used", "why"),
    [
        (
            replace(THERE, revision="b" * 40),
            "its configuration is bbbbbbbbbbbb, the config repository has aaaaaaaaaaaa",
        ),
        (
            replace(THERE, secret="version 6 of w"),
            "its Secret was made of Vault's version 6 of w, there is version 7 of x",
        ),
        (replace(THERE, infra="sha256:0"), "the playbook, or what it gets, is not what was run"),
    ],
)
def test_newer_configuration_is_stale_unless_it_was_rolled_back(used: refresh.Inputs, why: str) -> None:
    assert refresh.configured(used, THERE) == refresh.Configured(stale=(why,))
    left = refresh.configured(used, THERE, left=["web.1"])
    assert left == refresh.Configured(left=(f"left as it is, since web.1 was rolled back: {why}",))


def test_the_same_configuration_or_one_that_nobody_knows_is_not_stale() -> None:
    assert refresh.configured(THERE, THERE, left=["web.1"]) == refresh.Configured()
    assert refresh.configured(refresh.Inputs("a" * 40, None, None), THERE) == refresh.Configured()
