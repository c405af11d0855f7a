import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from slipway.catalog import catalog_directory, load_catalog, load_platform, load_service
from slipway.catalog.schema import json_schema, markdown
from slipway.catalog.service import Dynamic, Gate, Image, Migrations
from slipway.errors import CatalogError

ROOT = Path(__file__).parents[3]
PLATFORM = f"""
environment: staging
git: {{url: "http://127.0.0.1:8418"}}
registry: {{address: "10.200.0.1:15000", ca_file: /x/ca.crt}}
images: {{toolbox-python: "10.200.0.1:15000/slipway/toolbox-python@sha256:{"a" * 64}"}}
database: {{host: postgres.slipway.test, port: 15432}}
airflow: {{url: "http://127.0.0.1:8080"}}
"""


def test_the_catalog_is_good_and_reads_as_it_is_written() -> None:
    service = load_catalog()["ai-generation"]
    assert service.dag_id == "release_ai_generation"
    assert service.deploy.kinds == ("ServiceAccount", "ConfigMap", "Service", "Deployment")
    assert service.scan.dynamic.environment == {"PYTHONPATH": "src"}
    assert service.build.compile.timeout_s == 120
    assert service.deploy.migrations is not None
    assert service.source.url("http://git/") == "http://git/services/ai-generation.git"


def test_values_are_frozen() -> None:
    service = load_service(catalog_directory() / "ai-generation.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        service.deploy.order = "after"  # type: ignore[misc]


def test_full_repository_url_is_taken_as_it_is() -> None:
    source = load_catalog()["ai-generation"].source.model_copy(update={"repository": "https://forge/a/b.git"})
    assert source.url("http://git") == "https://forge/a/b.git"


def test_committed_schema_and_reference_are_up_to_date() -> None:
    committed = (ROOT / "include/services/catalog.schema.json").read_text()
    assert committed == json_schema(), "run `slipway schema`"
    assert (ROOT / "docs/catalog.md").read_text() == markdown(), "run `slipway schema --markdown`"


def test_schema_accepts_what_the_models_accept_and_refuses_extras() -> None:
    import jsonschema
    import yaml

    schema = json.loads(json_schema())
    data = yaml.safe_load((catalog_directory() / "ai-generation.yaml").read_text())
    jsonschema.Draft202012Validator(schema).validate(data)
    for path, value in [(("deploy", "order"), "never"), (("extra",), 1), (("source", "repository"), "../x")]:
        broken = json.loads(json.dumps(data))
        inner = broken
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value
        assert list(jsonschema.Draft202012Validator(schema).iter_errors(broken)), path


def test_reference_describes_every_word() -> None:
    def undescribed(schema: dict[str, object], name: str) -> list[str]:
        fields = schema.get("properties", {})
        assert isinstance(fields, dict)
        return [
            f"{name}.{field}" for field, inner in fields.items() if not {"description", "$ref"} & set(inner)
        ]

    schema = json.loads(json_schema())
    names = [word for name, part in schema["$defs"].items() for word in undescribed(part, name)]
    assert names + undescribed(schema, "Service") == []


def test_platform_reads_and_gives_images_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "platform.yaml"
    path.write_text(PLATFORM)
    monkeypatch.setenv("SLIPWAY_PLATFORM", str(path))
    platform = load_platform()
    assert platform == load_platform(path)
    assert platform.image("toolbox-python").endswith("a" * 64)
    assert platform.package_index.environment == {}
    with pytest.raises(CatalogError, match="did you mean `toolbox-python`"):
        platform.image("toolbox-pyton")


def test_platform_image_must_be_by_digest(tmp_path: Path) -> None:
    path = tmp_path / "platform.yaml"
    path.write_text(PLATFORM.replace("@sha256:", ":sha256-"))
    with pytest.raises(CatalogError, match=r"images\.toolbox-python: .*@sha256:<digest>"):
        load_platform(path)


def test_platform_that_is_not_set_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_PLATFORM", raising=False)
    with pytest.raises(CatalogError, match="slipway sandbox env"):
        load_platform()


def test_import_adds_little_to_what_airflow_has_loaded() -> None:
    """Airflow has loaded pydantic and yaml already; the rest must take less than these do, side by side."""
    code = (
        "import time; start = time.process_time(); import pydantic, yaml\n"
        "type('Any', (pydantic.BaseModel,), {'__annotations__': {'one': pydantic.StrictInt}})\n"
        "own = time.process_time(); import slipway.catalog; end = time.process_time()\n"
        "import sys; heavy = {'airflow', 'docker', 'sqlalchemy', 'requests'} & set(sys.modules)\n"
        "assert not heavy, heavy; print((end - own) / (own - start))"
    )
    ratios = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
            env={"PYTHONPATH": str(ROOT / "include"), "PATH": "/usr/bin:/bin"},
        )
        ratios.append(float(done.stdout))
    assert min(ratios) < 1, ratios


def _migrations(**words: object) -> Migrations:
    known = {"changelog": "db", "database": "shop", "credentials": "shop-migrate"}
    return Migrations.model_validate(known | words)


def test_throwaway_databases_and_the_environment_have_contexts_of_their_own() -> None:
    found = _migrations()
    assert (found.contexts, found.gate_contexts) == ((), ("test",))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"engine": "flyway", "contexts": ["staging"]}, "is Liquibase's: Flyway knows no contexts"),
        ({"engine": "flyway", "gate_contexts": ["x"]}, "is Liquibase's: Flyway knows no contexts"),
        ({"engine": "flyway", "labels": "!x"}, "is Liquibase's: Flyway knows no labels"),
        ({"engine": "flyway", "baseline": "V1__orders.sql"}, "is no version of Flyway's"),
        ({"gate_contexts": []}, "at least 1 item"),
        ({"contexts": ["staging,test"]}, "must be one context"),
        ({"contexts": ["--url=x"]}, "must be one context"),
        ({"labels": "a;b"}, "pattern"),
    ],
)
def test_word_of_a_changelog_that_would_mean_nothing_is_refused(words: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        _migrations(**words)


@pytest.mark.parametrize("baseline", ["0", "7", "1.2", "2024_01"])
def test_baseline_of_flyway_is_a_version(baseline: str) -> None:
    assert _migrations(engine="flyway", baseline=baseline).baseline == baseline


def test_revision_of_an_entry_is_of_what_is_written_and_of_all_of_it() -> None:
    service = load_service(catalog_directory() / "ai-generation.yaml")
    again = load_service(catalog_directory() / "ai-generation.yaml")
    assert service.revision == again.revision
    assert len(service.revision) == 12
    assert service.model_copy(update={"description": "another"}).revision != service.revision
    # what is not written is a default: another Slipway may have another
    plain = Image(repository="web")
    defaulted = Image.model_construct({"repository"}, **{**dict(plain), "dockerfile": "Containerfile"})
    images = (plain, defaulted, Image(repository="web", dockerfile="Containerfile"))
    first, second, third = (service.model_copy(update={"image": one}).revision for one in images)
    assert first == second != third


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"policy": "off"}, "wants `reason` and `until`"),
        ({"policy": "off", "reason": "a worker without HTTP"}, "wants `reason` and `until`"),
        ({"reason": "a worker without HTTP"}, "say why and how long"),
        ({"until": "2026-12-31"}, "say why and how long"),
    ],
)
def test_a_gate_is_switched_off_with_reason_and_last_day_only(words: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Gate.model_validate(words)


def test_a_worker_without_http_needs_no_command() -> None:
    with pytest.raises(ValidationError, match="`command` is missing"):
        Dynamic.model_validate({})
    off = {"policy": "off", "reason": "a worker without HTTP", "until": "2026-12-31"}
    assert Dynamic.model_validate(off).command == ()
