"""Keys of evidence: the same tree, toolbox, command and policy give the same key, and so the same verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence


def evidence_key(tree: str, toolbox: str, command: Sequence[str], policy: str = "") -> str:
    """Gives the key under which a gate's verdict is kept.

    :param tree: git tree of the source, not the commit: the same files need no second verdict.
    :param toolbox: digest of the image that the command runs in.
    :param command: the whole argument list.
    :param policy: digest of whatever else decides (rules, advisories, limits).
    """
    # JSON keeps the parts apart: no two different inputs are joined into the same bytes.
    return hashlib.sha256(json.dumps([tree, toolbox, list(command), policy]).encode()).hexdigest()
