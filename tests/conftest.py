"""Marks every test by its folder; `pytest -m unit` needs nothing but Python. Side by side, groups of tests stay together."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# No deadline: how long an example takes says how busy the machine is.
settings.register_profile("slipway", deadline=None, print_blob=True)
settings.load_profile("slipway")

KINDS = ("unit", "integration", "e2e")
LIMITS_S = {"unit": 20, "integration": 300, "e2e": 1_200}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        kind = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if kind in KINDS:
            item.add_marker(getattr(pytest.mark, kind))
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(LIMITS_S[kind]))


@pytest.hookimpl(optionalhook=True)  # of a plugin that a run may leave out
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from groups import Groups

    return Groups(config, log)
