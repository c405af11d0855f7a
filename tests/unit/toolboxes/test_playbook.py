"""What slipway-playbook decides: what it unpacks, hides, tells and blames. Ansible itself runs in the integration tests."""

import base64
import io
import json
import sys
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[3] / "toolboxes/toolbox-ansible/lib"))
from slipway_playbook import DONE, FAULT, TROUBLE, Fault, Trouble, archive, program, result, verdict
from slipway_playbook.events import Run, progress
from slipway_playbook.redaction import HIDDEN, Redaction

# --- files


def packed(path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode, compresslevel=1) as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def entry(name: str, content: bytes = b"x", **given: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for key, value in given.items():
        setattr(info, key, value)
    return info, content


def test_files_are_unpacked_without_owner_and_mode(tmp_path: Path) -> None:
    made = packed(tmp_path / "a.tgz", [entry("infra/site.yaml", b"- hosts", mode=0o4777), entry("b", uid=0)])
    archive.unpack(made, tmp_path / "out")
    assert (tmp_path / "out/infra/site.yaml").read_bytes() == b"- hosts"
    assert not (tmp_path / "out/infra/site.yaml").stat().st_mode & 0o4111


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (entry("../outside"), "outside"),
        (entry("/etc/outside"), "outside"),
        (entry("infra/../../outside"), "outside"),
        (entry("link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "neither a file"),
        (entry("link", b"", type=tarfile.LNKTYPE, linkname="infra/site.yaml"), "neither a file"),
        (entry("device", b"", type=tarfile.CHRTYPE), "neither a file"),
        (entry("pipe", b"", type=tarfile.FIFOTYPE), "neither a file"),
        (entry("infra/site.yaml/below"), "at once"),
        (entry("infra"), "at once"),
    ],
)
def test_what_is_no_plain_file_inside_is_refused(
    tmp_path: Path, bad: tuple[tarfile.TarInfo, bytes], says: str
) -> None:
    made = packed(tmp_path / "a.tgz", [entry("infra/site.yaml"), bad])
    with pytest.raises(Fault, match=says):
        archive.unpack(made, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tgz", "out"]


def test_bomb_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="32 MiB"):
        archive.unpack(packed(tmp_path / "a.tgz", [entry("big", bytes(33 << 20))]), tmp_path / "out")
    with pytest.raises(Fault, match="2000 files"):
        archive.unpack(packed(tmp_path / "b.tgz", [entry(f"f{n}") for n in range(2001)]), tmp_path / "out")


def test_missing_or_damaged_archive_is_the_platforms_trouble(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="missing"):
        archive.unpack(tmp_path / "none.tgz", tmp_path / "out")
    for name, content in {
        "no.tgz": b"no archive",
        "half.tgz": packed(tmp_path / "a", [entry("f")]).read_bytes()[:-9],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Trouble, match="damaged"):
            archive.unpack(tmp_path / name, tmp_path / "out")


# --- values


@pytest.mark.parametrize(
    "text",
    [
        "password p4ss\"w'ord{{x}} here",
        json.dumps({"a": "p4ss\"w'ord{{x}}"}),
        json.dumps(json.dumps({"a": "p4ss\"w'ord{{x}}"})),
        repr({"a": "p4ss\"w'ord{{x}}"}),
        yaml.safe_dump({"a": "p4ss\"w'ord{{x}}"}),
        "data: " + base64.b64encode(b"p4ss\"w'ord{{x}}").decode(),
        "auth: " + base64.b64encode(b"user:p4ss\"w'ord{{x}}").decode(),
        "auth: " + base64.b64encode(b"me:p4ss\"w'ord{{x}}\n").decode(),
        "postgres://u:p4ss%22w%27ord%7B%7Bx%7D%7D@h/db",
    ],
)
def test_value_is_hidden_in_the_forms_that_tools_write(text: str) -> None:
    hidden = Redaction({"password": "p4ss\"w'ord{{x}}"})(text)
    assert HIDDEN in hidden
    assert "p4ss" not in hidden
    assert "cDRzcyJ3J29y" not in hidden


def test_lines_numbers_and_nested_values_are_hidden_and_short_ones_only_as_words() -> None:
    hide = Redaction(
        {"key": "first line\nsecond line", "deep": [{"pin": 90210}], "short": "ab", "on": True, "no": None}
    )
    assert hide("+first line\n+second line") == f"+{HIDDEN}\n+{HIDDEN}"
    assert hide("the pin is 90210, ab") == f"the pin is {HIDDEN}, {HIDDEN}"
    assert hide("a table, True and None") == "a table, True and None"
    assert Redaction({"empty": ""})("as it is") == "as it is"


@given(st.text(min_size=1).filter(str.strip), st.text(), st.text())
def test_no_value_is_left_in_any_text(value: str, before: str, after: str) -> None:
    text = f"{before} {value} {after}"
    left = Redaction({"v": value})(text).replace(HIDDEN, "")
    assert len(value) < 4 or value not in left


def test_variables_reach_ansible_as_they_are_in_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "variables.yaml"
    program._write_variables(path, {"a": "{{ lookup('pipe', 'id') }}", "n": 3, "l": ["it's\nüber"]})
    assert path.stat().st_mode & 0o777 == 0o600

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!unsafe", lambda loader, node: ("unsafe", loader.construct_scalar(node)))
    found = yaml.load(path.read_text(), Loader)  # noqa: S506
    assert found == {
        "a": ("unsafe", "{{ lookup('pipe', 'id') }}"),
        "n": 3,
        "l": [("unsafe", "it's\nüber")],
    }


# --- the result


def unpacked(text: str) -> dict[str, Any]:
    assert len(text) <= 4000
    return json.loads(zlib.decompress(base64.b64decode(text[2:])) if text.startswith("z:") else text)


def test_result_is_json_then_compressed_then_cut() -> None:
    small = {
        "changed": 1,
        "failed": 0,
        "tasks": [{"task": "t", "host": "h", "changed": True}],
        "tasks_count": 1,
        "diff": "+a",
    }
    assert result.packed(small) == json.dumps(small)
    alike = {**small, "diff": "+ a line\n" * 2000}
    assert result.packed(alike).startswith("z:")
    assert unpacked(result.packed(alike)) == alike
    noise = "\n".join(
        f"+{base64.b64encode(bytes((n * m * 7919) % 251 for m in range(60))).decode()}" for n in range(400)
    )
    cut = unpacked(result.packed({**small, "diff": noise}))
    assert cut["tasks"] == small["tasks"]
    assert cut["diff"].startswith(noise[:80])
    assert cut["diff"].endswith("the rest of the diff is in the log")


@given(
    st.lists(st.text(max_size=300), max_size=60),
    st.text(max_size=9000),
    st.text(max_size=600),
)
def test_any_result_fits(names: list[str], diff: str, error: str) -> None:
    tasks = [{"task": name, "host": "localhost", "changed": n % 2 == 0} for n, name in enumerate(names)]
    whole = {
        "error": error,
        "changed": 1,
        "failed": 0,
        "tasks": tasks,
        "tasks_count": len(tasks),
        "diff": diff,
    }
    told = unpacked(result.packed(whole))
    assert told["tasks_count"] == len(tasks)
    assert told["error"] == error


# --- events, as ansible-runner 2.4 makes them of ansible-core 2.19


def event(kind: str, stdout: str = "", **data: Any) -> dict[str, Any]:
    return {"event": kind, "stdout": stdout, "event_data": data}


def on(
    kind: str, task: str = "Quota", stdout: str = "", action: str = "kubernetes.core.k8s", **data: Any
) -> dict[str, Any]:
    return event(kind, stdout, task=task, task_uuid=task, host="localhost", resolved_action=action, **data)


def stats(**counts: int) -> dict[str, Any]:
    return event("playbook_on_stats", **{name: {"localhost": n} for name, n in counts.items()})


def seen(*events: dict[str, Any]) -> Run:
    run = Run()
    for one in events:
        run.take(one)
    return run


def judged(run: Run, code: int | None, *, status: str = "", check: bool = False) -> tuple[int, str]:
    status = status or ("failed" if code else "successful")
    return verdict.of(run, status=status, code=code, timeout_s=280, check=check)


def test_changes_and_diffs_are_told_per_item() -> None:
    items = [
        {
            "_ansible_item_label": "ResourceQuota q",
            "changed": True,
            "diff": {"before": {"pods": "10"}, "after": {"pods": "20"}},
        },
        {"_ansible_item_label": "LimitRange l", "changed": False, "diff": {"before": {}, "after": {}}},
    ]
    run = seen(
        *(on("runner_item_on_ok", res=item) for item in items),
        on("runner_on_ok", res={"results": items, "changed": True}),
        stats(ok=1, changed=1),
    )
    assert [task.name for task in run.changed] == ["Quota"]
    assert run.diff == (
        "# task 'Quota' on localhost (ResourceQuota q)\n--- before\n+++ after\n@@ -1 +1 @@\n-pods: '10'\n+pods: '20'"
    )
    assert judged(run, 0) == (DONE, "")


@pytest.mark.parametrize("kind", ["ResourceQuota", "Secret"])
def test_object_that_is_not_there_yet_is_shown_as_it_was_written(kind: str) -> None:
    """kubernetes.core gives no diff of it, but the object, with what the server added."""
    made = {
        "kind": kind,
        "metadata": {"name": "q", "uid": "u", "resourceVersion": "1", "managedFields": [{}]},
        "data": {"pods": "20"},
        "status": {"used": {}},
    }
    run = seen(on("runner_on_ok", res={"changed": True, "method": "create", "result": made}))
    data = "" if kind == "Secret" else "+data:\n+  pods: '20'\n"
    assert run.diff.partition("@@\n")[2] == f"{data}+kind: {kind}\n+metadata:\n+  name: q"


def test_diff_of_an_object_leaves_out_what_the_server_counts_up() -> None:
    def side(pods: str, n: str) -> dict[str, Any]:
        metadata = {
            "generation": n,
            "resourceVersion": n,
            "managedFields": [{"time": n}],
            "labels": {"a": "b"},
        }
        return {"metadata": metadata, "spec": {"pods": pods}, "status": {"n": n}}

    res = {"result": {"kind": "ResourceQuota"}, "method": "update"}
    run = seen(on("runner_on_ok", res={**res, "diff": {"before": side("1", "7"), "after": side("2", "8")}}))
    changed = [line for line in run.diff.splitlines() if line.startswith(("+ ", "- "))]
    assert changed == ["-  pods: '1'", "+  pods: '2'"]
    assert not seen(
        on("runner_on_ok", res={**res, "diff": {"before": side("1", "7"), "after": side("1", "8")}})
    ).diff


def test_what_a_secret_holds_and_held_is_not_shown() -> None:
    """Not even the value that was there before, which no variable has any more."""
    diff = {"before": {"data": {"a": "b2xk"}}, "after": {"data": {"a": "bmV3"}}}
    run = seen(on("runner_on_ok", res={"changed": True, "result": {"kind": "Secret"}, "diff": diff}))
    assert run.diff == "# task 'Quota' on localhost\n(what the Secret holds changes; it is not shown)"


def test_api_servers_words_stand_for_its_whole_answer() -> None:
    answer = json.dumps({"kind": "Status", "message": 'namespaces "a" not found', "code": 404})
    headers = "404\nReason: Not Found\nHTTP response headers: HTTPHeaderDict({'A': '(b)'})\nbody\nOriginal traceback:\n  x"
    for message, short in {
        f"Failed to create object: {answer}": 'Failed to create object: namespaces "a" not found',
        f"Failed to create object: b'{answer}'": 'Failed to create object: namespaces "a" not found',
        headers: "404 Reason: Not Found body",
        'not {"kind":"Status" }': 'not {"kind":"Status" }',
    }.items():
        run = seen(
            on("runner_on_failed", res={"msg": f"Task failed: Module failed: {message}"}), stats(failures=1)
        )
        assert judged(run, 2) == (FAULT, f"task 'Quota' on localhost: {short}")


def test_change_of_a_hidden_task_is_known_though_its_event_does_not_tell() -> None:
    hidden = {"censored": "the output has been hidden"}
    said = 'changed: [localhost] => {"censored": "hidden", "changed": true}'
    assert seen(on("runner_on_ok", "Token", said, res=hidden)).changed
    assert not seen(on("runner_on_ok", "Token", said.replace("changed: [", "ok: ["), res=hidden)).changed


def test_task_that_check_mode_leaves_out_is_a_fault_of_the_check_alone() -> None:
    said = 'skipping: [localhost] => {"changed": false, "cmd": "ls", "msg": "Command would have run if not in check mode"}'
    run = seen(on("runner_on_skipped", "Lists", said, "ansible.builtin.shell"))
    code, why = judged(run, 0, check=True)
    assert code == FAULT
    assert "task 'Lists' on localhost (ansible.builtin.shell)" in why
    assert judged(run, 0) == (DONE, "")


def test_task_whose_condition_is_false_is_no_fault() -> None:
    said = 'skipping: [localhost] => {"changed": false, "skip_reason": "Conditional result was False"}'
    assert judged(seen(on("runner_on_skipped", "x", said, "ansible.builtin.raw")), 0, check=True) == (
        DONE,
        "",
    )


def test_failed_task_is_told_with_host_and_message() -> None:
    res = {"msg": "Task failed: Module failed: no room\nat all", "stderr": "a\nlast line"}
    run = seen(on("runner_on_failed", res=res), stats(failures=1))
    assert judged(run, 2) == (FAULT, "task 'Quota' on localhost: no room at all: last line")


def test_failure_that_was_ignored_or_rescued_is_none() -> None:
    ignored = on("runner_on_failed", res={"msg": "a"}, ignore_errors=True)
    rescued = on("runner_on_failed", "b", res={"msg": "b"})
    assert judged(seen(ignored, rescued, stats(ok=2, failures=0, rescued=1)), 0) == (DONE, "")


@pytest.mark.parametrize(
    "message",
    [
        "HTTPSConnectionPool(host='10.0.0.1', port=443): Max retries exceeded with url: /version",
        "Failed to establish a new connection: [Errno 111] Connection refused",
        "HTTPSConnectionPool(host='10.0.0.1', port=443): Read timed out. (read timeout=None)",
        'Failed to patch object: b\'{"kind":"Status","message":"etcdserver: request timed out","code":500}\'',
        "(503)\nReason: Service Unavailable",
        "(401)\nReason: Unauthorized",
        'forbidden: User "system:serviceaccount:a:slipway-infra" cannot get path "/apis/policy/v1"',
        '{"kind":"Status","message":"forbidden: User \\"x\\" cannot patch resource","code":403}',
        "Could not create API client: Invalid kube-config file. No configuration found.",
    ],
)
def test_cluster_that_does_not_answer_is_not_the_playbooks_fault(message: str) -> None:
    run = seen(on("runner_on_failed", res={"msg": message}), stats(failures=1))
    assert judged(run, 2)[0] == TROUBLE


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("kubernetes.core.k8s", 'Failed to create object: b\'{"reason":"Forbidden","code":403}\''),
        (
            "kubernetes.core.k8s",
            'Failed: b\'{"message":"exceeded quota: a","reason":"Forbidden","code":403}\'',
        ),
        ("kubernetes.core.k8s", '"Deployment" "app": Timed out waiting on resource'),
        ("ansible.builtin.fail", "connection refused"),
        ("ansible.builtin.command", "curl: connection refused"),
    ],
)
def test_answer_that_displeases_is_the_playbooks_fault(action: str, message: str) -> None:
    run = seen(on("runner_on_failed", action=action, res={"msg": message}), stats(failures=1))
    assert judged(run, 2)[0] == FAULT


def test_playbook_that_cannot_be_read_is_told_with_its_place() -> None:
    lines = ["[ERROR]: couldn't resolve module/action 'nosuch'.", "Origin: infra/site.yaml:4:7", ""]
    run = seen(*(event("verbose", line) for line in lines))
    assert judged(run, 4) == (
        FAULT,
        "the playbook cannot be run: couldn't resolve module/action 'nosuch'. (infra/site.yaml:4:7)",
    )


@pytest.mark.parametrize("code", [None, -9, 127, 137, 250])
def test_ansible_that_breaks_is_trouble(code: int | None) -> None:
    assert judged(seen(event("verbose", "[ERROR]: Unexpected Exception")), code)[0] == TROUBLE


def test_run_that_takes_too_long_names_its_task_and_whom_it_waits_for() -> None:
    code, why = judged(seen(on("runner_on_start")), None, status="timeout")
    assert (code, "at task 'Quota' on localhost" in why) == (TROUBLE, True)
    assert (
        judged(seen(on("runner_on_start", action="ansible.builtin.pause")), None, status="timeout")[0]
        == FAULT
    )


def test_playbook_that_asks_or_matches_no_host_is_at_fault() -> None:
    asks = seen(event("playbook_on_vars_prompt", varname="pin"))
    assert "asks for 'pin'" in judged(asks, None, status="canceled")[1]
    assert "hosts" in judged(seen(event("playbook_on_no_hosts_matched")), 0)[1]


def test_second_run_that_changes_something_names_the_tasks() -> None:
    again = seen(
        on("runner_on_ok", "Dates", res={"changed": True}), on("runner_on_ok", res={}), stats(changed=1)
    )
    code, why = verdict.of_second(again)
    assert code == FAULT
    assert why.startswith(
        "not idempotent: run a second time, it changes something again: task 'Dates' on localhost ("
    )
    assert verdict.of_second(seen(on("runner_on_ok", res={}), stats(ok=1))) == (DONE, "")


def test_progress_is_ansibles_own_words_without_results_and_diffs() -> None:
    assert progress(event("runner_on_ok", 'ok: [localhost] => {"a": 1}')) == "ok: [localhost]"
    item = 'changed: [localhost] => (item=Quota q) => {"a": "x => {}"}'
    assert progress(event("runner_item_on_ok", item)) == "changed: [localhost] => (item=Quota q)"
    said = 'ok: [localhost] => {\r\n    "msg": "hello"\r\n}'
    assert progress(event("runner_on_ok", said)) == 'ok: [localhost] => {\n    "msg": "hello"\n}'
    assert progress(event("runner_on_file_diff", "--- before")) == ""


@given(
    st.recursive(
        st.none() | st.text() | st.booleans() | st.integers(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_any_result_of_a_module_is_read_without_breaking(res: Any) -> None:
    for kind in (
        "runner_on_ok",
        "runner_on_failed",
        "runner_on_skipped",
        "runner_item_on_ok",
        "runner_on_unreachable",
    ):
        seen(
            on(kind, res=res),
            on(kind, res={"diff": res, "msg": res, "results": res, "stderr": res, "status": res}),
        )
