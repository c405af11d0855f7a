"""A flood of deliveries over loopback at the front door: `python -m slipway_sandbox.flood [--deliveries N]`.

The door is the plugin's own, in a server of its own and with a ledger of its own in the sandbox's Postgres, so that nothing is
released; its bounds of rate are taken off, since most of it would end there. Deliveries are signed, forged, tampered with, sent
again, malformed, of no interest, too large, cut off and slow. Afterwards: no answer was a fault of ours, what is on record is
what was signed and nothing else, and the server's memory has stayed. Then the time to accept at a steady pace.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import random
import statistics
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from standardwebhooks import Webhook

from slipway.intake.secrets import made
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.lifecycle import Progress, open_sandbox
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.postgres import Postgres

DATABASE = "ledger_flood"
SERVICE = "links"
CONNECTIONS = 24
SLOW, LARGE = 20, 20
"""Bodies that never end, and bodies of more than is taken: each costs seconds."""
A, B = "a" * 40, "b" * 40


# --- the server ---
def serve(port: int) -> None:
    """Serve the front door until killed; the ledger's URL and the secret come on standard input."""
    import uvicorn
    from fastapi import FastAPI

    url, secret = json.loads(sys.stdin.readline())
    checkout = Path(__file__).parents[2]
    sys.path.insert(0, str(checkout / "plugins"))
    import slipway_hooks
    from slipway.intake import bounds
    from slipway.intake.secrets import Keyring
    from slipway.ledger import Ledger

    catalog = slipway_hooks.Catalog()
    free = (1e9, 1e9)
    ledger = Ledger(url)
    front = slipway_hooks.Front(
        catalog,
        Keyring(lambda _path: {"current": secret}, time.monotonic, catalog.has),
        lambda delivery: slipway_hooks.keep(ledger, delivery),
        lambda: None,
        bounds.Bounds(time.monotonic, source=free, whole=free),
    )
    app = FastAPI()
    app.include_router(slipway_hooks.routes(lambda: front), prefix="/slipway")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


# --- what is sent ---
@dataclass(frozen=True)
class Sent:
    """One delivery. :param wanted: statuses that are right for it. :param id: of one that is to be on record."""

    kind: str
    head: bytes
    body: bytes
    wanted: tuple[int, ...]
    id: tuple[str, str] | None = None


def _request(headers: dict[str, str], body: bytes, service: str = SERVICE) -> bytes:
    known = {
        "Host": "localhost",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in known.items())
    return f"POST /slipway/hooks/{service} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace")


@dataclass
class Source:
    """Makes deliveries at random, the same for the same seed."""

    secret: str
    random: random.Random
    valid: list[Sent] = field(default_factory=list)

    def signed(self, body: bytes, secret: str, forge: str, event: str = "push") -> tuple[dict[str, str], str]:
        """Give the headers of a delivery, and its id."""
        delivery = str(uuid.UUID(int=self.random.getrandbits(128)))
        if forge in ("github", "gitea"):
            digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            name = {"github": "GitHub", "gitea": "Gitea"}[forge]
            signature = {"X-Hub-Signature-256": f"sha256={digest}"}
            if forge == "gitea":
                signature["X-Gitea-Signature"] = digest
            return {f"X-{name}-Event": event, f"X-{name}-Delivery": delivery, **signature}, delivery
        from datetime import UTC, datetime

        now = datetime.now(UTC)
        headers = {
            "webhook-id": delivery,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(delivery, now, body.decode()),
        }
        if forge == "gitlab":
            headers["X-Gitlab-Event"] = "Push Hook"
        return headers, delivery

    def body(
        self, forge: str, ref: str = "refs/heads/main", after: str = B, name: str = "services/links"
    ) -> bytes:
        """Give the body of a push."""
        where: dict[str, object] = {"repository": name if forge == "git" else {"full_name": name}}
        if forge == "gitlab":
            where = {"project": {"path_with_namespace": name}}
        filled = "x" * self.random.randrange(3000)
        return json.dumps({"ref": ref, "before": A, "after": after, "filled": filled, **where}).encode()

    def push(self) -> Sent:
        """Give a push to the release branch, well signed."""
        forge = self.random.choice(("github", "gitea", "gitlab", "git"))
        body = self.body(forge)
        headers, delivery = self.signed(body, self.secret, forge)
        made_ = Sent("signed", _request(headers, body), body, (202,), (forge, delivery))
        self.valid.append(made_)
        return made_

    def one(self) -> Sent:
        """Give any delivery."""
        forge = self.random.choice(("github", "gitea", "gitlab", "git"))
        kind = self.random.choices(
            ("signed", "again", "forged", "tampered", "garbage", "malformed", "other", "unknown", "cut"),
            (10, 10, 20, 10, 20, 10, 10, 9, 1),
        )[0]
        if kind == "signed" or (kind == "again" and not self.valid):
            return self.push()
        if kind == "again":
            before = self.random.choice(self.valid[-500:])
            return Sent(kind, before.head, before.body, (202,), before.id)
        if kind == "garbage":
            return self._garbage()
        body = self.body(forge)
        if kind == "forged":
            headers, _ = self.signed(body, made(), forge)
            return Sent(kind, _request(headers, body), body, (401,))
        if kind == "tampered":
            headers, _ = self.signed(body, self.secret, forge)
            changed = body[:-1] + b" }"
            return Sent(kind, _request(headers, changed), changed, (401,))
        if kind == "malformed":
            body = self.random.choice(
                (b"", b"{}", b"[]", b"{" * 5000, b"null", b'{"ref": 1}', self.body(forge, after="main"))
            )
            headers, _ = self.signed(body, self.secret, forge)
            return Sent(kind, _request(headers, body), body, (400,))
        if kind == "other":
            changes = self.random.choice(
                ({"ref": "refs/heads/ü" * 9}, {"after": "0" * 40}, {"name": "a/b"}, {"after": A})
            )
            body = self.body(forge, **changes)
            headers, _ = self.signed(body, self.secret, forge)
            return Sent(kind, _request(headers, body), body, (200,))
        headers, _ = self.signed(body, self.secret, forge)
        if kind == "unknown":
            return Sent(kind, _request(headers, body, f"no-{self.random.randrange(10**6)}"), body, (401,))
        return Sent("cut", _request(headers, body), body[: len(body) // 2], ())

    def _garbage(self) -> Sent:
        names = ("X-Hub-Signature-256", "X-Gitea-Signature", "X-Gitlab-Token", "webhook-signature", "webhook-id",
                 "webhook-timestamp", "X-Gitlab-Event", "X-GitHub-Event", "X-Gitea-Event", "Content-Type")  # fmt: skip
        chosen = self.random.sample(names, self.random.randrange(len(names)))
        headers = {
            name: "".join(chr(self.random.randrange(33, 255)) for _ in range(self.random.randrange(1, 90)))
            for name in chosen
        }
        body = self.random.randbytes(self.random.randrange(2000))
        return Sent("garbage", _request(headers, body), body, (400, 401))  # 400: no header of HTTP


# --- sending ---
class Wire:
    """One connection that is kept, and opened anew when it has ended."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, one: Sent) -> int | None:
        """Send a delivery; give the status, or None if none is waited for."""
        for _ in range(2):
            is_new = self._streams is None
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self.port)
            reader, writer = self._streams
            try:
                writer.write(one.head + one.body)
                await writer.drain()
                if not one.wanted:
                    self.close()
                    return None
                return await asyncio.wait_for(self._status(reader), 30)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.close()
                if is_new:
                    raise
        raise SandboxError("the server ends connections")

    async def _status(self, reader: asyncio.StreamReader) -> int:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(
            int(line.partition(":")[2]) for line in head.split("\r\n") if line.startswith("content-length")
        )
        await reader.readexactly(length)
        if "connection: close" in head:
            self.close()
        return int(head.split(" ", 2)[1])

    def close(self) -> None:
        """End it."""
        if self._streams:
            self._streams[1].close()
        self._streams = None


@dataclass
class Told:
    """How a flood was answered: by kind, each status so often; and what was wrong."""

    answers: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def note(self, one: Sent, status: int | None) -> None:
        """Note an answer."""
        self.answers[one.kind, status] += 1
        if one.wanted and status not in one.wanted and len(self.wrong) < 20:
            self.wrong.append(f"{one.kind} was answered {status}, not {one.wanted}: {one.head[:200]!r}")


async def flood(port: int, source: Source, number: int, told: Told, seen: Callable[[int], None]) -> None:
    """Send so many deliveries on many connections.

    :param seen: told now and then how many were sent.
    """
    left = number

    async def work() -> None:
        nonlocal left
        wire = Wire(port)
        while left > 0:
            left -= 1
            if left % (number // 10 or 1) == 0:
                seen(number - left)
            one = source.one()
            told.note(one, await wire.send(one))
        wire.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)), *awkward(port, told))


def awkward(port: int, told: Told) -> Iterator[Awaitable[None]]:
    """Send bodies that never end, and such as are larger than is taken, by what they say and by what comes."""

    async def slow() -> None:
        one = Sent("slow", _request({"Content-Length": "1000"}, b"")[:-2] + b"\r\n", b"{", (408,))
        told.note(one, await Wire(port).send(one))

    async def said() -> None:
        head = _request({"Content-Length": str(26 * 1024 * 1024 + 1)}, b"")
        one = Sent("large, said", head, b"", (413,))
        told.note(one, await Wire(port).send(one))

    async def streamed() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /slipway/hooks/links HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        status: int | None = None
        try:
            writer.write(head)
            for _ in range(27):
                writer.write(chunk)
                await writer.drain()
            status = int((await asyncio.wait_for(reader.readline(), 30)).split()[1])
        except ConnectionError:
            status = 413  # it had answered, and ended the connection while we wrote
        finally:
            writer.close()
        told.note(Sent("large, streamed", head, b"", (413, 429)), status)

    yield from (slow() for _ in range(SLOW))
    yield from (said() for _ in range(LARGE))

    async def in_turn() -> None:
        for _ in range(LARGE):
            await streamed()

    yield in_turn()


async def steadily(port: int, source: Source, per_second: int, seconds: int) -> list[float]:
    """Send good pushes at a pace; give the seconds that each took to be accepted, from when it was due."""
    took: list[float] = []
    wires = [Wire(port) for _ in range(8)]
    free = asyncio.Queue[Wire]()
    for one in wires:
        free.put_nowait(one)
    start = time.monotonic()

    async def send(due: float) -> None:
        wire = await free.get()
        status = await wire.send(source.push())
        took.append(time.monotonic() - due)
        if status != 202:
            raise SandboxError(f"a good push was answered {status}")
        free.put_nowait(wire)

    async with asyncio.TaskGroup() as group:
        for number in range(per_second * seconds):
            due = start + number / per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(send(due))
    return took


# --- the whole ---
@contextmanager
def database(sandbox: Sandbox, name: str = DATABASE) -> Iterator[str]:
    """Give the URL of a ledger of its own, which is dropped afterwards."""
    from slipway.ledger import upgrade

    postgres = Postgres(sandbox)
    admin = postgres.connect()
    try:
        with admin.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            cursor.execute(f'CREATE DATABASE "{name}" OWNER ledger')
        url = postgres.url("ledger", name)
        upgrade(url)
        yield url
    finally:
        with admin.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.close()


@contextmanager
def door(sandbox: Sandbox, url: str, secret: str) -> Iterator[tuple[int, int]]:
    """Give port and process of a server of the front door."""
    import socket

    from slipway_sandbox.run import wait_until

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "SLIPWAY_PLATFORM": str(sandbox.layout.platform_file),
        "MALLOC_ARENA_MAX": "2",
    }
    command = [sys.executable, "-m", "slipway_sandbox.flood", "--serve", str(port)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, text=True)
    try:
        assert server.stdin
        server.stdin.write(json.dumps([url, secret]) + "\n")
        server.stdin.close()

        def missing() -> str | None:
            if server.poll() is not None:
                raise SandboxError(f"the server ended with {server.returncode}")
            with socket.socket() as one:
                return None if one.connect_ex(("127.0.0.1", port)) == 0 else "it does not listen"

        wait_until(missing, 60, "the front door's server", 0.2)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(20)


def resident_mib(pid: int) -> float:
    """Give how much of a process is in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def recorded(sandbox: Sandbox) -> set[tuple[str, str]]:
    """Give the deliveries that are on record."""
    connection = Postgres(sandbox).connect(DATABASE)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT forge, delivery FROM deliveries")
            return set(cursor.fetchall())
    finally:
        connection.close()


@click.command()
@click.option("--deliveries", default=100_000, show_default=True, help="How many of the flood.")
@click.option("--pace", default=50, show_default=True, help="Good pushes a second, afterwards.")
@click.option("--seconds", default=20, show_default=True, help="For so long.")
@click.option("--seed", default=18, show_default=True, help="Of what is made at random.")
@click.option("--serve", "port", type=int, hidden=True)
def main(deliveries: int, pace: int, seconds: int, seed: int, port: int | None) -> None:
    """Send a flood of deliveries to the front door; exit 1 if one was answered wrongly, or is on record and was not signed."""
    if port is not None:
        serve(port)
        return
    sandbox = open_sandbox(progress=Progress(quiet=True))
    secret, told, memory = made(), Told(), list[tuple[int, float]]()
    source = Source(secret, random.Random(seed))  # noqa: S311 - not for secrets
    with database(sandbox) as url, door(sandbox, url, secret) as (at, pid):
        start = time.monotonic()
        asyncio.run(
            flood(at, source, deliveries, told, lambda number: memory.append((number, resident_mib(pid))))
        )
        took = time.monotonic() - start
        found, wanted = recorded(sandbox), {one.id for one in source.valid}
        accepted = sorted(asyncio.run(steadily(at, source, pace, seconds)))
    for (kind, status), number in sorted(told.answers.items(), key=str):
        click.echo(f"{kind:<16} {status or 'cut off':>8} {number:>8}")
    click.echo(
        f"{sum(told.answers.values())} deliveries in {took:.0f} s; memory: "
        + ", ".join(f"{size:.0f} MiB after {number}" for number, size in memory)
    )
    p99 = accepted[int(len(accepted) * 0.99)]
    click.echo(
        f"accepted at {pace}/s: median {statistics.median(accepted) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, "
        f"most {accepted[-1] * 1000:.1f} ms"
    )
    wrong = list(told.wrong)
    if faults := {key: number for key, number in told.answers.items() if (key[1] or 0) >= 500}:
        wrong.append(f"faults of ours: {faults}")
    if found != wanted:
        wrong.append(
            f"on record and not signed: {len(found - wanted)}; signed and not on record: {len(wanted - found)}"
        )
    steady = [size for number, size in memory if number >= deliveries / 2]
    if steady and max(steady) > 1.25 * steady[0]:
        wrong.append(f"memory grows: {memory}")
    if wrong:
        raise click.ClickException("\n".join(wrong))


if __name__ == "__main__":
    main()
