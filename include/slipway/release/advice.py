"""How a person goes on from a release, in the words that the command line, the page and the note on the commit share."""

from __future__ import annotations

from slipway.release.states import Status


def advice(
    service: str, commit: str, status: Status, stage: str | None = None, superseded_by: str | None = None
) -> list[str]:
    """Gives what can be done next, one step a line; nothing for a release that passed.

    :param stage: the stage that decided how it ended.
    :param superseded_by: run id of the release that went instead.
    """
    command = f"slipway release {service} {commit[:12]}"
    clear = f"clear {stage or 'the failed task'} with downstream in Airflow, or `{command} --again`"
    if status is Status.PASSED:
        return []
    if status is Status.RUNNING:
        return [f"follow it with `{command} --wait`"]
    if status is Status.SUPERSEDED:
        newer = (superseded_by or "").removeprefix(f"{service}.")
        return [
            f"nothing is left to do; see the newer one with `slipway releases show {service} {newer}`".rstrip(),
            f"to deploy this one all the same, ask for it anew: `{command} --again`",
        ]
    if status is Status.UNCHANGED:
        return [f"nothing is left to do; to release this one all the same: `{command} --again --fresh`"]
    if status is Status.ROLLED_BACK:
        return [
            "push a commit that mends it: the earlier release serves meanwhile",
            f"if the fault was not in the commit: mend that, let it go (`slipway holds release {service} {commit[:12]}`), "
            f"then `{command} --again`",
        ]
    if status is Status.FAILED:
        return [
            "push a commit that mends it",
            f"if the fault was not in the commit (the configuration, the cluster): mend that, then {clear}",
        ]
    return [f"when the cause is mended: {clear}"]
