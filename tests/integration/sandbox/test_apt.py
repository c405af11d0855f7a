"""apt.sh on a dpkg of its own (its database, root and lists): what an ended installation left is brought to its end.

Real dpkg and apt, a real package whose postinst hangs or fails the first time. The machine's own database is not touched,
also if the test is killed.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "sandbox/apt.sh"
HANGS_ONCE = '[ -e "$DPKG_ROOT/begun" ] || { : >"$DPKG_ROOT/begun"; exec sleep 600; }'
FAILS_ONCE = '[ -e "$DPKG_ROOT/begun" ] || { : >"$DPKG_ROOT/begun"; exit 1; }'
FAILS = "exit 1"


@dataclass
class Root:
    """A dpkg database with a root of its own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if key != "SLIPWAY_SETUP"},
            "DPKG_ROOT": str(self.folder), "DPKG_FORCE": "script-chrootless,not-root,bad-path,unsafe-io",
            "APT_CONFIG": str(self.folder / "apt.conf"),
            "SLIPWAY_APT_WAIT_S": "2", "SLIPWAY_APT_PATIENCE_S": "1",
        }  # fmt: skip

    def package(self, postinst: str, name: str = "half") -> Path:
        source = self.folder / "source" / name
        (source / "DEBIAN").mkdir(parents=True)
        control = (
            f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: t <t@localhost>\nDescription: t\n"
        )
        (source / "DEBIAN/control").write_text(control)
        script = source / "DEBIAN/postinst"
        script.write_text(f"#!/bin/sh\n{postinst}\n")
        script.chmod(0o755)
        archive = self.folder / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--build", source, archive], check=True, capture_output=True)
        return archive

    def install(self, archive: Path, **more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["dpkg", "--install", archive], env={**self.environment, **more},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def heal(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", SCRIPT, "heal"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def state(self, name: str = "half") -> str:
        asked = ["dpkg-query", "-W", "-f=${db:Status-Status}", name]
        return subprocess.run(asked, env=self.environment, capture_output=True, text=True, check=False).stdout

    def begun(self) -> None:
        deadline = time.monotonic() + 10
        while not (self.folder / "begun").exists():
            assert time.monotonic() < deadline, "the postinst did not begin"
            time.sleep(0.02)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    made = Root(tmp_path)
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/apt/lists/partial",
                   "var/cache/apt/archives/partial", "var/log/apt", "etc"):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
    for file in ("status", "available"):
        (tmp_path / "var/lib/dpkg" / file).touch()
    (tmp_path / "apt.conf").write_text(
        f'Dir "{tmp_path}"; Dir::State::status "{tmp_path}/var/lib/dpkg/status"; Dir::Etc::sourceparts "/dev/null";\n'
        'Dir::Bin::dpkg "/usr/bin/dpkg"; Dir::Bin::methods "/usr/lib/apt/methods"; APT::Sandbox::User "root";\n'
    )
    left: list[subprocess.Popen[bytes]] = []
    install = made.install

    def noted(archive: Path, **more: str) -> subprocess.Popen[bytes]:
        left.append(install(archive, **more))
        return left[-1]

    made.install = noted  # type: ignore[method-assign]
    yield made
    for one in left:
        subprocess.run(["pkill", "-KILL", "-s", str(one.pid)], check=False)
        one.wait(5)


@pytest.mark.parametrize("sign", [15, 9])
def test_installation_that_was_ended_is_brought_to_its_end(root: Root, sign: int) -> None:
    dpkg = root.install(root.package(HANGS_ONCE))
    root.begun()
    os.killpg(dpkg.pid, sign)
    dpkg.wait(5)
    assert root.state() == "half-configured"
    done = root.heal()
    assert (done.returncode, root.state()) == (0, "installed"), done.stderr
    assert "an installation was ended before its time" in done.stderr


def test_dpkg_that_lives_on_without_its_set_up_is_waited_for_and_then_ended(root: Root) -> None:
    dpkg = root.install(root.package(HANGS_ONCE), SLIPWAY_SETUP="apt")
    root.begun()
    done = root.heal()
    assert (done.returncode, root.state()) == (0, "installed"), done.stderr
    assert f"ending process {dpkg.pid}, left by a set-up that was ended" in done.stderr


def test_somebody_elses_installation_is_waited_for_but_never_ended(root: Root) -> None:
    dpkg = root.install(root.package(HANGS_ONCE))
    root.begun()
    done = root.heal()
    assert done.returncode == 3
    assert f"process {dpkg.pid} (dpkg --install" in done.stderr
    assert dpkg.poll() is None


def test_package_that_failed_once_is_tried_again(root: Root) -> None:
    assert root.install(root.package(FAILS_ONCE)).wait(10) != 0
    assert root.state() == "half-configured"
    assert root.heal().returncode == 0
    assert root.state() == "installed"


def test_package_that_always_fails_is_named_with_what_to_do(root: Root) -> None:
    root.install(root.package(FAILS, "broken")).wait(10)
    done = root.heal()
    assert done.returncode == 3
    assert "broken" in done.stderr
    assert "dpkg --remove --force-remove-reinstreq PACKAGE" in done.stderr


def test_whole_installation_is_left_alone(root: Root) -> None:
    assert root.install(root.package("")).wait(10) == 0
    done = root.heal()
    assert (done.returncode, done.stderr) == (0, "")
