"""The changeset that the code asks for is the one that the file beside the changelog names."""

from pathlib import Path

from ai_generation.schema import REQUIRED_REVISION

FILE = Path(__file__).parents[2] / "migrations/works-from"


def test_works_from_names_the_changeset_that_readiness_asks_for() -> None:
    assert FILE.read_text().strip() == f"{REQUIRED_REVISION}::generation"
