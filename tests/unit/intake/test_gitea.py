"""Gitea's deliveries, as a real one sent them (but for secrets), and Forgejo's, which has names of its own for the headers."""

import pytest

from slipway.intake.answers import REFUSED, Code

from .conftest import SECRET, Door, by_gitea, delivery


@pytest.mark.parametrize("scheme", ["gitea", "forgejo"])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("gitea-push", Code.ACCEPTED),
        ("gitea-force-push", Code.ACCEPTED),
        ("gitea-new-branch", Code.ACCEPTED),
        ("gitea-tag", Code.OTHER_REF),
        ("gitea-create", Code.OTHER_EVENT),
        ("gitea-delete", Code.OTHER_EVENT),
        ("gitea-test", Code.NO_CHANGE),
    ],
)
def test_each_event_has_its_answer(scheme: str, name: str, code: Code, door: Door) -> None:
    answer = door.told(scheme, name)
    assert answer.code is code
    assert answer.status in (200, 202)


def test_githubs_headers_beside_its_own_do_not_make_it_githubs(door: Door) -> None:
    headers, body = delivery("gitea-push")
    signed = by_gitea(headers, body, SECRET)
    assert "x-hub-signature-256" in signed
    assert door.take(signed, body).code is Code.ACCEPTED
    assert door.kept[0].forge == "gitea"
    assert door.take({**signed, "x-gitea-signature": "00"}, body) == REFUSED
