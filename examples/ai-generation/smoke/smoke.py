"""Smoke test of a running AI Generation Service: is it ready, is it this commit, does it do its work?

Environment: BASE_URL (http or https), EXPECTED_COMMIT, SMOKE_TIMEOUT_S (wait until ready, default 30).
Standard library only, so that it runs wherever Python does. Exit 0: all passed; 1: one failed, and says why.
"""

import http.client
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

PROMPT, MAX_WORDS, SEED = "The harbour master", 30, 7


class SmokeError(Exception):
    """A check did not hold; the message says which, and what was there instead."""


def call(base_url: str, method: str, path: str, body: object = None, timeout_s: float = 5) -> tuple[int, Any]:
    """One request; its status and its decoded JSON."""
    url = urlsplit(base_url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if url.scheme not in kinds or not url.hostname:
        raise SmokeError(f"BASE_URL is {base_url!r}; it must be http://host[:port] or https://host[:port]")
    connection = kinds[url.scheme](url.hostname, url.port, timeout=timeout_s)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, url.path.rstrip("/") + path, payload, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read(1_000_000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise SmokeError(f"{method} {base_url}{path}: no answer: {error!r}") from error
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError as error:
        raise SmokeError(f"{method} {path}: status {response.status}, not JSON: {text[:200]!r}") from error


def expect(what: str, found: object, wanted: object) -> None:
    """Hold `found` against `wanted`."""
    if found != wanted:
        raise SmokeError(f"{what}: found {found!r}, wanted {wanted!r}")


def ready(base_url: str, timeout_s: float) -> str:
    """Wait until /readyz answers 200."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            status, body = call(base_url, "GET", "/readyz")
            if status == 200:
                return f"schema revision {body['schema_revision']}"
            last = f"status {status}: {body}"
        except SmokeError as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise SmokeError(f"not ready within {timeout_s:g} s; last answer: {last}")
        time.sleep(0.2)


def version(base_url: str, commit: str) -> str:
    """The commit that answers is the one that was released."""
    status, body = call(base_url, "GET", "/version")
    expect("status of GET /version", status, 200)
    expect("commit in /version", body.get("commit"), commit)
    return f"commit {commit}, build {body.get('build')}"


def generation(base_url: str) -> str:
    """A generation can be made, read back unchanged, and made again with the same text."""
    request = {"prompt": PROMPT, "max_words": MAX_WORDS, "seed": SEED}
    status, made = call(base_url, "POST", "/generations", request)
    expect(f"status of POST /generations ({made})", status, 201)
    expect("status of the new generation", made["status"], "completed")
    words = len(made["text"].split())
    if not 1 <= words <= MAX_WORDS:
        raise SmokeError(f"the text has {words} words, wanted 1 to {MAX_WORDS}: {made['text']!r}")
    status, read = call(base_url, "GET", f"/generations/{made['id']}")
    expect("status of GET /generations/{id}", status, 200)
    expect("the generation read back", read, made)
    _, again = call(base_url, "POST", "/generations", request)
    expect("the text of the same seed and prompt", again["text"], made["text"])
    return f"{made['id']}, {words} words: {made['text'][:60]}…"


def main() -> int:
    """Run the checks in order; print each, and stop at the first that fails."""
    try:
        base_url, commit = os.environ["BASE_URL"], os.environ["EXPECTED_COMMIT"]
        timeout_s = float(os.environ.get("SMOKE_TIMEOUT_S", "30"))
    except (KeyError, ValueError) as error:
        print(f"FAILED settings: set BASE_URL and EXPECTED_COMMIT; SMOKE_TIMEOUT_S is a number: {error!r}")
        return 1
    checks: dict[str, Callable[[], str]] = {
        "ready": lambda: ready(base_url, timeout_s),
        "version": lambda: version(base_url, commit),
        "generation": lambda: generation(base_url),
    }
    print(f"smoke test of {base_url}", flush=True)
    for name, check in checks.items():
        started = time.monotonic()
        try:
            found = check()
        except (SmokeError, KeyError, TypeError, AttributeError) as error:
            reason = str(error) if isinstance(error, SmokeError) else f"unexpected answer: {error!r}"
            print(f"FAILED {name}: {reason}")
            return 1
        print(f"passed {name} in {(time.monotonic() - started) * 1000:.0f} ms: {found}", flush=True)
    print("smoke test passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
