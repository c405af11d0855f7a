"""The platform's faults: a part is broken for real, the release ends `errored` where it needed it, and is taken up again."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from faults.case import Case, Seen, Wanted
from faults.scene import Scene
from slipway.release.sources import source_volume
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.lifecycle import parts_of
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.parts.registry import INSIDE
from slipway_sandbox.parts.vault import WORKER, Vault, worker_policy
from slipway_sandbox.run import run as command
from slipway_sandbox.run import wait_until
from slipway_sandbox.runs import ENDED, Airflow
from slipway_sandbox.supervisor import start_time

SECTION = "platform"
TRIES = 4  # the first and the retries that every task has
BEYOND_CLIENT_S = 40  # longer than a client of Vault waits for an answer
GOES_ON_S = 240  # within which a run has ended of which something was killed

Acts = Callable[[Scene], Seen]
Fault = Callable[[Scene], AbstractContextManager[object]]
Starts = Callable[[Scene], str]


# --- when ---
def reaches(scene: Scene, run: str, task: str, *states: str, timeout_s: float = 300) -> str:
    """Wait until a task is in one of the states, or has ended without; give its state."""
    airflow = Airflow(scene.sandbox)
    state = ""

    def missing() -> str | None:
        nonlocal state
        seen = airflow.tasks(scene.dag_id, run)
        state = str(seen.get(task, {}).get("state"))
        return None if state in states or state in ENDED else f"it is {state}"

    wait_until(missing, timeout_s, f"{task} of {run}", 0.1)
    return state


@contextmanager
def held_back(scene: Scene, pool: str) -> Iterator[None]:
    """Let no task of a pool begin: what runs goes on."""
    slots = Airflow(scene.sandbox, "admin").call("GET", f"/api/v2/pools/{pool}").json()["slots"]
    assert slots > 0, f"the pool {pool} has been held back already"
    _slots(scene, pool, 0)
    try:
        yield
    finally:
        _slots(scene, pool, slots)


def _slots(scene: Scene, pool: str, slots: int) -> None:
    answer = Airflow(scene.sandbox, "admin").call(
        "PATCH",
        f"/api/v2/pools/{pool}?update_mask=slots",
        json={"pool": pool, "slots": slots, "include_deferred": False},
    )
    if answer.status_code != 200:
        raise SandboxError(
            f"Airflow does not change the pool {pool}: {answer.status_code} {answer.text[:300]}"
        )


def _good_again(scene: Scene) -> str:
    """Release once more what serves: quick, as its gates are known and its image is there."""
    return scene.start_again(scene.good())


def _same_files(scene: Scene) -> str:
    """Push a commit of the same files: its gates are known by evidence, its image is new."""
    scene.good()
    return scene.start("Release the same files once more")


def _slow_test(seconds: int) -> Starts:
    """Push a commit whose unit tests take their time."""

    def start(scene: Scene) -> str:
        mark = time.time_ns()
        text = f"import time\n\n\ndef test_slow() -> None:\n    time.sleep({seconds})  # {mark}\n"
        return scene.start("Take some time to test", files={f"tests/unit/test_slow_{mark}.py": text})

    return start


def _slow_build(seconds: int) -> Starts:
    """Push a commit whose image takes its time to build."""

    def start(scene: Scene) -> str:
        text = scene.example("Dockerfile")
        last = text.rindex("FROM ")
        at = text.index("\n", last) + 1
        wait = f'RUN ["python3", "-c", "import time; time.sleep({seconds})  # {time.time_ns()}"]\n'
        return scene.start("Take some time to build", files={"Dockerfile": text[:at] + wait + text[at:]})

    return start


# --- what is broken, and mended ---
def stopped(part: str, *names: str) -> Fault:
    """Give the fault that stops processes of a part."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        supervisor = scene.sandbox.supervisor
        supervisor.stop(names)
        try:
            yield
        finally:
            for name in names:
                supervisor.ensure(name)
            _ready(scene, part)

    return fault


def killed(scene: Scene, part: str, name: str) -> None:
    """Kill a process of a part, and wait until the supervisor has brought another, and the part answers."""
    pid = _pid(scene, name)
    os.kill(pid, signal.SIGKILL)

    def again() -> str | None:
        now = scene.sandbox.supervisor.processes()[name]["pid"]
        return None if now and now != pid else "it is not there again"

    wait_until(again, 60, f"another {name}", 0.2)
    _ready(scene, part)


def _ready(scene: Scene, part: str) -> None:
    wait_until(parts_of(scene.sandbox)[part].ready, 60, part, 0.2)


@contextmanager
def sealed(scene: Scene) -> Iterator[None]:
    """Seal Vault."""
    Vault(scene.sandbox).client().sys.seal()
    try:
        yield
    finally:
        _ready(scene, "vault")  # which unseals it


def slow(seconds: float) -> Fault:
    """Give the fault that Vault does not move for some seconds."""

    @contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        pid = _pid(scene, "vault")
        os.kill(pid, signal.SIGSTOP)
        going = threading.Timer(seconds, os.kill, (pid, signal.SIGCONT))
        going.start()
        try:
            yield
            going.join()
        finally:
            going.cancel()
            os.kill(pid, signal.SIGCONT)
            _ready(scene, "vault")

    return fault


@contextmanager
def denying(scene: Scene) -> Iterator[None]:
    """Take the service's database role out of the workers' policy."""
    client, role = Vault(scene.sandbox).client(), f"database/creds/{_migrations(scene).credentials}"
    policy = worker_policy(scene.sandbox.services)
    less = "".join(line + "\n" for line in policy.splitlines() if role not in line)
    assert less != policy
    client.sys.create_or_update_policy(WORKER, less)
    try:
        yield
    finally:
        client.sys.create_or_update_policy(WORKER, policy)


@contextmanager
def wrong_password(scene: Scene) -> Iterator[None]:
    """Put a wrong password of the registry's account into Vault."""
    kv = Vault(scene.sandbox).client().secrets.kv.v2
    good = kv.read_secret_version("slipway/registry", raise_on_deleted_version=True)["data"]["data"]
    kv.create_or_update_secret("slipway/registry", {**good, "password": "no-longer-" + good["password"][:4]})
    try:
        yield
    finally:
        kv.create_or_update_secret("slipway/registry", good)


@contextmanager
def full_registry(scene: Scene) -> Iterator[None]:
    """Let the registry have no room for uploads: a file system of one page, where only its process sees it."""
    repository = scene.project.service.image.repository
    uploads = f"{INSIDE}/data/docker/registry/v2/repositories/{repository}/_uploads"
    inside = ["nsenter", "--target", str(_pid(scene, "registry")), "--mount", "--"]
    options = "size=4k,mode=1777"
    command(
        [*inside, "mount", "-t", "tmpfs", "-o", options, "slipway-faults", uploads],
        what="filling the registry",
    )
    try:
        yield
    finally:
        # lazily: the registry holds what it could not write open
        command([*inside, "umount", "--lazy", uploads], what="emptying the registry")


@contextmanager
def full_volume(scene: Scene) -> Iterator[None]:
    """Let the engine have no room for a good commit's sources: their volume is a file system of 64 KiB."""
    import docker

    tree = scene.rows(
        "ledger", "SELECT tree FROM releases WHERE commit = %s AND tree IS NOT NULL", scene.good()
    )[0][0]
    name = source_volume(tree)
    client = docker.APIClient(base_url=scene.sandbox.docker_host, version="auto", timeout=60)
    with closing(client):
        client.remove_volume(name, force=True)
        small = {"type": "tmpfs", "device": "tmpfs", "o": "size=64k"}
        client.create_volume(name, driver="local", driver_opts=small)
        try:
            yield
        finally:
            client.remove_volume(name, force=True)  # the next release fills a new one


def overtaken(fault: Fault) -> Fault:
    """Give a part that breaks once another has had the lane: what the database told before that counts no more."""

    @contextmanager
    def broken(scene: Scene) -> Iterator[None]:
        scene.execute("ledger", "UPDATE lane_turns SET turn = turn + 1")
        with fault(scene):
            yield

    return broken


@contextmanager
def refusing_database(scene: Scene) -> Iterator[None]:
    """Let the service's database refuse all connections, also those that there are."""
    database = _migrations(scene).database

    def say(statement: str) -> None:
        with closing(Postgres(scene.sandbox).connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    say(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
    try:
        scene.rows(
            "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", database
        )
        yield
    finally:
        say(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')


def _migrations(scene: Scene) -> Any:
    return scene.project.service.deploy.migrations


def _pid(scene: Scene, name: str) -> int:
    pid = scene.sandbox.supervisor.processes()[name]["pid"]
    if not pid:
        raise SandboxError(f"{name} does not run")
    return int(pid)


# --- how it goes ---
def broken(
    task: str,
    fault: Fault,
    start: Starts = _good_again,
    *,
    pool: str | None = None,
    after: str | None = None,
    tries: int = TRIES,
) -> Acts:
    """Give the act that breaks a part until a task has failed, mends it, and takes up the run again.

    :param pool: the task's pool: it is held back until the part is broken; None: the part is broken before the run begins.
    :param after: the task that must have begun before the pool is held back; none: before the run begins.
    :param tries: how often the task must have been tried.
    """

    def act(scene: Scene) -> Seen:
        scene.good()
        began = time.monotonic()
        with _meanwhile(scene, fault, start, task, pool, after) as run:
            ended = reaches(scene, run, task, "failed")
        notes = [] if ended == "failed" else [f"{task} ended {ended} although its part was broken"]
        seen = scene.wait(run)
        if seen.attempts != tries:
            notes.append(f"{task} was tried {seen.attempts} times, not {tries}")
        if "Pool(" in seen.first_line or "Traceback" in seen.first_line:
            notes.append("the message is a library's")
        if "What to do: " not in seen.message:
            notes.append("the message does not say what to do")
        took = time.monotonic() - began
        scene.clear(run, [task], downstream=True)
        again = scene.wait(run)
        if again.outcome != "passed" or again.held:
            notes.append(
                f"cleared, it {again.outcome} at {again.stage}: {again.first_line} {' '.join(again.held)}"
            )
        return dataclasses.replace(seen, notes=(*seen.notes, *notes), seconds=took)

    return act


@contextmanager
def _meanwhile(
    scene: Scene, fault: Fault, start: Starts, task: str, pool: str | None, after: str | None
) -> Iterator[str]:
    """Start a run, break the part right before the task begins, and give the run."""
    if pool is None:
        with fault(scene):
            yield start(scene)
        return
    if after is not None:
        run = start(scene)
        reaches(scene, run, after, "queued", "running")
        with held_back(scene, pool):
            reaches(scene, run, task, "scheduled")
            broken_now = fault(scene)
            broken_now.__enter__()
    else:
        with held_back(scene, pool):
            run = start(scene)
            reaches(scene, run, task, "scheduled")
            broken_now = fault(scene)
            broken_now.__enter__()
    try:
        yield run
    finally:
        broken_now.__exit__(None, None, None)


def goes_on(
    task: str,
    breaks: Callable[[Scene, str], None],
    start: Starts,
    *,
    later_s: float = 2,
    tries: int | None = None,
) -> Acts:
    """Give the act that breaks something while a task runs, and lets the run go on by itself.

    :param later_s: seconds that the task has run by then.
    :param tries: how often the task must have been tried; None: as often as it takes.
    """

    def act(scene: Scene) -> Seen:
        run = start(scene)
        reaches(scene, run, task, "running")
        time.sleep(later_s)
        began = time.monotonic()
        breaks(scene, run)
        broken_s = time.monotonic() - began
        seen = scene.wait(run)
        took = time.monotonic() - began
        tried = Airflow(scene.sandbox).tasks(scene.dag_id, run)[task]["try_number"]
        notes = []
        if tries is not None and tried != tries:
            notes.append(f"{task} was tried {tried} times, not {tries}")
        if took > GOES_ON_S + broken_s:
            notes.append(f"it took {took:.0f} s to go on and end")
        return dataclasses.replace(
            seen, attempts=tried, notes=(*seen.notes, *notes, *_strays(scene)), seconds=took
        )

    return act


def delayed(task: str, fault: Fault, pool: str, after: str | None = None) -> Acts:
    """Give the act that breaks a part right before a task begins; the part mends by itself."""

    def act(scene: Scene) -> Seen:
        began = time.monotonic()
        with _meanwhile(scene, fault, _good_again, task, pool, after) as run:
            pass
        seen = scene.wait(run)
        tried = Airflow(scene.sandbox).tasks(scene.dag_id, run)[task]["try_number"]
        return dataclasses.replace(seen, attempts=tried, seconds=time.monotonic() - began)

    return act


def while_away(fault: Fault, seconds: float) -> Callable[[Scene, str], None]:
    """Give what breaks a part for some seconds."""

    def breaks(scene: Scene, run: str) -> None:
        with fault(scene):
            time.sleep(seconds)

    return breaks


# --- processes of Airflow ---
def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _below(pid: int) -> list[int]:
    found = _children(pid)
    for child in found:
        found += _children(child)
    return found


def killed_scheduler(scene: Scene, run: str) -> None:
    """Kill the scheduler, and see that nothing of it stays."""
    below = {one: start_time(one) for one in _below(_pid(scene, "airflow-scheduler"))}
    killed(scene, "airflow", "airflow-scheduler")

    def left() -> str | None:
        alive = [str(one) for one, began in below.items() if began is not None and start_time(one) == began]
        return f"of the killed scheduler still run: {', '.join(alive)}" if alive else None

    wait_until(left, 30, "the end of the scheduler's processes", 0.5)


def _killed_worker(task: str) -> Callable[[Scene, str], None]:
    """Give what kills the process that looks after a task: a child of the scheduler, whose own child is the task."""

    def breaks(scene: Scene, run: str) -> None:
        instance = Airflow(scene.sandbox).tasks(scene.dag_id, run)[task]["id"]
        for worker in _children(_pid(scene, "airflow-scheduler")):
            if instance in Path(f"/proc/{worker}/cmdline").read_text() and _children(worker):
                os.kill(worker, signal.SIGKILL)
                return
        raise SandboxError(f"no child of the scheduler looks after {task} of {run} ({instance})")

    return breaks


def _strays(scene: Scene) -> list[str]:
    """Give in words the processes of a scheduler that are not below the one that runs."""
    scheduler = _pid(scene, "airflow-scheduler")
    known = {scheduler, *_below(scheduler)}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().strip("\0")
        except OSError:
            continue
        if words.startswith("airflow worker -- ") and int(folder.name) not in known:
            found.append(f"left behind: process {folder.name} ({words})")
    return found


def _fails(
    name: str,
    title: str,
    stage: str,
    message: str,
    act: Acts,
    *,
    published: bool = False,
    fast: bool = False,
) -> Case:
    wanted = Wanted(stage, "errored", message, published=published)
    # cleared when its part is mended, it passes
    return Case(name, SECTION, title, wanted, act, fast, deploys=True, recovers=True)


def _passes(name: str, title: str, act: Acts) -> Case:
    wanted = Wanted(None, "passed", "^$", published=True, replaced=True)
    return Case(name, SECTION, title, wanted, act, deploys=True, recovers=True)


def _unheard(scene: Scene) -> Seen:
    """Push while Airflow, registry and Vault are away; back again, the reconciler finds the commit."""
    scene.good()
    start = time.monotonic()
    commit = scene.project.commit("Push while nobody is there to hear it")
    with AIRFLOW_DOWN(scene), REGISTRY_DOWN(scene), sealed(scene):
        said = scene.project.clone.push()
    notes = [] if "its release is not started" in said else [f"the push says {said!r}"]
    if (state := scene.project.reconcile()) != "success":
        notes.append(f"the reconciler's task is {state}")
    seen = scene.wait(scene.project.run_id(commit))
    if (state := scene.project.reconcile()) != "skipped":
        notes.append(f"the second time the reconciler's task is {state}")
    return dataclasses.replace(seen, notes=(*seen.notes, *notes), seconds=time.monotonic() - start)


AIRFLOW_DOWN = stopped("airflow", "airflow-api-server", "airflow-scheduler")
REGISTRY_DOWN = stopped("registry", "registry-nginx")
API_SERVER_DOWN = stopped("kubernetes", "k8s-kube-apiserver")

CASES: tuple[Case, ...] = (
    _passes("pushed-while-all-is-down", "a push while Airflow, registry and Vault are away", _unheard),
    _fails(
        "registry-down",
        "the registry does not answer when an image is to be built",
        "image.build",
        r"registry \S+ does not answer: connection refused",
        broken("image.build", REGISTRY_DOWN, _same_files, pool="slipway_engine", after="gate"),
    ),
    _fails(
        "registry-down-at-checkout",
        "the registry does not answer when the engine signs in to it",
        "checkout",
        r"^Docker engine: signing in to the registry: .*connection refused",
        broken("checkout", REGISTRY_DOWN),
        published=True,
    ),
    _fails(
        "registry-down-at-push",
        "the registry goes away before the image is pushed",
        "image.push",
        r"registry \S+ does not answer: connection refused",
        broken("image.push", REGISTRY_DOWN, _same_files, pool="slipway_engine", after="image.scan"),
    ),
    _fails(
        "registry-broken",
        "the registry's front answers, the registry itself does not",
        "image.build",
        r"registry \S+ answered 502 for ",
        broken(
            "image.build", stopped("registry", "registry"), _same_files, pool="slipway_engine", after="gate"
        ),
    ),
    _fails(
        "registry-full",
        "the registry has no room",
        "image.push",
        r"^registry \S+ answered 500 for ",
        broken("image.push", full_registry, _same_files, pool="slipway_engine", after="image.scan"),
    ),
    _fails(
        "registry-login",
        "the registry refuses the login",
        "accept",  # which asks it for tonight's bases
        r"registry \S+ refuses the account \S+ \(401\)",
        broken("accept", wrong_password, _same_files, tries=1),
        fast=True,
    ),
    _fails(
        "vault-sealed",
        "Vault is sealed",
        "deploy.secrets",
        r"^Vault does not let the workers sign in \(auth/approle/login\): Vault is sealed",
        broken("deploy.secrets", sealed, pool="slipway_cluster", after="deploy.plan"),
        published=True,
    ),
    _passes(
        "vault-slow",
        "Vault does not move for longer than a client waits",
        delayed("deploy.secrets", slow(BEYOND_CLIENT_S), "slipway_cluster", after="deploy.plan"),
    ),
    _fails(
        "vault-denying",
        "the workers' policy lacks the database's role",
        "deploy.pending",
        r"^Vault denies database/creds/\S+ to Slipway's workers: their policy slipway-worker does not allow it",
        broken("deploy.pending", overtaken(denying), pool="slipway_cluster", after="image.push", tries=1),
        published=True,
        fast=True,
    ),
    _fails(
        "git-down",
        "the git server does not answer",
        "accept",
        r"^http\S+/ai-generation\S*: git ls-remote failed: .*(Failed to connect|Couldn't connect)",
        broken("accept", stopped("git", "git-nginx"), _same_files, pool="default_pool"),
    ),
    _passes(
        "engine-gone-in-a-build",
        "the Docker engine goes away while it builds an image, and comes back",
        goes_on("image.build", while_away(stopped("docker", "dockerd"), 2), _slow_build(20), later_s=6),
    ),
    _passes(
        "engine-gone-in-a-gate",
        "the Docker engine goes away while it runs a gate, and comes back",
        goes_on("test.unit", while_away(stopped("docker", "dockerd"), 2), _slow_test(20), later_s=6),
    ),
    _fails(
        "engine-full",
        "the engine has no room for a container's volume",
        "checkout",
        r"^Docker engine: filling volume slipway-src-\w+: .*no space left on device",
        broken("checkout", full_volume),
        published=True,
    ),
    _fails(
        "api-server-down",
        "the API server does not answer when manifests are applied",
        "deploy.apply",
        r": the API server does not answer: connection refused",
        broken(
            "deploy.apply",
            API_SERVER_DOWN,
            pool="slipway_cluster",
            after="deploy.secrets",
        ),
        published=True,
    ),
    _fails(
        "api-server-down-for-a-pod",
        "the API server does not answer when a pod is to be made",
        "deploy.pending",
        r"the API server does not answer: connection refused",
        broken(
            "deploy.pending",
            overtaken(API_SERVER_DOWN),
            pool="slipway_cluster",
            after="image.push",
        ),
        published=True,
    ),
    _passes(
        "api-server-gone-in-a-pod",
        "the API server goes away while a pod is followed, and comes back",
        goes_on("asked", while_away(API_SERVER_DOWN, 3), _good_again, later_s=2),
    ),
    _passes(
        "api-server-gone-in-a-rollout",
        "the API server goes away while the rollout is waited for, and comes back",
        goes_on("deploy.rollout", while_away(API_SERVER_DOWN, 3), _same_files, later_s=1),
    ),
    _fails(
        "database-refusing",
        "the service's database takes no connections",
        "deploy.pending",
        r'^Vault does not give database/creds/\S+: .*database "ai_generation" is not currently accepting connections',
        broken("deploy.pending", overtaken(refusing_database), pool="slipway_cluster", after="image.push"),
        published=True,
    ),
    _passes(
        "scheduler-killed-in-a-gate",
        "Airflow's scheduler is killed while a gate runs",
        goes_on("test.unit", killed_scheduler, _slow_test(15), later_s=3),
    ),
    _passes(
        "scheduler-killed-in-a-pod",
        "Airflow's scheduler is killed while the database is asked",
        goes_on("asked", killed_scheduler, _good_again, later_s=1),
    ),
    _passes(
        "scheduler-killed-in-a-rollout",
        "Airflow's scheduler is killed while the rollout is waited for",
        goes_on("deploy.rollout", killed_scheduler, _same_files, later_s=0.5),
    ),
    _passes(
        "worker-killed-in-a-gate",
        "the process that looks after a gate is killed",
        goes_on("test.unit", _killed_worker("test.unit"), _slow_test(15), later_s=3, tries=2),
    ),
    _passes(
        "postgres-gone",
        "Postgres, which Airflow and the ledger live on, goes away while a gate runs, and comes back",
        goes_on("test.unit", while_away(stopped("postgres", "postgres"), 5), _slow_test(15), later_s=3),
    ),
)
