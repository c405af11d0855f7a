"""GitLab's deliveries, in the form of https://docs.gitlab.com/user/project/integrations/webhook_events/."""

from datetime import UTC, datetime, timedelta

import pytest

from slipway.intake.answers import REFUSED, Code

from .conftest import OTHER, SECRET, Door, by_standard, by_token, delivery


@pytest.mark.parametrize("scheme", ["gitlab", "gitlab-token"])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("gitlab-push", Code.ACCEPTED),
        ("gitlab-deleted", Code.DELETED),
        ("gitlab-tag", Code.OTHER_REF),
        ("gitlab-note", Code.OTHER_EVENT),
    ],
)
def test_each_event_has_its_answer(scheme: str, name: str, code: Code, door: Door) -> None:
    answer = door.told(scheme, name)
    assert answer.code is code
    assert answer.status in (200, 202)


@pytest.mark.parametrize("late", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_signed_delivery_of_another_time_is_refused(late: timedelta, door: Door) -> None:
    headers, body = delivery("gitlab-push")
    assert door.take(by_standard(headers, body, SECRET, datetime.now(UTC) - late), body) == REFUSED


def test_good_token_does_not_save_a_bad_signature(door: Door) -> None:
    headers, body = delivery("gitlab-push")
    both = by_token(by_standard(headers, body, OTHER), body, SECRET)
    assert door.take(both, body) == REFUSED


def test_its_own_tries_of_a_delivery_have_one_id(door: Door) -> None:
    headers, body = delivery("gitlab-push")
    for _ in range(2):
        door.take(by_token(headers, body, SECRET), body)
    assert {one.id for one in door.kept} == {headers["idempotency-key"]}
