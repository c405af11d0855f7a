"""The main job on real parts: push the example service with git, follow its release, and check what came of it.

Run as `python -m slipway_sandbox.demo`, which `make demo` does. Exit codes as everywhere: 0 released, 1 the release
failed, 3 a part of the sandbox did not do its job.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from slipway.catalog import Service, load_service
from slipway.ledger import Ledger, Release

from .developer import Developer
from .layout import SandboxError
from .lifecycle import Progress, open_sandbox
from .local_http import session
from .part import Sandbox
from .runs import Airflow, seconds_between

SERVICE = "ai-generation"
WORDS = {"success": "passed", "upstream_failed": "not reached"}


def push_config(sandbox: Sandbox, service: Service) -> None:
    """Make the service's config repository what examples/ has."""
    clone = Developer(sandbox, service.config.repository, sandbox.layout.state / "demo" / f"{SERVICE}-config", "config-editor")
    clone.clone()
    clone.become(sandbox.layout.checkout / "examples" / f"{SERVICE}-config")
    if clone.git("status", "--porcelain"):
        clone.commit("Configure the deployment")
        clone.push()


def release_of(sandbox: Sandbox, service: str, commit: str) -> Release:
    """Give the ledger's record of a commit."""
    ledger = Ledger((sandbox.layout.credentials / "ledger-url").read_text().strip())
    try:
        release = ledger.release(service, commit)
    finally:
        ledger.close()
    if release is None:
        raise SandboxError(f"the ledger has no release of {commit}")
    return release


def digests(sandbox: Sandbox, service: Service, commit: str) -> dict[str, set[str]]:
    """Give the digest of a commit's image as registry, record and serving pods each have it."""
    from kubernetes import client, config

    user, password = sandbox.registry_account("pull")
    answer = session(str(sandbox.registry_ca)).head(
        f"https://{sandbox.registry}/v2/{service.image.repository}/manifests/{commit[:12]}",
        auth=(user, password.read_text().strip()),
        headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
        timeout=10,
    )
    api = config.new_client_from_config(str(sandbox.admin_kubeconfig))
    deployment = client.AppsV1Api(api).read_namespaced_deployment(service.deploy.deployment, service.deploy.namespace)
    selector = ",".join(f"{k}={v}" for k, v in deployment.spec.selector.match_labels.items())
    pods = client.CoreV1Api(api).list_namespaced_pod(service.deploy.namespace, label_selector=selector).items
    serving = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
    return {
        "registry": {answer.headers.get("Docker-Content-Digest", f"none ({answer.status_code})")},
        "record": {str(release_of(sandbox, service.service, commit).digest)},
        "pods": {one.image_id.rpartition("@")[2] for pod in serving for one in pod.status.container_statuses},
    }


def version(sandbox: Sandbox, service: Service) -> Any:
    """Give what the service in the cluster says of itself."""
    from kubernetes import client, config

    api = client.CoreV1Api(config.new_client_from_config(str(sandbox.admin_kubeconfig)))
    health = service.verify.health
    answer = api.connect_get_namespaced_service_proxy_with_path(
        f"{health.service}:{health.port}", service.deploy.namespace, health.version.lstrip("/"), _preload_content=False
    )
    return json.loads(answer.data)


def demo() -> int:
    """Push, follow, check."""
    sandbox = open_sandbox(progress=Progress(quiet=True))
    service = load_service(sandbox.layout.checkout / "include" / "services" / f"{SERVICE}.yaml")
    push_config(sandbox, service)
    clone = Developer(sandbox, service.source.repository, sandbox.layout.state / "demo" / SERVICE)
    clone.clone()
    clone.become(sandbox.layout.checkout / "examples" / SERVICE)
    commit = clone.commit(f"Release the example at {datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
    print(f"$ git push origin main    # {clone.url}, commit {commit[:12]}", flush=True)
    start = time.monotonic()
    print(clone.push(), flush=True)

    def tell(task: str, state: str, seconds: float) -> None:
        print(f"[{time.monotonic() - start:6.1f} s] {task:<22} {WORDS.get(state, state):<12} {seconds:6.1f} s", flush=True)

    airflow, run_id = Airflow(sandbox), f"{SERVICE}.{commit[:12]}"
    state = airflow.follow(service.dag_id, run_id, timeout_s=1800, tell=tell)
    release = release_of(sandbox, SERVICE, commit)
    print(f"Airflow: {sandbox.airflow_url}/dags/{service.dag_id}/runs/{run_id} (user admin, password in {sandbox.layout.credentials}/airflow-admin)")  # fmt: skip
    print(f"note on {commit[:12]}: " + (clone.note(commit) or "none").replace("\n", "\n  "))
    if state != "success" or release.status != "passed":
        print(f"FAILED {SERVICE} {commit} at {release.stage}: {release.reason}")
        return 1
    found = digests(sandbox, service, commit)
    if len(set.union(*found.values())) != 1 or version(sandbox, service)["commit"] != commit:
        print(f"MISMATCH {found}, /version says {version(sandbox, service)}")
        return 3
    tasks, run = airflow.tasks(service.dag_id, run_id), airflow.run(service.dag_id, run_id)
    assert run is not None
    healthy = seconds_between(run["queued_at"], tasks["verify.health"]["end_date"])
    print(f"RELEASED {SERVICE} {commit} {release.image}@{release.digest} healthy in {healthy:.1f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(demo())
    except SandboxError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
