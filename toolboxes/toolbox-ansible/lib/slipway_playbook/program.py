"""slipway-playbook: unpacks, runs, and tells."""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from slipway_playbook import DONE, FAULT, TROUBLE, Fault, Trouble, archive, result, verdict
from slipway_playbook.events import Run, one_line, progress
from slipway_playbook.redaction import Redaction

FILES = Path("/files/playbook.tgz")
VARIABLES = Path("/run/slipway/variables.json")
TIMEOUT_S = 280
"""Below the 300 s that the pod has: a result is told before it is ended."""
MOST_SHOWN = 1_000_000
MOST_DIFF = 100_000


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Trouble(f"{message}\n{self.format_usage().strip()}")


class _Unsafe(str):
    """A text that Ansible takes as it is: `{{` in a password is no template."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


class Log:
    """Standard output without the values of the variables, and not without end."""

    def __init__(self) -> None:
        self.redact: Callable[[str], str] = Redaction({})
        self._left = MOST_SHOWN

    def __call__(self, text: str) -> None:
        if not text or self._left <= 0:
            return
        text = self.redact(text)
        self._left -= len(text)
        if self._left <= 0:
            text = text[: self._left] + f"\n... more than {MOST_SHOWN} characters: the rest is not shown"
        print(text, flush=True)

    def last(self, text: str) -> None:
        """Print the last words, however much was said before."""
        print(self.redact(text), flush=True)


def main(argv: list[str]) -> int:
    """Do what the arguments say, write the result, and give the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # of a tool's output that is no Unicode
    log = Log()
    told: dict[str, Any] = {}
    try:
        code, told = _do(argv, log)
    except Fault as error:
        code, told = FAULT, {"error": one_line(str(error))}
    except Trouble as error:
        code, told = TROUBLE, {"error": one_line(str(error))}
    except Exception as error:
        log(traceback.format_exc())
        code = TROUBLE
        told = {"error": one_line(f"slipway-playbook itself broke: {type(error).__name__}: {error}")}
    told = _rewritten(told, log.redact)
    if code:
        log.last(f"{'FAILED' if code == FAULT else 'COULD NOT BE DONE'}: {told['error']}")
    where = Path(os.environ.get("RESULT", "/dev/termination-log"))
    try:
        where.write_text(result.packed(told))
    except OSError as error:
        log.last(f"the result cannot be written to {where}: {error}")
        return code or TROUBLE
    return code


def _do(argv: list[str], log: Log) -> tuple[int, dict[str, Any]]:
    parser = _Arguments(prog="slipway-playbook")
    parser.add_argument("mode", choices=("check", "run"))
    parser.add_argument("playbook", help="path in the archive")
    parser.add_argument("--timeout-s", type=float, default=TIMEOUT_S, help=f"of all runs; {TIMEOUT_S}")
    given = parser.parse_args(argv)
    variables = _variables()
    log.redact = Redaction(variables)
    namespace = os.environ.get("NAMESPACE")
    if not namespace:
        raise Trouble("NAMESPACE is not set: the namespace that the playbook works in")
    with tempfile.TemporaryDirectory(prefix="playbook-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        archive.unpack(FILES, folder / "project")
        playbook = (folder / "project" / given.playbook).resolve()
        if not playbook.is_relative_to((folder / "project").resolve()) or not playbook.is_file():
            raise Fault(f"{given.playbook} is not among the files of the config repository")
        _write_variables(folder / "variables.yaml", {**variables, "namespace": namespace})
        if given.mode == "check":
            return _check(folder, playbook, given.timeout_s, log)
        return _run(folder, playbook, given.timeout_s, log)


def _check(folder: Path, playbook: Path, timeout_s: float, log: Log) -> tuple[int, dict[str, Any]]:
    log("what would change (check mode: nothing is changed)")
    run, code, why = _play(folder, playbook, timeout_s, log, check=True)
    _show_diff(run, log)
    return code, _told(run, why)


def _run(folder: Path, playbook: Path, timeout_s: float, log: Log) -> tuple[int, dict[str, Any]]:
    began = time.monotonic()
    run, code, why = _play(folder, playbook, timeout_s, log, check=False)
    if code != DONE:
        _show_diff(run, log)
        return code, _told(run, why)
    log("\nonce more: a second run must change nothing")
    left_s = max(1.0, timeout_s - (time.monotonic() - began))
    again, code, why = _play(folder, playbook, left_s, log, check=False)
    if code == DONE:
        code, why = verdict.of_second(again)
    else:
        why = one_line(f"when it was run a second time: {why}")
    _show_diff(run, log)
    if again.diff:
        log("\nwhat the second run changed again:\n" + again.diff[:MOST_DIFF])
    return code, _told(run, why)


def _play(folder: Path, playbook: Path, timeout_s: float, log: Log, *, check: bool) -> tuple[Run, int, str]:
    import ansible_runner  # here, so that a test of what is decided needs no Ansible

    run = Run()
    project = folder / "project"

    def take(event: dict[str, Any]) -> bool:
        # hidden first: what is cut later would leave half a value. Places are told as they are in the repository
        event = _rewritten(event, lambda text: log.redact(text.replace(f"{project}/", "")))
        run.take(event)
        # what Ansible says before it begins is of use only if it never does (and it always says that `namespace` is reserved)
        if run.began:
            log(progress(event).rstrip("\n"))
        return False  # no file of the event is kept

    done = ansible_runner.run(
        private_data_dir=str(folder),
        project_dir=str(project),
        playbook=str(playbook.relative_to(project.resolve())),
        cmdline=f"--diff --extra-vars @{folder}/variables.yaml" + (" --check" if check else ""),
        envvars={"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        verbosity=1,  # else nobody says why a task was skipped
        timeout=int(max(1, timeout_s)),
        settings={"pexpect_timeout": 1},
        event_handler=take,
        cancel_callback=lambda: run.asks is not None,
        suppress_output_file=True,
        quiet=True,
    )
    if not run.began:
        log("\n".join(text for text in run.said if not text.startswith("Using /")))
    shutil.rmtree(folder / "artifacts", ignore_errors=True)
    code, why = verdict.of(run, status=done.status, code=done.rc, timeout_s=timeout_s, check=check)
    return run, code, why


def _show_diff(run: Run, log: Log) -> None:
    changed = run.count("changed")
    if not run.diff:
        log.last(f"\ntasks that change something: {changed}" + ("; they give no diff" if changed else ""))
        return
    # hidden before it is cut, or half a value would be left
    diff = log.redact(run.diff)
    cut = f"\n... and {len(diff) - MOST_DIFF} more characters" if len(diff) > MOST_DIFF else ""
    log.last(f"\ntasks that change something: {changed}; the diff:\n{diff[:MOST_DIFF]}{cut}")


def _told(run: Run, why: str) -> dict[str, Any]:
    ran = [task for task in run.tasks.values() if task.ended]
    return {
        **({"error": why} if why else {}),
        "changed": run.count("changed") if run.stats else len(run.changed),
        "failed": run.count("failures", "dark") if run.stats else len(run.failures) + len(run.unreachable),
        "tasks": [{"task": task.name, "host": task.host, "changed": task.changed} for task in ran],
        "tasks_count": len(ran),
        "diff": run.diff,
    }


def _rewritten(value: Any, write: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return write(value)
    if isinstance(value, list):
        return [_rewritten(one, write) for one in value]
    if isinstance(value, dict):
        return {key: _rewritten(one, write) for key, one in value.items()}
    return value


def _variables() -> dict[str, Any]:
    try:
        found = json.loads(VARIABLES.read_text(encoding="utf-8"))
        json.dumps(found, ensure_ascii=False).encode()  # refuses half a surrogate pair
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        # the error's own words may hold a piece of the file
        raise Trouble(f"{VARIABLES} cannot be read: {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise Trouble(f"{VARIABLES} must be an object of variables")
    return found


def _write_variables(path: Path, variables: dict[str, Any]) -> None:
    """By file, never by argument: everybody in the pod may read arguments."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.dump(_unsafe(variables), file, Dumper=_Dumper, allow_unicode=True, width=1_000_000)


def _unsafe(value: Any) -> Any:
    if isinstance(value, str):
        return _Unsafe(value)
    if isinstance(value, list):
        return [_unsafe(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _unsafe(one) for key, one in value.items()}
    return value
