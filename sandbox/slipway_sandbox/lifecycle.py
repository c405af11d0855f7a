"""Up, down, restart and status of the whole sandbox or of single parts."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from slipway_sandbox import debian, leftovers, machine, pki
from slipway_sandbox.graph import Step, run_graph
from slipway_sandbox.layout import (
    COMMAND_TIMEOUT_S,
    MACHINE_DIR,
    MARKER,
    SETUP_VARIABLE,
    Layout,
    SandboxError,
    UsageError,
    write_file,
)
from slipway_sandbox.part import Part, Sandbox
from slipway_sandbox.parts import PARTS
from slipway_sandbox.parts.airflow import Airflow
from slipway_sandbox.parts.network import Network
from slipway_sandbox.publish import publish
from slipway_sandbox.services import load_services
from slipway_sandbox.settings import load_external
from slipway_sandbox.supervisor import Supervisor, start_time


class Progress:
    """Lines for people, each with the time since the start."""

    def __init__(self, quiet: bool = False) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._quiet = quiet

    def __call__(self, part: str, text: str) -> None:
        """Print one line."""
        if not self._quiet:
            with self._lock:
                print(
                    f"[{time.monotonic() - self._start:6.1f} s] {part}: {text}", file=sys.stderr, flush=True
                )


def open_sandbox(layout: Layout | None = None, progress: Progress | None = None) -> Sandbox:
    """The sandbox that the environment names."""
    layout = layout or Layout.from_environment()
    services = load_services(layout.checkout / "include/services")
    return Sandbox(layout, Supervisor(layout), services, load_external(layout), progress or Progress())


def parts_of(sandbox: Sandbox) -> dict[str, Part]:
    """All parts by name."""
    return {kind.name: kind(sandbox) for kind in PARTS}


def choose(parts: dict[str, Part], names: Sequence[str], with_needs: bool) -> dict[str, Part]:
    """The parts of `names` (all that are wanted, if there are none), for `up` with what they depend on.

    :raises UsageError: there is no such part; names the ones there are
    """
    if unknown := [name for name in names if name not in parts]:
        raise UsageError(f"there is no part {', '.join(unknown)}; there are: {', '.join(parts)}")
    wanted = set(names or (name for name, part in parts.items() if part.is_wanted))
    while with_needs:
        more = {
            need for name in wanted if not parts[name].is_external for need in parts[name].depends
        } - wanted
        if not more:
            break
        wanted |= more
    return {name: part for name, part in parts.items() if name in wanted}


# --- who is on this machine ---
def read_marker() -> dict[str, Any] | None:
    """Which sandbox was started last on this machine, as far as is known."""
    try:
        found = json.loads(MARKER.read_text())
        return found if isinstance(found, dict) and "state" in found else None
    except (OSError, ValueError):
        return None


def living(sandbox: Sandbox) -> dict[Path, int]:
    """The other sandboxes that are alive on this machine: state folder and the supervisor's process."""
    return {
        state: pid
        for state, pid in leftovers.sandboxes().items()
        if pid is not None and state != sandbox.layout.state
    }


@contextmanager
def working(sandbox: Sandbox) -> Iterator[None]:
    """Be the one command that changes this sandbox: wait for one that works, and end what one left that was killed.

    :raises SandboxError: another one works for longer than a set-up takes
    """
    layout = sandbox.layout
    with layout.lock(COMMAND_TIMEOUT_S, lambda text: sandbox.say("sandbox", text)):
        if ended := leftovers.end_rest_of_command(layout.state):
            sandbox.say(
                "sandbox", f"ended {ended} processes that a command left which was ended before its time"
            )
        before = os.environ.get(SETUP_VARIABLE)
        os.environ[SETUP_VARIABLE] = str(layout.state)
        try:
            yield
        except BaseException:  # the steps' threads are left where they are, but not what they run
            leftovers.end_rest_of_command(layout.state)
            raise
        finally:
            os.environ.pop(SETUP_VARIABLE)
            if before is not None:
                os.environ[SETUP_VARIABLE] = before


def tell_whose_code(sandbox: Sandbox) -> str | None:
    """What to say where the sandbox has run another checkout's DAGs and code until now; None if it is the same."""
    marker, mine = read_marker(), str(sandbox.layout.checkout)
    if not marker or marker["state"] != str(sandbox.layout.state) or sandbox.supervisor.pid() is None:
        return None
    before = str(marker.get("checkout"))
    if before == mine:
        return None
    return (
        f"this sandbox has run the DAGs and code of {before} until now; from now on it runs those of {mine} "
        f"(back: cd {before} && make up)"
    )


def clear_machine(sandbox: Sandbox) -> None:
    """Refuse if another sandbox is alive; clean up what a dead one left, of this state folder or of another.

    :raises SandboxError: another sandbox is alive; names it and how to stop it
    """
    layout, marker = sandbox.layout, read_marker()
    known = leftovers.sandboxes()  # by what runs; the marker may be gone, or all that is left
    others = {state: pid for state, pid in known.items() if state != layout.state}
    if marker:
        others.setdefault(Path(marker["state"]), None)
        others.pop(layout.state, None)
    for state, pid in others.items():
        if pid is not None:
            where = marker["checkout"] if marker and marker["state"] == str(state) else "its checkout"
            raise SandboxError(
                f"another sandbox is alive on this machine: state {state}, checkout {where}, "
                f"supervisor process {pid}. There can be one. Stop it: "
                f"cd {where} && SLIPWAY_STATE={state} slipway sandbox down"
            )
    for state in others:
        sweep(sandbox, state)
        if marker and marker["state"] == str(state):
            MARKER.unlink(missing_ok=True)
    if sandbox.supervisor.pid() is None:
        sweep(sandbox, layout.state)


def sweep(sandbox: Sandbox, state: Path) -> None:
    """Take away what a sandbox that is no longer supervised left on the machine; its data stays.

    Bridges, addresses and chains of the firewall have one owner on a machine: while this sandbox lives, they are its own.
    """
    start = time.monotonic()
    is_own, lives = state == sandbox.layout.state, sandbox.supervisor.pid() is not None
    other = Layout(state, sandbox.layout.cache, sandbox.layout.checkout)
    ended = leftovers.end_processes(state, patience_s=2)
    mounts = leftovers.unmount_below(state)
    if ended or mounts or not is_own:
        took = time.monotonic() - start
        sandbox.say("sandbox", f"cleared {ended} processes and {mounts} mounts of {state} ({took:.1f} s)")
    if lives:
        leftovers.remove_cgroups(f"{leftovers.cgroup_name(state)}-docker")
    else:
        dead = parts_of(Sandbox(other, Supervisor(other), sandbox.services, {}, sandbox.say))
        dead["docker"].clean()
        if ended or mounts or not is_own:
            dead["kubernetes"].clean()
        if not is_own:
            dead["network"].clean()
    leftovers.remove_cgroup_of(state)
    for name in ("supervisord.pid", "supervisor.sock"):
        (state / "supervisor" / name).unlink(missing_ok=True)


def start_supervisor(sandbox: Sandbox) -> None:
    """Start the supervisor and record it for whoever finds this machine."""
    if sandbox.supervisor.start():
        sandbox.say("sandbox", f"supervisor started; state in {sandbox.layout.state}")
    pid = sandbox.supervisor.pid()
    if pid is None:
        raise SandboxError(f"the supervisor ended at once: see {sandbox.layout.logs}/supervisord.log")
    leftovers.enter_cgroup(sandbox.layout.state, pid)
    MACHINE_DIR.mkdir(mode=0o755, exist_ok=True)
    marker = {
        "state": str(sandbox.layout.state),
        "checkout": str(sandbox.layout.checkout),
        "pid": pid,
        "started": start_time(pid),
    }
    write_file(MARKER, json.dumps(marker) + "\n")


# --- the commands ---
def up(sandbox: Sandbox, names: Sequence[str] = ()) -> list[Step]:
    """Bring up the parts of `names` (or all) with what they need. Gives how each went."""
    machine.check(sandbox.layout)
    sandbox.layout.create()
    parts = choose(parts_of(sandbox), names, with_needs=True)
    with working(sandbox):
        debian.install(sandbox.layout, Network.debian)  # to look at the machine with
        clear_machine(sandbox)
        taken_over = tell_whose_code(sandbox)
        if taken_over:
            sandbox.say("sandbox", taken_over)
        pki.ensure_authority(sandbox.layout)
        start_supervisor(sandbox)
        known = sandbox.supervisor.processes()
        for (
            part
        ) in parts.values():  # before anybody asks: what one part is told of another's port must stay true
            part.choose_ports(known)
        steps = run_graph(
            {name: part.up for name, part in parts.items()},
            {name: part.depends for name, part in parts.items()},
        )
        closing = {"publish": lambda: publish(sandbox)}
        if "airflow" in parts and all(step.outcome == "done" for step in steps):
            closing["DAGs"] = Airflow(sandbox).settle
        steps += run_graph(closing, {"DAGs": ["publish"]})
        if taken_over:  # once more where it is read: hundreds of lines later
            sandbox.say("sandbox", taken_over)
    return steps


def down(sandbox: Sandbox, names: Sequence[str] = ()) -> list[Step]:
    """Stop the parts of `names`, or all and the supervisor, and take away what they put on the machine.

    While another sandbox lives, bridges, firewall and /run/slipway are that one's: nothing of them is touched.
    """
    parts = choose(parts_of(sandbox), names, with_needs=False)
    sandbox.layout.create()
    with working(sandbox):
        steps = []
        is_alive = sandbox.supervisor.pid() is not None
        others = {} if is_alive else living(sandbox)
        if not is_alive and names:
            raise UsageError(f"no sandbox runs in {sandbox.layout.state}")
        if is_alive:
            needed_by = {
                name: [other for other, part in parts.items() if name in part.depends] for name in parts
            }  # a part stops after those that need it
            steps = run_graph({name: part.down for name, part in parts.items()}, needed_by)
        elif others:
            told = ", ".join(f"{state} (process {pid})" for state, pid in others.items())
            sandbox.say("sandbox", f"another sandbox lives, {told}: what the machine has of it stays")
        else:
            sweep(sandbox, sandbox.layout.state)
        if not names:
            sandbox.supervisor.shut_down()
            leftovers.end_processes(sandbox.layout.state)
            leftovers.unmount_below(sandbox.layout.state)
            leftovers.remove_cgroup_of(sandbox.layout.state)
            if not others:
                clear_traces(sandbox, parts)
    return steps


def clear_traces(sandbox: Sandbox, parts: dict[str, Part]) -> None:
    """Take away what is once per machine: the bridge, the marker, the folders below /run/slipway."""
    if not parts["network"].is_external:
        parts["network"].clean()
    marker = read_marker()
    if marker and marker["state"] == str(sandbox.layout.state):
        MARKER.unlink()
    with contextlib.suppress(OSError):
        for folder in sorted(MACHINE_DIR.rglob("*"), reverse=True):
            if folder.is_dir():
                folder.rmdir()
        MACHINE_DIR.rmdir()


def status(sandbox: Sandbox) -> dict[str, dict[str, object]]:
    """What each part says of itself, asked side by side."""
    parts = choose(parts_of(sandbox), (), with_needs=False)
    found: dict[str, dict[str, object]] = {}

    def ask(name: str, part: Part) -> None:
        try:
            found[name] = part.status()
        except SandboxError as error:
            found[name] = {"state": "failing", "address": "", "problem": str(error), "processes": {}}

    run_graph({name: partial(ask, name, part) for name, part in parts.items()}, {})
    missing: dict[str, object] = {
        "state": "failing",
        "address": "",
        "problem": "it could not be asked",
        "processes": {},
    }
    return {name: found.get(name, missing) for name in parts}
