"""The HTTP interface; started by `uvicorn prompt_library.app:create_app --factory`."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from prompt_library import __version__, templates
from prompt_library.models import (
    MAX_VERSION,
    NAME,
    VARIABLE,
    Health,
    NewVersion,
    Problem,
    Prompts,
    PromptVersion,
    Readiness,
    Rendered,
    Values,
    Version,
)
from prompt_library.schema import works_from
from prompt_library.settings import Settings
from prompt_library.store import UNAVAILABLE, SchemaError, Store
from prompt_library.telemetry import Metrics, Telemetry

log = logging.getLogger(__name__)

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": PromptVersion, "description": "The newest version says this already"},
    400: {"model": Problem, "description": "The body is not JSON"},
    404: {"model": Problem, "description": "No such prompt, or no such version of it"},
    413: {"model": Problem, "description": "The body is too large"},
    503: {"model": Problem, "description": "The database is away or not migrated; try again later"},
}
PathName = Annotated[str, Path(pattern=NAME)]
PathVersion = Annotated[int, Path(ge=1, le=MAX_VERSION)]


def _answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _ANSWERS[status] for status in statuses}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the service; without `settings` they are read from the environment (or SettingsError)."""
    settings = settings or Settings.from_environment()
    settings.conninfo()  # a missing or unreadable URL file ends the start here, with the file's name
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    needs = works_from()
    metrics = Metrics(__version__, settings.commit, settings.build)
    store = Store(settings, needs)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with store:
            yield

    app = FastAPI(
        title="Prompt Library",
        version=__version__,
        description="Versioned prompt templates, and their rendering.",
        lifespan=lifespan,
        docs_url=None,  # Swagger's page loads scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(Telemetry, metrics=metrics)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        # Without the input: FastAPI's own answer repeats it, which fails for NaN and lone surrogates.
        detail = [{"type": e["type"], "loc": e["loc"], "msg": e["msg"]} for e in error.errors()]
        return Response(json.dumps({"detail": detail}), status_code=422, media_type="application/json")

    def unavailable(_: Request, error: Exception) -> Response:
        log.warning("answered 503: %s: %s", type(error).__name__, error)
        # Only our own message goes out; the driver's may name hosts and users.
        detail = str(error) if isinstance(error, SchemaError) else "the database is not available; try later"
        return JSONResponse({"detail": detail}, status_code=503, headers={"Retry-After": "1"})

    for kind in (*UNAVAILABLE, SchemaError):
        app.add_exception_handler(kind, unavailable)

    def found(name: str, version: int | None = None) -> PromptVersion:
        if prompt := store.find(name, version):
            return prompt
        what = f"prompt {name}" if version is None else f"version {version} of prompt {name}"
        raise HTTPException(404, f"there is no {what}")

    @app.post("/prompts", status_code=201, responses=_answers(200, 400, 413, 503), tags=["prompts"])
    def add_version(new: NewVersion, response: Response) -> PromptVersion:
        """Store a prompt's next version. What its newest version says already makes no other one."""
        stored, is_new = store.add(new)
        if is_new:
            metrics.versions.inc()
        else:
            response.status_code = 200
        response.headers["Location"] = f"/prompts/{stored.name}/versions/{stored.version}"
        return stored

    @app.get("/prompts", responses=_answers(503), tags=["prompts"])
    def list_prompts(
        after: Annotated[str | None, Query(pattern=NAME, description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
        variable: Annotated[
            str | None, Query(pattern=VARIABLE, max_length=100, description="Only prompts that use it")
        ] = None,
    ) -> Prompts:
        """List prompts by name, a page at a time."""
        prompts = store.list(after=after or "", limit=limit + 1, variable=variable)
        more = len(prompts) > limit
        return Prompts(prompts=prompts[:limit], next=prompts[limit - 1].name if more else None)

    @app.get("/prompts/{name}", responses=_answers(404, 503), tags=["prompts"])
    def read_latest(name: PathName) -> PromptVersion:
        """Return the newest version of a prompt."""
        return found(name)

    @app.get("/prompts/{name}/versions/{version}", responses=_answers(404, 503), tags=["prompts"])
    def read_version(name: PathName, version: PathVersion) -> PromptVersion:
        """Return one version of a prompt, which is always the same."""
        return found(name, version)

    @app.post("/prompts/{name}/render", responses=_answers(400, 404, 413, 503), tags=["prompts"])
    def render(name: PathName, values: Values) -> Rendered:
        """Fill in a prompt's variables: exactly those that its template has."""
        prompt = found(name, values.version)
        try:
            text = templates.render(prompt.template, values.variables)
        except templates.TemplateError as error:
            problem = {"type": "variables", "loc": ("body", "variables"), "msg": str(error)}
            raise RequestValidationError([problem]) from error
        metrics.rendered.inc()
        return Rendered(name=name, version=prompt.version, text=text)

    @app.get("/healthz", tags=["operations"])
    async def healthz() -> Health:
        """The process answers: a database outage must not restart every pod."""
        return Health()

    @app.get("/readyz", responses=_answers(503), tags=["operations"])
    def readyz() -> Readiness:
        """The database answers and has the schema that this code needs."""
        store.check()
        return Readiness(schema_revision=needs[0])

    @app.get("/version", tags=["operations"])
    async def version() -> Version:
        """Which commit and build is running."""
        return Version(
            version=__version__, commit=settings.commit, build=settings.build, schema_revision=needs[0]
        )

    @app.get("/metrics", response_class=PlainTextResponse, tags=["operations"])
    def prometheus() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return app
