"""An export in OSV's form, served on loopback, becomes a layer upon the scanner in the registry, and judges locks and images."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from image_layout import layout
from slipway.adapters.registry import Registry
from slipway.catalog import load_platform
from slipway.catalog.platform import Advisories
from slipway.stages import advisories
from slipway_sandbox.lifecycle import Progress, open_sandbox

LOCK = {
    "name": "app",
    "lockfileVersion": 3,
    "packages": {
        "": {"name": "app", "dependencies": {"ms": "^2.0.0"}},
        "node_modules/ms": {
            "version": "2.1.3",
            "integrity": f"sha512-{'A' * 86}==",
        },
    },
}
DPKG = b"Package: libssl3\nStatus: install ok installed\nSource: openssl\nVersion: 3.0.1-1\n"
Source = Callable[..., str]


def record(ecosystem: str, name: str, fixed: str, kind: str) -> dict[str, Any]:
    span = {"type": kind, "events": [{"introduced": "0"}, {"fixed": fixed}]}
    return {
        "id": f"X-{name}",
        "modified": datetime.now(UTC).isoformat(),
        "summary": "it breaks",
        "database_specific": {"severity": "CRITICAL"},
        "affected": [{"package": {"ecosystem": ecosystem, "name": name}, "ranges": [span]}],
    }


@pytest.fixture(scope="module")
def scanner(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the name by which the engine has the scanner with two exports, under a tag of its own."""
    folder, sandbox = tmp_path_factory.mktemp("osv"), open_sandbox(progress=Progress(quiet=True))
    for name, one in {
        "npm": record("npm", "ms", "2.1.4", "SEMVER"),
        "debian": record("Debian:12", "openssl", "3.0.17-1~deb12u3", "ECOSYSTEM"),
    }.items():
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr(f"{one['id']}.json", json.dumps(one))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    platform = load_platform(sandbox.layout.platform_file)
    sources = Advisories.model_validate({"sources": {"npm": f"{url}/npm.zip", "Debian": f"{url}/debian.zip"}})
    platform = platform.model_copy(
        update={
            "advisories": sources,
            "images": {**platform.images, advisories.SCAN: engine.images["toolbox-scan"]},
        }
    )
    user, password = sandbox.registry_account("push")
    registry = Registry(sandbox.registry, user, password.read_text().strip(), sandbox.registry_ca)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advisories, "TAG", "trial-advisories")  # the sandbox's own stay
        done = advisories.renew(platform, registry, engine)
        assert not done.failed
        image = advisories.scanner(platform, lambda: registry)
    server.shutdown()
    engine.images["scanner"] = image
    yield "scanner"
    del engine.images["scanner"]
    registry.delete("slipway/toolbox-scan", image.partition("@")[2])


def test_lock_of_npm_is_judged(engine: Any, source: Source, scanner: str) -> None:
    lock = source({"package-lock.json": json.dumps(LOCK)})
    command = ("/opt/slipway/bin/dependencies", "package-lock.json", "package-lock.json")
    ended = engine.run(scanner, *command, source=lock)
    assert ended.code == 1, ended.said
    [found] = json.loads(ended.reports["findings.json"])["findings"]
    assert (found["rule"], found["severity"]) == ("X-ms", "critical")
    without = engine.run("toolbox-scan", *command, source=lock)
    assert (without.code, "no advisories of npm here" in without.said) == (3, True)


def test_packages_of_an_image_are_judged(engine: Any, source: Source, scanner: str) -> None:
    files = layout(
        {
            "usr/lib/os-release": b"ID=debian\nVERSION_ID=12\n",
            "var/lib/dpkg/status": DPKG,
            "app/node_modules/ms/package.json": b'{"name": "ms", "version": "2.1.3"}',
        }
    )
    volume = engine.volume(files)
    ended = engine.run(
        scanner,
        "/opt/slipway/bin/image",
        "requirements.txt",
        source=source({}),
        options=["-v", f"{volume}:/image:ro"],
    )
    assert ended.code == 1, ended.said
    assert {one["rule"] for one in json.loads(ended.reports["findings.json"])["findings"]} == {
        "X-ms",
        "X-openssl",
    }
    wanted = engine.run(
        "toolbox-scan",
        "/opt/slipway/bin/image",
        "requirements.txt",
        source=source({}),
        options=["-v", f"{volume}:/image:ro", "-e", "SLIPWAY_ADVISORIES_OF=Debian"],
    )
    assert (wanted.code, "no advisories of Debian here" in wanted.said) == (3, True)
