"""What stages give survives an upgrade in the middle of a release: it is read, or the task ends with what to clear."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st
from pydantic import ValidationError

from slipway.errors import Permanent
from slipway.release import given
from slipway.release.given import Given

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
PUSHED = {"image": "r/web@sha256:1", "digest": "sha256:1", "tag": "0123456789ab"}


def kinds() -> list[type[Given]]:
    found = [one for one in vars(given).values() if isinstance(one, type) and issubclass(one, Given)]
    return [one for one in found if one is not Given]


def test_no_two_are_given_by_one_task_under_one_key() -> None:
    release = [one for one in kinds() if one.key == given.RESULT and "." in one.by]
    assert len(release) > 10
    assert len({one.by for one in release}) == len(release)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: str(kind.__name__))
def test_each_says_who_gives_it_and_what_it_is(kind: type[Given]) -> None:
    assert kind.by or kind.key != given.RESULT
    assert kind.__doc__
    assert kind.__doc__ != Given.__doc__
    assert "version" not in kind.model_fields, "the version of the type is kept under that name"


def test_what_is_kept_has_its_version_and_is_read_as_it_was() -> None:
    pushed = given.Pushed(**PUSHED)
    assert pushed.dump() == {**PUSHED, "version": 1}
    assert given.Pushed.load(pushed.dump()) == pushed
    with pytest.raises(ValidationError, match="frozen"):
        pushed.digest = "sha256:2"  # type: ignore[misc]


def test_what_was_kept_before_there_were_versions_is_read() -> None:
    assert given.Pushed.load(PUSHED) == given.Pushed(**PUSHED)
    config = given.Configured.load({"revision": "r", "infra": None})  # nor the secret's version, at first
    assert config.vault is None
    assert given.Yielded.load("web.1").to == "web.1"
    assert given.ReleasedAgain.load(["released again: x"]).said == ("released again: x",)
    told = {"status": "passed", "more": "than is used"}
    assert given.Reported.load(told).status == "passed"


def test_version_that_is_not_known_ends_with_what_to_clear() -> None:
    with pytest.raises(Permanent) as e:
        given.Pushed.load({**PUSHED, "version": 2})
    assert e.value.message == "what `image.push` gave is of version 2 of Pushed, and this Slipway knows 1"
    assert "clear this run's task `image.push` with downstream" in e.value.remedy


def test_what_lacks_a_field_ends_with_its_name_and_without_values() -> None:
    with pytest.raises(Permanent) as e:
        given.Pushed.load({"image": "r/web@sha256:1", "digest": 7}, "image.push")
    assert e.value.message == (
        "what `image.push` gave cannot be read as Pushed: digest: Input should be a valid string; tag: Field required"
    )


def test_older_version_is_brought_up_to_date_by_the_type() -> None:
    class Renamed(Given):
        """Had another name for its field."""

        by = "x"
        version = 2

        tag: str

        @classmethod
        def upgraded(cls, value: Any, version: int) -> Any:
            return {"tag": value["label"]}

    assert Renamed.load({"label": "a"}).tag == "a"
    assert Renamed.load({"tag": "b", "version": 2}).tag == "b"
    with pytest.raises(Permanent, match="what `x` gave cannot be read as Renamed: KeyError: 'label'"):
        Renamed.load({})


@for_any(st.sampled_from(kinds()), JSON)
def test_whatever_was_left_is_read_or_refused_with_words(kind: type[Given], value: Any) -> None:
    found = None
    with suppress(Permanent):  # and nothing else
        found = kind.load(value, "t")
    if found is not None:
        assert kind.load(found.dump(), "t") == found
