"""Keys: whatever differs in what a kept thing is made of gives another key."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.release import artifact_key, evidence_key

text = st.text(max_size=6)


@pytest.mark.parametrize(
    ("key", "inputs"),
    [
        (artifact_key, st.tuples(text, st.dictionaries(text, text), text, text)),
        (evidence_key, st.tuples(text, text, st.lists(text, max_size=3), text)),
    ],
)
def test_other_inputs_have_another_key_and_the_same_the_same(
    key: Callable[..., str], inputs: st.SearchStrategy[tuple[object, ...]]
) -> None:
    @given(inputs, inputs)
    def holds(one: tuple[object, ...], other: tuple[object, ...]) -> None:
        assert (key(*one) == key(*other)) is (one == other)

    holds()
