"""What a part of the sandbox is: how it is prepared, started, checked, provisioned and stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from slipway_sandbox import debian
from slipway_sandbox.layout import NODE_ADDRESS, PORTS, Layout, SandboxError, port_is_free
from slipway_sandbox.run import run, wait_until
from slipway_sandbox.services import Service
from slipway_sandbox.supervisor import Program, Supervisor, tail


@dataclass
class Sandbox:
    """One sandbox: its folders, its supervisor, the catalog's services, and what is given from outside."""

    layout: Layout
    supervisor: Supervisor
    services: list[Service]
    external: dict[str, dict[str, str]]
    say: Callable[[str, str], None] = field(default=lambda part, text: None)
    publishing: threading.Lock = field(default_factory=threading.Lock)

    def password_hash(self, password: str) -> str:
        """`password` as crypt(3) and so nginx understands it (SHA-512)."""
        done = run(["openssl", "passwd", "-6", "-stdin"], what="hashing a password", stdin=password + "\n")
        return done.stdout.strip()

    # --- addresses: the sandbox's own, or the ones given from outside ---
    def setting(self, part: str, key: str, own: str) -> str:
        """A setting of an external part, or the sandbox's `own` value when the part is its own."""
        return self.external[part].get(key, own) if part in self.external else own

    @property
    def docker_host(self) -> str:
        """The engine, as DOCKER_HOST is written."""
        return self.setting("docker", "host", f"unix://{self.layout.state}/docker/docker.sock")

    @property
    def vault_address(self) -> str:
        """Vault's URL."""
        return self.setting("vault", "address", f"http://127.0.0.1:{self.layout.port('vault')}")

    @property
    def git_url(self) -> str:
        """The git server's URL, without a slash at its end."""
        return self.setting("git", "url", f"http://127.0.0.1:{self.layout.port('git')}").rstrip("/")

    @property
    def registry(self) -> str:
        """The registry as `host:port`, the head of every image's reference."""
        return self.setting("registry", "address", f"{NODE_ADDRESS}:{self.layout.port('registry')}")

    @property
    def registry_ca(self) -> Path:
        """The authority that signed the registry's certificate."""
        return Path(self.setting("registry", "ca_file", str(self.layout.ca_file)))

    def registry_account(self, account: str) -> tuple[str, Path]:
        """User name and password file of the `push` or `pull` account."""
        return (
            self.setting("registry", f"{account}_username", account),
            Path(
                self.setting(
                    "registry",
                    f"{account}_password_file",
                    str(self.layout.credentials / f"registry-{account}"),
                )
            ),
        )

    def password(self, path: Path) -> str:
        """The password in `path`; one of our own is made on first use, whoever asks first."""
        return (
            self.layout.secret(path.name)
            if path.parent == self.layout.credentials
            else path.read_text().strip()
        )

    @property
    def git_account(self) -> tuple[str, Path]:
        """User name and password file with which Slipway reads the repositories."""
        return (
            self.setting("git", "username", "slipway"),
            Path(self.setting("git", "password_file", str(self.layout.credentials / "git-slipway"))),
        )

    @property
    def admin_kubeconfig(self) -> Path:
        """The administrator's way into the cluster."""
        return Path(
            self.setting("kubernetes", "kubeconfig", str(self.layout.state / "kubernetes/kubeconfig"))
        )

    @property
    def airflow_url(self) -> str:
        """Airflow's UI and API."""
        return f"http://127.0.0.1:{self.layout.port('airflow')}"


class Part:
    """One part. Each step can be repeated: a second `up` finds everything done and changes nothing."""

    name: ClassVar[str]
    depends: ClassVar[tuple[str, ...]] = ()
    debian: ClassVar[tuple[str, ...]] = ()
    ports: ClassVar[tuple[str, ...]] = ()
    listeners: ClassVar[tuple[str, ...]] = ()  # the processes that hold its ports
    ready_timeout_s: ClassVar[float] = 60
    optional: ClassVar[bool] = (
        False  # made only if it is named; one that is there is treated as the others are
    )

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.layout = sandbox.layout

    @property
    def folder(self) -> Path:
        """The part's own folder."""
        return self.layout.state / self.name

    @property
    def is_wanted(self) -> bool:
        """Whether it is meant, too, where all parts are."""
        return not self.optional or self.folder.is_dir()

    @property
    def is_external(self) -> bool:
        """Whether it is somebody's own and only used here."""
        return self.name in self.sandbox.external

    def say(self, text: str) -> None:
        """Tell of a step."""
        self.sandbox.say(self.name, text)

    # --- what a part overrides ---
    def prepare(self) -> None:
        """Folders, keys, configuration; before the processes."""

    def programs(self) -> list[Program]:
        """The supervised processes, in the order in which they are started."""
        return []

    def ready(self) -> str | None:
        """None when the part works; else what is missing."""
        return None

    def provision(self) -> None:
        """What must be in the running part: databases, accounts, policies."""

    def address(self) -> str:
        """Where the part is reached, for people."""
        return ""

    def clean(self) -> None:
        """Take away what its processes left on the machine; they are gone by now."""

    # --- what happens to it ---
    def up(self) -> None:
        """Make the part run, ready and provisioned."""
        if self.is_external:
            wait_until(self.ready, 15, f"the external {self.name} at {self.address()}", 0.5)
            self.provision()
            return
        if self.debian and debian.missing(self.layout, self.debian):
            self.timed(lambda: debian.install(self.layout, self.debian))
        is_bare = not self.folder.is_dir()
        self.prepare()
        programs = self.programs()
        if programs:
            self.sandbox.supervisor.configure(self.name, programs)
        self.let_go([program.name for program in programs] if is_bare else self.adrift())
        started = [program.name for program in programs if self.sandbox.supervisor.ensure(program.name)]
        if started:
            self.timed(lambda: self.wait_ready(programs), f"{', '.join(started)} ready")
        else:
            self.wait_ready(programs)
        self.provision()

    def timed(self, step: Callable[[], object], text: str | None = None) -> None:
        """Run one step; say `text`, or else what it gives, and how long it took."""
        start = time.monotonic()
        told = step()
        self.say(f"{text or told} ({time.monotonic() - start:.1f} s)")

    def adrift(self, below: Path = Path("/")) -> list[str]:
        """Its running processes that do not see their folders any more: removed, or the place below /run/slipway was.

        :param below: only folders below this one are looked at: the programs' own are another checkout's at times.

        A private mount goes with the empty folder that it covers, whoever removes that; the process lives on without.
        """
        known = self.sandbox.supervisor.processes()
        return [
            program.name
            for program in self.programs()
            if program.confined
            and (pid := known.get(program.name, {}).get("pid"))
            and not program.confined.is_seen_by(pid, below)
        ]

    def let_go(self, names: list[str]) -> None:
        """Stop processes whose folder has gone, so that they are started anew in the one that is there now."""
        known = self.sandbox.supervisor.processes()
        if lost := [name for name in names if known.get(name, {}).get("pid")]:
            self.say(f"{', '.join(lost)}: the folder that it worked in has gone: started anew")
            self.sandbox.supervisor.stop(list(reversed(lost)))

    def choose_ports(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        """Choose its ports; others than the recorded where a stranger took those while it was down.

        :param known: the supervisor's processes
        """
        is_up = any(known.get(name, {}).get("pid") for name in self.listeners)
        if self.is_external or is_up:
            return
        for port in PORTS:
            if port.name in self.ports:
                number = self.layout.port(port.name)
                if not all(port_is_free(address, number) for address in port.addresses):
                    self.layout.forget_ports((port.name,))
                    other = self.layout.port(port.name)
                    self.say(f"port {number} is another program's now: {port.name} moves to {other}")

    def wait_ready(self, programs: list[Program]) -> None:
        """Wait until ready; a process that the supervisor gave up on ends the wait."""

        def missing() -> str | None:
            known = self.sandbox.supervisor.processes()
            for program in programs:
                info = known.get(program.name)
                if info and info["statename"] == "FATAL":
                    raise SandboxError(
                        f"{program.name} does not stay up ({info['spawnerr'] or info['description']})"
                    )
            return self.ready()

        wait_until(missing, self.ready_timeout_s, self.name)

    def program_names(self) -> list[str]:
        """The names of its processes that the supervisor knows."""
        return [program.name for program in self.programs()]

    def down(self) -> None:
        """Stop the part's processes and clean up after them."""
        if self.is_external:
            return
        self.sandbox.supervisor.stop(list(reversed(self.program_names())))
        self.clean()

    def status(self) -> dict[str, object]:
        """What `slipway sandbox status` tells of it."""
        known = self.sandbox.supervisor.processes()
        processes = {name: known[name]["statename"].lower() for name in self.program_names() if name in known}
        if self.is_external:
            state, problem = "external", self.ready()
        elif not any(value in ("running", "starting") for value in processes.values()):
            state, problem = "stopped", None
        else:
            lost = self.adrift(self.layout.state)
            problem = (
                f"{', '.join(lost)}: sees its folder no more; mend it: slipway sandbox up {self.name}"
                if lost
                else self.ready()
            )
            state = "running"
        if problem:
            state = "failing"
        return {"state": state, "address": self.address(), "problem": problem, "processes": processes}

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the log of the process that is in trouble (or of the first one)."""
        names = self.program_names()
        troubled = [name for name in names if self.sandbox.supervisor.problem(name)] or names[:1]
        return "\n".join(
            f"--- {name}.log\n{tail(self.layout.logs / f'{name}.log', lines)}" for name in troubled[:2]
        )
