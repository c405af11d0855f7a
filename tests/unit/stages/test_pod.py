"""What the end of a pod says of the service."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from slipway.errors import PolicyFailed, Transient
from slipway.stages.pod import told, verdict

LINES = ["smoke test of http://x", "FAILED version: found 200"]


def ended(code: int, reason: str = "Error", message: str | None = None) -> dict[str, Any]:
    return {"exit_code": code, "reason": reason, "message": message}


@pytest.mark.parametrize("is_service", [True, False])
def test_1_is_the_services_fault_and_says_why(is_service: bool) -> None:
    error = verdict("verify.smoke", ended(1), LINES, is_service=is_service)
    assert isinstance(error, PolicyFailed)
    assert error.message == "verify.smoke failed: FAILED version: found 200"


def test_any_other_end_is_the_services_fault_only_if_it_is_its_own_image() -> None:
    assert isinstance(verdict("verify.smoke", ended(2), LINES, is_service=True), PolicyFailed)
    error = verdict("deploy.pending", ended(3), LINES, is_service=False)
    assert isinstance(error, Transient)
    assert "clear the task" in error.remedy


def test_a_command_that_cannot_be_started_speaks_with_the_runtimes_words() -> None:
    told = "failed to create containerd task:\nexec: /opt/venv/bin/python: no such file or directory"
    error = verdict("verify.smoke", ended(128, "StartError", told), [], is_service=True)
    assert isinstance(error, PolicyFailed)
    assert str(error) == (
        "verify.smoke ended with exit code 128 (StartError): exec: /opt/venv/bin/python: no such file or directory"
    )


def test_too_much_memory_is_the_services_fault() -> None:
    error = verdict("deploy.migrate", ended(137, "OOMKilled"), [], is_service=False)
    assert isinstance(error, PolicyFailed)
    assert "more memory" in error.message


def test_a_pod_that_has_not_ended_is_no_verdict() -> None:
    assert verdict("verify.smoke", None, LINES, is_service=True) is None


def test_a_toolbox_tells_why_and_which_statement() -> None:
    said = json.dumps(
        {"error": "c4 failed: column exists", "statement": "alter table t add c int", "applied": []}
    )
    error = verdict("deploy.migrate", ended(1, message=said), LINES, is_service=False)
    assert isinstance(error, PolicyFailed)
    assert error.message == "deploy.migrate failed: c4 failed: column exists"
    assert error.lines[0] == "statement: alter table t add c int"


def test_what_is_told_may_be_compressed_and_may_be_nothing() -> None:
    packed = base64.b64encode(zlib.compress(b'{"pending": []}')).decode()
    assert told(f"z:{packed}") == {"pending": []}
    assert told('{"a": 1}') == {"a": 1}
    for nothing in (None, "", "z:", "z:%%%", "z:AAAA", "Killed", "{"):
        assert told(nothing) is None
