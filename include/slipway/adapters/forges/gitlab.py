"""GitLab's statuses, by python-gitlab: https://docs.gitlab.com/api/commits/#set-commit-pipeline-status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from slipway.adapters.forges import TIMEOUT_S, answered, refusal
from slipway.release.voice import Said, Word

_WORDS = {
    Said.PENDING: "running",
    Said.SUCCESS: "success",
    Said.FAILURE: "failed",
    Said.ERROR: "failed",
    Said.SKIPPED: "canceled",
}


@dataclass(frozen=True)
class Commits:
    """The statuses of one project. GitLab makes a pipeline of them, of which each context is a job."""

    url: str
    repository: str
    token: str = field(repr=False)

    def newest(self, commit: str, context: str) -> Word | None:
        """Give what is shown of a context on a commit; None if nothing is."""
        with self._explained():
            found = self._statuses(commit).list(
                name=context, order_by="id", sort="desc", per_page=1, get_all=False, obey_rate_limit=False
            )
            for one in found:
                said = next((mine for mine, theirs in _WORDS.items() if theirs == one.status), Said.ERROR)
                return Word(said, context, one.description or "", one.target_url or "")
        return None

    def show(self, commit: str, word: Word) -> None:
        """Show a status."""
        with self._explained():
            self._statuses(commit).create(
                {
                    "state": _WORDS[word.said],
                    "context": word.context,
                    "description": word.line,
                    "target_url": word.url,
                },
                obey_rate_limit=False,  # it would wait here: whoever sends tries again
            )

    def hook(self, url: str, secret: str) -> bool:
        """See that pushes are told to an address; give whether that hook was made just now.

        The secret is both: what GitLab signs with, and the old token, for one that knows no signing yet.
        """
        with self._explained():
            hooks = self._project().hooks
            if any(one.url == url for one in hooks.list(get_all=True, obey_rate_limit=False)):
                return False
            hooks.create(
                {"url": url, "push_events": True, "signing_token": secret, "token": secret},
                obey_rate_limit=False,
            )
        return True

    def _statuses(self, commit: str) -> Any:
        return self._project().commits.get(commit, lazy=True).statuses

    def _project(self) -> Any:
        from gitlab import Gitlab

        client = Gitlab(self.url, private_token=self.token, timeout=TIMEOUT_S, keep_base_url=True)
        return client.projects.get(self.repository, lazy=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from gitlab.exceptions import GitlabError

        where = f"{self.url}/{self.repository}"
        with answered(where):
            try:
                yield
            except GitlabError as e:
                if e.response_code == 400 and "Cannot transition status" in str(e.error_message):
                    return  # it says so already
                raise refusal(where, e.response_code, str(e.error_message)) from e
