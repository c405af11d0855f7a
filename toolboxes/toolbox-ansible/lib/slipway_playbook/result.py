"""The result as a pod hands it on: at most 4096 bytes fit into /dev/termination-log."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

MOST_BYTES = 4000


def packed(result: dict[str, Any]) -> str:
    """Give JSON; what is longer as `z:` and base64 of zlib; what is still longer with less of the diff, then of the tasks.

    A diff that was cut ends with a line that says so; `tasks_count` tells how many tasks there were.
    """
    if text := _fitting(result):
        return text
    result = dict(result)
    while len(diff := result.get("diff", "")) > 80:
        lines = diff.splitlines()
        kept = lines[: len(lines) // 2] or [lines[0][: len(diff) // 3]]
        result["diff"] = "\n".join([*kept, "... the rest of the diff is in the log"])
        if len(result["diff"]) >= len(diff):
            break
        if text := _fitting(result):
            return text
    result["diff"] = "... the diff is in the log"
    while result.get("tasks"):
        # those that change something stay longest
        tasks = sorted(result["tasks"], key=lambda task: not task["changed"])
        result["tasks"] = tasks[: len(tasks) // 2]
        if text := _fitting(result):
            return text
    return _fitting({**result, "error": str(result.get("error", ""))[:500]}) or "{}"


def _fitting(result: dict[str, Any]) -> str | None:
    text = json.dumps(result)
    if len(text) > MOST_BYTES:
        text = "z:" + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return text if len(text) <= MOST_BYTES else None
