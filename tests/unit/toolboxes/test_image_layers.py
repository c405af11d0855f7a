"""What is seen of a built image: every file of the service's own layers, and the packages as they are in the end."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import gate
import image_layers
import pytest

from image_layout import diff_id, layout

SITE = "usr/local/lib/python3.11/site-packages"
REQUESTS = {
    f"{SITE}/requests-2.0.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: Requests\nVersion: 2.0.0\n\nx"
}
STATUS = b"Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nVersion: 2\n"


def read(
    folder: Path, *layers: Mapping[str, bytes | int], bases: frozenset[str] = frozenset(), **said: Any
) -> tuple[image_layers.Image, dict[str, bytes]]:
    for name, content in layout(*layers, **said).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    seen: dict[str, bytes] = {}

    def see(name: str, content: BinaryIO) -> None:
        seen[name] = content.read()

    return image_layers.read(folder / "image", bases, see), seen


def test_what_a_later_layer_removes_is_seen_and_its_packages_are_not_there(tmp_path: Path) -> None:
    image, seen = read(
        tmp_path,
        {"app/.env": b"KEY=1", **REQUESTS},
        {"app/.wh..env": b"", f"{SITE}/.wh.requests-2.0.0.dist-info": b""},
    )
    assert seen["app/.env (layer 1)"] == b"KEY=1"
    assert list(image.python()) == []
    assert image.layers == 2


def test_layers_of_bases_are_looked_at_for_their_packages_alone(tmp_path: Path) -> None:
    base = {"etc/key": b"the base's", "bin/su": 0o4755, "var/lib/dpkg/status": STATUS, **REQUESTS}
    own = {"app/key": b"ours", "app/run": 0o2755, "app/node_modules/@a/b/package.json": b"{}"}
    image, seen = read(tmp_path, base, own, bases=frozenset({diff_id(base)}), user="0")
    assert {name for name in seen if "package.json" not in name} == {"app/key (layer 2)", "app/run (layer 2)"}
    assert image.raised == [("app/run", "setgid")]
    assert [one[:2] for one in image.python()] == [("requests", "2.0.0")]
    assert [(one.name, one.below) for one in image.debian()] == [("a", True), ("b", True)]
    assert image.user == "0"


def test_what_packages_bring_is_left_out_byte_for_byte(tmp_path: Path) -> None:
    tool, module = b"a tool", b"a module"
    sha256 = base64.urlsafe_b64encode(hashlib.sha256(module).digest()).rstrip(b"=")
    lists = {
        "var/lib/dpkg/info/tool.md5sums": hashlib.md5(tool, usedforsecurity=False).hexdigest().encode()
        + b"  usr/bin/tool\n",
        "var/lib/dpkg/info/py.list": f"/{SITE}\n/{next(iter(REQUESTS))}\n".encode(),
        f"{SITE}/a-1.dist-info/RECORD": b"a.py,sha256=" + sha256 + b",8\na-1.dist-info/RECORD,,\n",
    }
    image, seen = read(
        tmp_path,
        {"usr/bin/tool": tool, f"{SITE}/a.py": module, "app/a.py": module + b"!", **lists, **REQUESTS},
    )
    assert "app/a.py (layer 1)" in seen
    assert not {f"{SITE}/a.py (layer 1)", "usr/bin/tool (layer 1)"} & set(seen)
    assert list(image.python()) == []  # Debian's


def test_image_that_is_not_whole_is_no_verdict(tmp_path: Path) -> None:
    read(tmp_path, {"a": b"1"})
    index = tmp_path / "image/index.json"
    for broken in (b"no JSON", b'{"manifests": [{"digest": "../x"}]}'):
        index.write_bytes(broken)
        with pytest.raises(gate.CannotEvaluate):
            image_layers.read(tmp_path / "image", frozenset(), lambda _name, _content: None)
    with pytest.raises(gate.CannotEvaluate, match="none of PEP 440"):
        list(read(tmp_path / "x", {f"{SITE}/a.dist-info/METADATA": b"Name: a\nVersion: one\n\n"})[0].python())
