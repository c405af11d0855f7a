from slipway.stages.container_run import verdict_of, where_of


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


def test_what_hangs_is_named_by_the_deepest_place_in_the_source() -> None:
    said = [
        "Fatal Python error: Aborted",
        "Current thread 0x00007f0e (most recent call first):",
        '  File "/usr/lib/python3.11/threading.py", line 324 in wait',
        '  File "/workspace/src/tests/unit/test_draft.py", line 5 in test_draft',
        '  File "/workspace/src/tests/conftest.py", line 1 in other',
    ]
    word, lines = where_of([*["noise"] * 30, *said, *["noise"] * 30])
    assert word == " in tests/unit/test_draft.py:5 (test_draft)"
    assert set(said) <= set(lines)
    assert len(lines) <= 12
    assert where_of(["no", "word"]) == ("", ["no", "word"])
