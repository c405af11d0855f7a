"""The main job on real parts: push the example service with git, follow its release, and check what came of it.

Run as `python -m slipway_sandbox.demo`, which `make demo` does. Exit codes as everywhere: 0 released, 1 the release
failed, 3 a part of the sandbox did not do its job.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from slipway_sandbox.layout import SandboxError
from slipway_sandbox.lifecycle import Progress, open_sandbox
from slipway_sandbox.project import NAME, Project, progress
from slipway_sandbox.run import run


def demo() -> int:
    """Push, follow, check."""
    sandbox = open_sandbox(progress=Progress(quiet=True))
    print(f"The DAGs and the code that release it are those of {sandbox.layout.checkout}", flush=True)
    project = Project(sandbox, sandbox.layout.state / "demo" / NAME)
    project.configure()
    project.clone.clone()
    commit = project.commit(f"Release the example at {datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
    print(f"$ git push origin main    # {project.clone.url}, commit {commit[:12]}", flush=True)
    said = project.clone.push()
    print(said, flush=True)
    start_if_need_be(project, commit)
    pushed = project.follow(commit, said, progress())
    page = f"{sandbox.airflow_url}/dags/{project.service.dag_id}/runs/{project.run_id(commit)}"
    print(f"Airflow: {page}\n         user admin, password in {sandbox.layout.credentials}/airflow-admin")
    print(f"Note on {commit[:12]}:\n  " + (project.clone.note(commit) or "none").replace("\n", "\n  "))
    release = pushed.release
    if pushed.state != "success" or release.status != "passed":
        print(f"FAILED {NAME} {commit} at {release.stage}: {release.reason}")
        return 1
    digests, version = project.digests(commit), project.version()
    if len(set.union(*digests.values())) != 1 or version["commit"] != commit:
        print(f"MISMATCH of what was verified, deployed and recorded: {digests}, /version says {version}")
        return 3
    print(
        f"RELEASED {NAME} {commit} {release.image}@{release.digest} healthy in {pushed.seconds_to_healthy:.1f} s"
    )
    return 0


def start_if_need_be(project: Project, commit: str) -> None:
    """Do what the hook says to do if Airflow was too slow for it: it has five seconds, which a cold machine may not keep."""
    if project.airflow.run(project.service.dag_id, project.run_id(commit)) is not None:
        return
    layout = project.sandbox.layout
    print(f"$ slipway release {NAME} {commit}", flush=True)
    done = run(
        [layout.bin / "slipway", "release", NAME, commit],
        what="starting the release by hand",
        env={"SLIPWAY_STATE": str(layout.state), "SLIPWAY_CACHE": str(layout.cache)},
        timeout_s=120,
    )
    print(done.stdout.strip(), flush=True)


if __name__ == "__main__":
    try:
        sys.exit(demo())
    except SandboxError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
