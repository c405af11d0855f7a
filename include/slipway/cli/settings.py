"""Where the command finds the running parts: the environment first, then the sandbox's state folder."""

from __future__ import annotations

import os
from pathlib import Path

from slipway.errors import CatalogError


def credential_path(name: str) -> Path:
    """Gives the file of a secret in the folder of credential files: SLIPWAY_CREDENTIALS, or the sandbox's."""
    state = Path(os.environ.get("SLIPWAY_STATE") or Path.home() / ".local/state/slipway/sandbox")
    return Path(os.environ.get("SLIPWAY_CREDENTIALS") or state / "credentials") / name


def credential(name: str) -> str:
    """Gives the secret of that name.

    :raises CatalogError: when there is no such file.
    """
    return _read(
        credential_path(name),
        "Start the sandbox (`slipway sandbox up`), or name the folder by SLIPWAY_CREDENTIALS.",
    )


def cache() -> Path:
    """Gives the folder of what may be lost at any time: SLIPWAY_CACHE, or `slipway` in the user's own cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SLIPWAY_CACHE") or base / "slipway")


def _read(path: Path, remedy: str) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise CatalogError(
            f"{path} cannot be read: {error.strerror}.", code="credential.unreadable", remedy=remedy
        ) from error


def ledger_url() -> str:
    """Gives the ledger's URL: of the file LEDGER_URL_FILE, else LEDGER_URL, else of the sandbox.

    :raises CatalogError: when none is known.
    """
    if named := os.environ.get("LEDGER_URL_FILE"):
        return _read(Path(named), "Correct LEDGER_URL_FILE.")
    if url := os.environ.get("LEDGER_URL"):
        return url
    try:
        return credential("ledger-url")
    except CatalogError as error:
        raise CatalogError(
            "The ledger's URL is not known: neither LEDGER_URL_FILE nor LEDGER_URL is set.",
            code="ledger.url-unknown",
            remedy='`eval "$(slipway sandbox env)"`, or set LEDGER_URL_FILE to a file that holds it.',
        ) from error


def address(variable: str) -> str:
    """Gives the URL of AIRFLOW_URL or GIT_URL: of that variable, else of the platform file."""
    if url := os.environ.get(variable):
        return url.rstrip("/")
    from slipway.catalog import load_platform

    state = Path(os.environ.get("SLIPWAY_STATE") or Path.home() / ".local/state/slipway/sandbox")
    left = state / "platform.yaml"
    platform = load_platform(left if not os.environ.get("SLIPWAY_PLATFORM") and left.is_file() else None)
    return (platform.airflow.url if variable == "AIRFLOW_URL" else platform.git.url).rstrip("/")
