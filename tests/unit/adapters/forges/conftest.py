"""A server on loopback that stands for a forge: it checks method, path and headers, and keeps what is posted."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Forge:
    """What it was asked, and how it answers: `answer` gives status and body of a request."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], tuple[int, Any]] = lambda _asked: (404, {"message": "Not Found"})


@pytest.fixture
def forge() -> Iterator[Forge]:
    """A forge that answers as the test says."""
    told = Forge()

    class Front(http.server.BaseHTTPRequestHandler):
        def _any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            one = Asked(
                self.command, parts.path, dict(parse_qsl(parts.query)),
                {key.lower(): value for key, value in self.headers.items()}, json.loads(body) if body else None,
            )  # fmt: skip
            told.asked.append(one)
            status, answer = told.answer(one)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _any  # noqa: N815

        def log_message(self, *_args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        told.url = f"http://127.0.0.1:{server.server_port}"
        yield told
        server.shutdown()
