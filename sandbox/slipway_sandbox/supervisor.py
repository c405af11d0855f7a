"""Supervisor keeps every process of the sandbox: its configuration, its start, and what it says."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway_sandbox.layout import MACHINE_DIR, MARK_VARIABLE, Layout, SandboxError, write_file
from slipway_sandbox.run import wait_until

STARTED_STATES = {"RUNNING", "STARTING", "BACKOFF"}


@dataclass(frozen=True)
class Confined:
    """Run a program as an unprivileged user that sees only `binds` of the state folder.

    The state folder lies in a home that nobody else may enter. A private mount namespace shows the program
    its own folders below /run/slipway, and ends with it: no mount of the machine's is made.
    """

    user: str
    binds: Mapping[Path, Path]

    def command(self, command: Sequence[str | Path], no_new_privileges: bool = True) -> list[str]:
        """`command`, confined; the process id stays the same throughout (each step execs the next)."""
        script = "".join(f'mount --bind "${2 * n + 1}" "${2 * n + 2}" && ' for n in range(len(self.binds)))
        script += f"shift {2 * len(self.binds)} && cd / && "
        script += f"exec setpriv --reuid {self.user} --regid {self.user} --clear-groups"
        script += " --inh-caps=-all --bounding-set=-all"
        script += (" --no-new-privs" if no_new_privileges else "") + ' -- "$@"'
        pairs = [str(side) for pair in self.binds.items() for side in pair]
        return [
            "/usr/bin/unshare", "--mount", "--propagation", "private", "--",
            "/bin/sh", "-euc", script, "confine", *pairs, *(str(part) for part in command),
        ]  # fmt: skip

    def is_seen_by(self, pid: int, below: Path = Path("/")) -> bool:
        """Whether process `pid` sees each bound folder as it is now; True where it has ended meanwhile.

        :param below: only folders below this one are looked at.
        """
        for outside, inside in self.binds.items():
            if not outside.is_relative_to(below):
                continue
            try:
                seen = Path(f"/proc/{pid}/root{inside}").stat()
                there = outside.stat()
            except OSError:
                return not Path(f"/proc/{pid}").exists()
            if (seen.st_dev, seen.st_ino) != (there.st_dev, there.st_ino):
                return False
        return True

    def prepare(self) -> None:
        """Make the empty folders that the binds cover."""
        MACHINE_DIR.mkdir(mode=0o755, exist_ok=True)
        for inside in self.binds.values():
            inside.mkdir(parents=True, exist_ok=True, mode=0o755)


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    stop_signal: str = "TERM"
    stop_wait_s: int = 15
    start_s: int = 1
    umask: str = "022"
    confined: Confined | None = None
    kill_group: bool = True
    reads: Sequence[Path] = ()  # files that it reads at its start: it is started anew when they change

    def section(self, layout: Layout) -> str:
        """Its section of the supervisor's configuration."""
        command = (
            self.confined.command(self.command) if self.confined else [str(part) for part in self.command]
        )
        environment = {MARK_VARIABLE: str(layout.state), **self.environment}
        if self.reads:
            content = b"".join(path.read_bytes() for path in self.reads if path.is_file())
            environment["SLIPWAY_SANDBOX_CONFIGURATION"] = hashlib.sha256(content).hexdigest()[:16]
        lines = {
            "command": " ".join(_quoted(part) for part in command),
            "environment": ",".join(
                f'{key}="{_escaped(value)}"' for key, value in sorted(environment.items())
            ),
            "directory": str(self.directory or layout.state),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": str(self.start_s),
            "startretries": "5",
            "stopsignal": self.stop_signal,
            "stopwaitsecs": str(self.stop_wait_s),
            "stopasgroup": "false",
            "killasgroup": str(self.kill_group).lower(),
            "umask": self.umask,
            "redirect_stderr": "true",
            "stdout_logfile": str(layout.logs / f"{self.name}.log"),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "2",
        }
        return f"[program:{self.name}]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def _escaped(value: str) -> str:
    return value.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')


def _quoted(part: str) -> str:
    """One word of a command line as the supervisor's parser (shlex) reads it."""
    if "\n" in part:
        raise SandboxError(f"a supervised command may not hold a line break: {part[:60]!r}")
    if part and all(char.isalnum() or char in "/-_=.:,+@" for char in part):
        return part
    # " ;" starts a comment in the configuration even inside quotes
    return "'" + part.replace("%", "%%").replace("'", "'\"'\"'") + "'"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._path, self._timeout = path, timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _UnixConnection(self._path, self._timeout)


def start_time(pid: int) -> int | None:
    """When process `pid` started (clock ticks since boot); None if there is none or it is a zombie.

    Together with the pid it names a process for good: a pid alone is given again to others.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


class Supervisor:
    """The supervisor of one state folder."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.folder = layout.state / "supervisor"
        self.socket = self.folder / "supervisor.sock"
        self.configuration = self.folder / "supervisord.conf"
        self.pid_file = self.folder / "supervisord.pid"
        self._reload = threading.Lock()

    def _api(self, timeout_s: float = 60) -> Any:
        return xmlrpc.client.ServerProxy(
            "http://localhost/RPC2", transport=_UnixTransport(str(self.socket), timeout_s), allow_none=True
        ).supervisor

    def pid(self) -> int | None:
        """The running supervisor's process id, asked of itself."""
        try:
            return int(self._api(5).getPID())
        except (OSError, http.client.HTTPException):
            return None

    def start(self) -> bool:
        """Start the supervisor unless it runs. :return: whether it was started"""
        conf = f"""[supervisord]
logfile = {self.layout.logs}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 2
pidfile = {self.pid_file}
childlogdir = {self.layout.logs}
nodaemon = false
minfds = 1024
umask = 022
identifier = slipway
directory = {self.layout.state}
[unix_http_server]
file = {self.socket}
chmod = 0600
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://{self.socket}
[include]
files = {self.folder}/conf.d/*.conf
"""
        write_file(self.configuration, conf, 0o600)
        if self.pid() is not None:
            return False
        self.socket.unlink(missing_ok=True)
        self.pid_file.unlink(missing_ok=True)
        # each part writes its own anew; one whose folder has gone would keep the supervisor from starting
        for stale in (self.folder / "conf.d").glob("*.conf"):
            stale.unlink()
        log = self.layout.logs / "supervisord.start.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [self.layout.bin / "supervisord", "-c", self.configuration],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**_daemon_environment(), MARK_VARIABLE: str(self.layout.state)},
                cwd=self.layout.state,
                start_new_session=True,
            )
        if process.wait(30) != 0:
            raise SandboxError(f"the supervisor did not start: {tail(log, 20)}")
        wait_until(lambda: None if self.pid() else f"no answer on {self.socket}", 20, "the supervisor")
        return True

    def configure(self, part: str, programs: Sequence[Program]) -> None:
        """Write the part's processes into the supervisor's configuration and make it read them.

        A process whose section changed is stopped by that; `ensure` starts it.
        """
        text = "".join(program.section(self.layout) + "\n" for program in programs)
        write_file(self.folder / f"conf.d/{part}.conf", text, 0o600)
        self.reread()

    def reread(self) -> None:
        """Make the supervisor take over what changed in conf.d (what `supervisorctl update` does)."""
        with self._reload:
            api = self._api()
            added, changed, removed = api.reloadConfig()[0]
            for name in [*removed, *changed]:
                try:
                    api.stopProcessGroup(name)
                    api.removeProcessGroup(name)
                except xmlrpc.client.Fault as fault:
                    if fault.faultCode != 10:  # BAD_NAME: somebody else's update took it already
                        raise
            for name in [*added, *changed]:
                try:
                    api.addProcessGroup(name)
                except xmlrpc.client.Fault as fault:
                    if fault.faultCode not in (10, 90):  # 90: ALREADY_ADDED
                        raise

    def ensure(self, name: str) -> bool:
        """Start a process unless it runs. :return: whether it was started"""
        try:
            self._api().startProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == 60:  # ALREADY_STARTED
                return False
            raise SandboxError(
                f"cannot start {name}: {fault.faultString}; see {self.layout.logs / name}.log"
            ) from fault
        return True

    def stop(self, names: Sequence[str]) -> None:
        """Stop processes, in the order given, and forget their configuration's processes."""
        for name in names:
            try:
                self._api(120).stopProcess(name, True)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode not in (10, 70):  # BAD_NAME, NOT_RUNNING
                    raise SandboxError(f"cannot stop {name}: {fault.faultString}") from fault

    def processes(self) -> dict[str, dict[str, Any]]:
        """What the supervisor knows of each process; empty if it does not run."""
        try:
            return {info["name"]: info for info in self._api(10).getAllProcessInfo()}
        except (OSError, http.client.HTTPException):
            return {}

    def problem(self, name: str) -> str | None:
        """Why a process is not running, or None."""
        info = self.processes().get(name)
        if info is None:
            return f"{name} is unknown to the supervisor"
        if info["statename"] == "RUNNING" or (info["statename"] == "STARTING" and info["pid"]):
            return None
        return f"{name} is {info['statename']} ({info['spawnerr'] or info['description']})"

    def shut_down(self, timeout_s: float = 90) -> None:
        """End the supervisor and all that it runs."""
        pid = self.pid()
        if pid is None:
            return
        started = start_time(pid)
        self._api(10).shutdown()
        deadline = time.monotonic() + timeout_s
        while started is not None and start_time(pid) == started:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.1)


def _daemon_environment() -> dict[str, str]:
    """What the parts may know of the caller's environment: how to reach out, and no secrets."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME")
    suffixes = (
        "_PROXY",
        "_proxy",
        "_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "PIP_CERT",
        "PIP_INDEX_URL",
    )
    return {key: value for key, value in os.environ.items() if key in kept or key.endswith(suffixes)}


def tail(path: Path, lines: int) -> str:
    """The last lines of a text file (the last 64 KiB of it at most)."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 65536))
            text = stream.read().decode(errors="replace")
    except OSError as error:
        return f"({path}: {error.strerror})"
    return "\n".join(text.splitlines()[-lines:])


def started_by(names: Sequence[str], supervisor: Supervisor, log: Callable[[str], None]) -> list[str]:
    """Start each of `names`; tell which were started."""
    started = [name for name in names if supervisor.ensure(name)]
    if started:
        log(f"started {' '.join(started)}")
    return started
