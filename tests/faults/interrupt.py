"""Ends a set-up at a named moment, with all that it runs, as Ctrl-C, a time limit or the kernel do.

`python -m faults.interrupt MOMENT TERM|KILL -- COMMAND...`. Exit codes: 0 it was ended at that moment, 4 it ended
before the moment came: then nothing was tried.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slipway_sandbox.layout import Layout

EARLY = 4
LOOK_S = 0.005


@dataclass(frozen=True)
class Moment:
    """A moment of a set-up: the first of what is given that is seen.

    :param process: a regular expression on the command line of a process that the command runs.
    :param path: a file that has come, as a pattern below the state folder.
    :param line: a regular expression on what the command says.
    :param lacks: what must not be there, so that the moment comes: patterns below the state folder, or, after ``cache:`` or
        ``checkout:``, below those.
    :param before: shell that makes the machine so; run as root on a machine of its own only.
    :param later_s: seconds after what was seen.
    """

    title: str
    process: str = ""
    path: str = ""
    line: str = ""
    lacks: tuple[str, ...] = ()
    before: str = ""
    later_s: float = 0.0


# everything but what only costs time to make again: the images in the engine and the registry
FRESH = (
    *(
        "postgres",
        "vault",
        "git",
        "airflow",
        "pki",
        "kubernetes",
        "credentials",
        "demo",
        "supervisor",
        "logs",
    ),
    *(
        "ports.json",
        "platform.yaml",
        "connections.yaml",
        "registry/accounts",
        "registry/nginx.conf",
        "registry/tls.*",
    ),
)
IMAGES = ("docker", "registry", "images.json")
MOMENTS: dict[str, Moment] = {
    "venv": Moment(
        "the virtual environment is made",
        process=r"-m (venv|ensurepip)|ensurepip",
        lacks=("checkout:.venv",),
        later_s=1,
    ),
    "venv-packages": Moment(
        "the locked packages are installed", process=r"uv pip sync", lacks=("checkout:.venv",), later_s=0.5
    ),
    "apt-download": Moment(
        "apt fetches packages",
        process=r"/apt/methods/http",
        before="apt-get -y -qq purge mmdebstrap fcgiwrap; apt-get clean",
    ),
    "apt-lists": Moment(
        "apt fetches its lists",
        process=r"/apt/methods/http",
        before="apt-get -y -qq purge fcgiwrap; rm -rf /var/lib/apt/lists/*",
    ),
    "apt-unpack": Moment(
        "dpkg unpacks and configures packages",
        process=r"^(/usr/bin/)?dpkg .*--(unpack|configure)",
        before="apt-get -y -qq purge mmdebstrap fcgiwrap docker-registry",
    ),
    "authority": Moment("the certificate authority is written", path="pki/ca.key", lacks=FRESH),
    "supervisor": Moment("the supervisor is started", process=r"supervisord -c", lacks=FRESH),
    "network": Moment("the bridge is made", process=r"network\.sh up", lacks=FRESH),
    "initdb": Moment("Postgres makes its database cluster", path="postgres/data*/PG_VERSION", lacks=FRESH),
    "vault-storage": Moment(
        "Vault's storage is made, its keys are not", path="vault/raft/vault.db", lacks=FRESH
    ),
    "vault-keys": Moment("Vault is made and not unsealed", path="credentials/vault-unseal", lacks=FRESH),
    "registry-files": Moment("the registry's files are written", path="registry/accounts", lacks=FRESH),
    "git-repository": Moment(
        "a git repository is made", path="git/repositories/*/*.git.new/config", lacks=FRESH
    ),
    "engine": Moment(
        "the Docker engine is started", path="docker/daemon.json", lacks=(*FRESH, "docker/*.json")
    ),
    "kubernetes-build": Moment(
        "the cluster is built", process=r"/compile |^go build|/link ", lacks=("cache:kubernetes/.complete",)
    ),
    "kubernetes-keys": Moment(
        "the cluster's keys are made", path="kubernetes/pki/apiserver.key", lacks=FRESH
    ),
    "kubernetes-kubeconfig": Moment(
        "the cluster's kubeconfigs are written", path="kubernetes/conf/*.kubeconfig", lacks=FRESH
    ),
    "airflow-migrates": Moment(
        "Airflow makes its schema", process=r"airflow db migrate", lacks=FRESH, later_s=4
    ),
    "airflow-migrates-late": Moment(
        "Airflow makes its schema", process=r"airflow db migrate", lacks=FRESH, later_s=9
    ),
    "ledger-migrates": Moment(
        "the ledger's schema is made", process=r"slipway\.ledger import upgrade", lacks=FRESH, later_s=0.6
    ),
    "image-restored": Moment(
        "an image is put back into the registry",
        path="registry/data/docker/registry/v2/repositories/*/*/_uploads/*",
        lacks=IMAGES,
    ),
    "image-pull": Moment(
        "an image is in the registry and not in the engine", process=r"docker pull", lacks=IMAGES
    ),
    "image-build": Moment(
        "an image is built",
        process=r"docker build .*toolbox-postgres",
        lacks=(*IMAGES, "cache:images/pushed/toolbox-postgres-*"),
        later_s=5,
    ),
    "image-push": Moment(
        "an image is pushed",
        process=r"docker push",
        lacks=(*IMAGES, "cache:images/pushed/toolbox-postgres-*"),
    ),
    "publish": Moment("the parts' addresses are published", path="platform.yaml", lacks=FRESH),
    "demo-push": Moment("the example is pushed", process=r"git .*push origin", lacks=("demo",)),
}


def files(layout: Layout, pattern: str) -> dict[Path, int]:
    """Give the files below the state folder that a pattern names, with the time of their last change."""
    found = {}
    for path in layout.state.glob(pattern) if pattern else ():
        with contextlib.suppress(FileNotFoundError):
            found[path] = path.stat().st_ctime_ns
    return found


@dataclass
class Watch:
    """Looks for a moment of a command that runs in a session of its own."""

    moment: Moment
    layout: Layout
    command: subprocess.Popen[str]
    before: dict[Path, int]
    said: list[str] = field(default_factory=list)

    def read(self) -> None:
        """Take in what the command says, until it ends."""
        assert self.command.stdout
        for text in self.command.stdout:
            self.said.append(text)

    def has_come(self) -> str | None:
        """What was seen of the moment, if it has come."""
        one = self.moment
        if one.line:
            found = next((text for text in self.said if re.search(one.line, text)), None)
            if found:
                return found.strip()
        if one.path:
            for path, changed in files(self.layout, one.path).items():
                if self.before.get(path) != changed:
                    return str(path)
        return self._process() if one.process else None

    def _process(self) -> str | None:
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or entry.name == str(os.getpid()):
                continue
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            if re.search(self.moment.process, line) and "faults.interrupt" not in line:
                return f"process {entry.name}: {line[:100]}"
        return None


def interrupt(
    moment: Moment, sign: signal.Signals, command: Sequence[str], timeout_s: float = 1200
) -> tuple[bool, str]:
    """Run `command` in a process group of its own and end the group at the moment.

    :return: whether the moment came, and what was seen of it or what the command said at last
    """
    layout = Layout.from_environment()
    before = files(layout, moment.path)
    running = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True,
    )  # fmt: skip
    watch = Watch(moment, layout, running, before)
    reader = threading.Thread(target=watch.read, daemon=True)
    reader.start()
    deadline = time.monotonic() + timeout_s
    while running.poll() is None and time.monotonic() < deadline:
        seen = watch.has_come()
        if seen:
            time.sleep(moment.later_s)
            if running.poll() is not None:
                break
            os.killpg(running.pid, sign)
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:  # it does not heed TERM in time: as a shell's time limit does
                os.killpg(running.pid, signal.SIGKILL)
                running.wait(20)
            return True, seen
        time.sleep(LOOK_S)
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
    running.wait(20)
    reader.join(5)
    return False, "".join(watch.said[-15:])


def main(arguments: Sequence[str]) -> int:
    """Ends the command at the moment."""
    if (
        len(arguments) < 4
        or arguments[0] not in MOMENTS
        or arguments[1] not in ("TERM", "KILL")
        or arguments[2] != "--"
    ):
        print(f"usage: MOMENT TERM|KILL -- COMMAND...; moments: {', '.join(MOMENTS)}", file=sys.stderr)
        return 2
    came, seen = interrupt(MOMENTS[arguments[0]], signal.Signals[f"SIG{arguments[1]}"], arguments[3:])
    print(
        f"{arguments[0]} {arguments[1]}: "
        + (f"ended at {seen}" if came else f"the moment did not come:\n{seen}"),
        flush=True,
    )
    return 0 if came else EARLY


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
