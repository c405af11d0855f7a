"""A server that cannot be asked is described in words, whatever the client wraps them in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import requests
from kubernetes.client import ApiClient, Configuration
from urllib3 import Retry

from slipway.adapters import cluster, engine
from slipway.adapters.registry import Registry
from slipway.errors import Transient
from slipway.unreachable import why


@pytest.fixture
def closed() -> Iterator[int]:
    """Gives a port that nobody listens on: bound, so that nobody else will."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield free.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[int]:
    """Gives a port where connections are taken, and nothing is said."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def rude() -> Iterator[int]:
    """Gives a port whose server hangs up on every request."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    caller.recv(65536)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def asked(port: int, retries: int = 0) -> str:
    with requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=Retry(retries)))
        with pytest.raises(requests.RequestException) as caught:
            session.get(f"http://127.0.0.1:{port}/", timeout=0.2)
    return why(caught.value)


@pytest.mark.parametrize("retries", [0, 1])  # with retries the client wraps once more
def test_a_port_that_nobody_listens_on_refuses(closed: int, retries: int) -> None:
    assert asked(closed, retries) == "connection refused"


@pytest.mark.parametrize("retries", [0, 1])
def test_a_server_that_says_nothing_does_not_answer_in_time(silent: int, retries: int) -> None:
    assert asked(silent, retries) == "no answer in time"


def test_a_server_that_hangs_up(rude: int) -> None:
    assert asked(rude) == "it ended the connection without an answer"


def test_a_name_that_is_not_known() -> None:
    with pytest.raises(requests.RequestException) as caught:
        requests.get("http://nowhere.invalid/", timeout=5, proxies={"http": ""})
    assert why(caught.value).startswith("its name is not known: ")


def test_an_error_that_tells_no_more_speaks_for_itself() -> None:
    assert why(ValueError("no such thing\nat all")) == "no such thing"
    assert why(ValueError()) == "ValueError"


def _engine(closed: int, folder: Path) -> None:
    with engine.explained("pulling it"):
        docker.APIClient(base_url=f"unix://{folder}/docker.sock", version="auto")


def _cluster(closed: int, folder: Path) -> None:
    configuration = Configuration(host=f"http://127.0.0.1:{closed}")
    configuration.retries = False
    cluster.kept(ApiClient(configuration), "web", "one")


def _registry(closed: int, folder: Path) -> None:
    Registry(f"127.0.0.1:{closed}", "push", "secret").digest("web", "1")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (_engine, "Docker engine: pulling it: it does not answer: no such file or directory"),
        (_cluster, "reading secret web/one: the API server does not answer: connection refused"),
        (_registry, "registry 127.0.0.1:PORT does not answer: connection refused"),
    ],
)
def test_each_adapter_says_what_where_and_why(
    ask: Callable[[int, Path], None], message: str, closed: int, tmp_path: Path
) -> None:
    with pytest.raises(Transient) as caught:
        ask(closed, tmp_path)
    assert caught.value.message == message.replace("PORT", str(closed))
    assert caught.value.remedy
