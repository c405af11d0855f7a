"""What a set-up that was ended left half made is known as such, and made anew."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from slipway_sandbox import debian, pki
from slipway_sandbox.image_store import Kept, Registry
from slipway_sandbox.layout import Layout, SandboxError
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.vault import KEYS, Vault
from slipway_sandbox.supervisor import Confined, Supervisor

MANIFEST = json.dumps({"config": {"digest": "sha256:a"}, "layers": [], "mediaType": "m"}).encode()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "state", tmp_path / "cache", Path(__file__).parents[3])
    made.create()
    return made


@pytest.fixture
def vault(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Vault:
    monkeypatch.setattr(Supervisor, "stop", lambda self, names: None)
    found = Vault(Sandbox(layout, Supervisor(layout), [], {}))
    (found.folder / "raft").mkdir(parents=True)
    (found.folder / "raft/vault.db").write_text("sealed for ever")
    return found


@pytest.mark.parametrize("kept", [[], ["vault-unseal"]])
def test_vault_whose_keys_were_lost_as_it_was_initialised_is_made_anew(vault: Vault, kept: list[str]) -> None:
    for name in kept:
        vault.layout.keep_secret(name, "key")
    vault.layout.keep_secret("vault-worker-role-id", "of another vault")
    vault._forget_keyless()
    assert not (vault.folder / "raft").exists()
    assert not list(vault.layout.credentials.glob("vault-*"))


def test_vault_that_was_made_to_its_end_is_never_made_anew(vault: Vault) -> None:
    vault._initialised.touch()
    vault.layout.keep_secret(KEYS[0], "key")
    with pytest.raises(SandboxError, match=r"vault-root has gone from .*Put it back"):
        vault._forget_keyless()
    assert (vault.folder / "raft/vault.db").is_file()
    vault.layout.keep_secret(KEYS[1], "token")
    vault._forget_keyless()
    assert (vault.folder / "raft/vault.db").is_file()


def test_half_a_manifest_in_the_cache_is_no_kept_image(tmp_path: Path) -> None:
    kept = Kept(tmp_path, cast(Registry, None))
    half = tmp_path / "base-tag.json"
    half.write_bytes(MANIFEST[:20])
    assert kept.restore("base", "tag") is None
    assert not half.exists()
    half.write_bytes(MANIFEST[:20])
    kept.prune({"base": "tag"})
    assert not half.exists()


def test_key_without_its_certificate_is_no_authority(layout: Layout) -> None:
    pki.ensure_authority(layout)
    first = layout.ca_file.read_text()
    pki.ensure_authority(layout)
    assert layout.ca_file.read_text() == first
    other = Layout(layout.state.with_name("other"), layout.cache, layout.checkout)
    other.create()
    pki.ensure_authority(other)
    (layout.state / "pki/ca.key").write_text((other.state / "pki/ca.key").read_text())
    pki.ensure_authority(layout)
    assert layout.ca_file.read_text() != first


def test_programs_that_are_unpacked_aside_count_once_all_of_them_are(layout: Layout) -> None:
    aside = layout.cache / "debian"
    (aside / "usr/sbin").mkdir(parents=True)
    (aside / "usr/sbin/dockerd").touch()
    (aside / debian.UNPACKING).touch()
    assert debian.program(layout, "/usr/sbin/dockerd") == Path("/usr/sbin/dockerd")
    (aside / debian.UNPACKING).unlink()
    assert debian.program(layout, "/usr/sbin/dockerd") == aside / "usr/sbin/dockerd"


def test_package_that_dpkg_began_with_is_missing_though_its_program_is_there(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(*_: Any, **__: Any) -> Any:
        return subprocess.CompletedProcess(
            [], 0, "openssl half-configured\ngit installed\niproute2 config-files\n", ""
        )

    monkeypatch.setattr(debian, "run", shown)
    assert debian.unfinished({"openssl", "git", "iproute2"}) == {"openssl"}


def test_process_whose_folder_was_taken_from_under_it_is_seen(tmp_path: Path) -> None:
    outside = tmp_path / "registry"
    outside.mkdir()
    me = Confined("nobody", {outside: outside})
    assert me.is_seen_by(os.getpid())
    gone = Confined("nobody", {outside: tmp_path / "run"})  # the place that the mount covered was removed
    assert not gone.is_seen_by(os.getpid())
    (tmp_path / "run").mkdir()  # and made again, bare
    assert not gone.is_seen_by(os.getpid())
    assert gone.is_seen_by(os.getpid(), tmp_path / "elsewhere")
    assert gone.is_seen_by(2**22 + 1)
