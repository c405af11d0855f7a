"""slipway-playbook in the image as pods run it: real Ansible, read-only root, no network, no cluster."""

import base64
import io
import json
import tarfile
import time
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

PLAY = "- hosts: localhost\n  gather_facts: false\n  tasks:\n"
STATE = """
    - name: A file
      ansible.builtin.copy: {dest: /work/state, content: "for {{ namespace }}\\n", mode: "0600"}
"""
AWAY = """
    - name: Quota
      kubernetes.core.k8s:
        host: https://127.0.0.1:1
        api_key: none
        validate_certs: false
        definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}}
"""
SECRET = "p4ss{{ w }}\"ord'\nand its second line"


@dataclass(frozen=True)
class Ended:
    """A pod's end: exit code, log, result."""

    code: int
    said: str
    result: dict[str, Any]


Playbook = Callable[..., Ended]


@pytest.fixture
def playbook(engine: Any) -> Playbook:
    def volume(files: Mapping[str, bytes]) -> str:
        name = engine.volume()
        made = engine.docker("create", "-v", f"{name}:/volume", engine.images["base-debian"], "true")
        holder = made.stdout.decode().strip()
        engine.docker("cp", "-", f"{holder}:/volume", stdin=packed(files, "w"))
        engine.docker("rm", "-f", holder)
        return str(name)

    def run(
        mode: str,
        tasks: str = "",
        *arguments: str,
        files: Mapping[str, str] | None = None,
        variables: Mapping[str, Any] | None = None,
        before: str = "true",
    ) -> Ended:
        given = {"infra/site.yaml": PLAY + tasks, **(files or {})}
        archive = packed({name: text.encode() for name, text in given.items()}, "w:gz")
        options = ["-v", f"{volume({'playbook.tgz': archive})}:/files:ro", "--tmpfs", "/work:mode=1777"]
        options += ["-e", "NAMESPACE=shop", "-e", "RESULT=/tmp/result"]
        if variables is not None:
            told = volume({"variables.json": json.dumps(variables).encode()})
            options += ["-v", f"{told}:/run/slipway:ro"]
        mark = uuid.uuid4().hex
        command = f'{before}; slipway-playbook "$@"; code=$?; echo; echo {mark}; cat /tmp/result; echo; ls /work; exit $code'
        ended = engine.run(
            "toolbox-ansible", "sh", "-c", command, "sh", mode, "infra/site.yaml", *arguments, options=options
        )
        said, _, rest = ended.said.partition(mark)
        result, _, left = rest.lstrip().partition("\n")
        if result.startswith("z:"):
            result = zlib.decompress(base64.b64decode(result[2:])).decode()
        return Ended(ended.code, said + left, json.loads(result))

    return run


def packed(files: Mapping[str, bytes], mode: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def test_check_tells_what_would_change_and_changes_nothing(playbook: Playbook) -> None:
    began = time.monotonic()
    ended = playbook("check", STATE)
    print(f"check took {time.monotonic() - began:.1f} s")
    assert ended.code == 0, ended.said
    diff = "# task 'A file' on localhost\n--- before\n+++ /work/state\n@@ -0,0 +1 @@\n+for shop"
    assert ended.result == {
        "changed": 1,
        "failed": 0,
        "tasks": [{"task": "A file", "host": "localhost", "changed": True}],
        "tasks_count": 1,
        "diff": diff,
    }
    assert f"tasks that change something: 1; the diff:\n{diff}" in ended.said
    assert not ended.said.rstrip().endswith("\nstate")  # what `ls /work` says


def test_run_changes_once_and_a_second_run_nothing(playbook: Playbook) -> None:
    began = time.monotonic()
    ended = playbook("run", STATE)
    print(f"run took {time.monotonic() - began:.1f} s")
    assert ended.code == 0, ended.said
    assert (ended.result["changed"], ended.result["diff"].endswith("+for shop")) == (1, True)
    assert "once more: a second run must change nothing" in ended.said
    assert ended.said.rstrip().endswith("\nstate")


def test_playbook_that_is_not_idempotent_is_refused_by_the_names_of_its_tasks(playbook: Playbook) -> None:
    dates = "    - {name: Dates, ansible.builtin.shell: date >>/work/dates}\n"
    hidden = "    - {name: Hidden dates, ansible.builtin.shell: date >>/work/dates, no_log: true}\n"
    ended = playbook("run", STATE + dates + hidden)
    assert ended.code == 1
    assert ended.result["error"].startswith(
        "not idempotent: run a second time, it changes something again: "
        "task 'Dates' on localhost, task 'Hidden dates' on localhost ("
    )


def test_task_that_cannot_be_looked_at_ahead_is_refused_and_does_not_run(playbook: Playbook) -> None:
    ended = playbook(
        "check",
        "    - {name: Shell, ansible.builtin.shell: touch /work/ran}\n"
        "    - {name: Raw, ansible.builtin.raw: touch /work/ran}\n"
        "    - {name: Loop, ansible.builtin.command: touch /work/ran, loop: [1, 2]}\n"
        "    - {name: Guarded, ansible.builtin.command: touch /work/ran, when: not ansible_check_mode}\n"
        "    - {name: Creates, ansible.builtin.command: touch /work/ran, args: {creates: /work/ran}}\n",
    )
    assert ended.code == 1
    assert ended.result["error"].startswith(
        "cannot run in check mode: task 'Shell' on localhost (ansible.builtin.shell), "
        "task 'Raw' on localhost (ansible.builtin.raw), task 'Loop' on localhost (ansible.builtin.command) ("
    )
    assert not ended.said.rstrip().endswith("\nran")


@pytest.mark.parametrize(
    ("tasks", "error"),
    [
        (
            "    - {name: Draft, ansible.builtin.fail: {msg: nobody knows}}\n",
            "task 'Draft' on localhost: nobody knows",
        ),
        (
            "    - {name: Each, ansible.builtin.fail: {msg: '{{ item }} is bad'}, loop: [a, b]}\n",
            "task 'Each' on localhost: (a) a is bad (and 1 more of its items)",
        ),
        (
            "    - {nosuch.module: {}}\n",
            "the playbook cannot be run: couldn't resolve module/action 'nosuch.module'.",
        ),
        ("   - [\n", "the playbook cannot be run: YAML parsing failed: "),
    ],
)
def test_playbook_that_fails_says_which_task_and_why(playbook: Playbook, tasks: str, error: str) -> None:
    for mode in ("check", "run"):
        ended = playbook(mode, tasks)
        assert ended.code == 1, ended.said
        assert ended.result["error"].startswith(error)
        assert f"FAILED: {ended.result['error']}" in ended.said


def test_failure_that_is_ignored_or_rescued_is_none(playbook: Playbook) -> None:
    rescued = "    - {block: [{fail: {msg: a}}], rescue: [{debug: {msg: b}}]}\n"
    ended = playbook("run", rescued + "    - {fail: {msg: c}, ignore_errors: true}\n")
    assert (ended.code, ended.result["failed"]) == (0, 0), ended.said


def test_cluster_that_does_not_answer_is_not_the_playbooks_fault(playbook: Playbook) -> None:
    ended = playbook("check", AWAY)
    assert ended.code == 3
    assert ended.result["error"].startswith(
        "task 'Quota' on localhost: HTTPSConnectionPool(host='127.0.0.1', port=1): Max"
    )


def test_playbook_that_waits_for_a_person_is_ended(playbook: Playbook) -> None:
    ended = playbook("run", "    - {name: Ask, ansible.builtin.pause: }\n", "--timeout-s", "8")
    assert ended.code == 1
    assert (
        ended.result["error"]
        == "the playbook took longer than 8 s, at task 'Ask' on localhost, and was ended"
    )
    asks = PLAY.replace("  tasks:\n", "  vars_prompt: [{name: pin, prompt: Pin}]\n  tasks:\n") + STATE
    ended = playbook("run", files={"infra/site.yaml": asks})
    assert ended.code == 1
    assert ended.result["error"].startswith("the playbook asks for 'pin'")


def test_values_reach_the_playbook_as_they_are_and_nobody_else(playbook: Playbook) -> None:
    """Neither by Ansible's own output, nor by a diff, an error, an argument or a form that Kubernetes writes."""
    tasks = """
    - name: "Told {{ password }}"
      ansible.builtin.debug:
        msg: ["{{ password }}", "{{ password | b64encode }}", "{{ {'a': password} | to_json }}", "{{ pin }}"]
    - name: Untouched
      ansible.builtin.assert: {that: ["password | b64encode == 'SECRET'", "namespace == 'shop'"]}
    - name: File
      ansible.builtin.copy: {dest: /work/secret, content: "{{ password }}\\n{{ pin }}\\n", mode: "0600"}
    - name: Arguments
      ansible.builtin.shell: tr '\\0' ' ' </proc/$PPID/cmdline; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; env
      changed_when: false
    - name: Fails
      ansible.builtin.fail: {msg: "{{ password }} is no good"}
"""
    for mode in ("check", "run"):
        ended = playbook(
            mode,
            tasks.replace("SECRET", base64.b64encode(SECRET.encode()).decode()),
            variables={"password": SECRET, "pin": 90210, "namespace": "x"},
        )
        everything = ended.said + json.dumps(ended.result)
        assert ended.code == 1, ended.said
        assert ended.result["error"] == "task 'Fails' on localhost: ******** is no good"
        for value in ("p4ss", "second line", "90210", base64.b64encode(SECRET.encode())[8:40].decode()):
            assert value not in everything


def test_hidden_task_stays_hidden(playbook: Playbook) -> None:
    private = "{{ 'very-' ~ 'private' }}"  # so that the source, which Ansible quotes, does not hold it
    token = f'    - {{name: Token, copy: {{dest: /work/token, content: "{private}"}}, no_log: true}}\n'
    fails = f'    - {{name: Fails, shell: "echo {private}; false", no_log: true}}\n'
    ended = playbook("run", token + fails)
    assert ended.code == 1
    assert ended.result["error"] == "task 'Fails' on localhost: what it says is hidden by no_log"
    assert ended.result["changed"] == 1
    assert "very-private" not in ended.said + json.dumps(ended.result)


def test_settings_beside_the_playbook_are_not_heeded_but_its_roles_are(playbook: Playbook) -> None:
    ended = playbook(
        "check",
        "    - ansible.builtin.import_role: {name: quota}\n",
        files={
            "infra/roles/quota/tasks/main.yaml": "- {name: Of the role, ansible.builtin.debug: {msg: here}}\n",
            "ansible.cfg": "[defaults]\ninventory = /nowhere\n",
            "infra/ansible.cfg": "[defaults]\ninventory = /nowhere\n",
            "env/cmdline": "--syntax-check",
            "args": "id",
        },
    )
    assert (ended.code, [task["task"] for task in ended.result["tasks"]]) == (0, ["Of the role"]), ended.said


def test_long_diff_fits_into_what_a_pod_may_tell(playbook: Playbook) -> None:
    tasks = """
    - name: Files
      ansible.builtin.copy:
        dest: "/work/{{ item }}"
        content: "{{ range(1500) | map('hash', 'sha1') | join('\\n') }}"
        mode: "0600"
      loop: [1, 2, 3]
"""
    ended = playbook("check", tasks)
    assert (ended.code, ended.result["changed"]) == (0, 1), ended.said
    assert ended.result["diff"].endswith("... the rest of the diff is in the log")
    assert len(ended.said) < 150_000


def test_what_the_platform_did_not_give_is_not_the_playbooks_fault(playbook: Playbook) -> None:
    ended = playbook("check", STATE, before="unset NAMESPACE")
    assert (ended.code, "NAMESPACE" in ended.result["error"]) == (3, True)
    ended = playbook("look", STATE)
    assert (ended.code, "invalid choice" in ended.result["error"]) == (3, True)
    ended = playbook("check", files={"infra/site.yaml": "", "infra/other.yaml": PLAY})
    assert ended.code == 1, ended.said
