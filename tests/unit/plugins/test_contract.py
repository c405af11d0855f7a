"""The plugin only adapts: what it imports of Slipway is intake, ledger and adapters, and what its pages show.

import-linter knows packages alone, and the plugin's files are none.
"""

import ast
from pathlib import Path

PLUGINS = Path(__file__).parents[3] / "plugins"
ADAPTED = {"adapters", "catalog", "errors", "intake", "ledger", "release"}
"""Layers of which anything may be imported; of stages, the links that Airflow shows beside tasks."""


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
    return found


def test_plugins_import_nothing_of_slipway_but_what_they_adapt() -> None:
    modules = sorted(PLUGINS.glob("*.py"))
    assert modules
    for path in modules:
        for name in imported(path):
            layer = [*name.split("."), ""][1]
            if name.startswith("slipway.") and name != "slipway.stages.links":
                assert layer in ADAPTED, f"{path.name} imports {name}"
            assert name.split(".")[0] not in ("sqlalchemy", "subprocess", "psycopg2"), (
                f"{path.name} imports {name}"
            )
