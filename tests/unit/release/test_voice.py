"""What is said of a release on its commit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.release import Status
from slipway.release.voice import LINE_MOST, MESSAGE_MOST, Said, end_of, message, word

KNOWN = {
    "service": "web",
    "environment": "staging",
    "run_id": "web.0123456789ab",
    "airflow": "http://airflow.example/",
}


@pytest.mark.parametrize(
    ("status", "said", "line"),
    [
        (Status.RUNNING, Said.PENDING, "the release runs"),
        (Status.PASSED, Said.SUCCESS, "released and healthy"),
        (Status.UNCHANGED, Said.SUCCESS, "nothing of the service has changed"),
        (Status.FAILED, Said.FAILURE, "failed at test.unit: 1 of 3 tests failed"),
        (Status.REJECTED, Said.FAILURE, "rejected at test.unit: 1 of 3 tests failed"),
        (Status.ROLLED_BACK, Said.FAILURE, "rolled back at test.unit: 1 of 3 tests failed"),
        (Status.ERRORED, Said.ERROR, "errored at test.unit: 1 of 3 tests failed"),
        (Status.CANCELLED, Said.ERROR, "cancelled at test.unit: 1 of 3 tests failed"),
        (Status.SUPERSEDED, Said.SKIPPED, "superseded by web.2"),
    ],
)
def test_each_end_has_its_word(status: Status, said: Said, line: str) -> None:
    found = word(
        **KNOWN, status=status, stage="test.unit", reason="\n1 of 3 tests failed\nmore", superseded_by="web.2"
    )
    assert (found.said, found.line) == (said, line)
    assert found.context == "slipway/staging/web"
    assert found.url == "http://airflow.example/slipway/runs/web.0123456789ab"


@given(st.sampled_from(Status), st.none() | st.text(), st.none() | st.text())
def test_line_is_one_and_no_longer_than_any_forge_takes(
    status: Status, stage: str | None, reason: str | None
) -> None:
    found = word(**KNOWN, status=status, stage=stage, reason=reason)
    assert 0 < len(found.line) <= LINE_MOST
    assert "\0" not in found.line
    assert (found.said is Said.SUCCESS) == (status in (Status.PASSED, Status.UNCHANGED))


@pytest.mark.parametrize(
    ("status", "before", "end"),
    [
        (Status.PASSED, None, "passed"),
        (Status.PASSED, Status.PASSED, "passed"),
        (Status.PASSED, Status.SUPERSEDED, "passed"),
        (Status.PASSED, Status.RUNNING, "passed"),
        (Status.PASSED, Status.FAILED, "recovered"),
        (Status.PASSED, Status.ROLLED_BACK, "recovered"),
        (Status.FAILED, Status.FAILED, "failed"),
    ],
)
def test_pass_after_one_that_went_wrong_is_a_recovery(
    status: Status, before: Status | None, end: str
) -> None:
    assert end_of(status, before) == end


def test_message_says_what_where_why_and_what_to_do() -> None:
    told = message(
        service="web", environment="staging", commit="0123456789abcdef", end="rolled_back", url="http://airflow/x",
        subject="Add a page (Anna)", stage="verify.smoke", reason="1 of 3 checks failed\n\nGET / gave 500",
        steps=["push a commit"],
    )  # fmt: skip
    assert told.title == "web 0123456789ab rolled back at verify.smoke (staging)"
    assert told.text.splitlines() == [
        "Add a page (Anna)",
        "1 of 3 checks failed",
        "GET / gave 500",
        "How to go on: push a commit",
        "http://airflow/x",
    ]


@given(st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_message_is_bounded(subject: str, reason: str, steps: list[str]) -> None:
    told = message(service="web", environment="staging", commit="0" * 40, end="failed", url="http://a", subject=subject * 50,
                   reason=reason * 99, steps=steps, stage=reason)  # fmt: skip
    assert len(told.title) <= LINE_MOST
    assert len(told.text) <= MESSAGE_MOST
