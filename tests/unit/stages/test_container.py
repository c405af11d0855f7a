from slipway.stages.container import verdict_of


def test_a_gate_speaks_with_its_verdict_and_findings_not_with_the_tools_output() -> None:
    said = [
        "plugins: anyio-4.16.0",
        "FAILED tests/unit/test_sentences.py::test_ends",
        "FAILED unit: 1 finding in 69 tests of tests/unit",
        "",
        "tests/unit/test_sentences.py:8: the text breaks off",
    ]
    assert verdict_of(said) == (
        "tests/unit/test_sentences.py:8: the text breaks off",
        ["1 finding in 69 tests of tests/unit"],
    )
    said = [
        "FAILED fetch-dependencies: the locks cannot be installed from wheels (exit 1):",
        "  no such wheel",
    ]
    assert verdict_of(said) == ("the locks cannot be installed from wheels (exit 1): no such wheel", [])
    assert verdict_of(["NOT EVALUATED dependencies: advisories are too old"])[0] == "advisories are too old"


def test_a_gate_without_a_verdict_speaks_with_its_last_line() -> None:
    assert verdict_of(["starting", "Segmentation fault", ""]) == (
        "Segmentation fault",
        ["starting", "Segmentation fault"],
    )
    assert verdict_of([]) == ("it says nothing", [])
