"""Statuses of commits, and hooks, at a forge: one module for each kind, with its maintained client where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Protocol

from slipway.errors import Permanent, SlipwayError, Transient
from slipway.release.voice import Word

TIMEOUT_S = 10


class Statuses(Protocol):
    """The statuses of one repository's commits."""

    def newest(self, commit: str, context: str) -> Word | None:
        """Give what is shown of a context on a commit; None if nothing is."""
        ...

    def show(self, commit: str, word: Word) -> None:
        """Show a status. It is the newest of its context afterwards."""
        ...


class Hooks(Protocol):
    """The hooks of one repository."""

    def hook(self, url: str, secret: str) -> bool:
        """See that pushes are told to an address, signed with a secret; give whether that hook was made just now."""
        ...


def hooks(kind: str, url: str, repository: str, token: str) -> Hooks:
    """Give the hooks of a repository; see :func:`statuses`.

    :param token: of an account that may administer its hooks.
    """
    made: Hooks = import_module(f"slipway.adapters.forges.{kind}").Commits(url, repository, token)
    return made


def statuses(kind: str, url: str, repository: str, token: str) -> Statuses:
    """Give the statuses of a repository.

    :param kind: ``gitea``, ``github`` or ``gitlab``. :param url: the forge's own. :param repository: with its owner or groups.
    :param token: of an account that may write statuses there, and no more.
    """
    made: Statuses = import_module(f"slipway.adapters.forges.{kind}").Commits(url, repository, token)
    return made


def refusal(where: str, status: int | None, said: str) -> SlipwayError:
    """Give our error for a forge's answer: may another try help?

    :param status: the HTTP status; None if there was no answer.
    """
    said = " ".join(said.split())[:200]
    if status is None or status >= 500 or status in (408, 425, 429) or "rate limit" in said.casefold():
        return Transient(
            f"{where} does not answer as it should: {said}",
            code="forge.failed",
            remedy="see that the forge answers; statuses are told once it does",
        )
    return Permanent(
        f"{where} refuses what was asked ({status}): {said}",
        code="forge.refused",
        remedy="see that the token (for statuses Vault's secret/slipway/forges/<host>) is valid and may do so in that repository",
    )


@contextmanager
def answered(where: str) -> Iterator[None]:
    """Raise our errors in place of those of `requests`."""
    import requests

    from slipway.unreachable import why

    try:
        yield
    except requests.RequestException as e:
        raise refusal(where, None, why(e)) from e
