"""What holds of every forge's deliveries: who is not known learns nothing; only a push to the branch is put on record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.catalog.service import Cloned
from slipway.intake.answers import REFUSED, Code
from slipway.intake.forge import Moved
from slipway.intake.receiving import FORGES, is_of, uninteresting

from .conftest import OTHER, SECRET, SIGNERS, Door, delivery

if TYPE_CHECKING:
    from slipway.intake.answers import Answer

B = "f3b1a7c2d9e84fb0a1c2d3e4f5a6b7c8d9e0f1a2"
PUSHES = {
    "github": "github-push",
    "gitlab": "gitlab-push",
    "gitlab-token": "gitlab-push",
    "gitea": "gitea-push",
    "forgejo": "gitea-push",
    "git": "git-push",
}
each_scheme = pytest.mark.parametrize("scheme", sorted(PUSHES))


@each_scheme
def test_push_to_the_branch_is_put_on_record_before_it_is_answered(scheme: str, door: Door) -> None:
    answer = door.told(scheme, PUSHES[scheme], after=B)
    assert (answer.status, answer.code) == (202, Code.ACCEPTED)
    assert [(one.service, one.ref, one.told) for one in door.kept] == [("links", "refs/heads/main", B)]


@each_scheme
def test_push_with_wrong_signature_starts_nothing(scheme: str, door: Door) -> None:
    assert door.told(scheme, PUSHES[scheme], secret=OTHER) == REFUSED
    assert door.kept == []


@pytest.mark.parametrize("scheme", sorted(PUSHES.keys() - {"gitlab-token"}))  # which says nothing of the body
def test_other_body_under_a_good_signature_starts_nothing(scheme: str, door: Door) -> None:
    headers, body = delivery(PUSHES[scheme])
    signed = SIGNERS[scheme](headers, body, SECRET)
    assert door.take(signed, body + b" ") == REFUSED
    assert door.kept == []


@each_scheme
def test_two_secrets_are_valid_while_they_are_rotated(scheme: str, door: Door) -> None:
    door.having(secrets=(OTHER, SECRET))
    assert door.told(scheme, PUSHES[scheme]).code is Code.ACCEPTED
    assert door.told(scheme, PUSHES[scheme], secret=OTHER).code is Code.ACCEPTED


@each_scheme
def test_service_without_a_secret_answers_as_to_a_stranger(scheme: str, door: Door) -> None:
    door.having(secrets=())
    assert door.told(scheme, PUSHES[scheme]) == REFUSED
    headers, body = delivery(PUSHES[scheme])
    assert door.take(headers, body) == REFUSED


@pytest.mark.parametrize(
    "scheme", ["github", "gitea", "forgejo", "gitlab-token"]
)  # the others' ids are signed
def test_delivery_without_an_id_is_malformed(scheme: str, door: Door) -> None:
    headers, body = delivery(PUSHES[scheme])
    ids = ("x-github-delivery", "x-gitea-delivery", "x-gitlab-event-uuid", "idempotency-key")
    headers = {key: value for key, value in headers.items() if key not in ids}
    assert door.take(SIGNERS[scheme](headers, body, SECRET), body).code is Code.MALFORMED
    assert door.kept == []


@each_scheme
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ref": "refs/heads/other"}, Code.OTHER_REF),
        ({"ref": "refs/heads/main/refs/heads/main"}, Code.OTHER_REF),
        ({"ref": "main"}, Code.OTHER_REF),
        ({"ref": "refs/tags/main"}, Code.OTHER_REF),
        ({"ref": "refs/heads/zweig-für-ключ-\N{SNOWMAN}"}, Code.OTHER_REF),
        ({"ref": "refs/heads/" + "a/" * 2000}, Code.OTHER_REF),
        ({"ref": "refs/heads/" + "a" * 5000}, Code.MALFORMED),
        ({"ref": ""}, Code.MALFORMED),
        ({"ref": 7}, Code.MALFORMED),
        ({"after": "0" * 40}, Code.DELETED),
        ({"after": "0" * 64}, Code.DELETED),
        ({"after": B, "before": B}, Code.NO_CHANGE),
        ({"after": "main"}, Code.MALFORMED),
        ({"after": None}, Code.MALFORMED),
    ],
)
def test_what_is_of_no_interest_is_well_received(
    scheme: str, door: Door, changes: dict[str, object], code: Code
) -> None:
    answer = door.told(scheme, PUSHES[scheme], **changes)
    assert answer.code is code
    assert answer.status == (400 if code is Code.MALFORMED else 200)
    assert door.kept == []


@each_scheme
def test_push_of_a_thousand_commits_is_one_delivery(scheme: str, door: Door) -> None:
    commit = {"id": B, "message": "m" * 1000, "added": [f"src/file-{n}.py" for n in range(50)]}
    answer = door.told(scheme, PUSHES[scheme], commits=[commit] * 1000, total_commits=1000)
    assert answer.code is Code.ACCEPTED
    assert len(door.kept) == 1


def test_signed_body_that_is_no_json_is_malformed_without_its_values(door: Door) -> None:
    headers, _ = delivery("github-push")
    for body in (b"", b"[]", b"{", b"\xff\xfe", b'{"ref": "' + b"x" * 9, b"[" * 100_000):
        answer = door.take(SIGNERS["github"](headers, body, SECRET), body)
        assert answer.code is Code.MALFORMED
        assert "xxx" not in answer.detail


def test_repository_that_was_renamed_is_told_and_starts_nothing(door: Door) -> None:
    answer = door.told("github", "github-push", repository={"full_name": "services/renamed"})
    assert answer.code is Code.OTHER_REPOSITORY
    assert "services/renamed is not the service's, services/links; if it was renamed" in answer.detail
    assert door.kept == []


def test_answers_repeat_a_bounded_part_of_a_delivery(door: Door) -> None:
    answer = door.told("github", "github-push", ref="refs/heads/" + "a" * 4000)
    assert len(answer.show()["detail"]) <= 300


def test_error_of_the_ledger_is_not_taken_for_an_answer(door: Door) -> None:
    def full(_delivery: object) -> None:
        raise OSError("no space")

    door.having(keep=full)
    with pytest.raises(OSError, match="no space"):
        door.told("github", "github-push")


@pytest.mark.parametrize(
    ("name", "url", "same"),
    [
        ("services/links", "https://github.com/services/links", True),
        ("services/links", "https://github.com/services/links.git", True),
        ("Services/Links", "https://github.com/services/links.git/", True),
        ("links", "https://git.example/links.git", True),
        ("services/links", "https://git.example/gitea/services/links.git", True),
        ("a/b/links", "https://gitlab.example/a/b/links.git", True),
        ("ces/links", "https://github.com/services/links", False),
        ("services/link", "https://github.com/services/links", False),
        ("evil/services/links", "https://github.com/services/links", False),
        ("", "https://github.com/services/links", False),
        ("/", "https://github.com/services/links/", False),
    ],
)
def test_repository_is_known_by_its_whole_name(name: str, url: str, *, same: bool) -> None:
    assert is_of(name, url) is same


texts = st.text(max_size=60)
headers_of_any_kind = st.dictionaries(
    st.sampled_from(
        [
            "x-hub-signature-256", "x-github-event", "x-github-delivery", "x-gitea-signature", "x-gitea-event",
            "x-gitea-delivery", "x-forgejo-signature", "x-forgejo-event", "x-gitlab-event", "x-gitlab-token",
            "x-gitlab-event-uuid", "idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature",
            "content-type",
        ]
    ),
    texts | st.sampled_from(["push", "Push Hook", "sha256=", "v1,", "v1,AAAA", "v1 v1", "nan", "inf", "1e400", "-1",
                             SECRET + "x"]),
)  # fmt: skip


@given(headers=headers_of_any_kind, body=st.binary(max_size=200))
def test_whatever_comes_without_the_secret_is_refused_alike(headers: dict[str, str], body: bytes) -> None:
    door = Door()
    assert door.take(headers, body) == REFUSED
    assert door.having(secrets=()).take(headers, body) == REFUSED
    assert door.kept == []


def _json() -> st.SearchStrategy[object]:
    plain = st.none() | st.booleans() | st.integers() | texts
    return st.recursive(
        plain, lambda one: st.lists(one, max_size=3) | st.dictionaries(texts, one, max_size=3), max_leaves=8
    )


@given(
    scheme=st.sampled_from(sorted(PUSHES)),
    changes=st.dictionaries(
        st.sampled_from(["ref", "before", "after", "repository", "project", "commits"]), _json()
    ),
)
def test_whatever_a_signed_delivery_says_only_a_push_to_the_branch_is_kept(
    scheme: str, changes: dict[str, object]
) -> None:
    door = Door()
    answer: Answer = door.told(scheme, PUSHES[scheme], **changes)
    assert answer.status in (200, 202, 400)
    assert (answer.code is Code.ACCEPTED) == bool(door.kept)
    said = json.loads(delivery(PUSHES[scheme], **changes)[1])
    for one in door.kept:
        assert (one.ref, one.told) == ("refs/heads/main", said["after"])


@given(before=st.sampled_from(["a" * 40, "b" * 40, "0" * 40]), after=st.none() | st.sampled_from(["a" * 40, "b" * 40]),
       ref=texts, branch=st.sampled_from(["main", "x/main"]), repository=texts)  # fmt: skip
def test_only_the_branchs_own_ref_in_the_services_own_repository_is_of_interest(
    before: str, after: str | None, ref: str, branch: str, repository: str
) -> None:
    source = Cloned(repository="services/links", branch=branch)
    for moved in (
        Moved(repository, ref, before, after),
        Moved("services/links", ref, before, after),
        Moved("services/links", f"refs/heads/{branch}", before, after),
    ):
        is_wanted = uninteresting(moved, source, "https://git.example") is None
        assert is_wanted == (
            moved.repository.strip("/").casefold() in ("links", "services/links")
            and moved.ref == f"refs/heads/{branch}"
            and after not in (None, before)
        )


def test_forges_are_told_apart_by_headers_of_their_own() -> None:
    assert [one.name for one in FORGES] == ["gitea", "gitlab", "github", "git"]
