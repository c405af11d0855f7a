"""Settings of the service, read once from its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(ValueError):
    """The environment does not say what the service needs; the message names the variable."""


@dataclass(frozen=True)
class Settings:
    """How this process reaches its database and what it tells about itself.

    :param database_url: the URL itself; used when `database_url_file` is None.
    :param database_url_file: a file that holds the URL; read for every new connection: it may be rotated.
    :param pool_max: most connections held, 1 to 50.
    :param database_timeout_s: longest wait for a connection, and for a statement, in seconds, 0.05 to 60.
    """

    database_url: str = ""
    database_url_file: Path | None = None
    pool_max: int = 4
    database_timeout_s: float = 3.0
    commit: str = "unknown"
    build: str = "unknown"
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read and check the variables listed in the README; SettingsError on the first that is wrong."""
        file, url = environ.get("DATABASE_URL_FILE", ""), environ.get("DATABASE_URL", "")
        if not file and not url:
            raise SettingsError("no database: set DATABASE_URL_FILE (a file with the URL) or DATABASE_URL")
        log_level = environ.get("LOG_LEVEL", "INFO").upper()
        if log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise SettingsError(f"LOG_LEVEL is {log_level!r}; it may be DEBUG, INFO, WARNING or ERROR")
        return cls(
            database_url=url,
            database_url_file=Path(file) if file else None,
            pool_max=int(_number(environ, "DATABASE_POOL_MAX", "4", 1, 50)),
            database_timeout_s=_number(environ, "DATABASE_TIMEOUT_S", "3", 0.05, 60),
            commit=environ.get("APP_COMMIT", "unknown"),
            build=environ.get("APP_BUILD", "unknown"),
            log_level=log_level,
        )

    def conninfo(self) -> str:
        """The database URL as it is now; SettingsError if its file cannot be read or is empty."""
        if self.database_url_file is None:
            return self.database_url
        try:
            url = self.database_url_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"DATABASE_URL_FILE cannot be read: {error}") from error
        if not url:
            raise SettingsError(f"DATABASE_URL_FILE {self.database_url_file} is empty; it must hold the URL")
        return url


def _number(environ: Mapping[str, str], name: str, default: str, least: float, most: float) -> float:
    text = environ.get(name, default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:  # also catches NaN
        raise SettingsError(f"{name} is {text!r}; it may be a number from {least:g} to {most:g}")
    return value
