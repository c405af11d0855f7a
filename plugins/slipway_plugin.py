"""Airflow plugin: buttons on tasks, what the ledger knows of releases, and which run a push means, behind Airflow's sign-in.

========================================== ==========================================================================
GET /slipway/releases/{service}            the newest releases, as JSON
POST /slipway/releases/{service}           which run is meant by who wants a commit released, and what is in its way; the
                                           wish is recorded, the run is started by Airflow's own API
GET /slipway/releases/{service}/{commit}   the newest release of a commit (or a prefix of it), as JSON
GET /slipway/runs/{run_id}                 one release: a page in a browser, JSON otherwise
GET /slipway/runs/{run_id}/reports/{stage} names of a stage's reports; with /{name}: the report itself
POST /slipway/hooks/{service}              a forge's delivery: see slipway_hooks
========================================== ==========================================================================

Airflow does not authenticate plugins' applications: every route here asks for a user who may read the service's DAG, or,
to ask for a release, who may start its runs; deliveries are known by their signatures.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.connection import Connection
from airflow.models.dag import DagModel
from airflow.plugins_manager import AirflowPlugin
from airflow.utils.session import create_session
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as PathName
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, Field

from slipway.catalog import load_platform
from slipway.errors import CatalogError, SlipwayError
from slipway.release import advice, obstacles, plan
from slipway.stages import links
from slipway_hooks import front, routes

if TYPE_CHECKING:
    from jinja2 import Template

    from slipway.ledger import Ledger, Release

app = FastAPI(title="Slipway", description="What the ledger knows of releases, and what forges tell.")


def _not_there(what: str) -> CatalogError:
    return CatalogError(
        f"no such {what}",
        code="release.not-there",
        remedy="see how it is written, and that the account may read the service's DAG",
    )


@app.exception_handler(SlipwayError)
def _explain(_request: Request, error: SlipwayError) -> JSONResponse:
    # exit code 2 is the asker's mistake, as on the command line; anything else is ours
    status = 404 if error.code == "release.not-there" else 400 if error.exit_code == 2 else 503
    return JSONResponse({"detail": str(error), "error": error.show()}, status_code=status)


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


def _dag_id(service: str) -> str:
    return f"release_{service.replace('-', '_')}"


def _allowed(user: Any, service: str, *, to_release: bool = False) -> None:
    """Let pass who may read the service's DAG, or start its runs; everybody else is told the same as of what is not there."""
    details, manager = DagDetails(id=_dag_id(service)), get_auth_manager()
    allowed = (
        manager.is_authorized_dag(
            method="POST", access_entity=DagAccessEntity.RUN, details=details, user=user
        )
        if to_release
        else manager.is_authorized_dag(method="GET", details=details, user=user)
    )
    if not allowed:
        raise _not_there("release")


def _run(user: Any, run_id: str) -> Release:
    release = _ledger().record(run_id)
    if release is None:
        raise _not_there("release")
    _allowed(user, release.service)
    return release


@app.get("/releases/{service}")
def releases(
    service: str, user: GetUserDep, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> list[dict[str, Any]]:
    """Give the newest releases of a service."""
    _allowed(user, service)
    return [release.show() for release in _ledger().releases(service, limit)]


class Asking(BaseModel, extra="forbid"):
    """What a hook or the command asks for: see `slipway.ledger.wishes.ask`."""

    commit: Annotated[str, Field(pattern="^([0-9a-f]{40}|[0-9a-f]{64})$")]
    ref: Annotated[str, Field(pattern="^refs/heads/.+", max_length=1000)]
    is_head: bool
    asked_by: Literal["push", "command"]
    again: bool = False


@app.post("/releases/{service}")
def ask(
    service: Annotated[str, PathName(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)],
    asking: Asking,
    user: GetUserDep,
) -> dict[str, Any]:
    """Give which run is meant, whether it is new, how far it is, and what is in its way."""
    from slipway.ledger import wishes

    _allowed(user, service, to_release=True)
    ledger, environment = _ledger(), load_platform().environment
    hold = ledger.held(service, environment, asking.commit)
    told: dict[str, Any] = {
        "dag_id": _dag_id(service),
        "obstacles": [
            one.show()
            for one in obstacles.of_release(
                _dag(service), service=service, commit=asking.commit, held=hold.words() if hold else None
            )
        ],
    }
    if any(one["effect"] == obstacles.Effect.NOT_STARTED for one in told["obstacles"]):
        # nothing is on record of what cannot be started: the reconciler finds it when that is mended
        return {**told, "run_id": None, "is_new": False, "is_repeat": False, "status": None}
    asked = wishes.ask(ledger, service, environment, **asking.model_dump())
    return {
        **told,
        "run_id": asked.run_id,
        "is_new": asked.is_new,
        "is_repeat": asked.is_repeat,
        "status": str(asked.status) if asked.status else None,
    }


def _dag(service: str) -> obstacles.Dag:
    with create_session() as session:
        known = session.get(DagModel, _dag_id(service))
        if known is None or known.is_stale:
            return obstacles.Dag(_dag_id(service), is_there=False)
        return obstacles.Dag(
            known.dag_id, is_paused=bool(known.is_paused), has_import_errors=bool(known.has_import_errors)
        )


@app.get("/releases/{service}/{commit}")
def release_of_commit(service: str, commit: str, user: GetUserDep) -> dict[str, Any]:
    """Give the newest release of a commit."""
    _allowed(user, service)
    release = _ledger().release(service, commit)
    if release is None:
        raise _not_there("release")
    return release.show()


@app.get("/runs/{run_id}")
def run(run_id: str, user: GetUserDep, request: Request) -> Response:
    """Give the release of a run: as a page to a browser, as JSON to anybody else."""
    from slipway.ledger import reports as kept
    from slipway.ledger import rollbacks

    release = _run(user, run_id)
    if not _browser(request):
        return JSONResponse(release.show())
    dag_id, reported = _dag_id(release.service), kept.stages(_ledger(), run_id)
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
        raise _not_there("report")
    safe = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
    return Response(content, media_type="text/plain; charset=utf-8", headers=safe)


app.include_router(routes(front(_ledger, _dag)))


class SlipwayPlugin(AirflowPlugin):
    """Registers the links and the application."""

    name = "slipway"
    operator_extra_links = list(links.ALL)
    fastapi_apps = [{"app": app, "url_prefix": "/slipway", "name": "Slipway"}]
