"""The oldest database schema that this code works with: Flyway makes it, db/migration/works-from names it.

One line says it to both: to Slipway, which must know what an older image still needs, and to this process,
which is not ready without it.
"""

import re
from pathlib import Path

FILE = Path(__file__).parents[2] / "db/migration/works-from"


class WorksFromError(RuntimeError):
    """The file is missing or names no migration."""


def works_from(file: Path = FILE) -> tuple[str, str]:
    """Give script and version, such as ("V2__notes.sql", "2"), as Flyway's history has them."""
    try:
        script = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WorksFromError(f"cannot read which migration this code needs: {error}") from error
    if not (match := re.fullmatch(r"V([0-9]+(?:[._][0-9]+)*)__\w+\.sql", script)):
        raise WorksFromError(f"{file} says {script!r}; it must name one script, such as V2__notes.sql")
    return script, match[1].replace("_", ".")
