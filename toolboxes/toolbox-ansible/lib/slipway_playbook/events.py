"""What ansible-runner's events tell of a run: tasks, diffs, and why it failed."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from slipway_playbook import cluster

OWN_WORDS = {"fail", "assert", "command", "shell", "script", "raw"}
"""Modules whose message is the playbook's own: it may say `connection refused`, and the cluster answers all the same."""

# The display names the kind of a result first, and at -v its JSON last. The event of a task with no_log does not say `changed`
_CHANGED = re.compile(r"^changed: \[", re.MULTILINE)
_DUMPED = re.compile(
    r"^((?:ok|changed|skipping): \[[^\]\n]*\](?: => \(item=.*?\))?) +=> \{.*\}$", re.MULTILINE
)
_PREFIX = re.compile(r"^Task failed: (?:(?:Action|Module) failed: )?")
LONGEST = 600


@dataclass
class Task:
    """A task on a host. `action` is the module."""

    name: str
    host: str
    action: str
    changed: bool = False
    ended: bool = False
    failed: bool = False

    def __str__(self) -> str:
        return f"task {self.name!r} on {self.host}"


@dataclass
class Failure:
    """Why a task failed; `away` says that what it works with did not answer."""

    task: Task
    message: str
    away: bool

    def __str__(self) -> str:
        return f"{self.task}: {self.message}"


@dataclass
class Run:
    """What the events of one run tell, taken one after the other."""

    tasks: dict[tuple[str, str], Task] = field(default_factory=dict)
    diffs: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    unreachable: list[Failure] = field(default_factory=list)
    unchecked: list[Task] = field(default_factory=list)
    unmatched: bool = False
    asks: str | None = None
    stats: dict[str, Any] | None = None
    said: list[str] = field(default_factory=list)
    began: bool = False

    def take(self, event: dict[str, Any]) -> None:
        kind, data = event["event"], event.get("event_data") or {}
        if kind == "playbook_on_play_start":
            self.began = True
        elif kind == "playbook_on_stats":
            self.stats = data
        elif kind == "playbook_on_no_hosts_matched":
            self.unmatched = True
        elif kind == "playbook_on_vars_prompt":
            self.asks = str(data.get("varname"))
        elif kind in ("verbose", "error", "warning"):
            self.said.append(shown(event))
        elif data.get("host") and kind.startswith("runner_"):
            self._take_task(kind, data, shown(event))

    def _take_task(self, kind: str, data: dict[str, Any], text: str) -> None:
        task = self.tasks.setdefault(
            (str(data.get("task_uuid")), data["host"]),
            Task(
                str(data.get("task")),
                data["host"],
                str(data.get("resolved_action") or data.get("task_action")),
            ),
        )
        result = data["res"] if isinstance(data.get("res"), dict) else {}
        if kind in ("runner_on_ok", "runner_item_on_ok", "runner_on_failed", "runner_item_on_failed"):
            task.changed |= result.get("changed") is True or bool(_CHANGED.search(text))
            # the result of a loop holds those of its items, which came before
            if "results" not in result:
                self._take_diff(task, result)
        if kind in ("runner_on_skipped", "runner_item_on_skipped") and _is_unchecked(task, result, text):
            self.unchecked += [task] if task not in self.unchecked else []
        if kind == "runner_on_failed" and not data.get("ignore_errors"):
            task.failed = True
            self.failures.append(_failure(task, result))
        if kind == "runner_on_unreachable":
            task.failed = True
            self.unreachable.append(Failure(task, _message(result), away=True))
        task.ended |= kind.startswith("runner_on_") and kind != "runner_on_start"

    def _take_diff(self, task: Task, result: dict[str, Any]) -> None:
        given = cluster.diff(result)
        for one in given if isinstance(given, list) else [given]:
            if isinstance(one, dict) and (text := unified(one)):
                label = result.get("_ansible_item_label")
                self.diffs.append(f"# {task}{f' ({label})' if label is not None else ''}\n{text}")

    @property
    def running(self) -> Task | None:
        """The task that began and did not end."""
        return next((task for task in reversed(self.tasks.values()) if not task.ended), None)

    def count(self, *names: str) -> int:
        """Tasks that ended so, of all hosts: `changed`, `failures`, `dark` and so on."""
        return sum(sum((self.stats or {}).get(name, {}).values()) for name in names)

    @property
    def changed(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.changed]

    @property
    def diff(self) -> str:
        return "\n".join(self.diffs)


def shown(event: dict[str, Any]) -> str:
    """What Ansible's display says of an event."""
    return str(event.get("stdout") or "").replace("\r", "")


def progress(event: dict[str, Any]) -> str:
    """Give what a person wants to read while it runs: Ansible's own words without results and diffs, which come last."""
    text = shown(event)
    if event["event"] == "runner_on_file_diff" or text.startswith("Using /"):
        return ""
    return _DUMPED.sub(r"\1", text)


def unified(diff: dict[str, Any]) -> str:
    """Give a diff of `before` and `after`, texts or objects (as YAML), or what the module prepared."""
    if diff.get("prepared"):
        return str(diff["prepared"]).rstrip("\n")
    for key, what in (
        ("src_binary", "binary"),
        ("dst_binary", "binary"),
        ("src_larger", "large"),
        ("dst_larger", "large"),
    ):
        if diff.get(key):
            return f"(not shown: the file is {what})"
    before, after = _lines(diff.get("before")), _lines(diff.get("after"))
    if before == after:
        return ""
    return "\n".join(
        difflib.unified_diff(
            before,
            after,
            str(diff.get("before_header") or "before"),
            str(diff.get("after_header") or "after"),
            lineterm="",
        )
    )


def one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 4] + " ..."


def first_error(said: list[str]) -> str | None:
    """Give what Ansible says of a playbook that it cannot read, with the place."""
    for at, text in enumerate(said):
        if "[ERROR]: " in text:
            place = next((line for line in said[at:] if line.startswith("Origin: ")), "")
            return text.partition("[ERROR]: ")[2] + (f" ({place.removeprefix('Origin: ')})" if place else "")
    return None


def _lines(side: Any) -> list[str]:
    if not side:
        return []
    text = side if isinstance(side, str) else str(yaml.safe_dump(side, width=1_000_000, allow_unicode=True))
    return text.splitlines()


def _is_unchecked(task: Task, result: dict[str, Any], text: str) -> bool:
    """Whether a task was left out because its module cannot say what it would do.

    The event of a task that is skipped has no result; what the display says of it at -v has.
    """
    said = text or json.dumps(result)
    if 'skip_reason": ' in said or 'censored": ' in said or "false_condition" in result:
        return False
    # `raw` says nothing at all
    return "check mode" in said or _module(task) == "raw"


def _module(task: Task) -> str:
    return task.action.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")


def _failure(task: Task, result: dict[str, Any]) -> Failure:
    given = result.get("results")
    items = (
        [one for one in given if isinstance(one, dict) and one.get("failed")]
        if isinstance(given, list)
        else []
    )
    messages = [
        f"({one['_ansible_item_label']}) {_message(one)}" if "_ansible_item_label" in one else _message(one)
        for one in items
    ] or [_message(result)]
    more = f" (and {len(messages) - 1} more of its items)" if len(messages) > 1 else ""
    away = _module(task) not in OWN_WORDS and all(
        cluster.is_away(str(one.get("msg"))) or _status(one) in (401, 429) or _status(one) >= 500
        for one in items or [result]
    )
    return Failure(task, one_line(messages[0]) + more, away)


def _status(result: dict[str, Any]) -> int:
    status = result.get("status")
    return status if isinstance(status, int) else 0


def _message(result: dict[str, Any]) -> str:
    if "censored" in result:
        return "what it says is hidden by no_log"
    said = str(result.get("stderr") or result.get("module_stderr") or "").strip().splitlines()
    message = str(result.get("msg") or result.get("reason") or "it does not say why")
    message = cluster.in_short(_PREFIX.sub("", message))
    return message + (f": {said[-1]}" if said and said[-1] not in message else "")
