from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.adapters import engine
from slipway.catalog.platform import PackageIndex, Packages
from slipway.errors import PolicyFailed
from slipway.stages import connections
from slipway.stages.container import ContainerOperator
from slipway.stages.container_run import BUILDS, GateContainer, verdict_of, where_of


def test_a_gate_speaks_with_its_verdict_and_findings_not_with_the_tools_output() -> None:
    said = [
        "plugins: anyio-4.16.0",
        "FAILED tests/unit/test_sentences.py::test_ends",
        "FAILED unit: 1 finding in 69 tests of tests/unit",
        "",
        "tests/unit/test_sentences.py:8: the text breaks off",
    ]
    assert verdict_of(said) == (
        "tests/unit/test_sentences.py:8: the text breaks off",
        ["1 finding in 69 tests of tests/unit"],
    )
    said = [
        "FAILED fetch-dependencies: the locks cannot be installed (exit 1):",
        "  no such wheel",
    ]
    assert verdict_of(said) == ("the locks cannot be installed (exit 1): no such wheel", [])
    assert verdict_of(["NOT EVALUATED dependencies: advisories are too old"])[0] == "advisories are too old"


def test_a_gate_without_a_verdict_speaks_with_its_last_line() -> None:
    assert verdict_of(["starting", "Segmentation fault", ""]) == (
        "Segmentation fault",
        ["starting", "Segmentation fault"],
    )
    assert verdict_of([]) == ("it says nothing", [])


def test_what_hangs_is_named_by_the_deepest_place_in_the_source() -> None:
    said = [
        "Fatal Python error: Aborted",
        "Current thread 0x00007f0e (most recent call first):",
        '  File "/usr/lib/python3.11/threading.py", line 324 in wait',
        '  File "/workspace/src/tests/unit/test_draft.py", line 5 in test_draft',
        '  File "/workspace/src/tests/conftest.py", line 1 in other',
    ]
    word, lines = where_of([*["noise"] * 30, *said, *["noise"] * 30])
    assert word == " in tests/unit/test_draft.py:5 (test_draft)"
    assert set(said) <= set(lines)
    assert len(lines) <= 12
    assert where_of(["no", "word"]) == ("", ["no", "word"])


class Asked:
    """What the step that fetches asks of the engine, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, packages: Packages | None) -> None:
        self.did: list[Any] = []
        index = PackageIndex(
            ca_volume="slipway-index-ca", environment={"PIP_INDEX_URL": "https://own.example/simple"}
        )
        monkeypatch.setattr(
            connections, "platform", lambda: SimpleNamespace(packages=packages, package_index=index)
        )
        monkeypatch.setattr(GateContainer, "cli", None)
        for name in ("remove_network", "package_network"):
            monkeypatch.setattr(engine, name, partial(self._note, name))
        gate = ContainerOperator(
            task_id="gate", image="toolbox@sha256:1", command=["fetch"], timeout_s=60, fetches=True
        )
        gate.volume, gate.dependencies = "slipway-src-1", "slipway-deps-1"
        self.container = GateContainer(gate=gate)

    def _note(self, name: str, _client: Any, *arguments: Any) -> None:
        self.did.append((name, *arguments))


@pytest.mark.parametrize("error", [None, PolicyFailed("no such package", code="gate.failed")])
def test_dependencies_are_fetched_where_the_proxies_alone_are_and_without_a_login(
    monkeypatch: pytest.MonkeyPatch, error: PolicyFailed | None
) -> None:
    asked = Asked(monkeypatch, Packages(container="edge", pypi="http://pypi.packages/simple/"))
    with pytest.raises(PolicyFailed) if error else nullcontext(), asked.container.joined("run"):
        asked.did.append("ran")
        if error:
            raise error
    name, labels = "slipway-deps-1-fetch", {"slipway": "gate", "slipway.run": "run"}
    assert asked.did == [
        ("remove_network", name),
        ("package_network", name, "edge", ("pypi.packages",), labels),
        "ran",
        ("remove_network", name),
    ]
    assert asked.container.network_mode == name
    environment: Any = asked.container.environment
    assert (environment["PIP_INDEX_URL"], environment[BUILDS]) == ("http://pypi.packages/simple/", "1")
    assert "slipway-index-ca" not in [one["Source"] for one in asked.container.mounts]


def test_without_proxies_nothing_of_what_is_fetched_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, None)
    with asked.container.joined("run"):
        asked.did.append("ran")
    assert asked.did == ["ran"]
    assert asked.container.network_mode == "host"
    assert BUILDS not in (asked.container.environment or {})
    assert asked.container.mounts[-1]["Source"] == "slipway-index-ca"
