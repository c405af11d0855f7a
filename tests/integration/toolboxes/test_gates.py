"""The planted-fault matrix.

Each gate passes what is sound (0), fails what is planted (1), and never passes what it cannot see (3).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # noqa: ICN001

import pytest

from image_layout import diff_id, layout

EXAMPLE = Path(__file__).parents[3] / "examples/ai-generation"
PASSED, FAILED, NOT_EVALUATED = 0, 1, 3
Source = Callable[..., str]
UNHASHED = f"certifi==2024.7.4 --hash=sha256:{'a' * 64}\nrequests==2.32.0\n"
VULNERABLE = f"pyyaml==5.3 \\\n    --hash=sha256:{'a' * 64}\n"
ZEROS = "certifi==2024.07.04 --hash=sha256:c198e21b1289c2ab85ee4e67bb4b4ef3ead0892059901a8d5b622f24a1101e90\n"
NOTHING = "# a service that needs the standard library only\n"
OLD_DATA = ("-e", "SLIPWAY_ADVISORIES_MAX_AGE_DAYS=36500")


def gone(path: str) -> tuple[str, ...]:
    """Options that take a tool or a file out of the toolbox."""
    return ("-v", f"/dev/null:{path}:ro")


@dataclass(frozen=True)
class Case:
    """What is planted, and what the gate must say to it."""

    gate: str
    what: str
    code: int
    planted: dict[str, str | bytes] = field(default_factory=dict)
    says: Sequence[str] = ()
    options: Sequence[str] = ()
    deps: bool = False
    arguments: Sequence[str] = ()
    hides: Sequence[str] = ()
    name: str = ""  # by which its verdict is told, if not its own


PYTHON = [
    Case("compile", "sound", PASSED, deps=True),
    Case(
        "compile",
        "syntax error",
        FAILED,
        {"src/sound/bad.py": "def f(:\n"},
        ["src/sound/bad.py:1: syntax"],
        deps=True,
    ),
    Case("compile", "no dependencies", NOT_EVALUATED, says=["/deps/venv is missing"]),
    Case("lint", "sound", PASSED),
    Case(
        "lint",
        "unused import and format, with a configuration that allows both",
        FAILED,
        {
            "src/sound/bad.py": "import os\nx = {  'a':1 }\n",
            "ruff.toml": "exclude = ['src']\n",
            ".gitignore": "src\n",
        },
        ["src/sound/bad.py:1: F401", "src/sound/bad.py: format"],
    ),
    Case(
        "lint",
        "ruff gone",
        NOT_EVALUATED,
        options=gone("/opt/toolbox/bin/ruff"),
        says=["ruff cannot be started"],
    ),
    Case("analyze", "sound", PASSED, deps=True),
    Case(
        "analyze",
        "wrong and missing types, with a configuration that allows both",
        FAILED,
        {
            "src/sound/bad.py": 'from sound.sums import add\n\n\ndef f(x):\n    return add("1", x)\n',
            "mypy.ini": "[mypy]\nignore_errors = True\n",
        },
        ["src/sound/bad.py:4: no-untyped-def", "src/sound/bad.py:5: arg-type"],
        deps=True,
    ),
    Case(
        "analyze",
        "mypy gone",
        NOT_EVALUATED,
        options=gone("/opt/toolbox/bin/mypy"),
        says=["mypy cannot be started"],
        deps=True,
    ),
    Case("unit", "sound", PASSED, says=["1 tests of tests/unit"], deps=True),
    Case(
        "unit",
        "a failing test",
        FAILED,
        {
            "tests/unit/test_bad.py": (
                "from sound.sums import add\n\n\ndef test_bad() -> None:\n    assert add(1, 1) == 3\n"
            )
        },
        ["tests/unit/test_bad.py:5: ", "test_bad", "assert 2 == 3"],
        deps=True,
    ),
    Case("unit", "no test", FAILED, {"tests/unit/test_sums.py": "x = 1\n"}, ["no test ran"], deps=True),
    Case(
        "unit",
        "a test that cannot be imported",
        FAILED,
        {"tests/unit/test_bad.py": "import nothing_of_that_name\n"},
        ["ModuleNotFound"],
        deps=True,
    ),
    Case(
        "unit",
        "a test that ends pytest well",
        FAILED,
        {"tests/unit/test_bad.py": "import os\nos._exit(0)\n"},
        ["no report"],
        deps=True,
    ),
    Case("unit", "no dependencies", NOT_EVALUATED, says=["/deps/venv is missing"]),
    Case("integration", "sound", PASSED, deps=True),
    Case(
        "integration",
        "no folder",
        FAILED,
        {"tests/integration/test_nothing.py": ""},
        ["tests/integration is missing"],
        deps=True,
    ),
    Case(
        "unit",
        "options that write beside the sources, a package that asks for its version, by its backend",
        PASSED,
        {
            "pyproject.toml": (
                '[project]\nname = "sound"\ndynamic = ["version"]\n'
                '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
                '[tool.hatch.version]\npath = "src/sound/__init__.py"\n'
                '[tool.pytest.ini_options]\nlog_file = "tests.log"\naddopts = "--last-failed"\n'
            ),
            "src/sound/__init__.py": '"""A sound service."""\n\n__version__ = "3.1"\n',
            "tests/unit/test_writes.py": (
                "from importlib.metadata import version\nfrom pathlib import Path\n\n\n"
                'def test_version() -> None:\n    Path("written").write_text("")\n    assert version("sound") == "3.1"\n'
            ),
        },
        ["2 tests of tests/unit"],
        deps=True,
    ),
    Case(
        "command",
        "an exit code",
        PASSED,
        says=["PASSED lint: `ruff check src --ignore F401,I001`"],
        planted={"src/sound/bad.py": "import os\nx = {  'a':1 }\n"},
        arguments=("lint", "--", "ruff", "check", "src", "--ignore", "F401,I001"),
        deps=True,
        name="lint",
    ),
    Case(
        "command",
        "the project's own configuration, in a folder",
        FAILED,
        {"app/main.py": "def f():\n    l = 1\n    return l\n", "app/ruff.toml": "lint.select = ['E741']\n"},
        ["E741", "FAILED lint: 1 finding in `ruff check .`", "app: exit-code: `ruff check .` ended with 1"],
        arguments=("lint", "--folder", "app", "--", "ruff", "check", "."),
        deps=True,
        name="lint",
    ),
    Case(
        "command",
        "JUnit",
        PASSED,
        {
            "tests/test_flat.py": "import sound.sums\n\n\ndef test() -> None:\n    assert sound.sums.add(1, 1) == 2\n"
        },
        ["PASSED unit: 1 tests of `pytest -q tests/test_flat.py --junit-xml=junit.xml`"],
        arguments=(
            *("unit", "--report", "junit.xml", "--"),
            *("pytest", "-q", "tests/test_flat.py", "--junit-xml=junit.xml"),
        ),
        deps=True,
        name="unit",
    ),
    Case(
        "command",
        "SARIF of a command that ends well",
        FAILED,
        {"src/sound/bad.py": "import os\n"},
        ["FAILED lint: 1 finding in", "F401"],
        arguments=(
            *("lint", "--report", "ruff.sarif", "--", "ruff", "check", "src", "--exit-zero"),
            *("--output-format", "sarif", "--output-file", "ruff.sarif"),
        ),
        deps=True,
        name="lint",
    ),
    Case(
        "command",
        "a report that is not written",
        FAILED,
        says=["FAILED unit: the command left no report at junit.xml"],
        arguments=("unit", "--report", "junit.xml", "--", "true"),
        deps=True,
        name="unit",
    ),
    Case(
        "command",
        "a program that is not there",
        FAILED,
        says=["`gradle` cannot be started"],
        arguments=("unit", "--", "gradle", "test"),
        deps=True,
        name="unit",
    ),
    Case(
        "command",
        "a command that writes to what other gates look at",
        FAILED,
        says=["ended with 1"],
        arguments=("unit", "--", "sh", "-c", "rm -rf /workspace/src/tests && echo x > /workspace/src/x"),
        deps=True,
        name="unit",
    ),
    Case(
        "fetch-dependencies",
        "a pin without hash",
        FAILED,
        {"requirements.txt": UNHASHED},
        ["requirements.txt:2: lock-hash", "requests==2.32.0"],
        arguments=["requirements.txt", "requirements.txt"],
    ),
    Case(
        "fetch-dependencies",
        "another index",
        FAILED,
        {"requirements.txt": "--index-url https://packages.example/simple\n" + VULNERABLE},
        ["requirements.txt:1: lock-option"],
        arguments=["requirements.txt", "requirements.txt"],
    ),
    Case(
        "fetch-dependencies",
        "no lock",
        FAILED,
        {"requirements.txt": ""},
        ["requirements.txt is missing"],
        arguments=["requirements.txt", "requirements.txt"],
    ),
]

SILENCED_SAST = {
    "src/sound/bad.py": """import hashlib, os, pickle, random, sqlite3, subprocess, tarfile, tempfile
import requests, yaml


def bad(cursor: sqlite3.Cursor, name: str) -> None:
    cursor.execute(f"SELECT * FROM t WHERE name = '{name}'")  # nosec nosem
    query = "DELETE FROM t WHERE name = '%s'" % name
    cursor.execute(query)  # nosemgrep
    subprocess.run(name, shell=True)  # nosec
    os.system("rm " + name)  # nosec
    eval(name)  # nosec
    pickle.loads(name.encode())  # nosec
    yaml.load(name, Loader=yaml.Loader)  # nosec
    requests.get(name, verify=False)  # nosec
    hashlib.md5(name.encode())  # nosec
    token = str(random.random())  # nosem
    tempfile.mktemp()  # nosec
    tarfile.open(name).extractall("/srv")  # nosec
    app.run(debug=True)  # nosec
""",
    ".semgrepignore": "*\n",
    ".bandit": "[bandit]\nexclude = /src\nskips = B602,B301\n",
    ".gitignore": "*\n",
}
ORDINARY = {
    "src/sound/ordinary.py": """import random
import shutil

import uvicorn


def main() -> None:
    uvicorn.run("sound.app:create_app", factory=True, host="0.0.0.0", port=8000)


def install(base: str, target: str) -> None:
    shutil.copy(f"{base}/settings.toml", target)


def sample(max_tokens: int) -> int:
    token_count = random.randint(1, max_tokens)
    return token_count


async def load(client, user: int):
    return await client.fetch(f"/users/{user}")


def submit(executor, pool_of_threads, job: int):
    return executor.execute(f"job {job}")
"""
}
SQL = {
    "src/sound/sql.py": """def sql(connection, client, user, session, runner, text):
    connection.fetch(f"select {user}")
    client.fetch(f"SELECT * FROM users WHERE id = {user}")
    session.scalars(text(f"{user} x"))
    runner.execute(f"{user} where x = {user}")
    runner.execute("select " + user)
    runner.execute("UPDATE t set x = {}".format(user))
    query = f"select {user}"
    runner.execute(query)
    runner.execute(text("select %s" % user))
"""
}
KEY = "AKIA" + "Q3EGTRYPLM4KD7XW"  # in two parts: this file is scanned, too
TOKEN = "ghp_" + "x7Qm2Rt9Kc4Vb8Nw3Zp6Ls1Dh5Jf0Gy7Ta2E"
SILENCED_SECRETS = {
    "src/sound/keys.py": f'AWS = "{KEY}"  # gitleaks:allow\nTOKEN = "{TOKEN}"\n',
    "config/production.env": "DATABASE_URL=postgresql://service:"
    + "kq8Zr2mVx7"
    + "@db.example.net/service\n",
    ".gitleaksignore": "src/sound/keys.py:aws-access-token:1\nsrc/sound/keys.py:github-pat:2\n",
    ".gitleaks.toml": 'title = "none"\n[allowlist]\npaths = [".*"]\n',
}
OTHER_LANGUAGES = {
    "web/bad.ts": """import { exec } from "node:child_process";
import { createHash } from "node:crypto";
import type { Pool } from "pg";
export async function a(pool: Pool, req: any, res: any): Promise<void> {
  await pool.query(`SELECT * FROM notes WHERE id = ${req.params.id}`);
  await pool.query("SELECT * FROM notes WHERE id = " + req.params.id);
  const q = `DELETE FROM notes WHERE id = ${req.params.id}`;
  await pool.query(q);
  exec(`ls ${req.query.dir}`);
  eval(req.body.code);
  const token = Math.random().toString(36);
  createHash("md5").update(token);
  const agent = new Agent({ rejectUnauthorized: false });
  res.send(`<p>${req.query.name}</p>`);
  await fetch(req.query.url);
  fs.readFile(req.query.path, () => {});
  logger.info(`select one of ${req.params.id}`);
  await pool.query("SELECT 1 FROM notes WHERE id = $1", [req.params.id]);
}
""",
    "tool/bad.go": """package bad

import (
	"crypto/md5"
	"crypto/tls"
	"database/sql"
	"fmt"
	"math/rand"
	"net/http"
	"os"
	"os/exec"
)

func a(db *sql.DB, w http.ResponseWriter, r *http.Request) {
	db.Query(fmt.Sprintf("SELECT * FROM t WHERE id = %s", r.FormValue("id")))
	db.Query("SELECT * FROM t WHERE id = " + r.FormValue("id"))
	q := fmt.Sprintf("DELETE FROM t WHERE id = %s", r.FormValue("id"))
	db.Exec(q)
	db.QueryContext(r.Context(), fmt.Sprintf("SELECT a FROM t WHERE id = %s", r.FormValue("id")))
	exec.Command("sh", "-c", r.FormValue("c")).Run()
	_ = &tls.Config{InsecureSkipVerify: true}
	md5.New()
	token := rand.Int63()
	_ = token
	fmt.Fprintf(w, "<p>%s</p>", r.FormValue("n"))
	os.Open(r.URL.Query().Get("p"))
	http.Get(r.FormValue("u"))
	db.Query("SELECT * FROM t WHERE id = $1", r.FormValue("id"))
	exec.Command("sh", "-c", "ls").Run()
}
""",
    "web/broken.ts": "const a = (((;\nfunction { x \n",
    "shop/Bad.java": """package shop;

import java.io.*;
import java.security.MessageDigest;
import java.sql.*;
import java.util.Random;
import javax.servlet.http.*;

class Bad extends HttpServlet {
    protected void doGet(HttpServletRequest r, HttpServletResponse a) throws Exception {
        Statement s = db.createStatement();
        s.executeQuery("SELECT * FROM t WHERE id = " + r.getParameter("id"));
        s.executeUpdate(String.format("DELETE FROM t WHERE id = %s", r.getParameter("id")));
        String q = "SELECT * FROM t WHERE id = '" + r.getParameter("id") + "'";
        s.executeQuery(q);
        new ProcessBuilder("sh", "-c", r.getParameter("c")).start();
        Object o = new ObjectInputStream(r.getInputStream()).readObject();
        MessageDigest.getInstance("MD5");
        String token = "t" + new Random().nextLong();
        new File("/data", r.getParameter("name"));
        a.getWriter().println("<p>" + r.getParameter("n"));
        engine.eval(r.getParameter("code"));
        client.setHostnameVerifier((host, session) -> true);
        db.prepareStatement("SELECT * FROM t WHERE id = ?");
        new ProcessBuilder("sh", "-c", "ls").start();
    }
}
""",
    "A.kt": "class A\n",
}
LOCK = ["requirements.txt"]
SCAN = [
    Case("sast", "sound", PASSED, says=["semgrep and bandit"]),
    Case("sast", "ordinary code that resembles faults", PASSED, ORDINARY),
    Case(
        "sast",
        "SQL of strings, whoever runs it",
        FAILED,
        SQL,
        [f"src/sound/sql.py:{line}: semgrep.sql-from-string" for line in (2, 3, 4, 5, 6, 7, 9, 10)],
    ),
    Case(
        "sast",
        "fifteen faults, each silenced in the repository's own ways",
        FAILED,
        SILENCED_SAST,
        [
            f"src/sound/bad.py:{line}: {rule}"
            for line, rule in (
                (6, "semgrep.sql-from-string"),
                (8, "semgrep.sql-from-string"),
                (9, "semgrep.shell-command"),
                (9, "bandit.B602"),
                (10, "semgrep.shell-command"),
                (11, "semgrep.dynamic-code"),
                (12, "semgrep.unsafe-deserialization"),
                (12, "bandit.B301"),
                (13, "semgrep.unsafe-yaml"),
                (13, "bandit.B506"),
                (14, "semgrep.tls-not-verified"),
                (15, "semgrep.weak-hash"),
                (16, "semgrep.weak-random"),
                (17, "semgrep.predictable-temporary-file"),
                (18, "semgrep.unsafe-archive"),
                (19, "semgrep.debug-server"),
            )
        ],
    ),
    Case(
        "sast",
        "faults in TypeScript, Go and Java, and what no scanner reads",
        FAILED,
        OTHER_LANGUAGES,
        [
            "A.kt: no-scanner",
            *(
                f"shop/Bad.java:{line}: semgrep.java-{rule}"
                for line, rule in (
                    *((line, "sql-from-string") for line in (12, 13, 15)),
                    (16, "shell-command"),
                    (17, "deserialized"),
                    (18, "weak-hash"),
                    (19, "weak-secret"),
                    (20, "path-from-input"),
                    (21, "answer-with-input"),
                    (22, "code-from-input"),
                    (23, "tls-not-verified"),
                )
            ),
            "web/broken.ts: unread-code",
            *(
                f"tool/bad.go:{line}: semgrep.go-{rule}"
                for line, rule in (
                    *((line, "sql-from-string") for line in (15, 16, 18, 19)),
                    (20, "shell-command"),
                    (21, "tls-not-verified"),
                    (22, "weak-hash"),
                    (23, "weak-secret"),
                    (25, "answer-with-input"),
                    (26, "path-from-input"),
                    (27, "address-from-input"),
                )
            ),
            *(
                f"web/bad.ts:{line}: semgrep.js-{rule}"
                for line, rule in (
                    *((line, "sql-from-string") for line in (5, 6, 8)),
                    (9, "shell-command"),
                    (10, "dynamic-code"),
                    (11, "weak-secret"),
                    (12, "weak-hash"),
                    (13, "tls-not-verified"),
                    (14, "answer-with-input"),
                    (15, "address-from-input"),
                    (16, "path-from-input"),
                )
            ),
        ],
        hides=["bad.ts:17", "bad.ts:18", "bad.go:28", "bad.go:29", "Bad.java:24", "Bad.java:25"],
    ),
    Case(
        "sast",
        "rules broken",
        NOT_EVALUATED,
        says=["semgrep did not look at src/sound/__init__.py"],
        options=gone("/opt/slipway/policy/semgrep/python.yaml"),
    ),
    Case(
        "sast",
        "bandit gone",
        NOT_EVALUATED,
        says=["bandit cannot be started"],
        options=gone("/opt/toolbox/bin/bandit"),
    ),
    Case("secrets", "sound", PASSED),
    Case(
        "secrets",
        "keys, each silenced in the repository's own ways",
        FAILED,
        SILENCED_SECRETS,
        [
            "src/sound/keys.py:1: aws-access-token",
            "src/sound/keys.py:2: github-pat",
            "config/production.env:1: slipway-connection-url-password",
        ],
        hides=[KEY, TOKEN, "kq8Zr2mVx7"],
    ),
    Case(
        "secrets",
        "gitleaks gone",
        NOT_EVALUATED,
        says=["gitleaks cannot be started"],
        options=gone("/opt/toolbox/bin/gitleaks"),
    ),
    Case(
        "secrets",
        "rules gone",
        NOT_EVALUATED,
        options=gone("/opt/slipway/policy/gitleaks.toml"),
        says=["gitleaks.toml is missing"],
    ),
    Case(
        "dependencies",
        "sound",
        PASSED,
        says=["1 packages of requirements.txt", "advisories of 2026-"],
        arguments=LOCK,
        options=OLD_DATA,
    ),
    Case(
        "dependencies",
        "a vulnerable pin",
        FAILED,
        {"requirements.txt": VULNERABLE},
        ["requirements.txt:1: ", "CVE-2020-14343", "pyyaml 5.3", "update to 5.4"],
        arguments=LOCK,
        options=OLD_DATA,
    ),
    Case(
        "dependencies",
        "a pin without hash",
        FAILED,
        {"requirements.txt": UNHASHED},
        ["lock-hash"],
        arguments=LOCK,
        options=OLD_DATA,
    ),
    Case(
        "dependencies",
        "stale data",
        NOT_EVALUATED,
        says=["the advisories are stale"],
        arguments=LOCK,
        options=("-e", "SLIPWAY_ADVISORIES_MAX_AGE_DAYS=1"),
    ),
    Case(
        "dependencies",
        "data changed",
        NOT_EVALUATED,
        says=["not those that metadata.json describes"],
        arguments=LOCK,
        options=(*OLD_DATA, *gone("/opt/slipway/advisories/pypi.jsonl")),
    ),
    Case(
        "dependencies",
        "data gone",
        NOT_EVALUATED,
        says=["missing or broken"],
        arguments=LOCK,
        options=("--tmpfs", "/opt/slipway/advisories", *OLD_DATA),
    ),
    Case(
        "dependencies",
        "pip-audit gone",
        NOT_EVALUATED,
        says=["pip-audit cannot be started"],
        arguments=LOCK,
        options=(*OLD_DATA, *gone("/opt/toolbox/bin/pip-audit")),
    ),
    Case(
        "dependencies",
        "a version with zeros that the index has without",
        PASSED,
        {"requirements.txt": ZEROS},
        ["1 packages of requirements.txt"],
        arguments=LOCK,
        options=OLD_DATA,
    ),
    Case(
        "dependencies",
        "a vulnerable pin in UTF-16",
        FAILED,
        {"requirements.txt": VULNERABLE.encode("utf-16")},
        ["requirements.txt:1: ", "CVE-2020-14343"],
        arguments=LOCK,
        options=OLD_DATA,
    ),
    Case(
        "dependencies",
        "no package",
        PASSED,
        {"requirements.txt": NOTHING},
        ["0 packages of requirements.txt"],
        arguments=LOCK,
        options=OLD_DATA,
    ),
    Case("sbom", "no package", PASSED, {"requirements.txt": NOTHING}, ["0 packages"], arguments=LOCK),
    Case(
        "sbom", "UTF-16", PASSED, {"requirements.txt": ZEROS.encode("utf-16")}, ["1 packages"], arguments=LOCK
    ),
    Case("sbom", "sound", PASSED, says=["1 packages"], arguments=LOCK),
    Case(
        "sbom",
        "cyclonedx-py gone",
        NOT_EVALUATED,
        says=["cyclonedx-py cannot be started"],
        arguments=LOCK,
        options=gone("/opt/toolbox/bin/cyclonedx-py"),
    ),
    Case("dockerfile", "sound", PASSED, arguments=["Dockerfile"]),
    Case(
        "dockerfile",
        "sudo, silenced",
        FAILED,
        {
            "Dockerfile": (
                "# syntax=example/builder\nARG BASE\nFROM ${BASE}\n"
                "# hadolint ignore=DL3004\nRUN sudo true\nUSER 10001\n"
            )
        },
        ["Dockerfile:5: DL3004"],
        arguments=["Dockerfile"],
    ),
    Case(
        "dockerfile",
        "hadolint gone",
        NOT_EVALUATED,
        says=["hadolint cannot be started"],
        arguments=["Dockerfile"],
        options=gone("/opt/toolbox/bin/hadolint"),
    ),
]


def _names(cases: list[Case]) -> list[str]:
    return [f"{case.gate}: {case.what}" for case in cases]


def _check(engine: Any, image: str, case: Case, source: str, deps: str | None) -> None:
    ended = engine.run(
        image,
        f"/opt/slipway/bin/{case.gate}",
        *case.arguments,
        source=source,
        deps=deps,
        options=case.options,
    )
    assert ended.code == case.code, ended.said
    word = {PASSED: "PASSED", FAILED: "FAILED", NOT_EVALUATED: "NOT EVALUATED"}[case.code]
    name = case.name or case.gate
    assert f"{word} {name}: " in ended.said
    for text in case.says:
        assert text in ended.said, f"{text!r} is not said:\n{ended.said}"
    for text in case.hides:
        assert text not in ended.said
        assert not any(text.encode() in report for report in ended.reports.values())
    if case.code == NOT_EVALUATED:
        assert "findings.json" not in ended.reports
    elif "findings.json" in ended.reports:
        report = json.loads(ended.reports["findings.json"])
        assert report["outcome"] == word.lower()
        assert bool(report["findings"]) == (case.code == FAILED)
        assert json.loads(ended.reports[f"{name}.sarif"])["version"] == "2.1.0"


@pytest.mark.parametrize("case", PYTHON, ids=_names(PYTHON))
def test_python_gate(engine: Any, source: Source, deps: str, case: Case) -> None:
    _check(engine, "toolbox-python", case, source(case.planted), deps if case.deps else None)


@pytest.mark.parametrize("case", SCAN, ids=_names(SCAN))
def test_scan_gate(engine: Any, source: Source, case: Case) -> None:
    _check(engine, "toolbox-scan", case, source(case.planted), None)


def test_built_image_is_held_to_what_is_in_its_layers(engine: Any, source: Source) -> None:
    aws = "AKIA" + "QWERTYUIOPASDFGH"
    site = "usr/local/lib/python3.11/site-packages/requests-2.0.0.dist-info/METADATA"
    base = {"etc/base": f"key = {aws}\n".encode()}
    one = {
        "app/.env": f"aws_key = {aws}\n".encode(),
        site: b"Name: requests\nVersion: 2.0.0\n\n",
        "app/node_modules/a/README.md": f"aws_key = {aws}\n".encode(),
        "app/x": 0o4755,
    }
    bad, sound = layout(base, one, {"app/.wh..env": b""}, user=""), layout(base, {"app/a.py": b"print()\n"})
    told = {}
    for files in (bad, sound, {}):
        ended = engine.run(
            "toolbox-scan",
            "/opt/slipway/bin/image",
            "requirements.txt",
            source=source({}),
            options=[
                *("-v", f"{engine.volume(files)}:/image:ro"),
                *(
                    "-e",
                    f"SLIPWAY_BASE_LAYERS={diff_id(base)}",
                    "-e",
                    "SLIPWAY_ADVISORIES_MAX_AGE_DAYS=36500",
                ),
            ],
        )
        told[ended.code] = ended
    assert set(told) == {PASSED, FAILED, NOT_EVALUATED}, [one.said for one in told.values()]
    found = {
        (one["path"], one["rule"], one["severity"])
        for one in json.loads(told[FAILED].reports["findings.json"])["findings"]
    }
    assert ("app/.env (layer 2)", "aws-access-token", "high") in found
    assert {
        ("the image's configuration", "image-user-root", "medium"),
        ("app/x", "image-setuid", "medium"),
    } <= found
    assert site in {path for path, _, _ in found}
    assert not [path for path, _, _ in found if path.startswith("etc/")]
    assert ("app/node_modules/a/README.md (layer 2)", "aws-access-token", "medium") in found
    assert aws not in told[FAILED].said


def test_fetched_dependencies_are_kept_and_need_the_network_once(
    engine: Any, source: Source, deps: str, index: list[str]
) -> None:
    locks = ("requirements.txt", "requirements-dev.txt")
    same = source({name: (EXAMPLE / name).read_text() for name in locks})
    again = engine.run(
        "toolbox-python",
        "/opt/slipway/bin/fetch-dependencies",
        *locks,
        source=same,
        deps=deps,
        deps_mode="rw",
    )
    assert (again.code, "already there" in again.said) == (PASSED, True), again.said
    other = engine.run(
        "toolbox-python",
        "/opt/slipway/bin/fetch-dependencies",
        *reversed(locks),
        source=same,
        deps=deps,
        deps_mode="rw",
    )
    assert other.code == NOT_EVALUATED, other.said
    assert "is complete, for other locks than these: it is never changed" in other.said
    offline = engine.run(
        "toolbox-python",
        "/opt/slipway/bin/fetch-dependencies",
        *locks,
        source=same,
        deps=engine.volume(),
        deps_mode="rw",
        options=["-e", "UV_HTTP_RETRIES=0"],
    )
    assert offline.code == NOT_EVALUATED, offline.said
    assert "the package index cannot be reached" in offline.said


@pytest.mark.parametrize(
    ("runtime", "development"),
    [
        (NOTHING, ZEROS.encode("utf-16")),
        (b"\xef\xbb\xbf" + ZEROS.encode(), NOTHING),
        ("certifi==2024.7.4\n", NOTHING),
    ],
    ids=["empty, UTF-16", "byte order mark, empty", "without hashes, empty"],
)
def test_locks_of_any_form_are_fetched_and_fit_together(
    engine: Any, source: Source, index: list[str], runtime: str | bytes, development: str | bytes
) -> None:
    locks = {"requirements.txt": runtime, "requirements-dev.txt": development}
    tree, deps = source(locks), engine.volume()
    fetched = engine.run(
        "toolbox-python",
        "/opt/slipway/bin/fetch-dependencies",
        *locks,
        source=tree,
        deps=deps,
        deps_mode="rw",
        options=index,
        network="host",
    )
    assert fetched.code == PASSED, fetched.said
    fits = engine.run("toolbox-python", "/opt/slipway/bin/compile", source=tree, deps=deps)
    assert fits.code == PASSED, fits.said
    there = engine.run("toolbox-python", "ls", "/deps/wheels", source=tree, deps=deps)
    assert ("certifi-2024.7.4" in there.said) is (runtime != NOTHING)


UV = """
version = 1
[[package]]
name = "shop"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "certifi" }]
[[package]]
name = "certifi"
version = "2024.7.4"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://example.org/certifi.whl", hash = "sha256:%s" }]
"""
POETRY = """
[[package]]
name = "certifi"
version = "2024.7.4"
groups = ["main", "dev"]
files = [{file = "certifi.whl", hash = "sha256:%s"}]
"""


@pytest.mark.parametrize(("name", "text"), [("uv.lock", UV), ("poetry.lock", POETRY)])
def test_locks_of_other_tools_are_fetched_by_their_hashes_and_nothing_else(
    engine: Any, source: Source, index: list[str], name: str, text: str
) -> None:
    right = ZEROS.strip().rpartition(":")[2]
    for digest, code in ((right, PASSED), ("a" * 64, FAILED)):
        deps = engine.volume()
        fetched = engine.run(
            "toolbox-python",
            "/opt/slipway/bin/fetch-dependencies",
            *(name, name),
            source=source(
                {name: text % digest, "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n'}
            ),
            deps=deps,
            deps_mode="rw",
            options=index,
            network="host",
        )
        assert fetched.code == code, fetched.said
        assert ("1 runtime and 1 development packages" in fetched.said) is (code == PASSED)


SERVICE = """
import http.server, json, sys
SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
GOOD = {"200": {"description": "ok", "content": {"application/json": {"schema": SCHEMA}}}}
N = {"name": "n", "in": "path", "required": True, "schema": {"type": "integer"}}
SECURED = {"security": [{"bearer": []}]} if sys.argv[1] == "signed" else {}
PATHS = {"/things/{n}": {"get": {"parameters": [N], "responses": GOOD, **SECURED}}}
SCHEMES = {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}}
DESCRIPTION = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": PATHS, "components": SCHEMES}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == ("/api/openapi.json" if SECURED else "/openapi.json"):
            code, body = 200, DESCRIPTION
        elif SECURED and self.headers.get("Authorization") != "Bearer throwaway":
            code, body = 401, {"detail": "Not authenticated"}
        elif sys.argv[1] in ("sound", "signed"):
            code, body = 200, {"name": "thing"}
        else:
            code, body = (500, {"detail": "broken"}) if "-" in self.path else (200, {"nam": 1})
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def __getattr__(self, name):
        if name.startswith("do_"):
            return lambda: self.send_error(405)
        raise AttributeError(name)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
"""


@pytest.mark.parametrize(("kind", "code"), [("sound", PASSED), ("faulty", FAILED), ("nobody", NOT_EVALUATED)])
def test_dynamic_gate(engine: Any, source: Source, kind: str, code: int) -> None:
    files = source({"service.py": SERVICE})
    command = ["python3", "/workspace/src/service.py", kind] if kind != "nobody" else ["sleep", "60"]
    service = engine.start("toolbox-python", "-v", f"{files}:/workspace:ro", command=command)
    ended = engine.run(
        "toolbox-scan",
        "/opt/slipway/bin/dynamic",
        "http://127.0.0.1:8000",
        source=files,
        network=f"container:{service}",
        options=["-e", f"SLIPWAY_DYNAMIC_WAIT_S={3 if kind == 'nobody' else 30}"],
    )
    assert ended.code == code, ended.said
    if code != NOT_EVALUATED:
        cases = list(ElementTree.fromstring(ended.reports["junit.xml"]).iter("testcase"))  # noqa: S314
        assert cases
        assert any(case.find("failure") is not None for case in cases) == (code == FAILED)
    if code == FAILED:
        assert "GET /things/{n}" in ended.said


@pytest.mark.parametrize("headers", [(), ("Authorization: Bearer throwaway",)], ids=["shut", "signed in"])
def test_dynamic_gate_of_an_api_behind_a_sign_in_counts_what_it_got_behind(
    engine: Any, source: Source, headers: tuple[str, ...]
) -> None:
    files = source({"service.py": SERVICE})
    command = ["python3", "/workspace/src/service.py", "signed"]
    service = engine.start("toolbox-python", "-v", f"{files}:/workspace:ro", command=command)
    ended = engine.run(
        "toolbox-scan",
        "/opt/slipway/bin/dynamic",
        "http://127.0.0.1:8000",
        "/api/openapi.json",
        *headers,
        source=files,
        network=f"container:{service}",
    )
    assert ended.code == (PASSED if headers else FAILED), ended.said
    assert f"{len(headers)} of 1 behind the sign-in" in ended.said
    found = json.loads(ended.reports["findings.json"])["findings"]
    assert [(one["path"], one["rule"], one["severity"]) for one in found] == (
        [] if headers else [("GET /things/{n}", "unreached", "low")]
    )
