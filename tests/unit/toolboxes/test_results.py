"""What a command tells: JUnit, SARIF, or its exit code; a report can only make things worse."""

import json
from pathlib import Path

import gate
import pytest
import results
from hypothesis import given
from hypothesis import strategies as st

GOOD = '<testcase classname="t" name="a"/>'
BAD = '<testcase classname="t" name="b" file="test/b.test.ts"><failure message="no">expected</failure></testcase>'


def junit(*cases: str) -> str:
    return f"<testsuite>{''.join(cases)}</testsuite>"


def sarif(*results_: object) -> str:
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {}, "results": results_}]})


def result(level: str | None = None, **more: object) -> dict[str, object]:
    place = {"artifactLocation": {"uri": "app/main.ts"}, "region": {"startLine": 3}}
    said = {"ruleId": "no-var", "message": {"text": "no"}, "locations": [{"physicalLocation": place}]}
    return said | ({"level": level} if level else {}) | more


def test_case_that_failed_is_named_with_its_file() -> None:
    (finding,) = results.tests(results.cases(junit(GOOD, BAD)), 1, "`npm test`", "`npm test`").findings
    assert (finding.path, finding.rule, finding.message) == ("test/b.test.ts", "t::b", "no")


def test_several_reports_count_as_one() -> None:
    whole = results.joined([junit(GOOD), f"<testsuites>{junit(BAD)}</testsuites>"])
    assert [one.get("name") for one in results.cases(whole)] == ["a", "b"]


def test_reports_of_a_folder_are_all_taken_and_none_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(gate.Failed, match="left no report at target"):
        results.reports(tmp_path / "target")
    for name in ("b.xml", "a.xml", "a.txt"):
        (tmp_path / name).write_text(name)
    assert results.reports(tmp_path) == ["a.xml", "b.xml"]


def test_sarif_tells_errors_and_warnings_that_are_not_suppressed() -> None:
    found = results.sarif(
        sarif(result(), result("error"), result("note"), result("none"), result(suppressions=[{}]))
    )
    assert [str(one) for one in found] == ["app/main.ts:3: no-var: no"] * 2


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"runs": [3]}', '{"runs": [{"results": [3]}]}', "[" * 9999]
)
def test_what_is_no_sarif_is_a_failure(text: str) -> None:
    with pytest.raises(gate.Failed, match="not SARIF"):
        results.sarif(text)


def test_exit_code_stands_whatever_the_report_says() -> None:
    with pytest.raises(gate.Failed, match="ended with 2, though its report lists no finding"):
        results.lint(results.sarif(sarif()), 2, "`eslint`")
    assert results.lint(results.sarif(sarif()), 0, "`eslint`").findings == []
    assert results.lint(results.sarif(sarif(result())), 0, "`eslint`").findings


@given(
    st.integers(0, 255), st.lists(st.sampled_from([GOOD, BAD, '<testcase name="s"><skipped/></testcase>']))
)
def test_tests_pass_only_if_some_ran_none_failed_and_the_command_ended_well(
    code: int, cases: list[str]
) -> None:
    try:
        passed = not results.tests(results.cases(junit(*cases)), code, "x", "x").findings
    except gate.Failed:
        passed = False
    assert passed == (GOOD in cases and BAD not in cases and code == 0)
