"""Credentials are given back however a task ends; a pod that goes on keeps those of the try before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from slipway.errors import Transient
from slipway.stages import leases

TAKEN = SimpleNamespace(id="lease-1", username="u", password="p", seconds=120)


class Vault:
    """Leases and revokes. :param ended: whether a lease that is renewed is not there any more."""

    def __init__(self, did: list[Any], ended: bool = False) -> None:
        self.did, self.ended = did, ended

    def lease_database(self, _client: Any, role: str) -> Any:
        self.did.append(("lease", role))
        return TAKEN

    def renew(self, _client: Any, lease: str) -> float | None:
        return None if self.ended else 120.0

    def revoke(self, _client: Any, lease: str) -> None:
        self.did.append(("revoke", lease))


class Cluster:
    """Keeps one Secret. :param there: the one of an earlier try."""

    def __init__(self, did: list[Any], there: Any = None) -> None:
        self.did, self.there = did, there

    def kept(self, _api: Any, _namespace: str, _name: str) -> Any:
        return self.there

    def put_secret(self, _api: Any, _namespace: str, name: str, content: Any, **more: Any) -> None:
        self.did.append(("put", name, sorted(content), more["annotations"]))

    def delete(self, _api: Any, kind: str, _namespace: str, name: str) -> None:
        self.did.append(("delete", kind, name))


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []
    platform = SimpleNamespace(database=SimpleNamespace(host="db", port=5432))
    monkeypatch.setattr(leases, "vault", Vault(made))
    monkeypatch.setattr(leases, "cluster", Cluster(made))
    monkeypatch.setattr(
        leases, "connections", SimpleNamespace(vault_client=object, platform=lambda: platform)
    )
    monkeypatch.setattr(leases, "mask_secret", lambda text: made.append(("masked", text)))
    return made


def held(**more: Any) -> Any:
    known: dict[str, Any] = {"run_id": "web.1", "labels": {}, "files": None, "role": "web", "database": "web"}
    api: Any = None
    return leases.held(api, "ns", "slipway-x", **(known | more))


def test_credentials_reach_the_pod_as_a_file_and_are_given_back(did: list[Any]) -> None:
    with held(files=lambda: {"more.json": "{}"}):
        assert did == [
            ("lease", "web"),
            ("masked", "p"),
            (
                "put",
                "slipway-x",
                ["database.json", "more.json"],
                {"slipway/run": "web.1", "slipway/lease": "lease-1"},
            ),
        ]
        did.clear()
    assert did == [("delete", "secret", "slipway-x"), ("revoke", "lease-1")]


def test_they_are_given_back_when_the_task_fails_and_that_is_what_is_told(did: list[Any]) -> None:
    with pytest.raises(Transient, match="the pod went away"), held():
        raise Transient("the pod went away", code="pod.ended")
    assert did[-2:] == [("delete", "secret", "slipway-x"), ("revoke", "lease-1")]


def test_secret_without_credentials_leases_nothing(did: list[Any]) -> None:
    with held(role=None, files=lambda: {"more.json": "{}"}):
        pass
    assert [one[0] for one in did] == ["put", "delete"]


@pytest.mark.parametrize("goes_on", [True, False])
def test_earlier_try_whose_pod_goes_on_keeps_its_lease(
    did: list[Any], monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    there = SimpleNamespace(annotations={leases.LEASE: "lease-0"}, is_used=goes_on)
    monkeypatch.setattr(leases, "cluster", Cluster(did, there))
    with held():
        kept = [one for one in did if one[0] in ("lease", "put")]
        assert bool(kept) is not goes_on
        assert (("revoke", "lease-0") in did) is not goes_on
    assert did[-1] == ("revoke", "lease-0" if goes_on else "lease-1")


def test_what_cannot_be_given_back_is_told_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        raise Transient("Vault is away", code="vault.unreachable")

    leases.as_far_as_possible(refuse)
    assert "not given back now: Vault is away" in capsys.readouterr().out
