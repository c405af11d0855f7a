"""Parts that are somebody's own: which, and where, from sandbox.toml or SLIPWAY_EXTERNAL_* variables."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from slipway_sandbox.layout import Layout, UsageError

PREFIX = "SLIPWAY_EXTERNAL_"
# part -> the key of its address, then what else it needs to be used
KEYS: dict[str, tuple[str, ...]] = {
    "postgres": ("url", "pod_host"),
    "vault": ("address", "token_file", "ca_file"),
    "registry": (
        "address",
        "ca_file",
        "push_username",
        "push_password_file",
        "pull_username",
        "pull_password_file",
    ),
    "git": ("url", "username", "password_file"),
    "docker": ("host",),
    "kubernetes": ("kubeconfig",),
}


def load_external(layout: Layout, environment: Mapping[str, str] = os.environ) -> dict[str, dict[str, str]]:
    """The parts given from outside, each with its settings.

    `sandbox.toml` beside the state folder has a table per part. `SLIPWAY_EXTERNAL_<PART>` is its address,
    `SLIPWAY_EXTERNAL_<PART>_<KEY>` any other key; variables win. Only these names count: a KUBECONFIG that
    `slipway sandbox env` exported must not turn the sandbox away from its own cluster.

    :raises UsageError: an unknown part or key; names the legal ones
    """
    external: dict[str, dict[str, str]] = {}
    path = layout.state.parent / "sandbox.toml"
    if path.is_file():
        try:
            tables = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path}: {error}") from error
        for part, table in tables.items():
            if not isinstance(table, dict):
                raise UsageError(f"{path}: `{part}` must be a table of {_legal()}")
            for key, value in table.items():
                _take(external, part, key, str(value), str(path))
    for variable, value in sorted(environment.items()):
        if variable.startswith(PREFIX) and value:
            part, _, key = variable.removeprefix(PREFIX).lower().partition("_")
            _take(external, part, key or KEYS.get(part, ("",))[0], value, variable)
    for part, settings in external.items():
        if KEYS[part][0] not in settings:
            raise UsageError(f"{part} is said to be external, but its `{KEYS[part][0]}` is not given")
    return external


def _legal() -> str:
    return ", ".join(f"{part} ({', '.join(keys)})" for part, keys in KEYS.items())


def _take(external: dict[str, dict[str, str]], part: str, key: str, value: str, where: str) -> None:
    if part not in KEYS or key not in KEYS[part]:
        raise UsageError(f"{where}: there is no external setting `{part}.{key}`; there are: {_legal()}")
    if key.endswith("_file") and not Path(value).is_file():
        raise UsageError(f"{where}: {part}.{key} names {value}, which is no file")
    external.setdefault(part, {})[key] = value
