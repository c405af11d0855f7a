"""`slipway lint`, `schema` and `new`: the catalog's files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slipway.cli.answers import json_option

_SERVICE = """\
# {title}: what is released, how it is built, tested, scanned, deployed and verified.
# Reference: docs/catalog.md. Check with `slipway lint`.
service: {service}
title: {title}
team: {team}

source:
  repository: services/{service}             # below the platform's git URL, or a full URL
  branch: main
  dependencies: {{runtime: requirements.txt, development: requirements-dev.txt}}

config:
  repository: config/{service}
  branch: main
  manifests: manifests
  # playbook: infra/site.yaml                # infrastructure, by Ansible

stack: python

test:
  unit: {{path: tests/unit}}
  integration: {{path: tests/integration, database: false}}

scan:
  dynamic:
    command: [/deps/venv/bin/uvicorn, "{package}.app:create_app", --factory, --port, "8000"]
    environment: {{PYTHONPATH: src}}
    port: 8000

image:
  repository: {service}

deploy:
  namespace: {service}
  deployment: {service}
  container: app
  kinds: [ServiceAccount, ConfigMap, Service, Deployment]
  # secret: {{name: {service}-database, key: database_url}}   # made from Vault's services/{service}
  # migrations:
  #   engine: liquibase
  #   changelog: migrations/changelog.yaml
  #   database: {package}
  #   credentials: {service}-migrate           # role of Vault's database engine

verify:
  # smoke: {{path: smoke/smoke.py}}            # run as a pod of the new image with BASE_URL
  health: {{service: {service}, port: 80, ready: /readyz, version: /version}}
"""

_DAG = '''\
"""Airflow DAG that releases the {title}; its stages are wired in slipway.dag."""

from slipway.dag import release_dag

dag = release_dag("{service}")
'''


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@json_option("Print problems as JSON.")
@click.pass_context
def lint(ctx: click.Context, paths: tuple[Path, ...], as_json: bool) -> None:
    """Check the catalog: the files and folders PATHS, or all of it.

    Each problem is told with file, line, column, what is wrong and what is legal. Exit 2 if there are any.
    """
    from slipway.catalog import catalog_directory, load_files, load_refresh, refresh_file
    from slipway.errors import CatalogError, Problem

    problems: list[Problem] = []
    files: list[Path] = []
    refresh = refresh_file()
    for path in paths or (catalog_directory(), *([refresh] if refresh.exists() else [])):
        if path.name == refresh.name:
            try:
                load_refresh(path)
            except CatalogError as error:
                problems += error.problems or [Problem(str(path), 0, 0, "", error.message)]
            continue
        found = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        files += found
        if not found:
            problems.append(Problem(str(path), 0, 0, "", "the folder holds no *.yaml file"))
    services = []
    try:
        services = list(load_files(dict.fromkeys(files)))
    except CatalogError as error:
        problems += error.problems
    if as_json:
        click.echo(json.dumps({"services": services, "problems": [vars(one) for one in problems]}, indent=2))
    else:
        for one in problems:
            click.echo(str(one))
        if not problems:
            click.echo(f"good: {', '.join(services)}")
    ctx.exit(CatalogError.exit_code if problems else 0)


@click.command()
@click.option("--markdown", "as_markdown", is_flag=True, help="The reference, docs/catalog.md, instead.")
@click.option("--print", "to_stdout", is_flag=True, help="Print it; write no file.")
def schema(as_markdown: bool, to_stdout: bool) -> None:
    """Write the catalog's JSON schemas beside its files, for editors, or the reference into docs/."""
    from slipway.catalog import Refresh, catalog_directory
    from slipway.catalog.schema import json_schema, markdown

    folder = catalog_directory()
    if as_markdown:
        texts = {folder.parents[1] / "docs/catalog.md": markdown()}
    else:
        texts = {folder / "catalog.schema.json": json_schema()}
        if not to_stdout:
            texts[folder.parent / "refresh.schema.json"] = json_schema(Refresh)
    for path, text in texts.items():
        if to_stdout:
            click.echo(text, nl=False)
        else:
            path.write_text(text)
            click.echo(f"wrote {path}")


@click.command()
@click.argument("service")
@click.option("--title", help="Its name for people; made from SERVICE if left out.")
@click.option("--team", default="platform", show_default=True, help="Who answers for it.")
@click.option("--dags", type=click.Path(path_type=Path), help="Folder of the DAG files.")
@click.option(
    "--repo", metavar="URL", help="Its repository, which is looked into: the file says what is found there."
)
@click.option(
    "--config", metavar="URL", help="With --repo: the repository of its manifests, if they lie elsewhere."
)
@click.option(
    "--no-input", is_flag=True, help="With --repo: ask nothing; what is undecided is an error that lists it."
)
@click.option(
    "--set", "said", metavar="WORD=VALUE", multiple=True, help="With --repo: what a word of the catalog is."
)
def new(
    service: str,
    title: str | None,
    team: str,
    dags: Path | None,
    repo: str | None,
    config: str | None,
    no_input: bool,
    said: tuple[str, ...],
) -> None:
    """Write the catalog's file of a new SERVICE, and the DAG file that releases it.

    With --repo the repository is looked into, and each guess is written with the file that caused it.
    """
    from slipway.catalog import catalog_directory, load_service
    from slipway.errors import CatalogError

    words = {
        "service": service,
        "title": title or service.replace("-", " ").title(),
        "team": team,
        "package": service.replace("-", "_"),
    }
    if not words["title"].replace(" ", "").isalnum():
        raise CatalogError(
            f"The title `{words['title']}` must be letters, digits and spaces.",
            code="new.title-invalid",
            remedy="Give --title.",
        )
    folder = catalog_directory()
    dag = (dags or folder.parents[1] / "dags") / f"release_{words['package']}.py"
    entry = folder / f"{service}.yaml"
    if not service.replace("-", "").isalnum() or not entry.resolve().is_relative_to(folder.resolve()):
        raise CatalogError(
            f"`{service}` is not a name of a service: letters, digits and inner hyphens.",
            code="new.name-invalid",
        )
    for path in (entry, dag):
        if path.exists():
            raise CatalogError(
                f"{path} is there already.", code="new.file-exists", remedy="Edit it, or take another name."
            )
        if not path.parent.is_dir():
            raise CatalogError(
                f"{path.parent} is not a folder.",
                code="catalog.folder-missing",
                remedy="Name the folder by SLIPWAY_CATALOG or --dags.",
            )
    if repo:
        from slipway.cli.onboarding import written

        text = written(service, words["title"], team, repo, config, said, asks=not no_input)
    else:
        text = _SERVICE.format_map(words)
    entry.write_text(text)
    try:
        load_service(entry)
    except CatalogError:
        entry.unlink()
        raise
    dag.write_text(_DAG.format_map(words))
    click.echo(
        f"wrote {entry}\nwrote {dag}\nEdit the first by docs/catalog.md, then check it with `slipway lint`."
    )
