"""Statuses at GitHub and GitLab, for which a server on loopback stands that checks what they document; Gitea's for its errors.

Gitea itself is real in tests/e2e/test_forge.py. The forms are those of docs.github.com/en/rest/commits/statuses (API version
2022-11-28) and docs.gitlab.com/api/commits.
"""

from __future__ import annotations

from typing import Any

import pytest

from slipway.adapters.forges import hooks, statuses
from slipway.errors import Permanent, SlipwayError, Transient
from slipway.release.voice import Said, Word

from .conftest import Asked, Forge

COMMIT = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
WORD = Word(
    Said.FAILURE, "slipway/staging", "failed at test.unit", "http://airflow.example/slipway/runs/web.1"
)
TOKEN = "t0ken"
GITHUB = "/api/v3/repos/acme/web"
GITLAB = "/api/v4/projects/acme%2Fsub%2Fweb"
GITEA = "/api/v1/repos/acme/web"


def of(kind: str, forge: Forge) -> Any:
    return statuses(kind, forge.url, "acme/sub/web" if kind == "gitlab" else "acme/web", TOKEN)


def taking(forge: Forge, where: str, shown: list[dict[str, Any]] | None = None) -> None:
    """Let the forge take statuses at a path, and show these."""

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.method == "POST" and asked.path == where:
            return 201, {"id": 1, "url": f"{forge.url}{where}", **asked.body}
        if asked.method == "GET" and shown is not None:
            return 200, shown
        if asked.method == "GET" and asked.path.endswith(f"/commits/{COMMIT}"):
            return 200, {"sha": COMMIT, "url": f"{forge.url}{GITHUB}/commits/{COMMIT}"}
        return 404, {"message": "Not Found"}

    forge.answer = answer


def test_github_is_told_as_it_documents(forge: Forge) -> None:
    taking(forge, f"{GITHUB}/statuses/{COMMIT}")
    of("github", forge).show(COMMIT, WORD)
    (posted,) = [one for one in forge.asked if one.method == "POST"]
    assert posted.path == f"{GITHUB}/statuses/{COMMIT}"
    assert posted.headers["authorization"] in (f"token {TOKEN}", f"Bearer {TOKEN}")
    assert posted.body == {
        "state": "failure",
        "target_url": WORD.url,
        "description": WORD.line,
        "context": "slipway/staging",
    }
    assert len(forge.asked) <= 2


def test_github_has_no_word_for_what_was_superseded_and_is_not_told_that_it_passed(forge: Forge) -> None:
    taking(forge, f"{GITHUB}/statuses/{COMMIT}")
    of("github", forge).show(COMMIT, Word(Said.SKIPPED, "slipway/staging", "superseded", WORD.url))
    assert forge.asked[-1].body["state"] == "error"


def test_github_shows_the_newest_of_a_context(forge: Forge) -> None:
    def one(context: str, state: str) -> dict[str, Any]:
        return {"context": context, "state": state, "description": WORD.line, "target_url": WORD.url, "id": 1}

    taking(
        forge,
        "",
        [one("ci", "success"), one("slipway/staging", "failure"), one("slipway/staging", "pending")],
    )
    assert of("github", forge).newest(COMMIT, "slipway/staging") == WORD
    assert of("github", forge).newest(COMMIT, "slipway/other") is None


@pytest.mark.parametrize(
    ("said", "state"),
    [(Said.PENDING, "running"), (Said.SUCCESS, "success"), (Said.FAILURE, "failed"), (Said.ERROR, "failed"),
     (Said.SKIPPED, "canceled")],
)  # fmt: skip
def test_gitlab_is_told_as_it_documents(said: Said, state: str, forge: Forge) -> None:
    taking(forge, f"{GITLAB}/statuses/{COMMIT}")
    of("gitlab", forge).show(COMMIT, Word(said, "slipway/staging", WORD.line, WORD.url))
    (posted,) = forge.asked
    assert (posted.method, posted.path) == ("POST", f"{GITLAB}/statuses/{COMMIT}")
    assert posted.headers["private-token"] == TOKEN
    assert posted.body == {
        "state": state,
        "context": "slipway/staging",
        "description": WORD.line,
        "target_url": WORD.url,
    }


def test_gitlab_that_says_so_already_is_content(forge: Forge) -> None:
    said = 'Cannot transition status via :run from :running (Reason(s): Status cannot transition via "run")'
    forge.answer = lambda _asked: (400, {"message": said})
    of("gitlab", forge).show(COMMIT, WORD)


def test_gitlab_shows_the_newest_of_a_context(forge: Forge) -> None:
    shown = {
        "id": 2,
        "name": "slipway/staging",
        "status": "failed",
        "description": WORD.line,
        "target_url": WORD.url,
    }
    taking(forge, "", [shown])
    assert of("gitlab", forge).newest(COMMIT, "slipway/staging") == WORD
    assert forge.asked[0].path == f"{GITLAB}/repository/commits/{COMMIT}/statuses"
    assert forge.asked[0].query["name"] == "slipway/staging"


def test_gitea_is_told_and_shows_the_newest_of_a_context(forge: Forge) -> None:
    shown = {
        "context": "slipway/staging",
        "status": "failure",
        "description": WORD.line,
        "target_url": WORD.url,
    }
    taking(
        forge,
        f"{GITEA}/statuses/{COMMIT}",
        [{**shown, "context": "ci"}, shown, {**shown, "status": "pending"}],
    )
    of("gitea", forge).show(COMMIT, WORD)
    assert forge.asked[0].headers["authorization"] == f"token {TOKEN}"
    assert forge.asked[0].body["state"] == "failure"
    assert of("gitea", forge).newest(COMMIT, "slipway/staging") == WORD
    assert of("gitea", forge).newest(COMMIT, "other") is None


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
@pytest.mark.parametrize(
    ("status", "kept"), [(401, Permanent), (403, Permanent), (404, Permanent), (422, Permanent), (500, Transient),
                         (502, Transient), (429, Transient)],
)  # fmt: skip
def test_refusal_is_told_from_a_fault_that_passes(
    kind: str, status: int, kept: type[SlipwayError], forge: Forge
) -> None:
    forge.answer = lambda _asked: (status, {"message": "no"})
    for attempt in (lambda: of(kind, forge).show(COMMIT, WORD), lambda: of(kind, forge).newest(COMMIT, "x")):
        with pytest.raises(kept) as caught:
            attempt()
        assert TOKEN not in str(caught.value)
    assert len(forge.asked) <= 4  # clients do not try again by themselves: whoever sends does


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
def test_forge_that_is_away_is_a_fault_that_passes(kind: str) -> None:
    with pytest.raises(Transient, match="does not answer as it should"):
        statuses(kind, "http://127.0.0.1:9", "acme/web", TOKEN).show(COMMIT, WORD)


def test_githubs_limit_is_waited_for(forge: Forge) -> None:
    forge.answer = lambda _asked: (403, {"message": "API rate limit exceeded for user ID 1."})
    with pytest.raises(Transient):
        of("github", forge).show(COMMIT, WORD)


HOOK = "https://airflow.example/slipway/hooks/web"
HOOKS = {"github": f"{GITHUB}/hooks", "gitlab": f"{GITLAB}/hooks", "gitea": f"{GITEA}/hooks"}
SECRET = "whsec_c2VjcmV0"


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
def test_hook_is_made_once_as_it_is_documented(kind: str, forge: Forge) -> None:
    there: list[dict[str, Any]] = []

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path != HOOKS[kind]:
            return 404, {"message": "Not Found"}
        if asked.method == "POST":
            there.append({"id": 1, **asked.body})
            return 201, there[-1]
        return 200, there

    forge.answer = answer
    made = hooks(kind, forge.url, "acme/sub/web" if kind == "gitlab" else "acme/web", TOKEN)
    assert [made.hook(HOOK, SECRET), made.hook(HOOK, SECRET)] == [True, False]
    (posted,) = [one.body for one in forge.asked if one.method == "POST"]
    if kind == "gitlab":
        assert posted == {"url": HOOK, "push_events": True, "signing_token": SECRET, "token": SECRET}
    else:
        assert posted["config"] == {"url": HOOK, "content_type": "json", "secret": SECRET}
        assert (posted["events"], posted["active"]) == (["push"], True)
        assert posted.get("name") == "web" or posted.get("type") == "gitea"


def test_repr_tells_no_token() -> None:
    for kind in ("github", "gitlab", "gitea"):
        assert TOKEN not in repr(statuses(kind, "http://127.0.0.1:9", "acme/web", TOKEN))
