"""docs/architecture.md shows what is there: the layers that are held, the contracts beside them, the folders."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from slipway.release.states import Status

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/architecture.md").read_text()
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def section(title: str) -> str:
    found = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert found, title
    return found


def test_drawn_layers_are_those_of_the_contract_in_their_order() -> None:
    layers = [one.replace("slipway.", "").split(" | ") for one in CONTRACTS[0]["layers"]]
    rank = {module: level for level, modules in enumerate(layers) for module in modules}
    drawing = section("Layers").partition("```mermaid")[2].partition("```")[0]
    for module in rank:
        assert re.search(rf"\b{module}\b", drawing) or module == "unreachable", module
    for line in drawing.splitlines():
        if "-->" in line:
            above, below = (
                set(re.findall(r"\w+", re.sub(r'\[".*?"\]', "", part))) for part in line.split("-->")
            )
            for one in above & set(rank):
                assert all(rank[one] < rank[other] for other in below & set(rank)), line


def test_every_contract_is_explained() -> None:
    rows = [line for line in section("Layers").splitlines() if line.startswith("| ")]
    assert len(rows) - 1 == len(CONTRACTS) - 1, "the first contract is the drawing"


def test_every_way_in_which_a_release_ends_is_drawn() -> None:
    drawing = section("The life of a push")
    assert [one for one in Status if f"running --> {one}" not in drawing and one is not Status.RUNNING] == []


@pytest.mark.parametrize("folder", re.findall(r"^\| (`.*?) \|", section("Where things lie"), re.MULTILINE))
def test_folder_is_there(folder: str) -> None:
    assert all((ROOT / path).exists() for path in re.findall(r"`(.*?)`", folder)), folder


def test_every_module_that_is_named_is_there() -> None:
    named = set(re.findall(r"`([a-z_/]+\.py)`", TEXT))
    assert len(named) > 3
    assert [
        one
        for one in sorted(named)
        if not ((ROOT / one).exists() or (ROOT / "include/slipway" / one).exists())
    ] == []


def test_every_folder_of_the_checkout_has_its_line() -> None:
    named = {path.split("/")[0] for path in re.findall(r"`(.*?)`", section("Where things lie"))}
    there = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith((".", "_")) and path.name not in ("logs", "dist")
    }
    assert there - named == set()
