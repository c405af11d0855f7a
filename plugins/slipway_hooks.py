"""Adapts :mod:`slipway.intake` to Airflow's API server: forges' deliveries come in here, unauthenticated but for their signature.

================================ ====================================================================================
POST /slipway/hooks/{service}    a delivery of the service's forge; docs/webhooks.md has the answers
================================ ====================================================================================
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from slipway.catalog import catalog_directory, load_platform, load_service
from slipway.errors import SlipwayError
from slipway.intake import answers, bounds
from slipway.intake.receiving import Delivery, Receiver
from slipway.intake.secrets import Keyring
from slipway.intake.settling import Settler, Wakeful
from slipway.release import obstacles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import hvac

    from slipway.adapters.git import Repository
    from slipway.catalog import Platform, Service
    from slipway.intake.answers import Answer
    from slipway.ledger import Ledger

log = logging.getLogger(__name__)
TOKEN_S = 600.0
"""Seconds for which a token of Vault is used; it ends after twenty minutes."""


R = TypeVar("R")


class Fresh(Generic[R]):
    """What files say, read again when one has changed."""

    def __init__(self, read: Callable[[Path], R]) -> None:
        self._read = read
        self._known: dict[Path, tuple[int, R]] = {}

    def get(self, path: Path) -> R:
        """Give what a file says."""
        changed = path.stat().st_mtime_ns
        known = self._known.get(path)
        if known is None or known[0] != changed:
            known = self._known[path] = (changed, self._read(path))
        return known[1]


class Catalog:
    """Services by name, and the platform."""

    def __init__(self) -> None:
        self._services, self._platforms = Fresh(load_service), Fresh(load_platform)

    def _path(self, service: str) -> Path:
        return catalog_directory() / f"{service}.yaml"

    def has(self, service: str) -> bool:
        """Tell whether there is such a service; of a name that is none, nobody is asked."""
        return service.isascii() and service.replace("-", "").isalnum() and self._path(service).is_file()

    def get(self, service: str) -> Service:
        """Give a service."""
        return self._services.get(self._path(service))

    def platform(self) -> Platform:
        """Give the platform."""
        named = os.environ.get("SLIPWAY_PLATFORM")
        return self._platforms.get(Path(named)) if named else load_platform()


class Vault:
    """Vault, with what the connection `slipway_vault` may read."""

    def __init__(self) -> None:
        self._client: hvac.Client | None = None
        self._since = 0.0

    def read(self, path: str) -> Mapping[str, Any]:
        """Give a secret."""
        from slipway.adapters import vault

        if self._client is None or time.monotonic() - self._since > TOKEN_S:
            self._client, self._since = self._signed_in(), time.monotonic()
        try:
            return vault.read(self._client, path)
        except SlipwayError as error:
            if error.code == "vault.path-denied":  # perhaps the token was ended
                self._client = None
            raise

    def _signed_in(self) -> hvac.Client:
        from airflow.models.connection import Connection

        from slipway.adapters import vault

        found = Connection.get_connection_from_secrets("slipway_vault")
        extra = found.extra_dejson
        scheme = "https" if extra.get("use_tls") else "http"
        return vault.signed_in(
            f"{scheme}://{found.host}:{found.port}",
            str(found.login),
            str(found.password),
            verify=extra.get("client_kwargs", {}).get("verify", True),
        )


class AirflowRuns:
    """Runs, in the API server's own process."""

    def __init__(self, dag: Callable[[str], obstacles.Dag]) -> None:
        self._dag = dag

    def obstacles(self, service: Service, commit: str) -> Sequence[obstacles.Obstacle]:
        """Give what is in the way of a release."""
        return obstacles.of_release(
            self._dag(service.service), service=service.service, commit=commit, held=None
        )

    def start(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """Start a run, unless it is there already."""
        from airflow.api.common.trigger_dag import trigger_dag
        from airflow.exceptions import DagRunAlreadyExists
        from airflow.utils.types import DagRunTriggeredByType

        try:
            trigger_dag(
                dag_id=dag_id,
                run_id=run_id,
                conf=conf,
                triggered_by=DagRunTriggeredByType.REST_API,
                triggering_user_name="webhook",
            )
        except DagRunAlreadyExists:
            return
        log.info("%s started", run_id)


class Front:
    """The front door, with its parts.

    :param keyring: the secrets. :param keep: puts a delivery on record. :param wake: has what is on record looked at.
    """

    def __init__(
        self,
        catalog: Catalog,
        keyring: Keyring,
        keep: Callable[[Delivery], None],
        wake: Callable[[], None],
        bounded: bounds.Bounds,
    ) -> None:
        self.catalog, self.keyring, self.keep, self.wake, self.bounded = catalog, keyring, keep, wake, bounded

    async def deliver(self, service: str, request: Request) -> Answer:
        """Take a delivery: the size first."""
        if not self.bounded.admit(request.client.host if request.client else ""):
            return answers.TOO_MANY
        length = request.headers.get("content-length", "")
        size = int(length) if length.isascii() and length.isdigit() and len(length) < 10 else None
        if (size if size is not None else 0) > bounds.BODY_MOST:
            return answers.TOO_LARGE
        with self.bounded.room(size if size is not None else bounds.BODY_MOST) as is_room:
            if not is_room:
                return answers.TOO_MANY
            try:
                async with asyncio.timeout(bounds.BODY_S):
                    body = await _body(request)
            except (TimeoutError, ClientDisconnect):
                return answers.TOO_SLOW
            if body is None:
                return answers.TOO_LARGE
            headers = {name.lower(): value for name, value in request.headers.items()}
            return await run_in_threadpool(self._receive, service, headers, body)

    def _receive(self, service: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            answer = Receiver(
                service,
                self.keyring.of(service),
                lambda: self.catalog.get(service).source,
                self.catalog.platform().git.url,
                self.keep,
            ).receive(headers, body)
        except SlipwayError as error:
            log.error("a delivery for %s is not taken: %s: %s", service, error.code, error)
            return answers.NOT_VERIFIABLE
        if answer.code is answers.Code.ACCEPTED:
            self.wake()
        return answer


async def _body(request: Request) -> bytes | None:
    """Give the raw body; None if it is too large, whatever was said of its length."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bounds.BODY_MOST:
            return None
    return bytes(body)


def routes(front: Callable[[], Front]) -> APIRouter:
    """Give the routes; their parts are made at the first delivery."""
    router = APIRouter()

    @router.post("/hooks/{service}", include_in_schema=False)
    async def deliver(service: str, request: Request) -> JSONResponse:
        answer = await front().deliver(service, request)
        headers = {"Retry-After": "5"} if answer.code is answers.Code.TOO_MANY else None
        return JSONResponse(answer.show(), answer.status, headers)

    return router


def front(ledger: Callable[[], Ledger], dag: Callable[[str], obstacles.Dag]) -> Callable[[], Front]:
    """Give what makes the front door of Airflow's API server, once."""

    @cache
    def made() -> Front:
        catalog, vault = Catalog(), Vault()
        keyring = Keyring(vault.read, time.monotonic, catalog.has)
        waking = Wakeful(partial(_settle, ledger, dag, catalog, vault))
        return Front(
            catalog, keyring, lambda one: keep(ledger(), one), waking.wake, bounds.Bounds(time.monotonic)
        )

    return made


def keep(ledger: Ledger, delivery: Delivery) -> None:
    """Put a delivery on record."""
    from slipway.ledger import deliveries

    deliveries.take(
        ledger, delivery.service, delivery.forge, delivery.id, ref=delivery.ref, told=delivery.told
    )


def _settle(
    ledger: Callable[[], Ledger], dag: Callable[[str], obstacles.Dag], catalog: Catalog, vault: Vault
) -> None:
    from slipway.ledger import deliveries

    settler = Settler(
        ledger(), catalog.platform().environment, partial(_repository, catalog, vault), AirflowRuns(dag)
    )
    failed: SlipwayError | None = None
    for name, waiting in deliveries.waiting(ledger()).items():
        if not catalog.has(name):  # it was taken out meanwhile
            deliveries.settle(ledger(), name, waiting[-1].id, None)
            continue
        try:
            settler.settle(catalog.get(name), waiting)
        except SlipwayError as error:  # the others' are not held back by one whose git is away
            failed = error
    deliveries.forget(ledger())
    if failed:
        raise failed


def _repository(catalog: Catalog, vault: Vault, service: Service) -> Repository:
    from slipway.adapters.git import Repository

    account = vault.read("slipway/git")
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    url = service.source.url(catalog.platform().git.url)
    return Repository(url, account["username"], account["password"], home / "slipway" / "mirrors")
