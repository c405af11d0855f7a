"""The caller's faults: refused with one message before anything is started, published or changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from faults.case import Case, Seen, Wanted
from faults.scene import Scene
from slipway.release import run_id
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.project import NAME
from slipway_sandbox.run import run, wait_until
from slipway_sandbox.runs import Airflow

SECTION = "caller"
NOWHERE = "0123456789abcdef0123456789abcdef01234567"
REFUSED = "refused"

# what names another place than the running sandbox; empty is as good as not set
_NEUTRAL = dict.fromkeys(
    (
        *("AIRFLOW_URL", "GIT_URL", "LEDGER_URL", "LEDGER_URL_FILE", "SLIPWAY_AIRFLOW_USER"),
        *("SLIPWAY_CATALOG", "SLIPWAY_CREDENTIALS", "SLIPWAY_PLATFORM"),
    ),
    "",
)


# --- what a caller does, and what must not come of it ---
def _slipway(scene: Scene, *arguments: str, **variables: str | Path) -> tuple[int, str]:
    """Run the command as a person does; give its exit code and what it printed."""
    layout = scene.sandbox.layout
    where = {"SLIPWAY_STATE": layout.state, "SLIPWAY_CACHE": layout.cache, **variables}
    done = run(
        [layout.bin / "slipway", *arguments],
        what="slipway",
        env={**_NEUTRAL, **{name: str(value) for name, value in where.items()}},
        timeout_s=120,
        accept=(0, 1, 2, 3),
    )
    return done.returncode, (done.stderr + done.stdout).strip()


def _world(scene: Scene) -> dict[str, object]:
    """Give what no refused call may change."""
    runs = Airflow(scene.sandbox).call("GET", f"/api/v2/dags/{scene.dag_id}/dagRuns?limit=1").json()
    return {
        "runs": runs["total_entries"],
        "releases": scene.rows("ledger", "SELECT count(*), max(started_at) FROM releases"),
        "serving": scene.serving(),
    }


def _harmless(scene: Scene, act: Callable[[], tuple[str, str]]) -> Seen:
    """Let `act` happen, and see that nothing came of it: no run, no release, no password in its words."""
    before, start = _world(scene), time.monotonic()
    outcome, said = act()
    seconds, after = time.monotonic() - start, _world(scene)
    notes = [
        f"{what} changed: {before[what]} to {after[what]}" for what in before if before[what] != after[what]
    ]
    secrets = {path.name: path.read_text().strip() for path in scene.sandbox.layout.credentials.iterdir()}
    notes += [
        f"it prints the secret {name}" for name, text in secrets.items() if len(text) > 15 and text in said
    ]
    return Seen(None, outcome, said, notes=tuple(notes), seconds=seconds)


def _refused(scene: Scene, *arguments: str, **variables: str | Path) -> Seen:
    """A call of the command that must be refused, with what to do."""

    def act() -> tuple[str, str]:
        code, said = _slipway(scene, *arguments, **variables)
        return REFUSED if code == 2 else f"exit {code}", said.removeprefix("Error: ")

    seen = _harmless(scene, act)
    helps = "What to do: " in seen.message or "--help" in seen.message
    return seen if helps else replace(seen, notes=(*seen.notes, "it does not say what to do"))


def _release(*arguments: str, **variables: str) -> Callable[[Scene], Seen]:
    return lambda scene: _refused(scene, "release", *arguments, **variables)


def _post(scene: Scene, conf: Mapping[str, str], run: str) -> tuple[int, str]:
    answer = Airflow(scene.sandbox, "hook").call(
        "POST",
        f"/api/v2/dags/{scene.dag_id}/dagRuns",
        json={"dag_run_id": run, "conf": conf, "logical_date": None},
    )
    return answer.status_code, str(answer.json().get("detail", answer.text))


def _api(conf: Mapping[str, str]) -> Callable[[Scene], Seen]:
    """A call of Airflow's API that must be refused at once."""

    def act(scene: Scene) -> Seen:
        def post() -> tuple[str, str]:
            status, said = _post(scene, conf, f"{NAME}.{NOWHERE[:12]}")
            return REFUSED if status in (400, 422) else f"status {status}", said

        return _harmless(scene, post)

    return act


def _accept(scene: Scene, commit: str, ref: str) -> Seen:
    """A call of the API that only `accept` can refuse."""
    for repeat in count(1):
        asked = run_id(NAME, commit, repeat)
        status, said = _post(scene, {"service": NAME, "commit": commit, "ref": ref}, asked)
        if status == 200:
            return scene.wait(asked)
        if status != 409:
            raise SandboxError(f"Airflow does not start {asked}: {status} {said}")
    raise AssertionError


# --- commits and branches ---
def _git(scene: Scene, *arguments: str) -> str:
    return scene.project.clone.git(*arguments)


def _main(scene: Scene) -> str:
    """Give the head of the released branch, as the server has it."""
    there = scene.project.clone.there("refs/heads/main")
    assert there is not None
    return there


@contextmanager
def _branch(scene: Scene, name: str) -> Iterator[str]:
    """Push a commit to a branch that is not released; give the commit. The branch is deleted in the end."""
    _git(scene, "fetch", "--quiet", "origin", "main")
    commit = _git(scene, "commit-tree", "-p", "FETCH_HEAD", "-m", f"On {name} only", "FETCH_HEAD^{tree}")
    _git(scene, "push", "--quiet", "origin", f"{commit}:refs/heads/{name}")
    try:
        yield commit
    finally:
        _git(scene, "push", "--quiet", "origin", f":refs/heads/{name}")


@contextmanager
def _catalog_of(scene: Scene, branch: str) -> Iterator[str]:
    """Give a catalog, for the command alone, in which another branch is released: pushes to it start nothing."""
    text = (scene.sandbox.layout.checkout / f"include/services/{NAME}.yaml").read_text()
    source, rest = text.split("\nconfig:", 1)
    with tempfile.TemporaryDirectory(prefix="slipway-catalog-") as folder:
        changed = source.replace("branch: main", f"branch: {branch}")
        Path(folder, f"{NAME}.yaml").write_text(f"{changed}\nconfig:{rest}")
        yield folder


def _object(kind: str) -> Callable[[Scene], Seen]:
    def act(scene: Scene) -> Seen:
        _git(scene, "fetch", "--quiet", "origin", "main")
        if kind != "tag":
            return _refused(scene, "release", NAME, _git(scene, "rev-parse", f"FETCH_HEAD{kind}"))
        _git(scene, "tag", "--force", "-a", "-m", "a tag", "faults", "FETCH_HEAD")
        _git(scene, "push", "--quiet", "origin", "faults")
        try:
            return _refused(scene, "release", NAME, _git(scene, "rev-parse", "refs/tags/faults"))
        finally:
            _git(scene, "push", "--quiet", "origin", ":refs/tags/faults")

    return act


def _known(short: int | None) -> Callable[[Scene], Seen]:
    """Ask for a commit that has been released: nothing is started twice."""

    def act(scene: Scene) -> Seen:
        head = _main(scene)
        _slipway(scene, "release", NAME, head, "--wait")

        def ask() -> tuple[str, str]:
            code, said = _slipway(scene, "release", NAME, head[:short])
            return "known" if code == 0 else f"exit {code}", said

        return _harmless(scene, ask)

    return act


def _ambiguous(scene: Scene) -> Seen:
    with _branch(scene, "faults-alike") as first, _catalog_of(scene, "faults-alike") as catalog:
        tree, who = _git(scene, "rev-parse", f"{first}^{{tree}}"), "developer <developer@localhost>"
        for number in count():  # a child whose hash begins as its parent's does
            text = f"tree {tree}\nparent {first}\nauthor {who} {number} +0000\ncommitter {who} 1 +0000\n\nalike\n"
            named = hashlib.sha1(f"commit {len(text)}\0{text}".encode()).hexdigest()  # noqa: S324 - git's own
            if named[:4] == first[:4]:
                break
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            _git(scene, "hash-object", "-t", "commit", "-w", file.name)
        _git(scene, "push", "--quiet", "origin", f"{named}:refs/heads/faults-alike")
        seen = _refused(scene, "release", NAME, first[:4], SLIPWAY_CATALOG=catalog)
    missing = [f"it does not name {one}" for one in (first, named) if one not in seen.message]
    return replace(seen, notes=(*seen.notes, *missing))


def _deleted_branch(scene: Scene) -> Seen:
    with _branch(scene, "faults-gone") as commit:
        pass
    with _catalog_of(scene, "faults-gone") as catalog:
        return _refused(scene, "release", NAME, commit, SLIPWAY_CATALOG=catalog)


def _other_branch(scene: Scene) -> Seen:
    with _branch(scene, "faults-other") as commit:
        return _refused(scene, "release", NAME, commit)


def _other_branch_by_api(scene: Scene) -> Seen:
    with _branch(scene, "faults-other") as commit:
        return _accept(scene, commit, "refs/heads/main")


def _other_ref_by_api(scene: Scene) -> Seen:
    with _branch(scene, "faults-other") as commit:
        return _accept(scene, commit, "refs/heads/faults-other")


def _unknown_by_api(scene: Scene) -> Seen:
    return _accept(scene, hashlib.sha1(os.urandom(20)).hexdigest(), "refs/heads/main")  # noqa: S324 - as git's


def _push_elsewhere(scene: Scene) -> Seen:
    def act() -> tuple[str, str]:
        commit = scene.project.commit("For another branch")
        said = _git(scene, "push", "origin", f"{commit}:refs/heads/faults-other")
        lines = [line.removeprefix("remote: ").strip() for line in said.splitlines()]
        return "ignored", "\n".join(sorted(lines, key=lambda line: not line.startswith("slipway: ")))

    try:
        return _harmless(scene, act)
    finally:
        _git(scene, "push", "--quiet", "origin", ":refs/heads/faults-other")
        scene.project.clone.clone()


def _forced_push(scene: Scene) -> Seen:
    lost = scene.project.commit("To be lost by a forced push")
    scene.project.clone.push()
    _git(scene, "reset", "--quiet", "--hard", "HEAD~1")
    kept = scene.project.commit("In place of what was there")
    _git(scene, "push", "--force", "origin", f"{kept}:refs/heads/main")
    ended = [scene.wait(run_id(NAME, commit)).outcome for commit in (lost, kept)]
    seen = _refused(scene, "release", NAME, lost, "--again")
    bad = [] if ended[1] == "passed" else [f"what is there now ended {ended[1]}"]
    return replace(seen, notes=(*seen.notes, *bad))


# --- credentials ---
@contextmanager
def _credentials(scene: Scene, name: str, password: str | None) -> Iterator[str]:
    """Give a folder of credentials in which one is another, or not there."""
    with tempfile.TemporaryDirectory(prefix="slipway-credentials-") as folder:
        shutil.copytree(scene.sandbox.layout.credentials, folder, dirs_exist_ok=True)
        if password is None:
            Path(folder, name).unlink()
        else:
            Path(folder, name).write_text(password)
        yield folder


def _credential(name: str, password: str | None) -> Callable[[Scene], Seen]:
    def act(scene: Scene) -> Seen:
        with _credentials(scene, name, password) as folder:
            seen = _refused(scene, "release", NAME, SLIPWAY_CREDENTIALS=folder)
        named = f"{folder}/{name}" in seen.message
        return (
            seen if named else replace(seen, notes=(*seen.notes, "it does not say where the password lies"))
        )

    return act


def _hook_credential(scene: Scene) -> Seen:
    def act() -> tuple[str, str]:
        scene.project.commit("With a hook that may not")
        said = scene.project.clone.push()
        lines = [line.removeprefix("remote: ").strip() for line in said.splitlines() if "slipway: " in line]
        return "not started", "\n".join(lines)

    with scene.project.unheard():
        return _harmless(scene, act)


# --- the catalog ---
def _lint(name: str, change: Callable[[str], str], at: str = "") -> Callable[[Scene], Seen]:
    """A catalog with one thing wrong in it. `at`: the words that the place must point to."""

    def act(scene: Scene) -> Seen:
        good = (scene.sandbox.layout.checkout / f"include/services/{NAME}.yaml").read_text()
        broken = change(good)
        assert broken != good
        with tempfile.TemporaryDirectory(prefix="slipway-catalog-") as folder:
            path = Path(folder, name)
            path.write_text(broken)
            seen = _harmless(scene, lambda: _said(_slipway(scene, "lint", str(path))))
            line, column = map(int, seen.message.removeprefix(f"{path}:").split(":")[:2])
            # YAML that ends too early is wrong at its end
            there = [*broken.splitlines(), ""][line - 1][column - 1 :]
            listed = _slipway(scene, "release", path.stem, SLIPWAY_CATALOG=folder)
        notes = [] if there.startswith(at) else [f"it points to {there[:40]!r}, not to {at!r}"]
        if listed[0] != 2 or seen.first_line.partition(": ")[2] not in listed[1]:
            notes.append(f"`slipway release` says another thing: {listed}")
        return replace(seen, message=seen.message.replace(f"{folder}/", ""), notes=(*seen.notes, *notes))

    return act


def _said(printed: tuple[int, str]) -> tuple[str, str]:
    return REFUSED if printed[0] == 2 else f"exit {printed[0]}", printed[1]


def _swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


def _import_error(scene: Scene) -> Seen:
    """A service with an invalid catalog file, in the running Airflow; the other services' DAGs stay."""
    checkout, name = scene.sandbox.layout.checkout, "faults-broken"
    entry, dag = checkout / f"include/services/{name}.yaml", checkout / "dags/release_faults_broken.py"
    good = (checkout / f"include/services/{NAME}.yaml").read_text()
    airflow = Airflow(scene.sandbox, "admin")

    def errors() -> list[str]:
        found = airflow.call("GET", "/api/v2/importErrors").json()["import_errors"]
        return [one["stack_trace"] for one in found if one["filename"].endswith(dag.name)]

    def act() -> tuple[str, str]:
        entry.write_text(
            good.replace(f"service: {NAME}\n", f"service: {name}\n", 1).replace(
                "engine: liquibase", "engine: flyway"
            )
        )
        dag.write_text((checkout / "dags/release_ai_generation.py").read_text().replace(NAME, name))
        wait_until(lambda: None if errors() else "none yet", 90, "Airflow's import error")
        known = airflow.call("GET", f"/api/v2/dags/{scene.dag_id}").json()
        assert not known["has_import_errors"], known
        said = errors()[0].replace(f"{entry.parent}/", "")
        return REFUSED, "\n".join(said.splitlines()[1:]).strip() if said.startswith("1 problem") else said

    try:
        return _harmless(scene, act)
    finally:
        dag.unlink(missing_ok=True)
        entry.unlink(missing_ok=True)
        wait_until(lambda: "still there" if errors() else None, 90, "Airflow without the error")


_NOT_A_COMMIT = r"^`{}` is not a commit: 4 to 40 hexadecimal digits are\.$"
_NOT_ON_MAIN = r"^[0-9a-f]+ is not on branch main of http\S+/services/ai-generation\.git$"
_PLACE = rf"^{NAME}\.yaml:\d+:\d+: "

_CALLS: tuple[tuple[str, str, str, Callable[[Scene], Seen]], ...] = (
    ("unknown-service", "a service that is not in the catalog",
     r"^The catalog has no service `ai-generaton`; did you mean `ai-generation`\?$", _release("ai-generaton")),
    ("unknown-commit", "a commit that nobody pushed", _NOT_ON_MAIN, _release(NAME, NOWHERE)),
    ("unknown-short-commit", "a prefix that no commit has", _NOT_ON_MAIN, _release(NAME, NOWHERE[:9])),
    ("ambiguous-commit", "a prefix that two commits have",
     r"^[0-9a-f]{4} fits 2 commits on branch faults-alike of ", _ambiguous),
    ("relative-ref", "HEAD~1", _NOT_A_COMMIT.format("HEAD~1"), _release(NAME, "HEAD~1")),
    ("branch-name", "a branch in place of a commit", _NOT_A_COMMIT.format("main"), _release(NAME, "main")),
    ("option-like-ref", "--upload-pack=x after --", _NOT_A_COMMIT.format("--upload-pack=x"),
     _release(NAME, "--", "--upload-pack=x")),
    ("tag-object", "the hash of an annotated tag", _NOT_ON_MAIN, _object("tag")),
    ("blob", "the hash of a file", _NOT_ON_MAIN, _object(":Dockerfile")),
    ("tree", "the hash of a tree", _NOT_ON_MAIN, _object("^{tree}")),
    ("other-branch", "a commit that only another branch has", _NOT_ON_MAIN, _other_branch),
    ("deleted-branch", "the released branch is not on the server",
     r"services/ai-generation\.git: no branch faults-gone$", _deleted_branch),
    ("api-short-commit", "the API: an abbreviated commit", r"^Invalid input for param commit: 'abc123'",
     _api({"service": NAME, "commit": "abc123"})),
    ("api-ref-as-commit", "the API: a ref in place of a commit", r"^Invalid input for param commit: 'HEAD~1'",
     _api({"service": NAME, "commit": "HEAD~1"})),
    ("api-option-like", "the API: an option in place of a commit",
     r"^Invalid input for param commit: '--upload-pack=x'", _api({"commit": "--upload-pack=x"})),
    ("api-tag", "the API: a tag", r"^Invalid input for param ref: 'refs/tags/v1'", _api({"ref": "refs/tags/v1"})),
    ("api-other-service", "the API: another service than the DAG's",
     r"^Invalid input for param service: 'ai-generation' was expected", _api({"service": "another"})),
    ("wrong-airflow-password", "a wrong password for Airflow",
     r"^Airflow at http\S+ refused the account `hook` \(401\)", _credential("airflow-hook", "wrong")),
    ("missing-airflow-password", "no password for Airflow",
     r"airflow-hook cannot be read: No such file or directory\.$", _credential("airflow-hook", None)),
    ("wrong-git-password", "a wrong password for git",
     r"the git server refuses the account slipway", _credential("git-slipway", "wrong")),
    ("missing-git-password", "no password for git",
     r"git-slipway cannot be read: No such file or directory\.$", _credential("git-slipway", None)),
    ("account-without-right", "an account that may only look",
     r"does not let the account `viewer` start ai-generation\.", _release(NAME, SLIPWAY_AIRFLOW_USER="viewer")),
)  # fmt: skip

_CATALOGS: tuple[tuple[str, str, Callable[[str], str], str, str], ...] = (
    ("unknown-key", "stak", _swap("stack:", "stak:"), "stak",
     r"stak: `stak` is not a word of the catalog here; did you mean `stack`\? \(legal: service, title, "),
    ("wrong-type", '"600"', _swap("timeout_s: 600", 'timeout_s: "600"'), '"600"',
     r"image\.timeout_s: the text `600` is given where a whole number is needed$"),
    ("missing-key", "no namespace", _swap(f"  namespace: {NAME}\n", ""), "deploy:",
     r"deploy\.namespace: `namespace` is missing$"),
    ("out-of-range", "port 80000", _swap("port: 8000", "port: 80000"), "80000",
     r"scan\.dynamic\.port: `80000` is not at most 65535$"),
    ("bad-name", "a team with a capital", _swap("team: generation", "team: Generation"), "Generation",
     r"team: `Generation` must be a DNS-1123 label: lower-case letters, digits and inner hyphens, at most 63$"),
    ("bad-path", "a path out of the repository", _swap("manifests: manifests", "manifests: ../manifests"), "../m",
     r"config\.manifests: `\.\./manifests` must be a relative path of plain characters, without `\.\.`"),
    ("bad-choice", "order: befor", _swap("order: before", "order: befor"), "befor",
     r"deploy\.order: `befor` is not allowed; did you mean `before`\? \(legal: before, after\)$"),
    ("unknown-engine", "engine: flyway", _swap("engine: liquibase", "engine: flyway"), "flyway",
     r"deploy\.migrations\.engine: `flyway` is not allowed \(legal: liquibase\)$"),
    ("duplicate-key", "stack twice", lambda text: text + "\nstack: python\n", "stack",
     r"stack: the key is given twice \(first in line \d+\); keep one$"),
    ("broken-yaml", "a bracket left open", lambda text: text + "\nx: [1\n", "", r"not YAML: .*expected ',' or '\]'"),
    ("soak-too-long", "soak_s beyond timeout_s", _swap("soak_s: 3", "soak_s: 300"), "120",
     r"verify\.health\.timeout_s: must be longer than soak_s \(300\)$"),
)  # fmt: skip

CASES: tuple[Case, ...] = (
    *(
        Case(name, SECTION, title, Wanted(None, REFUSED, message), act, fast=name in ("unknown-service", "other-branch"))
        for name, title, message, act in _CALLS
    ),
    Case(
        "wrong-file-name", SECTION, "a catalog file with another name than its service",
        Wanted(None, REFUSED, r"^other\.yaml:\d+:\d+: service: the file of service `ai-generation` must be called "),
        _lint("other.yaml", lambda text: text + "\n", NAME),
    ),
    *(
        Case(
            f"catalog-{name}", SECTION, f"an invalid catalog: {title}", Wanted(None, REFUSED, _PLACE + message),
            _lint(f"{NAME}.yaml", change, at), fast=name == "unknown-key",
        )
        for name, title, change, at, message in _CATALOGS
    ),
    Case(
        "catalog-in-airflow", SECTION, "an invalid catalog, as Airflow shows it",
        Wanted(None, REFUSED, r"^faults-broken\.yaml:\d+:\d+: deploy\.migrations\.engine: `flyway` is not allowed"),
        _import_error,
    ),
    Case(
        "short-commit", SECTION, "a prefix that one commit has, released already",
        Wanted(None, "known", r"^ai-generation\.[0-9a-f]{12} is known already, nothing is started twice: http"),
        _known(8),
    ),
    Case(
        "repeat", SECTION, "a commit that is released already",
        Wanted(None, "known", r"^ai-generation\.[0-9a-f]{12} is known already, nothing is started twice: http"),
        _known(None),
    ),
    Case(
        "push-to-other-branch", SECTION, "a push to a branch that is not released",
        Wanted(None, "ignored", r"^slipway: refs/heads/faults-other is ignored: only refs/heads/main is released$"),
        _push_elsewhere,
    ),
    Case(
        "api-other-branch", SECTION, "the API: a branch that is not released",
        Wanted("accept", "failed", r"^refs/heads/faults-other is not released: ai-generation releases refs/heads/main only"),
        _other_ref_by_api,
    ),
    Case(
        "api-commit-of-other-branch", SECTION, "the API: a commit that only another branch has",
        Wanted("accept", "failed", _NOT_ON_MAIN), _other_branch_by_api, fast=True,
    ),
    Case(
        "api-unknown-commit", SECTION, "the API: a commit that nobody pushed",
        Wanted("accept", "failed", _NOT_ON_MAIN), _unknown_by_api,
    ),
    Case(
        "wrong-hook-password", SECTION, "a wrong password in the hook's settings",
        Wanted(None, "not started", r"^slipway: the push is accepted, but its release is not started: "
               r"Airflow refused the hook's account `hook` \(401\); .* in slipway-hook\.json"),
        _hook_credential,
    ),
    Case(
        "forced-push", SECTION, "a commit that a forced push took off the branch",
        Wanted(None, REFUSED, _NOT_ON_MAIN), _forced_push,
    ),
)  # fmt: skip
