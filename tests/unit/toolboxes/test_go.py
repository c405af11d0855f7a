"""Go projects in their toolbox: what go.mod and go.sum lock, and what `go test -json` tells."""

import json
from pathlib import Path

import go_gate
import go_locks
import go_project
import go_tests
import pytest
import results
from gate import Failed
from hypothesis import given
from hypothesis import strategies as st

MOD = """module example.com/shop // ours

go 1.24

require (
	github.com/a/b v1.2.3
	golang.org/x/text v0.3.0 // indirect
)

require example.com/local v0.0.0
replace example.com/local => ./local
replace golang.org/x/text => golang.org/x/text v0.4.0
"""
SUM = (
    "github.com/a/b v1.2.3 h1:a=\ngithub.com/a/b v1.2.3/go.mod h1:b=\ngolang.org/x/text v0.4.0/go.mod h1:c=\n"
)


def test_modules_are_those_that_a_build_may_take() -> None:
    modules, wrong = go_locks.read("go.mod", MOD, SUM)
    assert not wrong
    assert [(one.name, one.version, one.line) for one in modules] == [
        ("github.com/a/b", "v1.2.3", 6),
        ("golang.org/x/text", "v0.4.0", 7),
    ]


@pytest.mark.parametrize(
    ("text", "sums", "rule"),
    [
        (MOD, None, "lock-hash"),
        (MOD, SUM.replace("v0.4.0", "v0.3.0"), "lock-hash"),
        (MOD.replace("./local", "/home/me/local"), SUM, "lock-source"),
        (MOD.replace("v1.2.3", ""), SUM, "lock-form"),
        ("go 1.24\n", None, "lock-form"),
    ],
)
def test_what_does_not_bind_a_module_is_a_finding(text: str, sums: str | None, rule: str) -> None:
    _, wrong = go_locks.read("go.mod", text, sums)
    assert rule in {one.rule for one in wrong}


def test_module_without_requirements_needs_no_sums() -> None:
    assert go_locks.read("go.mod", "module example.com/links\n\ngo 1.26\n", None) == ([], [])


@given(st.text(max_size=200), st.none() | st.text(max_size=100))
def test_any_go_mod_is_read_or_a_finding(text: str, sums: str | None) -> None:
    modules, wrong = go_locks.read("go.mod", text, sums)
    assert isinstance(modules, list)
    assert isinstance(wrong, list)


def event(action: str, test: str = "", package: str = "example.com/shop", **more: object) -> str:
    named = {"Test": test} if test else {}
    return json.dumps({"Action": action, "Package": package, **named, **more})


RUN = [
    event("run", "TestGood"),
    event("pass", "TestGood", Elapsed=0.1),
    event("run", "TestBad"),
    event("output", "TestBad", Output='    a_test.go:7: led to ""\n'),
    event("fail", "TestBad", Elapsed=0.2),
    event("skip", "TestNot"),
    event("fail"),
]


def judged(lines: list[str], code: int) -> object:
    return results.tests(results.cases(go_tests.junit(go_tests.cases(lines))), code, "./...", "go test")


def test_each_test_is_told_with_what_it_said() -> None:
    verdict = judged(RUN, 1)
    (finding,) = verdict.findings  # type: ignore[attr-defined]
    assert finding.rule == "example.com/shop::TestBad"
    assert "a_test.go:7" in finding.message
    assert verdict.looked_at == "2 tests of ./..., 1 skipped"  # type: ignore[attr-defined]


def test_package_that_does_not_compile_is_a_finding() -> None:
    lines = [
        json.dumps(
            {"ImportPath": "shop [shop.test]", "Action": "build-output", "Output": "a.go:3:2: undefined: x\n"}
        ),
        json.dumps({"ImportPath": "shop [shop.test]", "Action": "build-fail"}),
        event("fail", Elapsed=0, FailedBuild="shop [shop.test]"),
    ]
    (finding,) = judged(lines, 1).findings  # type: ignore[attr-defined]
    assert "a.go:3:2: undefined: x" in finding.message


def test_test_that_did_not_end_failed() -> None:
    found = go_tests.cases([event("run", "TestHangs"), event("fail")])
    assert [(one.test, one.ended) for one in found] == [("TestHangs", "fail")]


def test_no_test_at_all_fails() -> None:
    with pytest.raises(Failed, match="no test ran"):
        judged([event("skip", package="example.com/none")], 0)


@given(st.lists(st.text(max_size=40) | st.sampled_from(RUN) | st.just('"x"') | st.just("[]"), max_size=8))
def test_whatever_a_run_says_is_junit(lines: list[str]) -> None:
    results.cases(go_tests.junit(go_tests.cases(lines)))


def test_log_has_what_tests_say_and_no_events() -> None:
    assert go_gate.told(event("output", Output="ok\n")) == "ok\n"
    assert go_gate.told(event("pass", "TestGood")) == ""
    assert go_gate.told("panic\n") == "panic\n"


def test_cache_begins_with_what_is_compiled_already(tmp_path: Path) -> None:
    compiled, cache = tmp_path / "compiled", tmp_path / "cache"
    (compiled / "ab").mkdir(parents=True)
    (compiled / "ab/1-d").write_text("x")
    go_project.begun(compiled, cache)
    assert (cache / "ab/1-d").readlink() == compiled / "ab/1-d"
    (cache / "ab/2-d").write_text("y")
    go_project.begun(compiled, cache)
