"""No name, place, encoding or packing hides a file of the tree from a gate that is to see it.

Each gate runs once, over a tree with the same fault under every name that a scanner leaves out by itself.
"""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Link

Source = Callable[..., str]
FAILED, NOT_EVALUATED = 1, 3
FOLDERS = (
    *(".venv", ".env", "venv", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"),
    *("build", "dist", "_build", "buck-out", "site-packages", "dist-packages", "__pypackages__", "vendor"),
    *("vendor/github.com", "bower_components", ".tox", ".nox", ".eggs", "shop.egg", "shop-1.0.dist-info"),
    *(
        "lib/python3.11/site-packages",
        "venv/lib",
        ".svn",
        "CVS",
        ".hg",
        ".bzr",
        ".hidden",
        ".pants.d",
        ".direnv",
    ),
    *(
        "tests",
        "test",
        "examples",
        ".semgrep",
        ".semgrep_logs",
        ".vscode",
        ".ipynb_checkpoints",
        ".pyenv",
        "my-app",
    ),
)
PASSWORD = "Zk7qWm2rT9xLp" + "4Vb"
SECRET = f'URL = "postgresql://shop:{PASSWORD}@db.example.test/shop"\n'
FAULTY = f"import os\nimport sys\n\n{SECRET}\n\ndef run(command):\n    os.system(command)\n"
LINE = {"sast": 8, "secrets": 4, "lint": 2, "analyze": 7, "compile": 1}
IN_FOLDERS = {f"src/shop/{folder}/run.py": FAULTY for folder in FOLDERS}


def zipped(**files: str | bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


def tarred(**files: str | bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


CELLS = ["%matplotlib inline\n", "!ls\n", *FAULTY.splitlines(keepends=True)]
NOTEBOOK = json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": CELLS}]})


def by_line(ended: Any, gate: str) -> set[tuple[str, int]]:
    assert ended.code == FAILED, ended.said
    return {(one["path"], one["line"]) for one in json.loads(ended.reports["findings.json"])["findings"]}


def test_sast_sees_python_wherever_it_lies_and_whatever_it_is_called(engine: Any, source: Source) -> None:
    planted = {
        **IN_FOLDERS,
        "src/shop/a.pyw": FAULTY,
        "src/shop/a.pyi": FAULTY,
        "bin/start": "#!/usr/bin/env python3\n" + FAULTY,
        "bin/nothing-says-so": FAULTY,
        "src/shop/data.txt": "x = 1\n" + FAULTY,
        "src/shop/blob": "eval(input())\n",
        "src/shop/linked.py": Link("blob"),
        "src/shop/latin.py": b"# coding: latin-1\n"
        + FAULTY.encode()
        + "NAME = 'J\u00f8rn'\n".encode("latin-1"),
        "src/shop/returns.py": "# a comment\r" + FAULTY.replace("\n", "\r"),
        "src/shop/large.py": FAULTY + "# much\n" * 300_000,
        "src/shop/work.ipynb": NOTEBOOK,
        "src/shop/ignored.py": "# nosemgrep\n# type: ignore\n" + FAULTY,
        "data/one.bin": zipped(**{"x/one.py": FAULTY}),
        "data/two.tar.xz": tarred(**{"two.py": FAULTY, "deep.dat": zipped(three=FAULTY)}),
        ".semgrepignore": "*\n",
        ".gitignore": "*\n",
        "pyproject.toml": '[tool.bandit]\nexclude_dirs = ["src"]\n',
    }
    ended = engine.run("toolbox-scan", "/opt/slipway/bin/sast", source=source(planted))
    found = by_line(ended, "sast")
    at = dict.fromkeys(planted, 8)
    at |= {"bin/start": 9, "src/shop/data.txt": 9, "src/shop/blob": 1, "src/shop/latin.py": 9}
    at |= {"src/shop/returns.py": 9, "src/shop/ignored.py": 10, "src/shop/work.ipynb": 10}
    at |= {"data/one.bin!x/one.py": 8, "data/two.tar.xz!two.py": 8, "data/two.tar.xz!deep.dat!three": 8}
    wanted = {
        (name, line)
        for name, line in at.items()
        if name
        not in (".semgrepignore", ".gitignore", "pyproject.toml", "src/shop/linked.py", "data/one.bin")
        and name != "data/two.tar.xz"
    }
    assert wanted <= found, sorted(wanted - found)


def test_sast_names_what_no_scanner_reads(engine: Any, source: Source) -> None:
    planted = {
        "src/shop/hidden.pyc": b"\xa7\r\r\n" + b"\0" * 12,
        "src/shop/fast.so": b"\x7fELF\x02\x01",
        "bin/tool": b"\x7fELF\x02\x01",
        "src/shop/nul.py": b"x = 1\0\nimport os\n",
        "src/shop/bad.py": "def f(:\n",
        "src/shop/seven.py": "# coding: utf-7\n+AGkAbQBwAG8AcgB0- os\n",
        "src/shop/escaped.py": "# coding: unicode_escape\n# \\nimport os\n",
        "src/shop/deep.py": "x = " + "(" * 5000 + ")" * 5000 + "\n",
        "data/new.zst": b"\x28\xb5\x2f\xfd\0\0",
        "data/lib.whl": zipped(**{"lib/core.so": b"\x7fELF"}),
    }
    ended = engine.run("toolbox-scan", "/opt/slipway/bin/sast", source=source(planted))
    names = {path for path, _ in by_line(ended, "sast")}
    assert names == {*planted, "data/lib.whl!lib/core.so"} - {"data/lib.whl"}


def test_secrets_are_found_wherever_they_lie_and_whatever_they_lie_in(engine: Any, source: Source) -> None:
    plain = (
        *(
            "poetry.lock",
            "Pipfile.lock",
            "package-lock.json",
            "yarn.lock",
            "pnpm-lock.yaml",
            "go.sum",
            "go.mod",
        ),
        *(
            "gitleaks.toml",
            "a.svg",
            "a.pdf",
            "a.png",
            "a.jpg",
            "a.woff2",
            "a.bin",
            "a.docx",
            "a.exe",
            "a.gem",
            "a.dll",
        ),
        *(
            "gradlew",
            "mvnw",
            "jquery.min.js",
            "javascript.json",
            "verification-metadata.xml",
            "a.gltf",
            "a.v2",
            "x.zip",
        ),
        *("vendor/modules.txt", "Database.refactorlog", "src/.hidden", "a.tar.gz", "a.7z", "a.gz"),
    )
    long = "x" * 99_960 + " " + SECRET.strip() + "y" * 200_000
    planted: dict[str, str | bytes] = {
        **IN_FOLDERS,
        **{f"config/{name}": SECRET for name in plain},
        "config/utf16.txt": b"\xff\xfe" + SECRET.encode("utf-16-le"),
        "config/utf16be.txt": ("\n\n" + SECRET).encode("utf-16-be"),
        "config/bom.txt": b"\xef\xbb\xbf" + SECRET.encode(),
        "config/mz.py": "MZ = 1\n" + SECRET,
        "config/pdf.py": "%PDF-1.7\n" + SECRET,
        "config/ustar": " " * 256 + "ustar\0" + SECRET,
        "config/returns": "a\r" + SECRET,
        "config/compiled.so": b"\x7fELF\x02\x01\0\0" + b"\0name\0" + SECRET.encode() + b"\0",
        "config/long.js": long,
        "config/lines.txt": "a line\n" * 60_000 + SECRET,
        "config/inner.dat": zipped(**{"deep.dat": tarred(**{"node_modules/x.svg": SECRET})}),
        "config/one.dat": gzip.compress(SECRET.encode()),
        "config/report.xlsx": zipped(**{"xl/shared.xml": f"<t>{SECRET}</t>"}),
        ".gitleaksignore": "config/a.svg:slipway-connection-url-password:1\n",
    }
    ended = engine.run("toolbox-scan", "/opt/slipway/bin/secrets", source=source(planted))
    found = by_line(ended, "secrets")
    wanted = {(name, 4) for name in IN_FOLDERS} | {(f"config/{name}", 1) for name in plain}
    wanted |= {("config/utf16.txt", 1), ("config/bom.txt", 1), ("config/mz.py", 2), ("config/pdf.py", 2)}
    wanted |= {("config/lines.txt", 60_001), ("config/long.js", 1)}
    wanted |= {("config/inner.dat!deep.dat!node_modules/x.svg", 1), ("config/one.dat!one", 1)}
    wanted |= {("config/report.xlsx!xl/shared.xml", 1)}
    assert wanted <= found, sorted(wanted - found)
    names = {path for path, _ in found}
    assert {"config/utf16be.txt", "config/ustar", "config/returns", "config/compiled.so"} <= names
    assert PASSWORD not in ended.said
    assert not any(PASSWORD.encode() in report for report in ended.reports.values())


def test_lint_and_compile_and_types_see_every_module(engine: Any, source: Source, deps: str) -> None:
    planted = {
        **IN_FOLDERS,
        "src/shop/shadowed.py": FAULTY,
        "src/shop/shadowed.pyi": "def run(command: str) -> None: ...\n",
        "src/shop/script": "#!/usr/bin/env python3\n" + FAULTY,
        "pyproject.toml": '[tool.ruff]\nexclude = ["src"]\n[tool.mypy]\nexclude = "."\nignore_errors = true\n',
        ".gitignore": "*\n",
    }
    tree = source(planted)
    shown = {"src/shop/shadowed.py", "src/shop/script", *IN_FOLDERS}
    for gate, rule in (("lint", "F401"), ("analyze", "no-untyped-def")):
        ended = engine.run("toolbox-python", f"/opt/slipway/bin/{gate}", source=tree, deps=deps)
        assert ended.code == FAILED, ended.said
        report = json.loads(ended.reports["findings.json"])["findings"]
        found = {one["path"] for one in report if one["rule"] == rule}
        assert shown <= found, (gate, sorted(shown - found))
    broken = source(dict.fromkeys(shown, "def f(:\n") | {"src/shop/script": "#!/usr/bin/python3\ndef f(:\n"})
    ended = engine.run("toolbox-python", "/opt/slipway/bin/compile", source=broken, deps=deps)
    assert {path for path, _ in by_line(ended, "compile")} == shown


GITLEAKS = Path(__file__).parents[3] / "toolboxes/toolbox-scan/policy/gitleaks.toml"
SHORT_SEMGREP = """#!/opt/toolbox/bin/python -I
import sys
from semgrep.console_scripts.entrypoint import main
del sys.argv[-1]
sys.exit(main())
"""
LOOKS_AT_FEWER = {
    "semgrep": ("toolbox-scan", "sast", "/opt/toolbox/bin/semgrep", SHORT_SEMGREP),
    "bandit": ("toolbox-scan", "sast", "/opt/slipway/policy/bandit.ini", "[bandit]\nexclude = 000001.py\n"),
    "gitleaks": (
        "toolbox-scan",
        "secrets",
        "/opt/slipway/policy/gitleaks.toml",
        GITLEAKS.read_text() + '[allowlist]\npaths = ["000001"]\n',
    ),
    "ruff": (
        "toolbox-python",
        "lint",
        "/opt/slipway/ruff.toml",
        'exclude = ["node_modules"]\nforce-exclude = true\n',
    ),
}


@pytest.mark.parametrize("tool", sorted(LOOKS_AT_FEWER))
def test_scanner_that_looks_at_fewer_files_than_the_tree_has_is_no_verdict(
    engine: Any, source: Source, tool: str, tmp_path: Path
) -> None:
    image, gate, path, content = LOOKS_AT_FEWER[tool]
    changed = tmp_path / Path(path).name
    changed.write_text(content)
    changed.chmod(0o755)
    tmp_path.chmod(0o755)
    ended = engine.run(
        image,
        f"/opt/slipway/bin/{gate}",
        source=source({"src/sound/node_modules/__init__.py": '"""Fine."""\n'}),
        options=["-v", f"{changed}:{path}:ro"],
    )
    assert ended.code == NOT_EVALUATED, ended.said
    assert f"NOT EVALUATED {gate}: {tool} did not look at " in ended.said
