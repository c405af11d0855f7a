"""The Dockerfile of a project that has none says what the project says, and asks for one where it says too little."""

from __future__ import annotations

import json

import pytest

from slipway.release import bases, dockerfiles
from slipway.release.dockerfiles import Project, Unclear, written


def project(lock: str, **texts: str) -> Project:
    files = {name.replace("__", "/"): text.encode() for name, text in texts.items()}
    return Project({lock, *files}, files, lock)


def node(**said: object) -> Project:
    package = {"scripts": {"start": "node dist/server.js", "build": "tsc"}, **said}
    return Project({"package.json"}, {"package.json": json.dumps(package).encode()}, "package-lock.json")


def test_python_is_started_by_its_procfile() -> None:
    text = written("python", project("requirements.txt", Procfile="web: uvicorn app:app --host 0.0.0.0\n"))
    assert [one.name for one in bases.named(text, {})] == ["python:3.11-slim"]
    assert 'CMD ["uvicorn", "app:app", "--host", "0.0.0.0"]' in text
    text = written("python", project("requirements.txt", Procfile="web: gunicorn app --bind :$PORT\n"))
    assert 'CMD ["sh", "-c", "exec gunicorn app --bind :$PORT"]' in text


def test_node_runs_on_the_major_that_the_gates_run_by_its_script_start() -> None:
    text = written("node", node())
    assert [one.name for one in bases.named(text, {})] == ["node:24", "node:24-slim"]
    assert 'CMD ["node", "dist/server.js"]' in text
    assert "npm run build && npm prune" in text
    assert "ENV GIT_COMMIT=$COMMIT\nUSER node\n" in text
    plain = written("node", node(scripts={"start": "cross-env X=1 node ."}, engines={"node": "22"}))
    assert 'CMD ["npm", "start"]' in plain
    assert "npm run build" not in plain
    assert bases.last(plain, {}) == "node:22-slim"


def test_go_is_the_one_program_of_the_module() -> None:
    text = written(
        "go", Project({"go.mod", "go.sum", "cmd/links/main.go", "internal/x/main.go"}, {}, "go.mod")
    )
    assert "COPY go.mod go.sum ./\nRUN go mod download\n" in text
    assert "-o /service ./cmd/links" in text
    assert bases.last(text, {}) is None
    vendored = written("go", Project({"go.mod", "main.go", "vendor/modules.txt"}, {}, "go.mod"))
    assert "go mod download" not in vendored
    assert "-o /service ./\n" in vendored


@pytest.mark.parametrize(
    ("stack", "one", "why"),
    [
        ("python", project("uv.lock", Procfile="web: x"), "uv.lock is installed by a tool"),
        ("python", project("requirements.txt"), "no Procfile"),
        ("node", node(scripts={}), "no script `start`"),
        ("node", node(engines={"node": ">=18 <23"}), "name a version in .nvmrc"),
        ("node", Project((), {}, "pnpm-lock.yaml"), "is not npm's"),
        ("node", Project((), {"package.json": b"["}, "package-lock.json"), "cannot be read"),
        ("go", Project({"cmd/a/main.go", "cmd/b/main.go"}, {}, "go.mod"), "which is the service"),
        ("go", Project((), {}, "go.mod"), "neither at its top"),
        ("java", Project((), {}, "pom.xml"), "none of its own"),
    ],
)
def test_what_the_project_does_not_say_is_asked_for(stack: str, one: Project, why: str) -> None:
    with pytest.raises(Unclear, match=why):
        written(stack, one)
    assert dockerfiles.FILES
