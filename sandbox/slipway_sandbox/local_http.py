"""HTTP to the sandbox's own servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests


def session(verify: str | bool = True) -> requests.Session:
    """A session that heeds no proxy and no REQUESTS_CA_BUNDLE: those are for the world outside."""
    import requests

    made = requests.Session()
    made.trust_env = False
    made.verify = verify
    return made


def loopback() -> str:
    """The name of a task's host for Airflow's `hostname_callable`: its log server is on loopback only."""
    return "127.0.0.1"
