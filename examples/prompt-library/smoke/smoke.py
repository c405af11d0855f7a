"""Smoke test of a running Prompt Library: is it ready, is it this commit, does it do its work?

Environment: BASE_URL (http://host[:port]), EXPECTED_COMMIT, SMOKE_TIMEOUT_S (wait until ready, default 30).
Standard library only, so that it runs wherever Python does. Exit 0: all passed; 1: one failed, and says why.
It always stores the same text under the same name: however often it runs, that makes one version.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

NAME = "smoke-test"
TEMPLATE, TEXT = "Dear ${who}, this costs $$5.", "Dear Ada, this costs $5."


class SmokeError(Exception):
    """A check did not hold; the message says which, and what was there instead."""


class Service:
    """The service that is asked.

    :param base_url: as BASE_URL. :param timeout_s: seconds for one answer.
    """

    def __init__(self, base_url: str, timeout_s: float = 5) -> None:
        url = urlsplit(base_url)
        if url.scheme != "http" or not url.hostname:
            raise SmokeError(f"BASE_URL is {base_url!r}; it must be http://host[:port]")
        self._host, self._port, self._timeout_s = url.hostname, url.port, timeout_s

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request; its status and its decoded JSON."""
        connection = HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read(1_000_000).decode(errors="replace")
        except (OSError, HTTPException) as error:
            raise SmokeError(f"{method} {path}: no answer: {error!r}") from error
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError as error:
            raise SmokeError(f"{method} {path}: status {answer.status}, not JSON: {text[:200]!r}") from error

    def expect(self, status: tuple[int, ...], method: str, path: str, body: object = None) -> Any:
        """One request that must be answered with one of these statuses; the JSON."""
        found, answer = self.ask(method, path, body)
        if found not in status:
            raise SmokeError(f"{method} {path}: status {found}, wanted {status}: {answer}")
        return answer


def same(what: str, found: object, wanted: object) -> None:
    """Hold `found` against `wanted`."""
    if found != wanted:
        raise SmokeError(f"{what}: found {found!r}, wanted {wanted!r}")


def ready(service: Service, timeout_s: float) -> str:
    """Wait until /readyz answers 200; tell the schema revision that it needs."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            status, body = service.ask("GET", "/readyz")
            if status == 200:
                return str(body["schema_revision"])
            last = f"status {status}: {body}"
        except SmokeError as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise SmokeError(f"not ready within {timeout_s:g} s; last answer: {last}")
        time.sleep(0.2)


def checks(service: Service, commit: str, timeout_s: float) -> Iterator[str]:
    """Check one thing after the other; tell each that holds."""
    yield f"ready: schema {ready(service, timeout_s)}"

    version = service.expect((200,), "GET", "/version")
    same("commit in /version", version["commit"], commit)
    yield f"version: commit {commit}, build {version['build']}"

    stored = service.expect((200, 201), "POST", "/prompts", {"name": NAME, "template": TEMPLATE})
    same("the variables of the stored prompt", stored["variables"], ["who"])
    same(
        "the same prompt once more",
        service.expect((200,), "POST", "/prompts", {"name": NAME, "template": TEMPLATE}),
        stored,
    )
    same("the prompt read back", service.expect((200,), "GET", f"/prompts/{NAME}"), stored)
    yield f"store: {NAME}, version {stored['version']}"

    wanted = {"name": NAME, "version": stored["version"], "text": TEXT}
    rendered = service.expect((200,), "POST", f"/prompts/{NAME}/render", {"variables": {"who": "Ada"}})
    same("the rendered prompt", rendered, wanted)
    service.expect((422,), "POST", f"/prompts/{NAME}/render", {"variables": {}})
    yield f"render: {TEXT}"

    listed = service.expect((200,), "GET", "/prompts?variable=who&limit=100")
    if all(one["latest"] == stored["version"] for one in listed["prompts"] if one["name"] == NAME):
        yield f"list: {len(listed['prompts'])} prompts use the variable who"
    else:
        raise SmokeError(f"the list has another version of {NAME} as the latest: {listed}")


def main() -> int:
    """Run the checks in order; print each, and stop at the first that fails."""
    try:
        service, commit = Service(os.environ["BASE_URL"]), os.environ["EXPECTED_COMMIT"]
        timeout_s = float(os.environ.get("SMOKE_TIMEOUT_S", "30"))
    except (KeyError, ValueError, SmokeError) as error:
        print(f"FAILED settings: set BASE_URL and EXPECTED_COMMIT; SMOKE_TIMEOUT_S is a number: {error!r}")
        return 1
    started = time.monotonic()
    try:
        for told in checks(service, commit, timeout_s):
            print(f"[{time.monotonic() - started:6.3f} s] passed {told}", flush=True)
    except (SmokeError, KeyError, TypeError) as error:
        print(f"FAILED {error if isinstance(error, SmokeError) else f'unexpected answer: {error!r}'}")
        return 1
    print("smoke test passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
