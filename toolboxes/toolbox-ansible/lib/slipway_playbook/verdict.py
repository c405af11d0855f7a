"""Decides what a run of Ansible means."""

from __future__ import annotations

from slipway_playbook import DONE, FAULT, TROUBLE
from slipway_playbook.cluster import is_away
from slipway_playbook.events import Run, Task, first_error, one_line

BROKEN = 250
"""Ansible's exit code for an exception of its own; it ends with 1, 4 or 5 if it cannot read a playbook."""


def of(run: Run, *, status: str, code: int | None, timeout_s: float, check: bool) -> tuple[int, str]:
    """Give the exit code, and in one line why it is not 0.

    :param status: what ansible-runner says: successful, failed, timeout, canceled.
    :param code: what ansible-playbook ended with.
    """
    if run.asks:
        return FAULT, f"the playbook asks for {run.asks!r} (vars_prompt), and nobody is there to answer"
    if status == "timeout":
        return _late(run.running, timeout_s)
    if run.unreachable:
        return TROUBLE, str(run.unreachable[-1])
    if code != 0:
        return _failed(run, code)
    if run.unmatched and not run.tasks:
        return FAULT, "no task ran: `hosts` must be localhost, the one host that there is"
    if check and run.unchecked:
        return FAULT, _unchecked(run.unchecked)
    return DONE, ""


def of_second(again: Run) -> tuple[int, str]:
    """Judge the run after the first one, which went well: it must change nothing."""
    if not again.count("changed") and not again.changed:
        return DONE, ""
    tasks = ", ".join(str(task) for task in again.changed[:5])
    more = f" and {len(again.changed) - 5} more" if len(again.changed) > 5 else ""
    return FAULT, one_line(
        f"not idempotent: run a second time, it changes something again: {tasks}{more}"
        " (use a module that compares, or say changed_when, creates or removes)"
    )


def _late(task: Task | None, timeout_s: float) -> tuple[int, str]:
    at = f"at {task}" if task else "before its first task"
    # what waits for the cluster's API waits for the platform; what waits for anything else was written so
    code = TROUBLE if task and task.action.startswith("kubernetes.") else FAULT
    return code, f"the playbook took longer than {timeout_s:.0f} s, {at}, and was ended"


def _failed(run: Run, code: int | None) -> tuple[int, str]:
    if run.failures and run.stats and run.count("failures"):
        last = run.failures[-1]
        return (TROUBLE if last.away else FAULT), one_line(str(last))
    why = first_error(run.said)
    if code is None or code == BROKEN or code < 0 or code > 100:
        return TROUBLE, one_line(f"Ansible itself broke (exit code {code}): {why or 'it does not say why'}")
    if why:
        return (TROUBLE if is_away(why) else FAULT), one_line(f"the playbook cannot be run: {why}")
    if run.failures:
        return (TROUBLE if run.failures[-1].away else FAULT), one_line(str(run.failures[-1]))
    return FAULT, f"ansible-playbook ended with exit code {code} and does not say why"


def _unchecked(tasks: list[Task]) -> str:
    names = ", ".join(f"{task} ({task.action})" for task in tasks[:5])
    more = f" and {len(tasks) - 5} more" if len(tasks) > 5 else ""
    return one_line(
        f"cannot run in check mode: {names}{more} (say creates or removes, or check_mode: false if it only reads,"
        " or when: not ansible_check_mode)"
    )
