"""The secrets that hooks sign with: of each service one, or two while they are rotated, in Vault at ``secret/slipway/hooks/``."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slipway.errors import Permanent, SlipwayError

PATH = "slipway/hooks/{service}"
FRESH_S, STALE_S, AGAIN_S = 15.0, 3_600.0, 5.0
"""Seconds for which what Vault said is taken as it is; for which it still is while Vault is away; and between two questions."""


def made() -> str:
    """Give a new secret: as Standard Webhooks writes it, which every forge takes for a word."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def rotated(kept: Mapping[str, Any], new: str) -> dict[str, str]:
    """Give what is to be kept in place of ``kept``: the new secret, and the one that was valid until now beside it."""
    before = str(kept.get("current") or "")
    return {"current": new, **({"previous": before} if before else {})}


def valid(kept: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the secrets that are valid by what is kept."""
    return tuple(str(kept[name]) for name in ("current", "previous") if kept.get(name))


@dataclass
class _Known:
    secrets: tuple[str, ...]
    at: float
    asked: float


class Keyring:
    """Gives a service's secrets, and asks Vault seldom: deliveries come often, and from anybody.

    :param read: gives what Vault keeps at a path; see :func:`slipway.adapters.vault.read`.
    :param monotonic: gives seconds. :param services: tells whether there is such a service: no other name is ever asked for.
    """

    def __init__(
        self,
        read: Callable[[str], Mapping[str, Any]],
        monotonic: Callable[[], float],
        services: Callable[[str], bool],
    ) -> None:
        self._read, self._monotonic, self._services = read, monotonic, services
        self._known: dict[str, _Known] = {}
        self._locks: dict[str, threading.Lock] = {}

    def of(self, service: str) -> tuple[str, ...]:
        """Give the secrets that are valid now; none if there is no such service, or no hook of it.

        :raises SlipwayError: if Vault is away, and has been for long.
        """
        if not self._services(service):
            return ()
        known = self._known.get(service)
        if known and self._monotonic() - known.at < FRESH_S:
            return known.secrets
        with self._locks.setdefault(service, threading.Lock()):
            return self._asked(service)

    def _asked(self, service: str) -> tuple[str, ...]:
        now, known = self._monotonic(), self._known.get(service)
        if known and (now - known.at < FRESH_S or now - known.asked < AGAIN_S):
            return known.secrets
        try:
            found = valid(self._read(PATH.format(service=service)))
        except Permanent as e:
            if e.code != "vault.path-empty":
                raise
            found = ()
        except SlipwayError:
            if known is None or now - known.at > STALE_S:
                raise
            known.asked = now
            return known.secrets
        self._known[service] = _Known(found, now, now)
        return found
