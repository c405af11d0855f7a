"""Ports are chosen once, secrets made once, files written whole, and two commands never at once."""

import socket
import stat
from pathlib import Path

import pytest

from slipway_sandbox.layout import PORTS, Layout, SandboxError, UsageError, write_file


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "state", tmp_path / "cache", tmp_path)
    made.create()
    return made


def test_port_that_a_stranger_holds_is_replaced_and_remembered(layout: Layout) -> None:
    wanted = next(port for port in PORTS if port.name == "vault-cluster")
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            stranger.bind(("127.0.0.1", wanted.preferred))
            stranger.listen()
        except OSError:
            pass  # a sandbox of this machine holds it: as good a stranger
        chosen = layout.port("vault-cluster")
        assert chosen != wanted.preferred
        assert Layout(layout.state, layout.cache, layout.checkout).port("vault-cluster") == chosen


def test_two_ports_of_one_sandbox_never_coincide(layout: Layout) -> None:
    chosen = [layout.port(port.name) for port in PORTS]
    assert len(set(chosen)) == len(chosen)


def test_secret_is_made_once_and_readable_by_its_owner_only(layout: Layout) -> None:
    first = layout.secret("registry-push")
    assert layout.secret("registry-push") == first
    assert len(first) >= 24
    assert stat.S_IMODE((layout.credentials / "registry-push").stat().st_mode) == 0o600
    assert stat.S_IMODE(layout.state.stat().st_mode) == 0o700


def test_writing_the_same_text_again_reports_no_change(tmp_path: Path) -> None:
    assert write_file(tmp_path / "file", "one", 0o600)
    assert not write_file(tmp_path / "file", "one", 0o600)
    assert write_file(tmp_path / "file", "two", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_second_command_is_refused_and_told_who_works(layout: Layout) -> None:
    with layout.lock(), pytest.raises(SandboxError, match=r"works on .*process \d+"), layout.lock():
        pass
    with layout.lock():
        pass


def test_state_folder_with_a_path_too_long_for_sockets_is_refused() -> None:
    with pytest.raises(UsageError, match="choose a shorter path"):
        Layout.from_environment({"HOME": "/root", "SLIPWAY_STATE": "/" + "x" * 90})


def test_folders_default_to_the_users_own() -> None:
    layout = Layout.from_environment({"HOME": "/home/me"})
    assert layout.state == Path("/home/me/.local/state/slipway/sandbox")
    assert layout.cache == Path("/home/me/.cache/slipway")
