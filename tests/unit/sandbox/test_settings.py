"""Somebody's own parts are used by configuration alone, and only by Slipway's own names."""

from pathlib import Path

import pytest

from slipway_sandbox.layout import Layout, UsageError
from slipway_sandbox.settings import load_external


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "sandbox", tmp_path / "cache", tmp_path)


def test_exported_addresses_of_the_sandbox_itself_change_nothing(layout: Layout) -> None:
    environment = {
        "KUBECONFIG": "/x",
        "DOCKER_HOST": "tcp://x",
        "VAULT_ADDR": "http://x",
        "GIT_URL": "http://x",
    }
    assert load_external(layout, environment) == {}


def test_file_gives_a_part_and_a_variable_wins_over_it(layout: Layout) -> None:
    (layout.state.parent / "sandbox.toml").write_text('[docker]\nhost = "tcp://one:2375"\n')
    assert load_external(layout, {})["docker"] == {"host": "tcp://one:2375"}
    assert (
        load_external(layout, {"SLIPWAY_EXTERNAL_DOCKER": "tcp://two:2375"})["docker"]["host"]
        == "tcp://two:2375"
    )


def test_further_settings_of_a_part_have_variables_of_their_own(layout: Layout, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    given = {"SLIPWAY_EXTERNAL_VAULT": "https://vault:8200", "SLIPWAY_EXTERNAL_VAULT_TOKEN_FILE": str(token)}
    assert load_external(layout, given)["vault"] == {
        "address": "https://vault:8200",
        "token_file": str(token),
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"SLIPWAY_EXTERNAL_MAIL": "x"}, "there is no external setting `mail.*kubernetes"),
        ({"SLIPWAY_EXTERNAL_DOCKER_PORT": "1"}, r"there is no external setting `docker\.port`"),
        ({"SLIPWAY_EXTERNAL_VAULT_TOKEN_FILE": "/nowhere"}, "which is no file"),
        ({"SLIPWAY_EXTERNAL_REGISTRY_PUSH_USERNAME": "me"}, "its `address` is not given"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(
    layout: Layout, given: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        load_external(layout, given)
