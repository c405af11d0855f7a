"""A command that fails tells why, and what to do."""

from pathlib import Path

import pytest

from slipway_sandbox.engine import ImageError, run_command


def test_failed_command_tells_last_lines_and_where_all_of_it_is(tmp_path: Path) -> None:
    with pytest.raises(
        ImageError, match=r"(?s)docker build x failed \(exit 3\); all of it is in .*x.log.*the reason"
    ):
        run_command(
            ["sh", "-c", "echo the reason >&2; exit 3"],
            "docker build x",
            {"PATH": "/usr/bin:/bin"},
            output=tmp_path / "x.log",
        )
    with pytest.raises(ImageError, match="apt-get install mmdebstrap"):
        run_command(["mmdebstrap"], "mmdebstrap", {"PATH": str(tmp_path)})
