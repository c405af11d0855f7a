"""The locks of uv, Poetry, PDM and Pipenv, as those tools wrote them for one project, say the same."""

import json
from pathlib import Path

import gate
import lock_pins
import pytest
import tool_locks
from hypothesis import given
from hypothesis import strategies as st

LOCKS = Path(__file__).parent / "data/locks"
NAMES = {
    "uv": "uv.lock",
    "poetry": "poetry.lock",
    "poetry1": "poetry.lock",
    "pdm": "pdm.lock",
    "pipenv": "Pipfile.lock",
}
# as `uv export --no-dev` says, but for what is for Windows only
NEEDED = [
    *(
        "anyio",
        "certifi",
        "click",
        "h11",
        "httpcore",
        "httptools",
        "httpx",
        "idna",
        "python-dotenv",
        "pyyaml",
    ),
    *("sniffio", "typing-extensions", "uvicorn", "uvloop", "watchfiles", "websockets"),
]
TESTED = ["iniconfig", "packaging", "pluggy", "pytest"]
HASH = "sha256:" + "a" * 64


def read(kind: str, part: str) -> list[tuple[str, str, tuple[str, ...]]]:
    folder, name = LOCKS / kind, NAMES[kind]
    beside = {one: (folder / one).read_text() for one in tool_locks.needs(name)}
    packages, findings = tool_locks.read(name, (folder / name).read_text(), beside, part)
    assert not findings
    return packages


@pytest.mark.parametrize("kind", NAMES)
def test_what_ships_is_what_the_project_needs_on_this_platform(kind: str) -> None:
    packages = read(kind, tool_locks.RUNTIME)
    assert [name for name, _, _ in packages] == NEEDED
    assert ("click", "8.1.7") in {(name, version) for name, version, _ in packages}
    assert all(len(one) == 64 for _, _, hashes in packages for one in hashes)


@pytest.mark.parametrize("kind", NAMES)
def test_development_has_all_that_ships_and_its_own_groups(kind: str) -> None:
    names = {name for name, _, _ in read(kind, tool_locks.DEVELOPMENT)}
    extras = {"tabulate"} if kind in ("uv", "pdm") else set()  # Poetry and Pipenv install no extra unasked
    assert names == {*NEEDED, *TESTED} | extras


def wrong(name: str, text: str) -> gate.Finding:
    (finding,) = tool_locks.read(name, text, {}, tool_locks.RUNTIME)[1]
    return finding


PDM = f'[[package]]\nname = "a"\nversion = "1"\ngroups = ["default"]\nfiles = [{{file = "a.whl", hash = "{HASH}"}}]\n'


@pytest.mark.parametrize(
    ("name", "text", "rule", "says"),
    [
        ("pdm.lock", PDM + 'git = "https://x/y"\n', "lock-source", "a comes from git"),
        ("pdm.lock", PDM.replace('groups = ["default"]\n', ""), "lock-form", "which group"),
        ("pdm.lock", PDM + PDM.replace('"1"', '"2"'), "lock-fork", "a is there as 1 and 2"),
        ("pdm.lock", PDM.replace(HASH, "md5:1"), "lock-hash", "a has no sha256 hash"),
        ("pdm.lock", PDM.replace('"1"', '"one"'), "lock-hash", "a has no version"),
        ("pdm.lock", "[[package", "lock-form", "not as pdm lock writes it"),
        ("Pipfile.lock", "[]", "lock-form", "not as pipenv lock writes it"),
        ("Pipfile.lock", json.dumps({"default": {"a": {"path": "."}}}), "lock-source", "a comes from path"),
        (
            "poetry.lock",
            '[[package]]\nname = "a"\nversion = "1"\n',
            "lock-form",
            "pyproject.toml is not beside",
        ),
        ("uv.lock", "version = 1\n", "lock-form", "no project of its own"),
    ],
)
def test_what_does_not_say_one_thing_is_refused(name: str, text: str, rule: str, says: str) -> None:
    finding = wrong(name, text)
    assert finding.rule == rule
    assert says in finding.message
    assert finding.advice


def test_pinned_list_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    pins = [lock_pins.Pin(name, version, 0, "", hashes) for name, version, hashes in read("uv", "runtime")]
    text = lock_pins.written(pins, tmp_path / "pins.txt").read_text()
    again, findings = lock_pins.parse("pins.txt", text)
    assert not findings
    assert [(one.name, one.version, one.hashes) for one in again] == [
        (one.name, one.version, one.hashes) for one in pins
    ]


@given(st.sampled_from(sorted(tool_locks.AGAIN)), st.text())
def test_whatever_a_lock_holds_it_is_read_or_refused(name: str, text: str) -> None:
    packages, findings = tool_locks.read(name, text, {}, tool_locks.RUNTIME)
    assert findings or all(version and hashes for _, version, hashes in packages)


@pytest.mark.parametrize("name", ["requirements.txt", "uv.lock", "sub/poetry.lock"])
def test_missing_lock_says_how_one_is_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "SOURCE", tmp_path)
    with pytest.raises(gate.Failed, match=r"`uv lock`, `poetry lock`"):
        lock_pins.read(name)
