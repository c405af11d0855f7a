"""GitHub's deliveries, in the form of https://docs.github.com/en/webhooks/webhook-events-and-payloads."""

from urllib.parse import urlencode

import pytest

from slipway.intake.answers import REFUSED, Code

from .conftest import SECRET, Door, by_github, delivery


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("github-push", Code.ACCEPTED),
        ("github-force-push", Code.ACCEPTED),
        ("github-deleted", Code.DELETED),
        ("github-tag", Code.OTHER_REF),
        ("github-ping", Code.PING),
        ("github-create", Code.OTHER_EVENT),
        ("github-delete", Code.OTHER_EVENT),
    ],
)
def test_each_event_has_its_answer(name: str, code: Code, door: Door) -> None:
    answer = door.told("github", name)
    assert answer.code is code
    assert answer.status in (200, 202)
    assert bool(door.kept) == (code is Code.ACCEPTED)


def test_signature_is_githubs_own_example(door: Door) -> None:
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    door.having(secrets=("It's a Secret to Everybody",))
    headers = {"x-hub-signature-256": signature, "x-github-event": "push", "x-github-delivery": "1"}
    assert door.take(headers, b"Hello, World!").code is Code.MALFORMED
    assert door.take(headers, b"Hello, World") == REFUSED


def test_delivery_that_is_sent_as_a_form_is_read_too(door: Door) -> None:
    headers, body = delivery("github-push")
    headers["content-type"] = "application/x-www-form-urlencoded"
    form = urlencode({"payload": body.decode()}).encode()
    assert door.take(by_github(headers, form, SECRET), form).code is Code.ACCEPTED
    assert door.take(by_github(headers, body, SECRET), body).code is Code.MALFORMED


def test_old_signature_by_sha1_alone_is_none(door: Door) -> None:
    headers, body = delivery("github-push")
    assert door.take({**headers, "x-hub-signature": "sha1=0000"}, body) == REFUSED
