"""Private networks on a real engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from slipway.adapters import engine as adapter
from slipway_sandbox.part import Sandbox

LABELS = {"slipway": "test"}


ABROAD = "198.51.100.1"  # RFC 5737: nobody has it


TRIED = """
import socket, sys, json, time
def tried(host, port):
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
        return "connected"
    except OSError as e:
        return f"{type(e).__name__} {e.errno}"
"""


def test_network_has_no_way_out_but_its_containers_see_each_other(
    engine: Any, unique: str, python: str, sandbox: Sandbox, script: Callable[..., Any]
) -> None:
    for _ in range(2):
        adapter.network(engine, unique, LABELS)
    assert len(engine.networks(names=[f"^{unique}$"])) == 1
    server = ["python3", "-m", "http.server", "8000", "--directory", "/usr/share"]
    adapter.start(
        engine, f"{unique}-server", python, network_mode=unique, command=server, aliases=["database"]
    )
    probe = [
        "python3",
        "-c",
        "import socket; socket.create_connection(('127.0.0.1', 8000), timeout=1).close()",
    ]
    adapter.wait_until(engine, f"{unique}-server", probe, 20)
    code = f"{TRIED}\nprint(json.dumps([tried(*one.split(':')) for one in sys.argv[1:]]))"
    targets = ["database:8000", sandbox.registry, "10.200.0.1:6443", f"{ABROAD}:80"]
    _, said = script(engine, f"{unique}-client", python, code, *targets, network_mode=unique)
    seen, registry, api, abroad = json.loads(said)
    assert seen == "connected"
    assert "connected" not in (registry, api, abroad), (registry, api, abroad)
    adapter.remove_network(engine, unique)  # with both containers still on it, or ended
    adapter.remove_network(engine, unique)
    assert not engine.networks(names=[f"^{unique}$"])
