"""Why a server could not be asked, in words: clients wrap the system's reason in errors of their own, some four deep."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator


def why(error: BaseException) -> str:
    """Give in a few words what kept a client from an answer: the innermost reason that means something to a person."""
    import requests
    import urllib3.exceptions

    for one in _within(error):
        if isinstance(one, urllib3.exceptions.NewConnectionError):
            continue  # counts as a timeout there; its reason comes after it
        if isinstance(one, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError):
            return "no answer in time"
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {one.verify_message}"
        if isinstance(one, socket.gaierror):
            return f"its name is not known: {one.strerror}"
        if isinstance(one, http.client.RemoteDisconnected):
            return "it ended the connection without an answer"
        if isinstance(one, OSError) and one.errno and one.strerror:
            return one.strerror[:1].lower() + one.strerror[1:]
    return (str(error).splitlines() or [type(error).__name__])[0]


def _within(error: BaseException) -> Iterator[BaseException]:
    """Give an error and all that it was made of."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and not any(one is other for other in seen):
            seen.append(one)
            yield one
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
