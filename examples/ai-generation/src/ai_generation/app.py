"""The HTTP interface; started by `uvicorn ai_generation.app:create_app --factory`."""

import json
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from ai_generation import __version__
from ai_generation.generator import bundled_model
from ai_generation.models import MAX_SEED, Generation, GenerationRequest, Health, Problem, Readiness, Version
from ai_generation.observe import Metrics, Observe
from ai_generation.schema import REQUIRED_REVISION
from ai_generation.settings import Settings
from ai_generation.store import UNAVAILABLE, SchemaError, Store

log = logging.getLogger(__name__)

_ANSWERS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is not JSON"},
    404: {"model": Problem, "description": "No such generation"},
    413: {"model": Problem, "description": "The body is too large"},
    503: {"model": Problem, "description": "The database is away or not migrated; try again later"},
}


def _answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _ANSWERS[status] for status in statuses}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the service; without `settings` they are read from the environment (or SettingsError)."""
    settings = settings or Settings.from_environment()
    settings.conninfo()  # a missing or unreadable URL file ends the start here, with the file's name
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    model = bundled_model()
    metrics = Metrics(__version__, settings.commit, settings.build)
    store = Store(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with store:
            yield

    app = FastAPI(
        title="AI Generation Service",
        version=__version__,
        description="Stores generation jobs in Postgres and writes their text with a small local model.",
        lifespan=lifespan,
        docs_url=None,  # Swagger's page loads scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(Observe, metrics=metrics)

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

    @app.post("/generations", status_code=201, responses=_answers(400, 413, 503), tags=["generations"])
    def create_generation(request: GenerationRequest, response: Response) -> Generation:
        """Store a job, write its text, and return it."""
        seed = secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed
        job = store.begin(request, seed=seed, model=model.name)
        text = model.generate(request.prompt, max_words=request.max_words, seed=seed)
        metrics.words.inc(len(text.split()))
        response.headers["Location"] = f"/generations/{job.id}"
        return store.complete(job.id, text)

    @app.get("/generations/{generation_id}", responses=_answers(404, 503), tags=["generations"])
    def read_generation(generation_id: UUID) -> Generation:
        """Return a stored job."""
        found = store.find(generation_id)
        if found is None:
            raise HTTPException(404, f"there is no generation {generation_id}")
        return found

    @app.get("/healthz", tags=["operations"])
    async def healthz() -> Health:
        """The process answers: a database outage must not restart every pod."""
        return Health()

    @app.get("/readyz", responses=_answers(503), tags=["operations"])
    def readyz() -> Readiness:
        """The database answers and has the schema that this code needs."""
        store.check()
        return Readiness(schema_revision=REQUIRED_REVISION)

    @app.get("/version", tags=["operations"])
    async def version() -> Version:
        """Which commit and build is running."""
        return Version(
            version=__version__,
            commit=settings.commit,
            build=settings.build,
            schema_revision=REQUIRED_REVISION,
            model=model.name,
        )

    @app.get("/metrics", response_class=PlainTextResponse, tags=["operations"])
    def prometheus() -> Response:
        """Metrics in Prometheus' text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return app
