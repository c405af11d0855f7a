"""The Dockerfile of a project that has none: as its language's community would write it, of its lock and of how it is started.

It says nothing that the project does not: what cannot be told is asked for, by a Dockerfile. It is built, scanned and pinned
like any other.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from slipway.release import runtimes

FILES = ("package.json", ".nvmrc", ".node-version", "Procfile", "go.sum")
"""What is read besides names of files."""


_COMMIT = "ARG COMMIT=unknown\nENV GIT_COMMIT=$COMMIT\n"
"""So that a service can say at its version's path which commit it is."""


class Unclear(Exception):
    """What the project does not say, in words that follow "no Dockerfile, and …"."""


@dataclass(frozen=True)
class Project:
    """A project. :param paths: of all of its files. :param texts: of some, by path. :param lock: of what it ships with."""

    paths: Collection[str]
    texts: Mapping[str, bytes]
    lock: str

    def text(self, path: str) -> str:
        """Give a file's text; empty if it is not there."""
        return self.texts.get(path, b"").decode("utf-8", "replace")


def written(stack: str, project: Project) -> str:
    """Give the Dockerfile of a project.

    :raises Unclear: if the project does not say what must be in it.
    """
    known = {"python": _python, "node": _node, "go": _go}
    if stack not in known:
        raise Unclear(f"the stack {stack} has none of its own")
    return known[stack](project)


def _python(project: Project) -> str:
    if not re.fullmatch(r"(?:[\w.-]+/)*[\w.-]+\.txt", project.lock):
        raise Unclear(f"{project.lock} is installed by a tool that only the project knows how to call")
    return f"""FROM python:{runtimes.PYTHON}-slim
ENV PYTHONUNBUFFERED=1
WORKDIR /app
COPY {project.lock} ./{project.lock}
RUN pip install --no-cache-dir -r {project.lock}
COPY . .
{_COMMIT}USER 10001
CMD {json.dumps(_started(project))}
"""


def _started(project: Project) -> list[str]:
    """Give the command of the Procfile, in a shell where it needs one: `$PORT` is the platform's to say."""
    found = re.findall(r"^web:\s*(\S.*?)\s*$", project.text("Procfile"), re.MULTILINE)
    if not found:
        raise Unclear("no Procfile with `web:` says how it is started")
    if re.search(r"[$|&;<>`]", found[0]):
        return ["sh", "-c", f"exec {found[0]}"]
    return shlex.split(found[0])


def _node(project: Project) -> str:
    if project.lock != "package-lock.json":
        raise Unclear(f"{project.lock} is not npm's, and its tool is in no base")
    major, _ = runtimes.node(project.texts)
    if major is None:
        raise Unclear("which Node it runs on only its own range says: name a version in .nvmrc")
    try:
        package = json.loads(project.text("package.json"))
    except ValueError:
        raise Unclear("package.json cannot be read") from None
    scripts = package.get("scripts") if isinstance(package, dict) else None
    scripts = scripts if isinstance(scripts, dict) else {}
    if not isinstance(start := scripts.get("start"), str):
        raise Unclear("no script `start` in package.json says how it is started")
    plain = re.fullmatch(r"node( [\w./=-]+)+", start)
    command = start.split() if plain else ["npm", "start"]
    build = "npm run build && " if "build" in scripts else ""
    return f"""FROM node:{major} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN {build}npm prune --omit=dev

FROM node:{major}-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app ./
{_COMMIT}USER node
CMD {json.dumps(command)}
"""


def _go(project: Project) -> str:
    mains = sorted(
        {
            path.rpartition("/")[0]
            for path in project.paths
            if re.fullmatch(r"(?:cmd/[\w.-]+/)?main\.go", path)
        }
    )
    if len(mains) != 1:
        what = (
            f"{', '.join(mains)} are programs: which is the service?"
            if mains
            else "main.go is neither at its top nor in cmd/"
        )
        raise Unclear(what)
    sums = " go.sum" if "go.sum" in project.paths else ""
    fetched = "" if any(path.startswith("vendor/") for path in project.paths) else "RUN go mod download\n"
    return f"""FROM golang:{runtimes.GO} AS build
WORKDIR /src
COPY go.mod{sums} ./
{fetched}COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /service ./{mains[0]}

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /service /service
{_COMMIT}USER 65532:65532
ENTRYPOINT ["/service"]
"""
