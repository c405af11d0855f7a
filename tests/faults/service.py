"""The service's own faults: pushed or configured, red at their own stage at the first attempt, and harmless."""

from __future__ import annotations

import dataclasses
import secrets
import string
import time
from collections.abc import Callable, Mapping, Sequence

from faults.case import Case, Seen, Wanted
from faults.scene import Scene

SECTION = "service"
DRAFT = "src/ai_generation/draft.py"
APP = "src/ai_generation/app.py"
# Python imports from a folder of this name like from any other, and the image has it
HIDDEN = "src/ai_generation/node_modules"
# of a real old release; CVE-2023-30608
VULNERABLE = (
    "sqlparse==0.4.3 --hash=sha256:0323c0ec29cd52bceabc1b4d9d579e311f3e4961b98d174201d5622a23b85e34\n"
)

Files = Mapping[str, str]
Acts = Callable[[Scene], Seen]


# --- what is pushed ---
def pushed(*scenarios: str, files: Files | None = None, remove: Sequence[str] = ()) -> Acts:
    """Give the act that pushes the example with these over it."""
    return lambda scene: scene.push("Break it on purpose", *scenarios, files=files, remove=remove)


def edited(path: str, old: str, new: str, files: Files | None = None) -> Acts:
    """Give the act that pushes the example with `old` replaced by `new` in one of its files."""

    def act(scene: Scene) -> Seen:
        text = scene.example(path)
        assert old in text, f"the example's {path} has no {old!r} any more"
        return scene.push("Break it on purpose", files={path: text.replace(old, new), **(files or {})})

    return act


def appended(path: str, more: str) -> Acts:
    """Give the act that pushes the example with lines added to one of its files."""
    return lambda scene: scene.push("Break it on purpose", files={path: scene.example(path) + more})


def _route(body: str) -> Acts:
    mark = '    @app.get("/metrics"'
    return edited(APP, mark, f'    @app.get("/draft", tags=["operations"])\n{body}\n{mark}')


def _secret(scene: Scene) -> Seen:
    # made here, so that no scanner finds one in this file
    token = "ghp_" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(36))
    seen = scene.push("Commit a token", files={"deploy.env": f"GITHUB_TOKEN={token}\n"})
    return noted(seen, *(["the secret is in the message"] if token in seen.message else []))


def _hidden_password(scene: Scene) -> Seen:
    password = "".join(secrets.choice(string.ascii_letters) for _ in range(16))
    text = f'"""Where to."""\n\nURL = "postgresql://shop:{password}@db.example.test/shop"\n'
    seen = scene.push("Hide a password", files={f"{HIDDEN}/__init__.py": text})
    return noted(seen, *(["the secret is in the message"] if password in seen.message else []))


# --- what is configured ---
def configured(files: Files | None = None) -> Acts:
    """Give the act that releases a good commit again with these files in the config repository."""

    def act(scene: Scene) -> Seen:
        commit = scene.good()
        with scene.configured(files):
            return scene.again(commit)

    return act


def reconfigured(old: str, new: str, path: str = "manifests/deployment.yaml") -> Acts:
    """Give the act that releases a good commit again with `old` replaced by `new` in one of the config files."""

    def act(scene: Scene) -> Seen:
        text = scene.example(path, "ai-generation-config")
        assert old in text, f"the example's {path} has no {old!r} any more"
        return configured({path: text.replace(old, new)})(scene)

    return act


def _deadline(old: str, new: str, seconds: int = 15) -> Acts:
    def act(scene: Scene) -> Seen:
        path = "manifests/deployment.yaml"
        text = scene.example(path, "ai-generation-config")
        assert old in text
        assert "progressDeadlineSeconds: 120" in text
        text = text.replace("progressDeadlineSeconds: 120", f"progressDeadlineSeconds: {seconds}")
        return configured({path: text.replace(old, new)})(scene)

    return act


def _sidecar(image: str) -> Acts:
    container = (
        f"        - name: beside\n          image: '{image}'\n"
        "          readinessProbe: {tcpSocket: {port: 8001}}\n"
        "          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 32Mi}}\n"
        "          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}\n"
    )
    return reconfigured(
        "      volumes:\n        - name: database\n", f"{container}      volumes:\n        - name: database\n"
    )


# --- what is asked of the database ---
def schema(scene: Scene) -> list[tuple[object, ...]]:
    """Give every column of the service's own tables, and every changeset that is recorded."""
    migrations = scene.project.service.deploy.migrations
    assert migrations is not None
    columns = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name NOT LIKE 'databasechangelog%%' ORDER BY 1, 2"
    )
    applied = "SELECT id, author, md5sum FROM databasechangelog ORDER BY orderexecuted, id"
    return [*scene.rows(migrations.database, columns), *scene.rows(migrations.database, applied)]


def as_before(scene: Scene, message: str, files: Files) -> Seen:
    """Push these files over the example; the database must afterwards be as it was before."""
    scene.good()  # leaves rows
    before = schema(scene)
    seen = scene.push(message, files=files)
    return noted(seen, *(["the database is not as it was before"] if schema(scene) != before else []))


def _half_way(scene: Scene) -> Seen:
    """A changeset whose second statement fails on the rows that only the real database has."""
    name = f"faults-{time.time_ns()}"
    sql = f"create table {name.replace('-', '_')} (id integer);\nupdate generations set max_words = 0;"
    return as_before(scene, "Add a changeset that fails half-way", scene.project.changesets(name, expand=sql))


def _edited_changeset(scene: Scene) -> Seen:
    """A changeset that was applied long ago and is edited now: only a database that has it can tell."""
    path = "migrations/changesets/0003-model.sql"
    return as_before(scene, "Edit an old changeset", {path: scene.example(path).replace("'5s'", "'6s'")})


def noted(seen: Seen, *notes: str) -> Seen:
    """Give what was seen, with notes of what else is wrong."""
    return dataclasses.replace(seen, notes=(*seen.notes, *notes))


def _quick(seen: Seen, scene: Scene, stage: str, seconds: float) -> Seen:
    took = next((one.seconds for one in scene.record(seen.run_id).stages if one.name == stage), 0.0)
    return noted(seen, *([f"{stage} took {took:.0f} s to see it"] if took > seconds else []))


def within(seconds: float, stage: str, act: Acts) -> Acts:
    """Give the act, with a note if its stage took longer than `seconds` to see the fault."""
    return lambda scene: _quick(act(scene), scene, stage, seconds)


def _held_by_nobody(act: Acts) -> Acts:
    """Give the act, with a note if the commit is held afterwards: it is not to blame."""

    def acted(scene: Scene) -> Seen:
        seen = act(scene)
        commit = scene.record(seen.run_id).commit
        held = scene.rows("ledger", "SELECT reason FROM holds WHERE commit = %s", commit)
        return noted(seen, *(f"the commit is held: {reason}" for (reason,) in held))

    return acted


def _gate(name: str, title: str, stage: str, message: str, act: Acts, *, fast: bool = False) -> Case:
    return Case(name, SECTION, title, Wanted(stage, "failed", rf"^{stage} failed: {message}"), act, fast)


def _deploy(
    name: str,
    title: str,
    stage: str,
    message: str,
    act: Acts,
    *,
    fast: bool = False,
    is_platforms: bool = False,
) -> Case:
    # once it is deployed, what serves is what served before; what the platform lacks holds no commit
    undone = stage in ("deploy.rollout", "verify.smoke", "verify.health")
    outcome = "errored" if is_platforms else "rolled_back" if undone else "failed"
    wanted = Wanted(stage, outcome, message, published=True)
    return Case(name, SECTION, title, wanted, act, fast, deploys=True)


GATES: tuple[Case, ...] = (
    _gate(
        "compile-error",
        "a file that does not compile",
        "build.compile",
        r"src/ai_generation/draft\.py:1: syntax: '\(' was never closed",
        pushed(files={DRAFT: "WORDS = (1,\n"}),
        fast=True,
    ),
    _gate(
        "red-lint",
        "an import that nothing uses",
        "build.lint",
        r"src/ai_generation/draft\.py:1: F401: `os` imported but unused",
        pushed(files={DRAFT: "import os\n"}),
    ),
    _gate(
        "type-error",
        "a function that returns what it does not promise",
        "build.analyze",
        r"src/ai_generation/draft\.py:2: return-value: Incompatible return value type",
        pushed(files={DRAFT: 'def words() -> int:\n    return "many"\n'}),
    ),
    _gate(
        "failing-unit-test",
        "a unit test that the code does not pass",
        "test.unit",
        r"tests/unit/test_sentences\.py:8: .*test_text_always_ends_with_its_sentence: AssertionError: the text breaks off",
        pushed("failing-test"),
    ),
    _gate(
        "failing-integration-test",
        "an integration test that the code does not pass",
        "test.integration",
        r"tests/integration/test_draft\.py:2: .*test_draft: (AssertionError: )?assert 2 == 3",
        pushed(
            files={
                "tests/integration/test_draft.py": 'def test_draft() -> None:\n    assert len("ab") == 3\n'
            }
        ),
    ),
    Case(
        "hanging-unit-test",
        SECTION,
        "a unit test that does not end",
        Wanted(
            "test.unit",
            "failed",
            r"^test\.unit took longer than 60 s and was ended in tests/unit/test_draft\.py:5 \(test_draft\)",
        ),
        pushed(
            files={
                "tests/unit/test_draft.py": "import time\n\n\ndef test_draft() -> None:\n    time.sleep(3600)\n"
            }
        ),
    ),
    _gate(
        "no-tests",
        "unit tests of which none is collected",
        "test.unit",
        r"no test ran under tests/unit",
        pushed(
            files={"tests/unit/test_later.py": "# to be written\n"},
            remove=[f"tests/unit/test_{name}.py" for name in ("generator", "http", "schema", "settings")],
        ),
    ),
    _gate(
        "sast-finding",
        "a shell command made of a parameter",
        "scan.sast",
        r"src/ai_generation/draft\.py:5: (bandit\.B602|semgrep\.shell-command): ",
        pushed(
            files={
                DRAFT: "import subprocess\n\n\ndef count(path: str) -> None:\n"
                '    subprocess.run(f"wc {path}", shell=True, check=True)\n'
            }
        ),
    ),
    _gate(
        "hidden-shell-command",
        "a shell command in a folder that tools pass over",
        "scan.sast",
        r"src/ai_generation/node_modules/__init__\.py:8: (bandit\.B605|semgrep\.shell-command): ",
        pushed(
            files={
                f"{HIDDEN}/__init__.py": '"""Runs what it is told."""\n\nimport os\n\n\ndef run(command: str) -> None:\n'
                '    """Run it by a shell."""\n    os.system(command)\n'
            }
        ),
    ),
    _gate(
        "hidden-password",
        "a password in a folder that tools pass over",
        "scan.secrets",
        r"src/ai_generation/node_modules/__init__\.py:3: slipway-connection-url-password: ",
        _hidden_password,
    ),
    _gate("committed-secret", "a token in a file", "scan.secrets", r"deploy\.env:1: github-pat: ", _secret),
    _gate(
        "vulnerable-dependency",
        "an old release with a known vulnerability",
        "scan.dependencies",
        r"requirements\.txt:\d+: .*(CVE-2023-30608|GHSA-).*: sqlparse 0\.4\.3: ",
        appended("requirements.txt", VULNERABLE),
    ),
    _gate(
        "unhashed-dependency",
        "a dependency without a hash",
        "dependencies",
        r"requirements\.txt:\d+: lock-hash: sqlparse==0\.4\.3 has no hash",
        appended("requirements.txt", "sqlparse==0.4.3\n"),
    ),
    _gate(
        "server-error",
        "an operation that answers 500",
        "scan.dynamic",
        r".*GET /draft: .*(500|[Ss]erver error)",
        _route('    def draft() -> Health:\n        """Not yet."""\n        raise RuntimeError("not yet")\n'),
    ),
    _gate(
        "schema-violation",
        "an answer that is not what the description says",
        "scan.dynamic",
        r".*GET /draft: .*schema",
        _route(
            "    def draft(response: Response) -> Health:\n"
            '        """Not yet."""\n        return JSONResponse({"status": 3})  # type: ignore[return-value]\n'
        ),
    ),
    Case(
        "missing-dockerfile",
        SECTION,
        "no Dockerfile",
        Wanted("checkout", "failed", r"^Dockerfile is not in the repository"),
        pushed(remove=["Dockerfile"]),
        fast=True,
    ),
    _gate(
        "invalid-dockerfile",
        "a Dockerfile with an instruction that there is not",
        "scan.dockerfile",
        r"Dockerfile:\d+: DL1000: ",
        edited("Dockerfile", "WORKDIR /app", "WORKDIRECTORY /app"),
    ),
    Case(
        "foreign-base",
        SECTION,
        "an image built on one that the platform has no copy of",
        Wanted(
            "checkout", "failed", r"^Dockerfile:\d+: this platform has no copy of the image python:3\.12$"
        ),
        edited(
            "Dockerfile",
            "FROM python:3.11-slim\nCOPY --from=builder",
            "FROM python:3.12\nCOPY --from=builder",
        ),
    ),
    Case(
        "invalid-changelog",
        SECTION,
        "a changelog that includes a changeset that is not there",
        Wanted(
            "test.database",
            "failed",
            r"^migrations/changelog\.yaml cannot be applied to an empty database: .*0009-lost\.sql",
        ),
        appended(
            "migrations/changelog.yaml",
            "  - include: {file: changesets/0009-lost.sql, relativeToChangelogFile: true}\n",
        ),
    ),
    _gate(
        "full-disk",
        "a unit test that fills /tmp",
        "test.unit",
        r"tests/unit/test_draft\.py:\d+: .*test_draft: OSError: \[Errno 28\] No space left on device",
        pushed(
            files={
                "tests/unit/test_draft.py": "from pathlib import Path\n\n\ndef test_draft(tmp_path: Path) -> None:\n"
                "    for number in range(40):\n"
                '        (tmp_path / f"{number}").write_bytes(b"x" * 20_000_000)\n'
            }
        ),
    ),
    _gate(
        "secret-in-a-layer",
        "an image with a key in a layer, which a later one removes",
        "image.scan",
        r"app/\.env \(layer \d+\):1: aws-access-token: ",
        edited(
            "Dockerfile",
            "USER 10001",
            "RUN printf 'key = AKIA%s\\n' QWERTYUIOPASDFGH > /app/.env\nRUN rm /app/.env\nUSER 10001",
        ),
    ),
    Case(
        "image-does-not-build",
        SECTION,
        "a Dockerfile that copies what is not there",
        Wanted(
            "image.build",
            "failed",
            r'^the image does not build: COPY nowhere /app/smoke: "/nowhere": not found',
        ),
        edited("Dockerfile", "COPY smoke /app/smoke", "COPY nowhere /app/smoke"),
    ),
)

DEPLOYMENTS: tuple[Case, ...] = (
    _deploy(
        "foreign-namespace",
        "a manifest of another namespace",
        "deploy.config",
        r"^manifests/service\.yaml:\d+: Service ai-generation is for namespace kube-system",
        reconfigured("metadata:\n", "metadata:\n  namespace: kube-system\n", "manifests/service.yaml"),
        fast=True,
    ),
    _deploy(
        "forbidden-kind",
        "a manifest of a kind that the catalog does not allow",
        "deploy.config",
        r"^manifests/role\.yaml:\d+: kind Role \(everything\) is not allowed here",
        configured(
            {
                "manifests/role.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: everything}\n"
                'rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]\n'
            }
        ),
    ),
    _deploy(
        "invalid-manifest",
        "a manifest that does not validate",
        "deploy.config",
        r"Deployment/ai-generation: .*replicas",
        reconfigured("  replicas: 2\n", "  replicas: many\n"),
    ),
    _deploy(
        "unpinned-sidecar",
        "a second container whose image is not pinned by digest",
        "deploy.config",
        r"Deployment ai-generation, container beside: image busybox is not pinned by digest",
        _sidecar("busybox"),
    ),
    _deploy(
        "privileged-container",
        "a container that wants the rights of the node",
        "deploy.config",
        r"^manifests/deployment\.yaml:\d+: Deployment ai-generation, container app: securityContext\.privileged is true: ",
        reconfigured("            allowPrivilegeEscalation: false\n", "            privileged: true\n"),
    ),
    _deploy(
        "unpullable-image",
        "a second container whose image is nowhere",
        "deploy.rollout",
        r"^pod ai-generation-\S+: (ErrImagePull|ImagePullBackOff): ",
        within(
            30,
            "deploy.rollout",
            lambda scene: _sidecar(f"{scene.sandbox.registry}/ai-generation@sha256:{'0' * 64}")(scene),
        ),
    ),
    _deploy(
        "unschedulable",
        "pods that no node takes",
        "deploy.rollout",
        r"^pod ai-generation-\S+: Unschedulable: 0/1 nodes are available: .*the rollout stopped: ProgressDeadlineExceeded",
        _held_by_nobody(
            within(
                30,
                "deploy.rollout",
                _deadline(
                    "      serviceAccountName:",
                    "      nodeSelector: {place: nowhere}\n      serviceAccountName:",
                    seconds=8,
                ),
            )
        ),
        fast=True,
        is_platforms=True,
    ),
    _deploy(
        "quota",
        "pods that ask for more than the namespace may have",
        "deploy.rollout",
        r"^pods cannot be created: .*exceeded quota: ai-generation, requested: requests\.cpu=50",
        within(20, "deploy.rollout", reconfigured("requests: {cpu: 50m,", 'requests: {cpu: "50",')),
    ),
    _deploy(
        "missing-volume",
        "pods that mount a Secret that is not there",
        "deploy.rollout",
        r'^pod ai-generation-\S+: FailedMount: .*secret "nothing" not found',
        within(
            40, "deploy.rollout", reconfigured("secretName: ai-generation-database ", "secretName: nothing ")
        ),
    ),
    _deploy(
        "never-ready",
        "pods whose readiness probe fails",
        "deploy.rollout",
        r"^pod ai-generation-\S+ is not ready: Readiness probe failed: HTTP probe failed with statuscode: 404",
        within(60, "deploy.rollout", _deadline("path: /readyz", "path: /nowhere")),
    ),
    _deploy(
        "cannot-start",
        "an image whose command does not start",
        "deploy.rollout",
        r"^pod ai-generation-\S+: CrashLoopBackOff: app crashed 2 times, at last with exit code 3: .*ai_generation\.nowhere",
        within(
            60,
            "deploy.rollout",
            edited("Dockerfile", '"ai_generation.app:create_app"', '"ai_generation.nowhere:create_app"'),
        ),
    ),
    _deploy(
        "failing-playbook",
        "a playbook that fails",
        "deploy.infra_check",
        r"^deploy\.infra_check failed: .*nobody knows",
        reconfigured(
            "  tasks:\n",
            "  tasks:\n    - name: Draft\n      ansible.builtin.fail: {msg: nobody knows}\n",
            "infra/site.yaml",
        ),
    ),
    _deploy(
        "edited-changeset",
        "a changeset that was edited after it was applied",
        "deploy.pending",
        r"^deploy\.pending failed: .*0003-model\.sql::0003-record-the-model::generation",
        _edited_changeset,
    ),
    _deploy(
        "half-way-changeset",
        "a changeset that fails half-way, on the real database only",
        "deploy.migrate",
        r"^deploy\.migrate failed: .*faults-\d+.*violates check constraint",
        _half_way,
    ),
    _deploy(
        "failing-smoke-test",
        "a smoke test that fails",
        "verify.smoke",
        r"^verify\.smoke failed: FAILED version: status of GET /version: found 200, wanted 201",
        edited(
            "smoke/smoke.py",
            'expect("status of GET /version", status, 200)',
            'expect("status of GET /version", status, 201)',
        ),
    ),
    _deploy(
        "wrong-version",
        "a service that says it is another commit",
        "verify.health",
        r"^verify\.health: not so after 120 s: /version answers 200 with commit c0ffee, but [0-9a-f]{40} was released",
        edited(
            "Dockerfile",
            "ENV APP_COMMIT=${COMMIT}",
            "ENV APP_COMMIT=c0ffee",
            {"smoke/smoke.py": 'print("smoke test passed")\n'},
        ),
    ),
)

CASES: tuple[Case, ...] = (*GATES, *DEPLOYMENTS)
