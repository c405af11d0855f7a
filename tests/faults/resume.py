"""Clear, retry, resume: whatever is taken up again, by a person or after a kill, converges to the same; pushes at once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faults.case import Case, Seen, Wanted
from faults.scene import Scene
from slipway.release import short
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.local_http import session
from slipway_sandbox.run import wait_until
from slipway_sandbox.runs import Airflow

SECTION = "resume"
TASKS = (
    "accept", "checkout", "known", "dependencies",
    "build.compile", "build.lint", "build.analyze",
    "test.unit", "test.database", "test.integration", "test.removed",
    "scan.sast", "scan.dependencies", "scan.secrets", "scan.dockerfile",
    "scan.service", "scan.dynamic", "scan.removed",
    "gate", "image.build", "image.sbom", "image.scan", "image.push", "asked", "lane",
    "deploy.config", "deploy.infra_changed", "deploy.infra_check", "deploy.pending", "deploy.plan", "deploy.infra",
    "deploy.migrations", "deploy.migrate", "deploy.secrets", "deploy.apply", "deploy.rollout",
    "verify.smoke", "verify.health", "verify.prune", "verify.migrations", "verify.contract", "verify.passed",
    "rollback", "unlane", "report",
)  # fmt: skip
"""Every task of the example's release; the cases fail if the DAG has others."""
IDLE = ("verify.passed", "rollback")
"""Tasks that have no process in a release that passes."""


@dataclass(frozen=True)
class World:
    """What a release has done to the world, and what no repeat may do twice.

    :param tags: every tag of the service's image, and the digest of the commit's.
    :param changesets: every changeset that the database has applied, with when.
    :param notes: commits of the git notes' own history, and the note.
    :param events: asset events that say that this commit passed.
    :param pods: digests that the serving pods run.
    """

    tags: tuple[str, ...]
    digest: str | None
    changesets: tuple[Any, ...]
    notes: tuple[str, ...]
    events: int
    pods: tuple[str, ...]
    serving: str | None


def world(scene: Scene, commit: str) -> World:
    """Look at everything that the release of a commit has an effect on."""
    project = scene.project
    migrations = project.service.deploy.migrations
    assert migrations is not None
    user, password = scene.sandbox.registry_account("pull")
    listed = session(str(scene.sandbox.registry_ca)).get(
        f"https://{scene.sandbox.registry}/v2/{project.service.image.repository}/tags/list",
        auth=(user, password.read_text().strip()),
        timeout=10,
    )
    digests = project.digests(commit)
    note = project.clone.note(commit)
    answer = Airflow(scene.sandbox).call(
        "GET", "/api/v2/assets/events?limit=100&order_by=-timestamp&source_dag_id=" + scene.dag_id
    )
    told = [event["extra"] for event in answer.json()["asset_events"]]
    return World(
        tags=tuple(sorted(listed.json().get("tags") or ())),
        digest=next(iter(digests["registry"])),
        changesets=tuple(
            scene.rows(
                migrations.database, "SELECT id, dateexecuted FROM databasechangelog ORDER BY orderexecuted"
            )
        ),
        notes=(project.clone.git("rev-list", "--count", "refs/notes/slipway"), note or "none"),
        events=sum(one.get("commit") == commit and one.get("status") == "passed" for one in told),
        pods=tuple(sorted(digests["pods"])),
        serving=scene.serving(),
    )


def changes(before: World, after: World) -> tuple[str, ...]:
    """Give in words where two looks at the world differ."""
    pairs = zip(dataclasses.asdict(before).items(), dataclasses.asdict(after).values(), strict=True)
    return tuple(f"{name} changed from {old} to {new}" for (name, old), new in pairs if old != new)


def unlike(after: World, commit: str) -> list[str]:
    """Give in words where the world is not what one release of a commit, and nothing else, makes of it."""
    notes, ids = [], [one[0] for one in after.changesets]
    if len(ids) != len(set(ids)):
        notes.append("a changeset was applied twice")
    if after.events != 1:
        notes.append(f"{after.events} asset events say that it passed")
    if {after.digest} != set(after.pods) or after.serving != commit:
        notes.append(f"registry {after.digest}, pods {after.pods}, {after.serving} serves")
    return notes


def usual_seconds(scene: Scene) -> dict[str, float]:
    """Give how long each task of the newest good release took."""
    _, run = _good_run(scene)
    return {one.name: one.seconds for one in scene.record(run).stages}


def _good_run(scene: Scene) -> tuple[str, str]:
    """Give the commit and the run of the newest release, which passed."""
    release = scene.newest()
    if release is None or release.status != "passed" or scene.serving() != release.commit:
        scene.good_push()
        release = scene.newest()
    assert release is not None
    return release.commit, release.run_id


def cleared(task: str, downstream: bool) -> Callable[[Scene], Seen]:
    """Give the act that clears a task of the newest release, which passed."""

    def act(scene: Scene) -> Seen:
        commit, run = _good_run(scene)
        if unknown := set(Airflow(scene.sandbox).tasks(scene.dag_id, run)) ^ set(TASKS):
            raise SandboxError(f"the DAG and this list have not the same tasks: {sorted(unknown)}")
        before = world(scene, commit)
        scene.clear(run, [task], downstream=downstream)
        seen = scene.wait(run)
        return dataclasses.replace(seen, notes=(*seen.notes, *changes(before, world(scene, commit))))

    return act


def older(task: str) -> Callable[[Scene], Seen]:
    """Give the act that clears a task, with downstream, of a release that passed before the newest one."""

    def act(scene: Scene) -> Seen:
        commit, run = _good_run(scene)
        newer, _ = _another(scene)
        before = world(scene, newer)
        scene.clear(run, [task], downstream=True)
        seen = scene.wait(run)
        after = dataclasses.replace(
            world(scene, newer), notes=before.notes
        )  # the older one's note tells its new end
        record = scene.record(run)
        by = record.superseded_by
        notes = [] if by and short(newer) in by else [f"superseded by {by}, not by the release of {newer}"]
        note = scene.project.clone.note(commit) or ""
        if not note.startswith("slipway: superseded"):
            notes.append(f"the note on the older commit says {note.splitlines()[:1]}")
        return dataclasses.replace(seen, notes=(*seen.notes, *notes, *changes(before, after)))

    return act


def _another(scene: Scene) -> tuple[str, str]:
    scene.good_push()
    release = scene.newest()
    assert release is not None
    return release.commit, release.run_id


def unique(name: str) -> dict[str, str]:
    """Give a file that no commit has yet, so that the gates have something new to judge."""
    mark = f"{name}_{time.time_ns()}"
    return {f"tests/unit/test_{mark}.py": f"def test_{name}() -> None:\n    assert {len(mark)} > 0\n"}


GATES = ("build.", "test.", "scan.")


def _at_its_gates(scene: Scene, run: str) -> None:
    """Wait until a gate of a run is at work."""

    def lacks() -> str | None:
        tasks = Airflow(scene.sandbox).tasks(scene.dag_id, run)
        at_work = any(name.startswith(GATES) and one["state"] == "running" for name, one in tasks.items())
        return None if at_work else "no gate is at work"

    wait_until(lacks, 120, f"a gate of {run}", 1)


def _which_gate(seen: Seen) -> Seen:
    """Leave out at which gate it was: whichever was at work."""
    return dataclasses.replace(seen, stage="a gate") if str(seen.stage).startswith(GATES) else seen


def _two_at_once(scene: Scene) -> Seen:
    first = scene.start("Push one", files=unique("one"))
    _at_its_gates(scene, first)
    second = scene.start("Push another right after it", files=unique("two"))
    new, old = scene.wait(second), scene.wait(first)  # the older one ends earlier
    notes = (
        [] if new.outcome == "passed" else [f"the newer one {new.outcome} at {new.stage}: {new.first_line}"]
    )
    if scene.record(first).superseded_by != second:
        notes.append(f"superseded by {scene.record(first).superseded_by}, not by {second}")
    if scene.serving() != scene.record(second).commit:
        notes.append(f"{scene.serving()} serves")
    return _which_gate(
        dataclasses.replace(
            old, notes=(*old.notes, *notes, *(f"the newer one holds {one}" for one in new.held))
        )
    )


def _bad_newer(scene: Scene) -> Seen:
    serving = scene.serving()
    first = scene.start("Push a good one", files=unique("good"))
    _at_its_gates(scene, first)
    second = scene.start("Push a bad one right after it", "failing-test")
    bad, good = scene.wait(second), scene.wait(first)
    notes = [] if bad.outcome == "failed" else [f"the bad one {bad.outcome}"]
    if scene.serving() != serving:
        notes.append(f"{scene.serving()} serves, not {serving}")
    return _which_gate(dataclasses.replace(good, notes=(*good.notes, *notes)))


# --- what there is to migrate ---
def changeset(scene: Scene) -> dict[str, str]:
    """Give a changelog with two changesets that no database has yet, one of each phase, which do what one can see."""
    name = f"kill-{time.time_ns()}"
    expand = f"select pg_sleep(2);\ncomment on table generations is '{name}';"
    return scene.project.changesets(name, expand=expand, contract="select pg_sleep(2);")


def _left_lock(scene: Scene) -> Seen:
    """Liquibase's lock, as a pod that was killed while it migrated leaves it."""
    migrations = scene.project.service.deploy.migrations
    assert migrations is not None
    scene.good()
    scene.execute(
        migrations.database,
        "UPDATE databasechangeloglock SET locked = true, lockgranted = now(), lockedby = 'deploy-migrate-1a2b3c4d (10.200.0.9)'",
    )
    seen = scene.push(
        "Change the schema though a lock was left", files={**changeset(scene), **unique("lock")}
    )
    return dataclasses.replace(seen, replaced=False)


_PASSED = Wanted(None, "passed", "", published=True)
_INSTEAD = r"^superseded by ai-generation\.[0-9a-f]{12}: commit [0-9a-f]{40}, asked for later, goes instead"

CASES: tuple[Case, ...] = (
    Case(
        "two-at-once", SECTION, "a push while the gates of another run: they end, and the newer is deployed",
        Wanted("a gate", "superseded", _INSTEAD),
        _two_at_once, fast=True, recovers=True,
    ),
    Case(
        "bad-newer", SECTION, "a bad push while the gates of another run: they end, and what served serves on",
        Wanted("a gate", "superseded", _INSTEAD), _bad_newer,
    ),
    *(
        Case(
            f"older-{task}", SECTION, f"clear {task} and downstream of a release after a newer one was deployed",
            Wanted("accept" if task == "accept" else "lane", "superseded",
                   r"^superseded by ai-generation\.\S+: .* was deployed", published=True),
            older(task), fast=task == "deploy.apply", recovers=True,
        )
        for task in ("accept", "lane", "deploy.apply")
    ),
    Case("left-lock", SECTION, "a migration after a pod that was killed with Liquibase's lock", _PASSED, _left_lock),
    *(
        Case(f"clear-{task}", SECTION, f"clear {task} alone of the newest release", _PASSED, cleared(task, False),
             fast=task in ("deploy.apply", "report"))
        for task in TASKS
    ),
    *(
        Case(f"clear-{task}-downstream", SECTION, f"clear {task} and downstream of the newest release", _PASSED,
             cleared(task, True), fast=task == "image.push")
        for task in TASKS
    ),
)  # fmt: skip
