"""A push that nobody heard of is released all the same, and once."""

from __future__ import annotations

from e2e.story import Unheard
from slipway.release import Status


def test_push_that_nobody_heard_of_is_found_and_released_once(unheard: Unheard) -> None:
    """And of what is pushed beside the release branch, under a name that git takes for its own, nothing is."""
    pushed = unheard.pushed
    assert "the push is accepted, but its release is not started" in pushed.said
    assert unheard.reconciled == ("skipped", "success", "skipped")
    assert not unheard.started
    assert (pushed.state, pushed.release.status) == ("success", Status.PASSED), pushed.release.reason
    assert unheard.look.version["commit"] == pushed.commit
    assert pushed.release.config_revision == unheard.config_revision
    assert (unheard.told["commit"], unheard.told["started"]) == (pushed.commit, False)
