"""The scanner with the advisories of the platform's sources: what is fetched, what is kept, and what a release gets."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.adapters.registry import Layer
from slipway.catalog.platform import Advisories
from slipway.stages import advisories

RECORD = {
    "id": "GHSA-1",
    "modified": "2026-11-26T00:00:00Z",
    "affected": [{"package": {"ecosystem": "npm", "name": "ms"}, "ranges": []}],
}


@dataclass
class FakeRegistry:
    """One repository: layers by digest, images by tag and digest."""

    layers: dict[str, bytes] = field(default_factory=dict)
    images: dict[str, Any] = field(default_factory=dict)
    dated: list[str] = field(default_factory=list)

    def image(self, _repository: str, reference: str) -> Any:
        return self.images.get(reference)

    def layer(self, _repository: str, content: Path) -> str:
        digest = f"sha256:{len(self.layers)}"
        known = {text: name for name, text in self.layers.items()}
        digest = known.get(content.read_bytes(), digest)
        self.layers[digest] = content.read_bytes()
        return digest

    def extend(
        self,
        _repository: str,
        digest: str,
        layers: Sequence[Layer],
        *,
        tags: Sequence[str],
        labels: Mapping[str, str],
    ) -> str:
        made = f"{digest}+{'+'.join(one.digest for one in layers)}"
        for tag in tags:
            self.images[tag] = SimpleNamespace(digest=made, labels=labels)
        return made

    def tags(self, _repository: str) -> list[str]:
        return [*self.images, *self.dated]

    def digest(self, _repository: str, tag: str) -> str | None:
        return self.images[tag].digest if tag in self.images else f"of {tag}"

    def delete(self, _repository: str, digest: str) -> bool:
        self.dated = [tag for tag in self.dated if digest != f"of {tag}"]
        return True


def platform(toolbox: str = "sha256:t", packages: Any = None, **sources: str) -> Any:
    return SimpleNamespace(
        advisories=Advisories.model_validate({"sources": sources}),
        image=lambda name: f"r:5000/slipway/{name}@{toolbox}",
        registry=SimpleNamespace(address="r:5000"),
        packages=packages,
    )


def export(file: Path, *records: Any) -> str:
    with zipfile.ZipFile(file, "w") as archive:
        for number, record in enumerate(records):
            archive.writestr(f"{number}.json", json.dumps(record))
    return str(file)


@pytest.fixture
def registry() -> Any:
    return FakeRegistry()


def test_platform_without_a_source_scans_with_the_toolbox_and_asks_no_registry() -> None:
    def asked() -> Any:
        raise AssertionError

    assert advisories.scanner(platform(), asked) == "r:5000/slipway/toolbox-scan@sha256:t"


def test_export_is_a_layer_upon_the_toolbox_and_the_same_export_the_same_image(
    tmp_path: Path, registry: Any
) -> None:
    at = platform(npm=export(tmp_path / "all.zip", RECORD))
    assert advisories.scanner(at, lambda: registry) == at.image("toolbox-scan")  # never fetched
    done = advisories.renew(at, registry, SimpleNamespace())
    assert done.said == (f"npm: 1 advisories of 2026-11-26 ({tmp_path / 'all.zip'})",)
    first = advisories.scanner(at, lambda: registry)
    [content] = registry.layers.values()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as tar:
        assert tar.getnames() == [f"opt/slipway/advisories/npm.{end}" for end in ("json", "jsonl")]
    assert advisories.renew(at, registry, SimpleNamespace()).said[0].endswith("as before")
    assert advisories.scanner(at, lambda: registry) == first


def test_newer_toolbox_gets_the_advisories_that_there_are(tmp_path: Path, registry: Any) -> None:
    source = export(tmp_path / "all.zip", RECORD)
    advisories.renew(platform(npm=source), registry, SimpleNamespace())
    newer = advisories.scanner(platform("sha256:new", npm=source), lambda: registry)
    assert newer == "r:5000/slipway/toolbox-scan@sha256:new+sha256:0"


def test_source_that_cannot_be_had_leaves_what_was_there_and_keeps_no_other_from_being_renewed(
    tmp_path: Path, registry: Any
) -> None:
    good = export(tmp_path / "npm.zip", RECORD)
    advisories.renew(platform(npm=good), registry, SimpleNamespace())
    go = {**RECORD, "affected": [{"package": {"ecosystem": "Go", "name": "m"}, "ranges": []}]}
    at = platform(
        npm="/not/there.zip", Go=export(tmp_path / "go.zip", go), PyPI=export(tmp_path / "x.zip", go)
    )
    done = advisories.renew(at, registry, SimpleNamespace())
    assert [one.code for one in done.failed] == ["advisories.malformed", "advisories.file-unreadable"]
    assert sorted(advisories.known(at, registry)) == ["Go", "npm"]


def test_what_no_release_uses_any_more_is_removed(tmp_path: Path, registry: Any) -> None:
    registry.dated = ["advisories-2026-01-01-0123456789ab", "other"]
    advisories.renew(platform(npm=export(tmp_path / "npm.zip", RECORD)), registry, SimpleNamespace())
    assert registry.dated == ["other"]


@pytest.mark.parametrize(("text", "code"), [(b"no zip", "export-malformed"), (None, "source-refused")])
def test_server_that_gives_something_else_is_told_by_its_address(
    registry: Any, text: bytes | None, code: str
) -> None:
    with Served(text) as url:
        [error] = advisories.renew(platform(npm=url), registry, SimpleNamespace()).failed
    assert error.code == f"advisories.{code}"
    assert url in error.message


def test_export_is_taken_from_a_server(tmp_path: Path, registry: Any) -> None:
    with Served(Path(export(tmp_path / "all.zip", RECORD)).read_bytes()) as url:
        assert not advisories.renew(platform(npm=url), registry, SimpleNamespace()).failed
    [error] = advisories.renew(platform(npm=url), registry, SimpleNamespace()).failed
    assert error.code == "advisories.source-unreachable"


class Served:
    """An export's server on loopback; None: it has none."""

    def __init__(self, content: bytes | None) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/npm/all.zip"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Proxied:
    """An engine whose package client leaves some files below /out."""

    def __init__(self, files: Mapping[str, bytes], code: int = 0) -> None:
        self.files, self.code, self.left = files, code, list[str]()

    def wait_exit(self, _name: str, _timeout_s: float) -> int:
        return self.code

    def log_tail(self, _name: str) -> list[str]:
        return ["it says so"]

    def archive(self, _image: str, _volume: str, _target: str, _folder: str) -> Any:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, content in self.files.items():
                entry = tarfile.TarInfo(f"lists/{name}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        yield out.getvalue()

    def __getattr__(self, name: str) -> Any:
        return lambda one, *_a, **_k: self.left.append(f"{name} {one}")


PROXIES = SimpleNamespace(
    container="edge", hosts=(), go="http://go", debian_security="http://debian", environment=dict
)


def test_debians_security_archive_is_asked_where_the_proxies_alone_are(registry: Any) -> None:
    lists = {
        f"x_{suite}-security_{name}": text
        for suite, number in (("bookworm", 12), ("trixie", 13))
        for name, text in {
            "InRelease": f"Version: {number}\nDate: Wed, 25 Nov 2026 02:22:30 UTC\n".encode(),
            "main_binary-amd64_Packages": b"Package: a\nVersion: 1-1\n",
        }.items()
    }
    engine: Any = Proxied(lists)
    at = platform(packages=PROXIES, Debian="packages")
    assert advisories.renew(at, registry, engine).said == (
        "Debian: 2 advisories of 2026-11-25 (Debian's security archive)",
    )
    assert engine.left[-3:] == [
        f"remove_{one} slipway-advisories-debian" for one in ("container", "network", "volume")
    ]


def test_module_of_the_go_project_is_dated_by_its_version(registry: Any, tmp_path: Path) -> None:
    record = {
        "id": "GO-1",
        "modified": "0001-01-01T00:00:00Z",
        "affected": [{"package": {"ecosystem": "Go", "name": "m"}, "ranges": []}],
    }
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("golang.org/x/vulndb@v1/data/osv/GO-1.json", json.dumps(record))
        archive.writestr("golang.org/x/vulndb@v1/data/cve/CVE-1.json", "[]")
    info = json.dumps({"Version": "v1", "Time": "2026-11-05T23:49:57Z"}).encode()
    engine: Any = Proxied({"v1.info": info, "v1.zip": (tmp_path / "m.zip").read_bytes()})
    at = platform(packages=PROXIES, Go="packages")
    assert advisories.renew(at, registry, engine).said == (
        "Go: 1 advisories of 2026-11-05 (golang.org/x/vulndb v1)",
    )


def test_client_that_fails_and_proxies_that_are_not_there_are_told(registry: Any) -> None:
    engine: Any = Proxied({}, 100)
    [error] = advisories.renew(platform(packages=PROXIES, Debian="packages"), registry, engine).failed
    assert (error.code, list(error.lines)) == ("packages.client-failed", ["it says so"])
    [error] = advisories.renew(platform(Debian="packages"), registry, engine).failed
    assert error.code == "advisories.no-proxy"


def test_proxies_have_no_advisories_of_npm() -> None:
    with pytest.raises(ValueError, match="no advisories of npm"):
        platform(npm="packages")
