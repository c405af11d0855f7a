"""Settings from the environment."""

from pathlib import Path

import pytest

from ai_generation.settings import Settings, SettingsError


def test_environment_without_a_database_is_refused() -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL_FILE"):
        Settings.from_environment({})


def test_url_file_wins_over_the_url_and_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "database_url"
    file.write_text("postgresql://first\n", encoding="utf-8")
    settings = Settings.from_environment(
        {"DATABASE_URL_FILE": str(file), "DATABASE_URL": "postgresql://other"}
    )
    assert settings.conninfo() == "postgresql://first"
    file.write_text("postgresql://rotated", encoding="utf-8")
    assert settings.conninfo() == "postgresql://rotated"


@pytest.mark.parametrize("content", [None, " \n"])
def test_url_file_that_is_missing_or_empty_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "database_url"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=str(file)):
        Settings.from_environment({"DATABASE_URL_FILE": str(file)}).conninfo()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_POOL_MAX", "0"),
        ("DATABASE_POOL_MAX", "many"),
        ("DATABASE_TIMEOUT_S", "nan"),
        ("DATABASE_TIMEOUT_S", "61"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_value_out_of_range_is_named_with_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'; it may be"):
        Settings.from_environment({"DATABASE_URL": "postgresql://x", name: value})


def test_commit_and_build_come_from_the_image() -> None:
    settings = Settings.from_environment(
        {"DATABASE_URL": "postgresql://x", "APP_COMMIT": "c0ffee", "APP_BUILD": "17"}
    )
    assert (settings.commit, settings.build) == ("c0ffee", "17")
