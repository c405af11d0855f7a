"""Keys of what is kept and reused: each is made of all that the kept thing depends on (docs/security.md has the table)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence


def evidence_key(tree: str, toolbox: str, command: Sequence[str], policy: str = "") -> str:
    """Gives the key under which a gate's verdict is kept.

    :param tree: git tree of the source, not the commit: the same files need no second verdict.
    :param toolbox: digest of the image that the command runs in.
    :param command: the whole argument list.
    :param policy: digest of whatever else decides (rules, advisories, limits).
    """
    # JSON keeps the parts apart: no two different inputs are joined into the same bytes.
    return hashlib.sha256(json.dumps([tree, toolbox, list(command), policy]).encode()).hexdigest()


def artifact_key(commit: str, bases: Mapping[str, str], how: str, platform: str) -> str:
    """Gives the key of what an image depends on.

    :param commit: all of its hash: a tag has the first digits alone, which another commit may have, too.
    :param bases: what it stands on: images by digest, by the names that the Dockerfile has for them.
    :param how: what the catalog chooses: the Dockerfile's path, its target, arguments, the runtime lock.
    :param platform: such as ``linux/amd64``.
    """
    return hashlib.sha256(json.dumps([commit, sorted(bases.items()), how, platform]).encode()).hexdigest()
