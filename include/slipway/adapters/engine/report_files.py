"""Reports out of a container that ran pushed code: hostile input, so each and all together are bounded."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from slipway.adapters.engine.refusals import APIClient, explained
from slipway.errors import PolicyFailed

REPORT_LIMIT = 2_000_000
"""Bytes of one report file that are kept."""


REPORTS_LIMIT = 8_000_000
"""Bytes of one container's reports that are kept, together."""


def reports(client: APIClient, container: str, folder: str = "/out") -> dict[str, bytes]:
    """Give the regular files directly in ``folder`` of a container that has ended, within REPORT_LIMIT and REPORTS_LIMIT."""
    with explained(f"reading reports of {container}"), tempfile.TemporaryFile() as spool:
        chunks, _ = client.get_archive(container, folder)
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > 4 * REPORTS_LIMIT:
                raise PolicyFailed(
                    f"reports in {folder} exceed {4 * REPORTS_LIMIT} bytes",
                    code="gate.reports-too-large",
                    remedy="write less to /out",
                )
            spool.write(chunk)
        spool.seek(0)
        found: dict[str, bytes] = {}
        with tarfile.open(fileobj=spool) as tar:
            for member in tar:
                name = Path(member.name).name
                if (
                    member.isreg()
                    and member.name.count("/") == 1
                    and member.size <= REPORT_LIMIT
                    and len(found) < 20
                    and member.size + sum(map(len, found.values())) <= REPORTS_LIMIT
                ):
                    content = tar.extractfile(member)
                    if content is not None:
                        found[name] = content.read()
        return found
