"""A copy of an example is a service of its own: nothing of the original's is left in it but the code."""

from __future__ import annotations

from pathlib import Path

from slipway.catalog import load_service
from slipway_sandbox.copies import ORIGINAL, entry, on_forge
from slipway_sandbox.services import load_services

CATALOG = Path(__file__).parents[3] / "include/services"


def test_copy_has_names_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "bench-1.yaml").write_text(entry((CATALOG / f"{ORIGINAL}.yaml").read_text(), "bench-1"))
    service = load_service(tmp_path / "bench-1.yaml")
    [known] = load_services(tmp_path)
    original = load_service(CATALOG / f"{ORIGINAL}.yaml")
    assert (service.service, service.dag_id) == ("bench-1", "release_bench_1")
    assert (known.repository, known.config_repository) == ("services/bench-1", "config/bench-1")
    assert (known.namespace, known.database, known.migration_role) == (
        "bench-1",
        "bench_1",
        "bench-1-migrate",
    )
    assert service.image.repository == "bench-1"
    assert service.scan.dynamic == original.scan.dynamic


def test_copy_on_the_forge_has_its_code_and_its_statuses_there(tmp_path: Path) -> None:
    url = "http://127.0.0.1:3000"
    copied = entry((CATALOG / f"{ORIGINAL}.yaml").read_text(), "forge-library")
    (tmp_path / "forge-library.yaml").write_text(on_forge(copied, "forge-library", url))
    source = load_service(tmp_path / "forge-library.yaml").source
    assert source.forge
    assert (source.forge.kind, source.forge.url) == ("gitea", url)
    assert source.url("http://git.example") == f"{url}/services/forge-library.git"
    assert source.forge.path(source.url("")) == "services/forge-library"
