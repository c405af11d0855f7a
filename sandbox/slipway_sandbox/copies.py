"""Copies of an example under other names: services enough to fill the machine, as the bench wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway.catalog import Service, load_service
from slipway_sandbox.developer import Developer
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.part import Sandbox

ORIGINAL = "prompt-library"
"""The example that is copied: it has no playbook."""


@dataclass
class Copy:
    """One copy: its catalog entry, and a developer's clone of its repository.

    :param server: the git server that its code is on, if not the sandbox's.
    """

    sandbox: Sandbox
    name: str
    folder: Path
    server: str | None = None

    @property
    def service(self) -> Service:
        """Its catalog entry."""
        return load_service(_entry(self.sandbox.layout.checkout, self.name))

    @property
    def clone(self) -> Developer:
        """The clone of its repository."""
        return Developer(self.sandbox, f"services/{self.name}", self.folder / self.name, server=self.server)

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


def on_forge(text: str, name: str, url: str) -> str:
    """Give the catalog entry of a copy whose code is on the sandbox's forge."""
    forge = f'{{kind: gitea, url: "{url}"}}'
    return text.replace(
        f"repository: services/{name}\n", f'repository: "{url}/services/{name}.git"\n  forge: {forge}\n'
    )


@contextmanager
def copies(sandbox: Sandbox, number: int, folder: Path) -> Iterator[list[Copy]]:
    """Give copies that the running sandbox knows; afterwards they are taken out of catalog and cluster again."""
    names = [f"bench-{one}" for one in range(1, number + 1)]
    original = _entry(sandbox.layout.checkout, ORIGINAL).read_text()
    with added(sandbox, {name: entry(original, name) for name in names}):
        found = [Copy(sandbox, name, folder) for name in names]
        for one in found:
            one.configure()
            one.clone.clone()
        yield found


@contextmanager
def copy_on_forge(sandbox: Sandbox, name: str, folder: Path) -> Iterator[Copy]:
    """Give a copy whose code is on the sandbox's forge, which is made if need be."""
    from slipway_sandbox.lifecycle import Progress, open_sandbox, up
    from slipway_sandbox.parts.forge import Forge

    # the part alone first: its address stands in the entry
    steps = up(open_sandbox(sandbox.layout, Progress(quiet=True)), [Forge.name])
    if bad := [step for step in steps if step.error]:
        raise SandboxError(f"the forge is not up: {bad[0].name}: {bad[0].error}")
    url = Forge(sandbox).url
    original = _entry(sandbox.layout.checkout, ORIGINAL).read_text()
    with added(sandbox, {name: on_forge(entry(original, name), name, url)}):
        one = Copy(sandbox, name, folder, server=url)
        one.configure()
        one.clone.clone()
        yield one


@contextmanager
def added(sandbox: Sandbox, entries: Mapping[str, str]) -> Iterator[None]:
    """Add services to the catalog of the running sandbox; afterwards they are taken out of it and of the cluster again.

    :param entries: catalog entries by name.
    """
    from slipway_sandbox.lifecycle import Progress, open_sandbox, up

    checkout = sandbox.layout.checkout
    dags = {name: checkout / f"dags/release_{name.replace('-', '_')}.py" for name in entries}
    try:
        for name, dag in dags.items():
            _entry(checkout, name).write_text(entries[name])
            dag.write_text(
                f'"""Airflow DAG of a copy."""\n\nfrom slipway.dag import release_dag\n\ndag = release_dag("{name}")\n'
            )
        up(open_sandbox(sandbox.layout, Progress(quiet=True)))
        yield
    finally:
        for name, dag in dags.items():
            dag.unlink(missing_ok=True)
            _entry(checkout, name).unlink(missing_ok=True)
        _remove(sandbox, list(entries))


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
