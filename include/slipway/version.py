"""Which Slipway this is: what its records name as their maker."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from slipway import __version__


@cache
def this() -> str:
    """Give the version with the first digits of a hash of the code: `0.1.0+3f2a91c0`. It is read once in each process.

    The number alone would not tell two states of a checkout apart, which is what an upgrade of one is.
    """
    return f"{__version__}+{_code(Path(__file__).parent)}"


def _code(package: Path) -> str:
    told = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        told.update(f"{path.relative_to(package)}\0{len(content)}\0".encode() + content)
    return told.hexdigest()[:8]
