"""Airflow plugin: buttons on tasks, and what the ledger knows of releases, read-only, behind Airflow's own sign-in.

========================================== ==========================================================================
GET /slipway/releases/{service}            the newest releases, as JSON
GET /slipway/releases/{service}/{commit}   the newest release of a commit (or a prefix of it), as JSON
GET /slipway/runs/{run_id}                 one release: a page in a browser, JSON otherwise
GET /slipway/runs/{run_id}/reports/{stage} names of a stage's reports; with /{name}: the report itself
========================================== ==========================================================================

Airflow does not authenticate plugins' applications: every route here asks for a user who may read the service's DAG.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.connection import Connection
from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from slipway.errors import SlipwayError
from slipway.release import advice, plan
from slipway.stages import links

if TYPE_CHECKING:
    from jinja2 import Template

    from slipway.ledger import Ledger, Release

app = FastAPI(title="Slipway", description="What the ledger knows of releases. Read-only.")


@app.exception_handler(SlipwayError)
def _explain(_request: Request, error: SlipwayError) -> JSONResponse:
    # exit code 2 is the asker's mistake, as on the command line; anything else is ours
    return JSONResponse({"detail": str(error)}, status_code=400 if error.exit_code == 2 else 503)


@app.exception_handler(HTTPException)
async def _sign_in(request: Request, error: HTTPException) -> Response:
    # a browser that followed a link is taken to Airflow's sign-in, and back
    if error.status_code == 401 and _browser(request):
        root = request.scope.get("root_path", "").removesuffix("/slipway")
        return RedirectResponse(f"{root}/api/v2/auth/login?next={quote(request.url.path, safe='')}", 307)
    return await http_exception_handler(request, error)


def _browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


@cache
def _ledger() -> Ledger:
    from slipway.ledger import Ledger

    uri = Connection.get_connection_from_secrets("slipway_ledger").get_uri()
    return Ledger(uri.replace("postgres://", "postgresql://", 1).split("?", 1)[0])


@cache
def _page() -> Template:
    from jinja2 import Environment

    return Environment(autoescape=True).from_string((Path(__file__).parent / "release.html").read_text())


def _allowed(user: Any, service: str) -> None:
    """Let pass who may read the service's DAG; everybody else gets the same answer as for what is not there."""
    details = DagDetails(id=f"release_{service.replace('-', '_')}")
    if not get_auth_manager().is_authorized_dag(method="GET", details=details, user=user):
        raise HTTPException(404, "no such release")


def _run(user: Any, run_id: str) -> Release:
    release = _ledger().record(run_id)
    if release is None:
        raise HTTPException(404, "no such release")
    _allowed(user, release.service)
    return release


@app.get("/releases/{service}")
def releases(
    service: str, user: GetUserDep, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> list[dict[str, Any]]:
    """Give the newest releases of a service."""
    _allowed(user, service)
    return [release.show() for release in _ledger().releases(service, limit)]


@app.get("/releases/{service}/{commit}")
def release_of_commit(service: str, commit: str, user: GetUserDep) -> dict[str, Any]:
    """Give the newest release of a commit."""
    _allowed(user, service)
    release = _ledger().release(service, commit)
    if release is None:
        raise HTTPException(404, "no such release")
    return release.show()


@app.get("/runs/{run_id}")
def run(run_id: str, user: GetUserDep, request: Request) -> Response:
    """Give the release of a run: as a page to a browser, as JSON to anybody else."""
    from slipway.ledger import reports as kept
    from slipway.ledger import rollbacks

    release = _run(user, run_id)
    if not _browser(request):
        return JSONResponse(release.show())
    dag_id, reported = f"release_{release.service.replace('-', '_')}", kept.stages(_ledger(), run_id)
    steps = advice(release.service, release.commit, release.status, release.stage, release.superseded_by)
    planned = "\n".join(plan.words(release.plan)) if release.plan else ""
    held = _ledger().held(
        release.service, release.environment, release.commit, release.config_revision, release.digest
    )
    undone = rollbacks.newest_from(_ledger(), run_id)
    return HTMLResponse(
        _page().render(
            release=release,
            dag_id=dag_id,
            reported=reported,
            steps=steps,
            plan=planned,
            held=held,
            undone=undone,
        )
    )


@app.get("/runs/{run_id}/reports/{stage}")
def reports(run_id: str, stage: str, user: GetUserDep, request: Request) -> Response:
    """Give the names and sizes of a stage's reports."""
    from slipway.ledger import reports as kept

    release = _run(user, run_id)
    sizes = {name: len(content) for name, content in kept.read(_ledger(), run_id, stage).items()}
    if not _browser(request):
        return JSONResponse(sizes)
    return HTMLResponse(_page().render(release=release, stage=stage, reports=sizes, dag_id=None))


@app.get("/runs/{run_id}/reports/{stage}/{name}")
def report(run_id: str, stage: str, name: str, user: GetUserDep) -> Response:
    """Give one report. It came out of a container that ran pushed code: always plain text, never rendered."""
    from slipway.ledger import reports as kept

    _run(user, run_id)
    content = kept.read(_ledger(), run_id, stage).get(name)
    if content is None:
        raise HTTPException(404, "no such report")
    safe = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
    return Response(content, media_type="text/plain; charset=utf-8", headers=safe)


class SlipwayPlugin(AirflowPlugin):
    """Registers the links and the application."""

    name = "slipway"
    operator_extra_links = list(links.ALL)
    fastapi_apps = [{"app": app, "url_prefix": "/slipway", "name": "Slipway"}]
