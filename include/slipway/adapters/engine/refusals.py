"""The engine's errors as ours: whose they are, and whether a retry helps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slipway.errors import Permanent, Transient
from slipway.unreachable import why

APIClient = Any
"""docker.APIClient; its published types contradict its documentation in places, so they are not used."""


_UNREACHABLE = re.compile(
    r"dial tcp|i/o timeout|connection re(fused|set)|unexpected status.*: 5\d\d|TLS handshake"
)
"""What the engine says when a registry does not answer (containerd's resolver, Go's net/http)."""


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the engine's errors into ours: it is gone or overloaded (transient), or refuses what was asked (permanent)."""
    import docker.errors
    import requests
    import urllib3.exceptions

    try:
        yield
    except docker.errors.APIError as e:
        refused = e.is_client_error() and e.status_code not in (409, 429)
        said = e.explanation.decode(errors="replace") if isinstance(e.explanation, bytes) else e.explanation
        raise (Permanent if refused else Transient)(
            f"Docker engine: {what}: {said or e}",
            code="engine.refuses" if refused else "engine.fails",
            remedy="see that the registry answers the engine"
            if _UNREACHABLE.search(said or "")
            else "see the engine of slipway_engine: its log, and the room on its disk (`docker system df`)",
        ) from e
    except (
        requests.RequestException,
        docker.errors.DockerException,
        urllib3.exceptions.HTTPError,
        ConnectionError,
    ) as e:
        raise Transient(
            f"Docker engine: {what}: it does not answer: {why(e)}",
            code="engine.unreachable",
            remedy="see that the engine of slipway_engine runs (`docker info`)",
        ) from e
