"""After a release no secret lies where people, programs or images may read it.

Each place is searched for the secrets and, by the same function, for a word that must be there: a place that was not
really read would fail.
"""

from __future__ import annotations

import base64
import io
import json
import re
import secrets as random
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import yaml

from e2e.story import Migrated
from slipway_sandbox.lifecycle import parts_of
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.parts.vault import Vault
from slipway_sandbox.project import Project

PUBLIC = {"username", "address"}  # keys of Vault's kv
CHUNK = 8 << 20  # bytes
OVERLAP = 8 << 10  # bytes; more than the longest form of a secret
# of the throwaway database of the tests: public, on a network of its own (slipway.stages.sidecar)
THROWAWAY = b"postgres:throwaway@"
# What has no fixed value: a leased database password, a token of Vault or of the cluster.
SHAPES = {
    "a password": re.compile(
        # not the title of the platform's own rule after its name, which a finding of it has
        rb"(?i)(?<!slipway-connection-url-)passw(?:or)?d[\"']?\s*[=:]\s*[\"']?(?!\*\*\*|None\b|null\b)[^\s\"'*,;}]{8,}"
    ),
    "a URL with a password": re.compile(rb"[a-z]://[^/\s:@\"']+:(?!\*\*\*|REDACTED@)[^@\s/\"']+@"),
    "a token of Vault": re.compile(rb"\b(?:hv)?s\.[A-Za-z0-9]{24,}\b"),
    "a signed token": re.compile(rb"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}"),
}


def forms(secret: str) -> set[bytes]:
    """Give a secret as it is, as part of a URL, and as base64 at whichever offset (`user:password`, a Secret's data)."""
    found = {secret.encode(), quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()}
    for offset in range(3):
        packed = base64.b64encode(b"\0" * offset + secret.encode()).rstrip(b"=")
        # the first and last characters depend on the neighbours, too
        found.add(packed[(0, 2, 3)[offset] : len(packed) - 1])
    return found


@dataclass(frozen=True)
class Search:
    """Names of what is looked for, and the forms that each may have."""

    wanted: Mapping[str, set[bytes]]

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Search:
        return cls({name: forms(value) for name, value in values.items()})

    def __call__(self, place: Iterable[tuple[str, Iterable[bytes]]]) -> set[tuple[str, str]]:
        """Give (where, name) of everything that is found in a place: names of its pieces, and their bytes in chunks."""
        found = set()
        for where, chunks in place:
            rest = b""
            for chunk in chunks:
                window = rest + chunk
                found |= {
                    (where, name) for name, them in self.wanted.items() if any(one in window for one in them)
                }
                rest = window[-OVERLAP:]
        return found


def secrets_of(sandbox: Sandbox) -> dict[str, str]:
    """Give every secret that the sandbox knows, by where it is kept."""
    found = {}
    for file in sorted(sandbox.layout.credentials.iterdir()):
        text = file.read_text().strip()
        if file.suffix == ".kubeconfig":
            text = yaml.safe_load(text)["users"][0]["user"]["token"]
        elif "://" in text:
            text = urlsplit(text).password or ""
        found[file.name] = text
    vault = parts_of(sandbox)["vault"]
    assert isinstance(vault, Vault)
    kv = vault.client().secrets.kv.v2
    folders = ["slipway", "services"]
    for folder in folders:
        for name in kv.list_secrets(folder)["data"]["keys"]:
            if name.endswith("/"):
                folders.append(f"{folder}/{name.removesuffix('/')}")
                continue
            held = kv.read_secret_version(f"{folder}/{name}", raise_on_deleted_version=True)["data"]["data"]
            for key, value in held.items():
                if key not in PUBLIC:
                    found[f"secret/{folder}/{name} {key}"] = value
    assert min(map(len, found.values())) >= 12, "too short to be looked for"
    return found


@pytest.fixture(scope="module")
def search(sandbox: Sandbox, migrated: Migrated) -> Search:
    """Gives the search for every secret, after the releases, which may have made some."""
    assert migrated.passwords, "no leased password was seen"
    leased = {f"leased password {number}": one for number, one in enumerate(sorted(migrated.passwords))}
    return Search.of({**secrets_of(sandbox), **leased})


def file_chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            yield chunk


def logs(sandbox: Sandbox) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Give Airflow's logs."""
    folder = sandbox.layout.state / "airflow/logs"
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            yield str(file.relative_to(folder)), file_chunks(file)


def tables(sandbox: Sandbox, database: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Give every row of every table as text; columns of bytes as they are, and unpacked if they are compressed."""
    postgres = parts_of(sandbox)["postgres"]
    assert isinstance(postgres, Postgres)
    connection = postgres.connect(database)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.oid::regclass::text, array_agg(a.attname::text) FILTER (WHERE a.atttypid = 'bytea'::regtype)"
                " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
                " WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
                " GROUP BY c.oid ORDER BY 1"
            )
            for table, packed in cursor.fetchall():
                yield f"{database}.{table}", rows(connection, table, packed or [])
    finally:
        connection.close()


def rows(connection: Any, table: str, packed: list[str]) -> Iterator[bytes]:
    with connection.cursor() as cursor:
        columns = ", ".join(["t::text", *(f't."{one}"' for one in packed)])
        cursor.execute(f"SELECT {columns} FROM {table} t")  # noqa: S608 - names from the database's own catalog
        for text, *raw in cursor:
            yield text.encode() + b"\n"
            for value in filter(None, raw):
                content = bytes(value)
                yield content
                if content[:1] == b"\x78":
                    yield zlib.decompress(content)


def objects(project: Project) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Give every object in the service's namespace but Secrets, as JSON, and what its pods wrote."""
    from kubernetes.dynamic import DynamicClient

    from kubernetes import client

    api, namespace = project.cluster(), project.service.deploy.namespace
    dynamic = DynamicClient(api)
    for resource in dynamic.resources.search():
        kinds = resource.kind, getattr(resource, "verbs", None) or []
        if not resource.namespaced or "list" not in kinds[1] or resource.kind in ("Secret", "SecretList"):
            continue
        if resource.kind.endswith("List"):
            continue
        items = resource.get(namespace=namespace).to_dict()["items"]
        yield resource.kind, [json.dumps(one).encode() for one in items]
    core = client.CoreV1Api(api)
    for pod in core.list_namespaced_pod(namespace).items:
        said = core.read_namespaced_pod_log(pod.metadata.name, namespace, _preload_content=False)
        yield f"log of {pod.metadata.name}", [said.data]


def image(project: Project, digest: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Give the manifest, the configuration and the unpacked layers of the released image, as the registry has them."""
    sandbox = project.sandbox
    user, password = sandbox.registry_account("pull")
    http = session(str(sandbox.registry_ca))
    http.auth = (user, password.read_text().strip())
    base = f"https://{sandbox.registry}/v2/{project.service.image.repository}"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    answer = http.get(f"{base}/manifests/{digest}", headers=accept, timeout=20)
    answer.raise_for_status()
    yield "manifest", [answer.content]
    manifest = answer.json()
    yield "config", [http.get(f"{base}/blobs/{manifest['config']['digest']}", timeout=20).content]
    assert manifest["layers"]
    for layer in manifest["layers"]:
        yield f"layer {layer['digest']}", unpacked(http, f"{base}/blobs/{layer['digest']}")


def unpacked(http: Any, url: str) -> Iterator[bytes]:
    with http.get(url, stream=True, timeout=60) as answer:
        answer.raise_for_status()
        unpack, held = zlib.decompressobj(wbits=47), b""
        for chunk in answer.iter_content(1 << 20):
            held += unpack.decompress(chunk)
            if len(held) >= CHUNK:
                yield held
                held = b""
        yield held + unpack.flush()
        assert unpack.eof, f"{url} is not whole"


def test_search_finds_a_planted_secret_in_every_form(tmp_path: Path) -> None:
    value = f"{random.token_urlsafe(24)}/+{random.token_hex(2)}"
    find = Search.of({"planted": value})
    auth = [base64.b64encode(f"{'u' * length}:{value}@host".encode()) for length in range(3)]
    for number, text in enumerate([value.encode(), quote(value, safe="").encode(), *auth]):
        file = tmp_path / f"{number}.log"
        # across the border of two chunks
        file.write_bytes(b"." * (CHUNK - 10) + text + b"." * 100)
        assert find([(file.name, file_chunks(file))]) == {(file.name, "planted")}
    assert find([("clean", [value[:-1].encode(), b"something else"])]) == set()
    assert find([("packed", [zlib.decompress(zlib.compress(value.encode()))])]) == {("packed", "planted")}


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ("a password", b"url: x\npassword=Ab3-dEfGhIjKl"),
        ("a password", b'"password": "Ab3-dEfGhIjKl"'),
        ("a URL with a password", b"postgresql://v-approle-x:Ab3-dEf@host:1/db"),
        ("a token of Vault", b"X-Vault-Token: s.AbCdEfGhIjKlMnOpQrStUvWx"),
        ("a signed token", b"Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.sig"),
    ],
)
def test_shapes_are_recognised_and_masks_are_not(shape: str, text: bytes) -> None:
    assert SHAPES[shape].search(text)
    assert not SHAPES["a password"].search(b"password=*** password: None")
    assert not SHAPES["a password"].search(
        b"slipway-connection-url-password: Password in the address of a database"
    )
    assert not SHAPES["a URL with a password"].search(b"postgresql://user:***@host http://host:80/a@b")
    # what the scanner for secrets reports of an address in a package's documents, and what only begins so
    assert not SHAPES["a URL with a password"].search(b"postgres://someuser:REDACTED@somehost/db")
    assert SHAPES["a URL with a password"].search(b"postgres://someuser:REDACTED-not@somehost/db")


def found_in(search: Search, sure: str, place: Iterable[tuple[str, Iterable[bytes]]]) -> set[tuple[str, str]]:
    """Give the secrets found in a place, which must hold the word `sure`, or was not really read."""
    with_control = Search({**search.wanted, "control": {sure.encode()}})
    found = with_control(place)
    assert any(name == "control" for _, name in found), f"{sure} is not there: the place was not read"
    return {one for one in found if one[1] != "control"}


def test_no_secret_in_the_logs(sandbox: Sandbox, search: Search, migrated: Migrated) -> None:
    assert not found_in(search, migrated.pushed.commit, logs(sandbox))


@pytest.mark.parametrize("database", ["airflow", "ledger"])
def test_no_secret_in_any_table(sandbox: Sandbox, search: Search, migrated: Migrated, database: str) -> None:
    """XCom, rendered fields, serialized DAGs, connections, audit log, ...; no table of Airflow's needs an exception."""
    assert not found_in(search, migrated.pushed.commit, tables(sandbox, database))


def test_no_secret_in_the_clusters_objects_but_secrets(project: Project, search: Search) -> None:
    assert not found_in(search, project.service.deploy.deployment, objects(project))


def test_no_secret_in_the_image(project: Project, search: Search, migrated: Migrated) -> None:
    assert migrated.pushed.release.digest is not None
    assert not found_in(search, migrated.pushed.commit, image(project, migrated.pushed.release.digest))


def test_what_dockerignore_names_is_not_in_the_image(project: Project, migrated: Migrated) -> None:
    assert migrated.pushed.release.digest is not None
    names: set[str] = set()
    for where, chunks in image(project, migrated.pushed.release.digest):
        if where.startswith("layer "):
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as layer:
                names |= {one.removeprefix("./") for one in layer.getnames()}
    assert {"app/src/shipped.pem", "app/pyproject.toml", "app/smoke"} <= names
    assert not [one for one in names if one.startswith("app/tests") or one == "app/src/kept-out.pem"]


def test_nothing_shaped_like_a_secret_in_logs_tables_and_objects(
    sandbox: Sandbox, project: Project, migrated: Migrated
) -> None:
    """What has no value that this test could know: leases and tokens of earlier runs, and what an error would quote."""
    run = f"run_id={project.run_id(migrated.pushed.commit)}/"
    own = [(where, chunks) for where, chunks in logs(sandbox) if run in where]
    assert len(own) >= 15
    places = (own, tables(sandbox, "airflow"), tables(sandbox, "ledger"), objects(project))
    found = {
        (where, name, hit.group(0)[:40])
        for where, chunks in chain(*places)
        for content in [b"".join(chunks)]
        for name, shape in SHAPES.items()
        for hit in shape.finditer(content)
        if THROWAWAY not in hit.group(0)
    }
    assert not found
