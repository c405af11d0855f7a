"""The registry: the pull account reads, the push account writes and deletes, nobody else does anything."""

import hashlib
import json
import uuid
from collections.abc import Callable

import pytest
import requests

from slipway_sandbox.local_http import session
from slipway_sandbox.part import Part, Sandbox

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """Requests to one repository of it, as one account."""

    def __init__(self, sandbox: Sandbox, repository: str, login: tuple[str, str] | None) -> None:
        self.base, self.repository = f"https://{sandbox.registry}", repository
        self.http = session(str(sandbox.registry_ca))
        self.http.auth = login

    def call(self, method: str, path: str, **rest: object) -> requests.Response:
        url = path if path.startswith("https://") else f"{self.base}/v2/{self.repository}/{path}"
        return self.http.request(method, url, timeout=20, **rest)  # type: ignore[arg-type]

    def upload(self, content: bytes) -> tuple[int, str]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = self.call("POST", "blobs/uploads/")
        if begun.status_code != 202:
            return begun.status_code, digest
        place = begun.headers["Location"]
        place = place if place.startswith("https://") else self.base + place
        return self.call("PUT", f"{place}&digest={digest}", data=content).status_code, digest


@pytest.fixture
def registry(
    parts: dict[str, Part], sandbox: Sandbox, password: Callable[[str], str]
) -> Callable[[str | None], Registry]:
    repository = f"trial/{uuid.uuid4().hex[:8]}"
    return lambda account: Registry(
        sandbox, repository, (account, password(f"registry-{account}")) if account else None
    )


def test_push_account_pushes_and_deletes_and_pull_account_only_reads(
    registry: Callable[[str | None], Registry],
) -> None:
    push, pull = registry("push"), registry("pull")
    status, blob = push.upload(b"{}")
    assert status == 201
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": blob, "size": 2},
    })  # fmt: skip
    put = push.call("PUT", "manifests/one", data=manifest, headers={"Content-Type": MANIFEST})
    assert put.status_code == 201
    digest = put.headers["Docker-Content-Digest"]
    assert pull.call("GET", f"manifests/{digest}", headers={"Accept": MANIFEST}).text == manifest
    assert pull.call("DELETE", f"manifests/{digest}").status_code == 403
    assert push.call("DELETE", f"manifests/{digest}").status_code == 202
    assert pull.call("GET", f"manifests/{digest}", headers={"Accept": MANIFEST}).status_code == 404


def test_pull_account_is_told_that_it_may_only_pull(registry: Callable[[str | None], Registry]) -> None:
    pull = registry("pull")
    assert pull.upload(b"{}")[0] == 403
    assert pull.call("POST", "blobs/uploads/").json()["errors"][0]["code"] == "DENIED"


def test_strangers_are_asked_who_they_are(registry: Callable[[str | None], Registry]) -> None:
    nobody, wrong = registry(None), registry(None)
    wrong.http.auth = ("push", "wrong")
    for stranger in (nobody, wrong):
        assert stranger.call("GET", "tags/list").status_code == 401
        assert stranger.upload(b"{}")[0] == 401


def test_certificate_is_signed_by_the_sandboxs_authority_only(
    sandbox: Sandbox, parts: dict[str, Part]
) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        session().get(f"https://{sandbox.registry}/v2/", timeout=10)
