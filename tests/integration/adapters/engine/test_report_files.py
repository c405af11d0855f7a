"""Reports out of containers that ran pushed code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from docker.types import Mount

from slipway.adapters import engine as adapter
from slipway.errors import PolicyFailed

REPORTED = """
import os
os.chdir("/out")
open("junit.xml", "w").write("<ok/>")
open("big.sarif", "wb").write(b"x" * (2_000_000 + 1))
os.mkdir("nested"); open("nested/inner.json", "w").write("{}")
os.symlink("/etc/passwd", "link.json"); os.link("junit.xml", "hard.xml"); os.mkfifo("fifo.json")
"""


def test_reports_are_regular_files_of_the_folder_itself_within_the_bound(
    engine: Any, unique: str, toolbox: str, script: Callable[..., Any]
) -> None:
    scratch = [Mount("/out", None, type="volume")]
    assert script(engine, unique, toolbox, REPORTED, mounts=scratch)[0] == 0
    found = adapter.reports(engine, unique)
    # of two hard links either may be the one that the archive holds as a file
    assert set(found) in ({"junit.xml"}, {"hard.xml"})
    assert set(found.values()) == {b"<ok/>"}


def test_reports_together_stay_within_their_bound(
    engine: Any, unique: str, toolbox: str, script: Callable[..., Any]
) -> None:
    write = "for i in range(6): open(f'/out/{i}.json', 'wb').write(b'x' * 1_900_000)"
    script(engine, unique, toolbox, write, mounts=[Mount("/out", None, type="volume")])
    found = adapter.reports(engine, unique)
    assert found
    assert sum(map(len, found.values())) <= adapter.REPORTS_LIMIT


def test_flood_of_reports_is_refused(
    engine: Any, unique: str, toolbox: str, script: Callable[..., Any]
) -> None:
    write = "open('/out/x', 'wb').truncate(40_000_000)"
    script(engine, unique, toolbox, write, mounts=[Mount("/out", None, type="volume")])
    with pytest.raises(PolicyFailed, match="exceed 32000000 bytes"):
        adapter.reports(engine, unique)
