"""The Docker engine: volumes for sources and dependencies, sidecars on private networks, reports out of containers, images.

Names of what is made here begin with ``slipway-`` and end with a content hash (shared, kept) or a run (owned, removed).
Everything is given to the engine as a stream: it may run on another machine.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import subprocess
import tarfile
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from slipway import build_context, buildkit, process
from slipway.errors import Permanent, PolicyFailed, SlipwayError, Transient
from slipway.unreachable import why

APIClient = Any
"""docker.APIClient; its published types contradict its documentation in places, so they are not used."""

UID = 10001
"""User that pushed code runs as; the toolbox images make it."""

REPORT_LIMIT = 2_000_000
"""Bytes of one report file that are kept, and REPORTS_LIMIT those of one container's together: reports are hostile input."""
REPORTS_LIMIT = 8_000_000

BOUNDS: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 512,
    "ipc_mode": "private",
}
"""What holds for every container that runs pushed code, besides memory, CPU, user and network, which the caller gives."""


LOG_HEAD, LOG_TAIL = 1_000_000, 200_000
"""Bytes of a container's output that are kept from its beginning and from its end: pushed code may write without end."""


def bounded(chunks: Iterable[bytes], head: int = LOG_HEAD, tail: int = LOG_TAIL) -> Iterator[bytes]:
    """Give an output's beginning and end, and between them how much was left out; whole characters in each chunk."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    given = held = left_out = 0
    kept: deque[bytes] = deque()
    for chunk in chunks:
        text = decode(chunk).encode()
        if given < head:
            given += len(text)
            yield text
            continue
        kept.append(text)
        held += len(text)
        while held - len(kept[0]) >= tail:
            left_out += len(kept[0])
            held -= len(kept.popleft())
    if left_out:
        yield f"\n… {left_out} bytes of output are left out here …\n".encode()
    yield from kept


_UNREACHABLE = re.compile(
    r"dial tcp|i/o timeout|connection re(fused|set)|unexpected status.*: 5\d\d|TLS handshake"
)
"""What the engine says when a registry does not answer (containerd's resolver, Go's net/http)."""


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the engine's errors into ours: it is gone or overloaded (transient), or refuses what was asked (permanent)."""
    import docker.errors
    import requests
    import urllib3.exceptions

    try:
        yield
    except docker.errors.APIError as e:
        refused = e.is_client_error() and e.status_code not in (409, 429)
        said = e.explanation.decode(errors="replace") if isinstance(e.explanation, bytes) else e.explanation
        raise (Permanent if refused else Transient)(
            f"Docker engine: {what}: {said or e}",
            code="engine.refuses" if refused else "engine.fails",
            remedy="see that the registry answers the engine"
            if _UNREACHABLE.search(said or "")
            else "see the engine of slipway_engine: its log, and the room on its disk (`docker system df`)",
        ) from e
    except (
        requests.RequestException,
        docker.errors.DockerException,
        urllib3.exceptions.HTTPError,
        ConnectionError,
    ) as e:
        raise Transient(
            f"Docker engine: {what}: it does not answer: {why(e)}",
            code="engine.unreachable",
            remedy="see that the engine of slipway_engine runs (`docker info`)",
        ) from e


def image_exists(client: APIClient, ref: str) -> bool:
    """Whether the engine has an image of this name."""
    import docker.errors

    with explained(f"looking for image {ref}"):
        try:
            client.inspect_image(ref)
        except docker.errors.ImageNotFound:
            return False
        return True


def ensure_image(
    client: APIClient, ref: str, username: str | None = None, password: str | None = None
) -> None:
    """Pull ``ref`` (by digest) unless the engine has it.

    :param username: account of the registry; None is the one that the client has signed in with.
    """
    if image_exists(client, ref):
        return
    account = {"username": username, "password": password} if username else None
    with explained(f"pulling {ref}"):
        for line in client.pull(ref, stream=True, decode=True, auth_config=account):
            if "error" in line:
                raise Transient(
                    f"pulling {ref}: {line['error']}",
                    code="image.not-pulled",
                    remedy="see that the registry answers the engine",
                )


def remove_container(client: APIClient, name: str) -> None:
    """Remove a container and its anonymous volumes, running or not; none is fine."""
    import docker.errors

    with explained(f"removing container {name}"):
        try:
            client.remove_container(name, force=True, v=True)
        except docker.errors.NotFound:
            pass
        except docker.errors.APIError as e:
            if e.status_code != 409:  # 409: another removal is under way
                raise


@contextmanager
def _holding(client: APIClient, image: str, volume: str, target: str) -> Iterator[str]:
    """Give a container, never started, that holds ``volume`` at ``target``: what files are copied in and out through."""
    from docker.types import Mount

    created = client.create_container(
        image,
        command=["true"],
        host_config=client.create_host_config(
            mounts=[Mount(target, volume, type="volume", no_copy=True)], network_mode="none"
        ),
        labels={"slipway": "holding"},
    )
    try:
        yield created["Id"]
    finally:
        client.remove_container(created["Id"], force=True, v=True)


def _tar(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def has_file(client: APIClient, image: str, volume: str, target: str, name: str) -> bool:
    """Whether ``name`` is in ``volume``. Making the volume, if it is missing, is a side effect."""
    import docker.errors

    with explained(f"looking into volume {volume}"), _holding(client, image, volume, target) as holder:
        try:
            client.get_archive(holder, f"{target}/{name}")
        except docker.errors.NotFound:
            return False
        return True


def fill_volume(client: APIClient, image: str, volume: str, target: str, tar: IO[bytes]) -> bool:
    """Put the files of ``tar`` into ``volume``, and ``.complete`` last; False if ``.complete`` was there already."""
    if has_file(client, image, volume, target, ".complete"):
        return False
    with explained(f"filling volume {volume}"), _holding(client, image, volume, target) as holder:
        client.put_archive(holder, target, tar)
        client.put_archive(holder, target, _tar({".complete": b""}))
    return True


def prepare_volume(
    client: APIClient, image: str, volume: str, target: str, labels: Mapping[str, str]
) -> None:
    """Make ``volume`` so that the unprivileged user of the containers may write to it."""
    with explained(f"making volume {volume}"):
        client.create_volume(volume, labels=dict(labels))
        with _holding(client, image, volume, target) as holder:
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as tar:
                # as an entry of its parent: the engine leaves the attributes of the folder it unpacks into alone
                info = tarfile.TarInfo(target.lstrip("/"))
                info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, 0o755, UID, UID
                tar.addfile(info)
            client.put_archive(holder, "/", out.getvalue())


def image_of_folder(
    client: APIClient, image: str, volume: str, target: str, folder: str, repository: str, tag: str
) -> str:
    """Make a local image that holds nothing but ``folder`` of ``volume``, for `FROM` in a build without network."""
    ref = f"{repository}:{tag}"
    if image_exists(client, ref):
        return ref
    with explained(f"making image {ref}"), _holding(client, image, volume, target) as holder:
        chunks, _ = client.get_archive(holder, f"{target}/{folder}")
        with tempfile.TemporaryFile() as tar:
            for chunk in chunks:
                tar.write(chunk)
            tar.seek(0)
            client.import_image_from_data(tar, repository=repository, tag=tag)
    return ref


def network(client: APIClient, name: str, labels: Mapping[str, str]) -> None:
    """Make a private network without a way out; there already is fine.

    `internal` alone leaves the bridge an address of the machine, which is the containers' default route: they would reach
    every server of the machine that listens beyond loopback. So the bridge gets none.
    """
    with explained(f"making network {name}"):
        if not networks_of(client, name):
            client.create_network(
                name,
                driver="bridge",
                internal=True,
                options={"com.docker.network.bridge.inhibit_ipv4": "true"},
                labels=dict(labels),
                check_duplicate=True,
            )


def networks_of(client: APIClient, name: str) -> list[dict[str, Any]]:
    """Give the networks of exactly this name, which the engine takes for a pattern."""
    return [one for one in client.networks(names=[name]) if one["Name"] == name]


def remove_network(client: APIClient, name: str) -> None:
    """Remove a network and whatever container is still on it; none is fine."""
    with explained(f"removing network {name}"):
        for found in networks_of(client, name):
            for container in client.inspect_network(found["Id"]).get("Containers") or {}:
                remove_container(client, container)
            client.remove_network(found["Id"])


def start(
    client: APIClient,
    name: str,
    image: str,
    *,
    network_mode: str,
    command: Sequence[str] | None = None,
    aliases: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    mounts: Sequence[Any] = (),
    memory: str = "512m",
    cpus: float = 1.0,
    working_dir: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Start a container of this name with BOUNDS, removing an older one of the same name first."""
    remove_container(client, name)
    with explained(f"starting {name}"):
        networking = None
        if aliases:
            networking = client.create_networking_config(
                {network_mode: client.create_endpoint_config(aliases=list(aliases))}
            )
        created = client.create_container(
            image,
            name=name,
            command=list(command) if command else None,
            environment=dict(environment or {}),
            user=str(UID),
            working_dir=working_dir,
            networking_config=networking,
            labels=dict(labels or {}),
            host_config=client.create_host_config(
                **BOUNDS,
                mounts=list(mounts),
                network_mode=network_mode,
                mem_limit=memory,
                nano_cpus=int(cpus * 1e9),
                log_config={"Type": "json-file", "Config": {"max-size": "5m", "max-file": "1"}},
            ),
        )
        client.start(created["Id"])


def wait_exit(client: APIClient, name: str, timeout_s: float) -> int:
    """Give the exit code of a container, waiting ``timeout_s`` at most (then it is killed, and 124 is given)."""
    import requests

    with explained(f"waiting for {name}"):
        try:
            return int(client.wait(name, timeout=timeout_s)["StatusCode"])
        except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError):
            client.kill(name)
            return 124


def wait_until(client: APIClient, name: str, probe: Sequence[str], timeout_s: float) -> None:
    """Run ``probe`` in a container until it succeeds.

    :raises PolicyFailed: if the container ends, or the probe still fails after ``timeout_s``; with its last log lines.
    """
    deadline = time.monotonic() + timeout_s
    with explained(f"waiting for {name}"):
        while True:
            if not client.inspect_container(name)["State"]["Running"]:
                said = log_tail(client, name)
                raise PolicyFailed(
                    f"{name} ended by itself before it was ready: {said[-1] if said else 'it says nothing'}",
                    code="gate.sidecar-ended",
                    lines=said[:-1],
                )
            probed = client.exec_create(name, list(probe))["Id"]
            answer = client.exec_start(probed).decode(errors="replace").strip()
            if client.exec_inspect(probed)["ExitCode"] == 0:
                return
            if time.monotonic() > deadline:
                raise PolicyFailed(
                    f"{name} is not ready after {timeout_s:.0f} s: {answer[-300:]}",
                    code="gate.sidecar-not-ready",
                    lines=log_tail(client, name),
                )
            time.sleep(0.2)


def log_tail(client: APIClient, name: str, lines: int = 15) -> list[str]:
    """Give the last lines that a container wrote."""
    with explained(f"reading the log of {name}"):
        said = client.logs(name, tail=lines).decode(errors="replace")
    return [line for line in said.splitlines() if line.strip()]


def reports(client: APIClient, container: str, folder: str = "/out") -> dict[str, bytes]:
    """Give the regular files directly in ``folder`` of a container that has ended, within REPORT_LIMIT and REPORTS_LIMIT."""
    with explained(f"reading reports of {container}"), tempfile.TemporaryFile() as spool:
        chunks, _ = client.get_archive(container, folder)
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > 4 * REPORTS_LIMIT:
                raise PolicyFailed(
                    f"reports in {folder} exceed {4 * REPORTS_LIMIT} bytes",
                    code="gate.reports-too-large",
                    remedy="write less to /out",
                )
            spool.write(chunk)
        spool.seek(0)
        found: dict[str, bytes] = {}
        with tarfile.open(fileobj=spool) as tar:
            for member in tar:
                name = Path(member.name).name
                if (
                    member.isreg()
                    and member.name.count("/") == 1
                    and member.size <= REPORT_LIMIT
                    and len(found) < 20
                    and member.size + sum(map(len, found.values())) <= REPORTS_LIMIT
                ):
                    content = tar.extractfile(member)
                    if content is not None:
                        found[name] = content.read()
        return found


def build(
    docker_url: str,
    context: IO[bytes],
    *,
    tag: str,
    dockerfile: str,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    registry: str,
    username: str,
    password: str,
    timeout_s: float,
    log: Callable[[str], None],
) -> str:
    """Build an image with BuildKit, without network, from a commit's tar, as `docker build` builds a folder of these files.

    Gives the image's id.

    :raises PolicyFailed: if the Dockerfile or the context is at fault: then the engine answers, and says what failed.
    :raises Transient: if the engine does not answer, or cannot have the base image.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-docker-") as made:
        folder = Path(made)
        _sign_in(folder, registry, username, password)
        (folder / "context").mkdir()
        build_context.unpack(context, folder / "context")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_DECIDING)},
            "DOCKER_HOST": docker_url,
            "DOCKER_CONFIG": made,
            "DOCKER_BUILDKIT": "1",
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # a client without buildx makes none, and knows no option for it
        }
        argv = ["docker", "build", "--progress", "plain", "--network", "none", "--tag", tag]
        argv += ["--file", str(folder / "context" / dockerfile), "--iidfile", str(folder / "id")]
        for name, value in sorted(arguments.items()):
            argv += ["--build-arg", f"{name}={value}"]
        for name, value in sorted(labels.items()):
            argv += ["--label", f"{name}={value}"]
        # the CLI writes progress to standard error: joined to standard output so that it comes back on success, too
        with (folder / "said").open("w+b") as output:
            failure = None
            try:
                process.run(
                    ["sh", "-c", 'exec "$@" 2>&1', "docker-build", *argv, str(folder / "context")],
                    timeout_s=timeout_s,
                    environment=environment,
                    stdout=output,
                )
            except Transient as e:
                failure = e
            said = _end_of(output)
        for line in said:
            log(line)
        if failure:
            raise _why(failure, said, tag, dockerfile, answers=_answers(environment)) from failure
        return (folder / "id").read_text().strip()


_DECIDING = ("BUILDKIT_", "BUILDX_", "DOCKER_CONTEXT", "DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST")
"""Beginnings of the variables by which a docker client builds something else, or elsewhere, than it was told."""

_SAID_LIMIT = 4_000_000
"""Bytes of a build's output that are looked at, the last: BuildKit keeps 1 MiB of each step (BUILDKIT_STEP_LOG_MAX_SIZE)."""


def _end_of(output: IO[bytes]) -> list[str]:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _SAID_LIMIT))
    if size > _SAID_LIMIT:
        output.readline()  # what is left of a line may begin with anything
    return buildkit.lines(output.read().decode(errors="replace"))


def _why(
    failure: Transient, said: Sequence[str], tag: str, dockerfile: str, *, answers: bool
) -> SlipwayError:
    last, step = said[-15:], buildkit.failed_step(said[-40:])
    fault = buildkit.fault(said)
    if not answers or fault is buildkit.Fault.ENGINE:
        return Transient(
            f"Docker engine: building {tag}: it went away, or has no room: {step or failure}",
            code="engine.gone-while-building",
            remedy="see that the engine of slipway_engine runs (`docker info`), and the room on its disk (`docker system df`)",
            lines=last,
        )
    if said and "buildx component is missing" in said[0]:
        return Permanent(
            "the worker's docker client has no BuildKit",
            code="engine.buildkit-missing",
            remedy="put Debian's /usr/bin/docker, or one with buildx, first on PATH of the workers",
            lines=last,
        )
    if fault is buildkit.Fault.BASE:
        return Transient(
            f"the image could not be built: {step}",
            code="image.base-unavailable",
            remedy="see that the registry answers the engine, and has the base images of the platform file",
            lines=last,
        )
    if isinstance(failure.__cause__, subprocess.TimeoutExpired):
        return PolicyFailed(
            f"the image is not built after {failure.__cause__.timeout:.0f} s",
            code="image.build-timed-out",
            remedy="make it quicker, or raise image.timeout_s in the catalog",
            lines=last,
        )
    return PolicyFailed(
        f"the image does not build: {step or failure}",
        code="image.build-failed",
        remedy=f"correct {dockerfile}; a build has no network and only the pinned base images",
        lines=last,
    )


def _answers(environment: Mapping[str, str]) -> bool:
    try:
        process.run(["docker", "version"], timeout_s=15, environment=environment)
    except Transient as e:
        if not e.lines:  # not installed, or no end: it has its own words
            raise
        return False
    return True


def _sign_in(folder: Path, registry: str, username: str, password: str) -> None:
    import base64

    config = folder / "config.json"
    config.touch(mode=0o600)
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    config.write_text(json.dumps({"auths": {registry: {"auth": auth}}}))


def tag(client: APIClient, image: str, repository: str, name: str) -> None:
    """Let ``repository:name`` be the image of an id, whatever had that name."""
    with explained(f"naming {image} {repository}:{name}"):
        client.tag(image, repository, name, force=True)


def push(client: APIClient, repository: str, tag: str, username: str, password: str) -> str:
    """Push ``repository:tag`` and give the digest that the registry answered."""
    digest = None
    with explained(f"pushing {repository}:{tag}"):
        answers = client.push(
            repository,
            tag,
            stream=True,
            decode=True,
            auth_config={"username": username, "password": password},
        )
        for line in answers:
            if "error" in line:
                denied = "denied" in line["error"] or "unauthorized" in line["error"]
                raise (Permanent if denied else Transient)(
                    f"pushing {repository}:{tag}: {line['error']}",
                    code="image.push-denied" if denied else "image.push-failed",
                    remedy="correct secret/slipway/registry in Vault"
                    if denied
                    else "see that the registry answers the engine, and the room on its disk",
                )
            digest = line.get("aux", {}).get("Digest", digest)
    if not digest:
        raise Transient(
            f"pushing {repository}:{tag}: the engine named no digest", code="image.push-without-digest"
        )
    return str(digest)


@dataclass(frozen=True)
class Stored:
    """Something that the engine keeps.

    :param kind: ``container``, ``network``, ``volume`` or ``image``.
    :param created: when it was made; the engine does not know when it was used last.
    :param bytes: what it takes alone, without what it shares; 0 if the engine does not say.
    :param run: the run that it belongs to, if it says so.
    :param digests: of an image, its names by digest.
    """

    kind: str
    name: str
    created: datetime
    bytes: int = 0
    run: str | None = None
    digests: tuple[str, ...] = ()


def of_runs(client: APIClient) -> list[Stored]:
    """Give the containers and networks that runs of Slipway made."""
    with explained("listing what runs have made"):
        containers = client.containers(all=True, filters={"label": "slipway"})
        networks = client.networks(filters={"label": "slipway"})
    found = [
        Stored(
            "container",
            one["Names"][0].lstrip("/") if one["Names"] else one["Id"],
            datetime.fromtimestamp(one["Created"], UTC),
            run=one["Labels"].get("slipway.run"),
        )
        for one in containers
    ]
    return found + [
        Stored("network", one["Name"], _time(one["Created"]), run=one["Labels"].get("slipway.run"))
        for one in networks
    ]


def stored(client: APIClient) -> list[Stored]:
    """Give the volumes and images, each image once for each of its names."""
    with explained("listing volumes and images"):
        used = client.df()
    found = [
        Stored(
            "volume", one["Name"], _time(one["CreatedAt"]), max(0, (one["UsageData"] or {}).get("Size", 0))
        )
        for one in used["Volumes"] or []
    ]
    for one in used["Images"] or []:
        digests = tuple(name for name in one["RepoDigests"] or [] if "<none>" not in name)
        tags = [name for name in one["RepoTags"] or [] if "<none>" not in name]
        alone = max(0, one["Size"] - max(0, one["SharedSize"]))
        made = datetime.fromtimestamp(one["Created"], UTC)
        found += [Stored("image", name, made, alone, digests=digests) for name in tags or digests]
    return found


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def remove(client: APIClient, thing: Stored) -> bool:
    """Remove something; False if it is in use, or was not there any more."""
    import docker.errors

    try:
        if thing.kind == "container":
            remove_container(client, thing.name)
        elif thing.kind == "network":
            remove_network(client, thing.name)
        else:
            with explained(f"removing {thing.kind} {thing.name}"):
                getattr(client, f"remove_{thing.kind}")(thing.name)
    except (Permanent, Transient) as e:
        if isinstance(e.__cause__, docker.errors.APIError) and e.__cause__.status_code in (404, 409):
            return False
        raise
    return True


def prune_builds(client: APIClient, days: int) -> tuple[int, int]:
    """Remove layers of builds that were not used for ``days``; give how many, and their bytes."""
    with explained("pruning the build cache"):
        pruned = client.prune_builds(filters={"until": f"{days * 24}h"}, all=True)
    return len(pruned.get("CachesDeleted") or []), int(pruned.get("SpaceReclaimed") or 0)
