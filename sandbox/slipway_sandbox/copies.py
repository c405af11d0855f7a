"""Copies of an example under other names: services enough to fill the machine, as the bench wants them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway.catalog import Service, load_service
from slipway_sandbox.developer import Developer
from slipway_sandbox.part import Sandbox

ORIGINAL = "prompt-library"
"""The example that is copied: it has no playbook."""


@dataclass
class Copy:
    """One copy: its catalog entry, and a developer's clone of its repository."""

    sandbox: Sandbox
    name: str
    folder: Path

    @property
    def service(self) -> Service:
        """Its catalog entry."""
        return load_service(_entry(self.sandbox.layout.checkout, self.name))

    @property
    def clone(self) -> Developer:
        """The clone of its repository."""
        return Developer(self.sandbox, f"services/{self.name}", self.folder / self.name)

    def configure(self) -> None:
        """Push its deployment configuration: the original's under its name."""
        clone = Developer(
            self.sandbox, f"config/{self.name}", self.folder / f"{self.name}-config", "config-editor"
        )
        clone.clone()
        clone.become(self.sandbox.layout.checkout / f"examples/{ORIGINAL}-config")
        for path in sorted((clone.folder / "manifests").iterdir()):
            path.write_text(path.read_text().replace(ORIGINAL, self.name))
        if clone.git("status", "--porcelain"):
            clone.commit("Configure the deployment")
            clone.push()

    def commit(self, message: str, **files: str) -> str:
        """Commit the original's sources with more files over them."""
        self.clone.become(self.sandbox.layout.checkout / f"examples/{ORIGINAL}")
        for name, text in files.items():
            (self.clone.folder / name).write_text(text)
        return self.clone.commit(message)


def _entry(checkout: Path, name: str) -> Path:
    return checkout / f"include/services/{name}.yaml"


def entry(original: str, name: str) -> str:
    """Give the catalog entry of a copy: other names for all that it has for itself."""
    renamed = original.replace(ORIGINAL, name)
    database = ORIGINAL.replace("-", "_")
    return renamed.replace(f"database: {database}", f"database: {name.replace('-', '_')}")


@contextmanager
def copies(sandbox: Sandbox, number: int, folder: Path) -> Iterator[list[Copy]]:
    """Give copies that the running sandbox knows; afterwards they are taken out of catalog and cluster again."""
    from slipway_sandbox.lifecycle import Progress, open_sandbox, up

    checkout = sandbox.layout.checkout
    names = [f"bench-{one}" for one in range(1, number + 1)]
    original = _entry(checkout, ORIGINAL).read_text()
    dags = {name: checkout / f"dags/release_{name.replace('-', '_')}.py" for name in names}
    try:
        for name, dag in dags.items():
            _entry(checkout, name).write_text(entry(original, name))
            dag.write_text(
                f'"""Airflow DAG of a copy."""\n\nfrom slipway.dag import release_dag\n\ndag = release_dag("{name}")\n'
            )
        up(open_sandbox(sandbox.layout, Progress(quiet=True)))
        found = [Copy(sandbox, name, folder) for name in names]
        for one in found:
            one.configure()
            one.clone.clone()
        yield found
    finally:
        for name, dag in dags.items():
            dag.unlink(missing_ok=True)
            _entry(checkout, name).unlink(missing_ok=True)
        _remove(sandbox, names)


def _remove(sandbox: Sandbox, names: list[str]) -> None:
    """Take the namespaces out of the cluster: their pods would go on."""
    from kubernetes.client.exceptions import ApiException

    from kubernetes import client, config

    api = client.CoreV1Api(config.new_client_from_config(str(sandbox.admin_kubeconfig)))
    for name in names:
        try:
            api.delete_namespace(name)
        except ApiException as error:
            if error.status != 404:
                raise
