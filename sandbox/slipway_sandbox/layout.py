"""Where things lie: state, cache, checkout; files written atomically; ports chosen once and remembered."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NODE_ADDRESS = "10.200.0.1"
MACHINE_DIR = Path("/run/slipway")
MARKER = MACHINE_DIR / "sandbox.json"
STATE_MAX = 80  # characters: a unix socket's path is limited to 107
MARK_VARIABLE = "SLIPWAY_SANDBOX_STATE"  # in the environment of every process the sandbox starts
# in the environment of what a command runs and waits for, never of what stays: so an ended command's rest is known
SETUP_VARIABLE = "SLIPWAY_SETUP"
COMMAND_TIMEOUT_S = 3600  # the longest set-up there is: with the cluster's build, on a slow machine


class SandboxError(Exception):
    """The sandbox cannot do what was asked; the message says what, where and what to do."""

    exit_code = 3


class UsageError(SandboxError):
    """What was asked for does not exist or makes no sense."""

    exit_code = 2


def write_file(path: Path, text: str, mode: int = 0o644, owner: tuple[int, int] | None = None) -> bool:
    """Write `text` to `path` through a rename, so that no reader sees half of it.

    :return: whether the content changed
    """
    if path.is_file() and path.read_text() == text:
        path.chmod(mode)
        if owner:
            os.chown(path, *owner)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    if owner:
        os.chown(new, *owner)
    new.chmod(mode)
    new.rename(path)
    return True


def port_is_free(address: str, port: int) -> bool:
    """Whether nothing listens on `address:port`; an address that this machine lacks (yet) counts as free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno == 99  # EADDRNOTAVAIL
    return True


def port_answers(address: str, port: int, timeout_s: float = 1.0) -> bool:
    """Whether a TCP connection to `address:port` is accepted."""
    try:
        socket.create_connection((address, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Port:
    """A port that a part listens on: the one it would like, and the addresses it must be free on."""

    name: str
    preferred: int
    addresses: tuple[str, ...] = ("127.0.0.1",)


PORTS = (
    Port("airflow", 8080),
    Port("airflow-worker-logs", 18793),
    Port("airflow-trigger-logs", 18794),
    Port("git", 8418, ("127.0.0.1", NODE_ADDRESS)),
    Port("forge", 3000),
    Port("vault", 8200),
    Port("vault-cluster", 8201),
    Port("postgres", 15432, ("127.0.0.1", NODE_ADDRESS)),
    Port("registry", 15000, ("127.0.0.1", NODE_ADDRESS)),
)


@dataclass
class Layout:
    """The folders of one sandbox and what is remembered in them."""

    state: Path
    cache: Path
    checkout: Path
    _ports: dict[str, int] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Layout:
        """The layout that `SLIPWAY_STATE` and `SLIPWAY_CACHE` name, or the default one."""
        home = Path(environment.get("HOME", "/root"))
        state = Path(environment.get("SLIPWAY_STATE") or home / ".local/state/slipway/sandbox").absolute()
        cache = Path(environment.get("SLIPWAY_CACHE") or home / ".cache/slipway").absolute()
        if len(str(state)) > STATE_MAX:
            raise UsageError(
                f"SLIPWAY_STATE={state} has {len(str(state))} characters; "
                f"unix sockets below it allow {STATE_MAX}: choose a shorter path"
            )
        return cls(state, cache, Path(__file__).resolve().parents[2])

    @property
    def python(self) -> Path:
        """The interpreter that everything of Python runs with: the one that runs this."""
        return Path(sys.executable)

    @property
    def bin(self) -> Path:
        """The folder of the programs that were installed with this interpreter."""
        return Path(sys.executable).parent

    @property
    def logs(self) -> Path:
        """The processes' logs."""
        return self.state / "logs"

    @property
    def credentials(self) -> Path:
        """One secret per file, 0600."""
        return self.state / "credentials"

    @property
    def ca_file(self) -> Path:
        """The certificate of the sandbox's own authority."""
        return self.state / "pki/ca.crt"

    @property
    def ca_bundle(self) -> Path:
        """The system's certificate authorities and ours in one file, for programs that take only one."""
        return self.state / "pki/bundle.crt"

    @property
    def platform_file(self) -> Path:
        """What releases are told of the parts."""
        return self.state / "platform.yaml"

    def create(self) -> None:
        """Make the folders (idempotent)."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)
        for name in ("logs", "credentials", "supervisor/conf.d", "pki"):
            (self.state / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.cache.mkdir(parents=True, exist_ok=True)

    def port(self, name: str) -> int:
        """The port of `name`: the recorded one, else the preferred one if it is free, else any free one."""
        with self._lock:
            record = self.state / "ports.json"
            if not self._ports and record.is_file():
                self._ports.update(json.loads(record.read_text()))
            if name not in self._ports:
                wanted = next(port for port in PORTS if port.name == name)
                self._ports[name] = self._choose(wanted)
                write_file(record, json.dumps(self._ports, indent=1, sort_keys=True) + "\n")
            return int(self._ports[name])

    def _choose(self, wanted: Port) -> int:
        taken = set(self._ports.values())
        candidates: list[int] = [wanted.preferred, *range(20000 + wanted.preferred % 1000, 32000)]
        for candidate in candidates:
            if candidate not in taken and all(
                port_is_free(address, candidate) for address in wanted.addresses
            ):
                return candidate
        raise SandboxError(f"no free port for {wanted.name} on {', '.join(wanted.addresses)}")

    def forget_ports(self, names: tuple[str, ...]) -> None:
        """Drop recorded ports, so that they are chosen anew: a stranger took them meanwhile."""
        with self._lock:
            for name in names:
                self._ports.pop(name, None)
            write_file(self.state / "ports.json", json.dumps(self._ports, indent=1, sort_keys=True) + "\n")

    def secret(self, name: str, owner: tuple[int, int] | None = None, length: int = 24) -> str:
        """The secret kept in credentials/`name`, made at random on first use."""
        path = self.credentials / name
        with self._lock:
            if not path.is_file():
                write_file(path, secrets.token_urlsafe(length), 0o600, owner)
            return path.read_text().strip()

    def keep_secret(self, name: str, value: str) -> None:
        """Record a secret that somebody else made."""
        write_file(self.credentials / name, value, 0o600)

    def recorded(self, name: str) -> Any:
        """A JSON file of the state folder, or None."""
        path = self.state / name
        return json.loads(path.read_text()) if path.is_file() else None

    @contextmanager
    def lock(
        self, timeout_s: float = 0, waiting: Callable[[str], None] = lambda text: None
    ) -> Iterator[None]:
        """Hold the sandbox's lock, so that two commands never change it at once.

        :param timeout_s: seconds to wait for another command: one whose `make` was killed still works.
        :param waiting: told once who is waited for.
        :raises SandboxError: somebody else holds it; the message names the process
        """
        self.state.mkdir(parents=True, exist_ok=True)
        deadline, told = time.monotonic() + timeout_s, False
        with (self.state / ".lock").open("a+") as stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    stream.seek(0)
                    who = f"process {stream.read().strip() or '?'}"
                    if time.monotonic() >= deadline:
                        raise SandboxError(
                            f"another `slipway sandbox` command works on {self.state} "
                            f"({who}): wait until it has ended"
                        ) from error
                    if not told:
                        waiting(f"waiting for another command that works on {self.state} ({who})")
                        told = True
                    time.sleep(0.2)
            os.set_inheritable(stream.fileno(), False)
            stream.truncate(0)
            stream.write(str(os.getpid()))
            stream.flush()
            try:
                yield
            finally:
                stream.truncate(0)
