"""Metrics, a log line per request, and a bound on what a request may send: one ASGI middleware."""

import logging
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
_QUIET = ("/healthz", "/readyz", "/metrics")  # asked every second by machines: counted, not logged
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # others are the client's invention


class Metrics:
    """The service's metrics in a registry of their own, so that two apps in one process do not collide."""

    def __init__(self, version: str, commit: str, build: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = ("method", "route", "status")
        self.requests = Counter("http_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram("http_request_seconds", "Time to answer", ("route",), registry=self.registry)
        self.versions = Counter("prompt_versions", "Versions stored", registry=self.registry)
        self.rendered = Counter("prompt_renderings", "Prompts rendered", registry=self.registry)
        names = ("version", "commit", "build")
        info = Gauge("prompt_library_build_info", "What is running", names, registry=self.registry)
        info.labels(version, commit, build).set(1)


class Telemetry:
    """Counts, times and logs each request under its route's template, never under the path as sent."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, received = perf_counter(), 500, 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
            return message

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, bounded, watched)
        finally:
            seconds = perf_counter() - started
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            if route not in _QUIET or status >= 500:
                log.info("%s %s %d %.1f ms", method, route, status, seconds * 1000)
