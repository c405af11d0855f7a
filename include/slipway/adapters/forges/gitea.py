"""Gitea's and Forgejo's statuses: https://docs.gitea.com/api/ (repoCreateStatus). There is no maintained client for Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from slipway.adapters.forges import TIMEOUT_S, answered, refusal
from slipway.release.voice import Said, Word


@dataclass(frozen=True)
class Commits:
    """The statuses of one repository. Gitea keeps all that were ever posted; the newest of a context counts."""

    url: str
    repository: str
    token: str = field(repr=False)

    def newest(self, commit: str, context: str) -> Word | None:
        """Give what is shown of a context on a commit; None if nothing is."""
        # its names for the two orders by index are the wrong way round: this is newest first
        found = self._call("GET", f"commits/{commit}/statuses", params={"sort": "leastindex", "limit": "50"})
        for one in found:
            if one["context"] == context:
                return Word(_said(one["status"]), context, one["description"], one["target_url"])
        return None

    def show(self, commit: str, word: Word) -> None:
        """Show a status."""
        body = {
            "state": word.said.value,
            "context": word.context,
            "description": word.line,
            "target_url": word.url,
        }
        self._call("POST", f"statuses/{commit}", json=body)

    def hook(self, url: str, secret: str) -> bool:
        """See that pushes are told to an address; give whether that hook was made just now."""
        if any(one["config"].get("url") == url for one in self._call("GET", "hooks", params={"limit": "50"})):
            return False
        config = {"url": url, "content_type": "json", "secret": secret}
        self._call(
            "POST", "hooks", json={"type": "gitea", "active": True, "events": ["push"], "config": config}
        )
        return True

    def _call(self, method: str, path: str, **more: Any) -> Any:
        import requests

        where = f"{self.url}/{self.repository}"
        with answered(where):
            answer = requests.request(
                method,
                f"{self.url.rstrip('/')}/api/v1/repos/{self.repository}/{path}",
                headers={"Authorization": f"token {self.token}", "Accept": "application/json"},
                timeout=TIMEOUT_S,
                allow_redirects=False,  # a status is not to be posted elsewhere, with its token
                **more,
            )
            if answer.status_code >= 300:
                raise refusal(where, answer.status_code, answer.text)
            return answer.json()


def _said(status: str) -> Said:
    return next((one for one in Said if one == status), Said.ERROR)
