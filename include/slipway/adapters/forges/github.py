"""GitHub's statuses, by PyGithub: https://docs.github.com/en/rest/commits/statuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from slipway.adapters.forges import TIMEOUT_S, answered, refusal
from slipway.release.voice import Said, Word

if TYPE_CHECKING:
    from github.Commit import Commit
    from github.Repository import Repository

_NO_WORD = {Said.SKIPPED: "error"}
"""What GitHub has no word for. A required check must not be green for what was not released."""


@dataclass(frozen=True)
class Commits:
    """The statuses of one repository; GitHub takes a thousand of a context on a commit."""

    url: str
    repository: str
    token: str = field(repr=False)

    def newest(self, commit: str, context: str) -> Word | None:
        """Give what is shown of a context on a commit; None if nothing is."""
        with self._explained():
            for one in self._commit(commit).get_statuses():  # newest first
                if one.context == context:
                    return Word(_said(one.state), context, one.description or "", one.target_url or "")
        return None

    def show(self, commit: str, word: Word) -> None:
        """Show a status."""
        with self._explained():
            self._commit(commit).create_status(
                state=_NO_WORD.get(word.said, word.said.value),
                target_url=word.url,
                description=word.line,
                context=word.context,
            )

    def hook(self, url: str, secret: str) -> bool:
        """See that pushes are told to an address; give whether that hook was made just now."""
        with self._explained():
            repository = self._repository()
            if any(one.config.get("url") == url for one in repository.get_hooks()):
                return False
            config = {"url": url, "content_type": "json", "secret": secret}
            repository.create_hook("web", config, events=["push"], active=True)
        return True

    def _commit(self, commit: str) -> Commit:
        return self._repository().get_commit(commit)

    def _repository(self) -> Repository:
        from github import Auth, Github

        parts = urlsplit(self.url)
        api = (
            "https://api.github.com"
            if parts.hostname == "github.com"
            else f"{self.url.rstrip('/')}/api/v3"  # GitHub Enterprise Server's
        )
        client = Github(
            auth=Auth.Token(self.token),
            base_url=api,
            timeout=TIMEOUT_S,
            retry=None,  # whoever sends tries again
            seconds_between_requests=None,
            seconds_between_writes=None,
            lazy=True,
        )
        return client.get_repo(self.repository)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from github import GithubException

        where = f"{self.url}/{self.repository}"
        with answered(where):
            try:
                yield
            except GithubException as e:
                said = e.data.get("message", "") if isinstance(e.data, dict) else str(e.data)
                raise refusal(where, e.status or None, said or type(e).__name__) from e


def _said(state: str) -> Said:
    return next((one for one in Said if one == state), Said.ERROR)
