"""The registry's account."""

from slipway.adapters.registry import Registry


def test_password_is_not_in_what_is_shown_of_it() -> None:
    assert "hunter2" not in repr(Registry("registry:5000", "push", "hunter2"))
