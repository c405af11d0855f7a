import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import CatalogError
from slipway.release import evidence_key, label, parse_run_id, run_id, short

services = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?", fullmatch=True)
commits = st.from_regex(r"[0-9a-f]{40}|[0-9a-f]{64}", fullmatch=True)
parts = st.lists(st.text(max_size=8), max_size=4)


@given(services, commits, st.integers(0, 10_000))
def test_run_id_is_read_back_as_it_was_made(service: str, commit: str, repeat: int) -> None:
    text = run_id(service, commit, repeat)
    parsed = parse_run_id(text)
    assert (parsed.service, parsed.commit12, parsed.repeat, str(parsed)) == (
        service,
        commit[:12],
        repeat,
        text,
    )


def test_run_id_has_the_promised_form() -> None:
    assert run_id("ai-generation", "0123456789abcdef" * 2 + "01234567") == "ai-generation.0123456789ab"
    assert run_id("ai-generation", "0123456789abcdef" * 4, 2) == "ai-generation.0123456789ab.r2"


@given(st.one_of(st.text(max_size=80), st.from_regex(r"[A-Za-z0-9_.~:+-]{1,250}", fullmatch=True)))
def test_any_run_id_has_a_label_for_names(text: str) -> None:
    assert re.fullmatch("[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", label(text))


def test_labels_are_readable_and_of_one_run_each() -> None:
    assert label("ai-generation.0123456789ab.r2") == "ai-generation-0123456789ab-r2"
    manual = "manual__2026-11-24T12:50:00.123456+00:00"
    assert label(manual).startswith("manual-2026-11-24t12-50-00")
    alike = [
        manual,
        manual.lower(),
        manual.replace("+", "-"),
        "a.0123456789ab",
        "a-0123456789ab",
        "a" * 60,
        "a" * 61,
    ]
    assert len({label(one) for one in alike}) == len(alike)


@given(st.text(max_size=60))
def test_any_text_is_a_run_id_or_refused(text: str) -> None:
    with suppress(CatalogError):
        assert str(parse_run_id(text)) == text


@pytest.mark.parametrize(
    "text", ["manual__2026-01-01", "a.b", "a.0123456789ab.r0", "a.0123456789AB", "a.0123456789ab\n"]
)
def test_foreign_run_ids_are_refused(text: str) -> None:
    with pytest.raises(CatalogError, match="not the run id"):
        parse_run_id(text)


@pytest.mark.parametrize("commit", ["main", "abc", "A" * 40, "a" * 41, "a" * 40 + "\n", ""])
def test_only_full_commit_names_are_shortened(commit: str) -> None:
    with pytest.raises(CatalogError, match="not a full commit"):
        short(commit)


@given(parts, parts)
def test_evidence_keys_differ_whenever_a_command_does(one: list[str], other: list[str]) -> None:
    assert (evidence_key("t", "d", one) == evidence_key("t", "d", other)) == (one == other)


@given(st.tuples(*[st.text(max_size=5)] * 3), st.tuples(*[st.text(max_size=5)] * 3))
def test_evidence_keys_differ_whenever_anything_else_does(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    keys = [evidence_key(tree, toolbox, ["x"], policy) for tree, toolbox, policy in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)
